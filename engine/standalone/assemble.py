"""From an algorithm's file to one that runs in plain TRL, written out of our own modules so that it cannot drift."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from engine.errors import PoiseError
from engine.profiles.forecast import update_rows
from engine.standalone.pieces import body, defined, import_lines, imports, module, pick, replaced

MADE_OF = ("contract", "contexts", "algorithms/root", "algorithms/pipeline", "training/figures", "training/groups")
OF_TRAINER = (
    *("_generate_and_score_completions", "_ship", "_prepare_inputs", "_get_train_sampler", "half_used_batch"),
    *("load_batch", "_extra_pass", "_compute_loss", "log"),
)
ROOT = '''"""GRPO itself, the empty algorithm."""
from engine.contract import Algorithm

algorithm = Algorithm("GRPO")
'''
"""The file of a run's root, which has none."""
NOT_SET = ("output_dir", "seed", "save_total_limit")


def standalone(source: str, profile: Mapping[str, Any], facts: Mapping[str, str] | None = None, seed: int = 42) -> str:
    """A Python file with a subclass of TRL's GRPOTrainer and nothing of ours to import.

    Args:
        source: the algorithm's file, linted.
        profile: the resolved profile, for the settings of `grpo_config`.
        facts: lines of the header by their word (`From`, `Hypothesis`, `Figures`).
        seed: of `grpo_config`.

    Raises:
        PoiseError: the file has no literal name for its algorithm, or a name of its own that the machinery uses.
    """
    name = _name_of(source)
    trainer = class_name(name)
    own = body(source)
    machinery = _machinery(trainer, profile, seed)
    contract = _contract()
    _refuse_clashes(source, f"{contract}\n{machinery}")
    said = _imports_of(source)
    made_of = [entry for part in (*MADE_OF, "training/trainer", "standalone/plain") for entry in imports(module(part))]
    checked = _version_check(trainer)
    text = "\n\n\n".join((checked, _title("What a mechanism is"), contract, _title("The algorithm"), own, machinery))
    needed = [e for e in made_of if not e[0].startswith("engine")]
    lines = import_lines([*said, *needed, ("warnings", None, "warnings"), ("trl", None, "trl")], text)
    whole = f"{_header(name, trainer, source, profile, facts or {})}\n\n{lines}\n\n{text}\n"
    return re.sub(r"\n{4,}", "\n\n\n", whole)


def class_name(algorithm: str) -> str:
    """`VM-AV-GRPO` -> `VmAvGrpoTrainer`."""
    words = re.findall(r"[A-Za-z0-9]+", algorithm.encode("ascii", "ignore").decode())
    joined = "".join(w.capitalize() if w.isupper() else w[0].upper() + w[1:] for w in words)
    return f"{'' if joined[:1].isalpha() else 'Algorithm'}{joined}Trainer"


def _contract() -> str:
    gone = ("__all__", "Mechanism.hooks", "Mechanism.ranges", "Algorithm.without", "Algorithm.only")
    text = body(module("contract"), (*gone, "Algorithm.crossover", "Algorithm._known", "Algorithm.claims"))
    fields = "    claims: tuple[str, ...] = ()\n    order: Mapping"  # positions stay those of our own class
    return replaced(text, ("    order: Mapping", fields))


def _machinery(trainer: str, profile: Mapping[str, Any], seed: int) -> str:
    error = ("PoiseError(", "ValueError(")
    root = module("algorithms/root")
    stages = pick(root, _stage_functions(root)).replace("\n\ndef ", "\n\n@staticmethod\ndef ")
    grpo = f"{_GRPO}\n\n{_inside(stages)}"
    pipeline = replaced(
        body(module("algorithms/pipeline"), ("stage_names", "Pipeline.call", "Pipeline.control")),
        error,
        ("PoiseError: ", "ValueError: "),
        ("        frozen: evaluation: hooks see copies of the state, and controllers do not run.\n", ""),
        (", seed: int = 0, frozen: bool = False)", ", seed: int = 0)"),
        ("        self.frozen = frozen\n", ""),
        ("; nothing happens when frozen", ""),
        ("        if self.frozen:\n            return\n", ""),
        ("self.control(m, replace(stats, state=self._state[m.name]))", f"getattr(m, CONTROLLER)({_STATS})"),
        ("            state = self._state[m.name]\n", ""),
        ("copy.deepcopy(state) if self.frozen else state", "self._state[m.name]"),
        ("partial(self.call, m, stage, seen, inner)", "partial(_hook, getattr(m, stage), seen, inner)"),
        ("root = ROOT[stage]", "root = getattr(Grpo, stage)"),
    )
    pipeline += f"\n\n\n{_HOOK}"
    plain = module("standalone/plain")
    constants = pick(plain, ("PARTS_KEY", "STATE_FILE", "BATCH_FILE")).replace("\n\n", "\n")
    theirs = replaced(
        pick(module("training/trainer"), [f"PoiseTrainer.{name}" for name in OF_TRAINER]),
        ("len(batch.ids)", "len(batch.rewards)"),
        ("        batch.advantages = made.values\n", ""),
        ("        self.on_batch(batch)\n", ""),
        *((line, "") for line in OF_SAMPLING),
    )
    ours = replaced(pick(plain, ("PlainTrainer",)), ("class PlainTrainer(", f"class {trainer}("))
    groups = replaced(body(module("training/groups")), error, ("PoiseError: ", "ValueError: "))
    parts = (
        *(_title("What mechanisms see"), body(module("contexts"))),
        *(_title("GRPO, stage by stage"), body(module("stages"), ("CONTRACT_VERSION",)), pick(root, ("STD_EPS",))),
        *(pick(root, ("nanstd",)), grpo, _title("The algorithm made executable"), pipeline),
        *(
            body(module("training/figures")),
            groups,
            _title("The trainer"),
            constants,
            _config(profile, seed),
            pick(plain, ("Batch",)),
        ),
        f"{ours}\n\n{theirs}",
        pick(module("training/trainer"), ("_moved",)),
    )
    return "\n\n\n".join(parts)


OF_SAMPLING = (
    "        self._sampling_seconds = 0.0\n",
    '        batch.sampling["tokens_per_second"] = batch.lengths.sum().item() / max(self._sampling_seconds, 1e-9)\n',
    "            batch.sampling |= sampler_means(rollouts)\n",
)
"""Lines of the trainer that tell how fast and how faithfully it samples."""
_GRPO = '''class Grpo:
    """The stages of GRPO, bit-equal to TRL's own with loss_type="grpo"."""'''
_STATS = "replace(stats, state=self._state[m.name])"
_HOOK = """def _hook(hook: Callable[..., Tensor], ctx: Rollouts | Minibatch, inner: Inner, value: Tensor) -> Tensor:
    return hook(ctx, value, inner)"""


def _stage_functions(root: str) -> list[str]:
    nodes = [n for n in ast.parse(root).body if isinstance(n, ast.FunctionDef)]
    return [n.name for n in nodes if n.name != "nanstd"]


def _inside(functions: str) -> str:
    return textwrap.indent(f"@staticmethod\n{functions}", "    ")


def _config(profile: Mapping[str, Any], seed: int) -> str:
    """`grpo_config` of the exported file: the settings of `engine.training.run.grpo_config`, evaluated."""
    made = next(n for n in ast.parse(module("training/run")).body if "grpo_config" in defined(n))
    call = next(n.value for n in ast.walk(made) if isinstance(n, ast.Return) and isinstance(n.value, ast.Call))
    train = profile["train"]
    rows = train.get("micro_rows") or update_rows(train)
    known = {"train": train, "split": 1, "rows": rows, "parts": update_rows(train) // rows}
    lines = ['"output_dir": "trained",', f'"seed": {seed},']
    for keyword in call.keywords:
        names = {n.id for n in ast.walk(keyword.value) if isinstance(n, ast.Name)}
        if keyword.arg is None or keyword.arg in NOT_SET:  # without a name: settings of vLLM, which are the machine's
            continue
        expression = ast.unparse(keyword.value)
        if "cuda" not in names:
            value = eval(compile(ast.Expression(keyword.value), "run.py", "eval"), {}, known)  # our own source
            expression = f'"{value}"' if isinstance(value, str) else repr(value)
        lines.append(f'"{keyword.arg}": {expression},')
    settings = textwrap.indent("\n".join(lines), " " * 8)
    return (
        "def grpo_config(**overrides: Any) -> GRPOConfig:\n"
        f'    """Settings of profile {profile["name"]}, with which the algorithm was found; yours go before."""\n'
        f"    cuda = torch.cuda.is_available()\n    settings: dict[str, Any] = {{\n{settings}\n    }}\n"
        "    return GRPOConfig(**{**settings, **overrides})"
    )


def _name_of(source: str) -> str:
    for node in ast.parse(source).body:
        if "algorithm" in defined(node) and isinstance(call := getattr(node, "value", None), ast.Call):
            values = [k.value for k in call.keywords if k.arg == "name"] or call.args[:1]
            if values and isinstance(values[0], ast.Constant) and isinstance(values[0].value, str):
                return values[0].value
    raise PoiseError('write algorithm = Algorithm(name="...", ...) with the name itself: it becomes the trainer\'s')


def _imports_of(source: str) -> list[tuple[str, str | None, str]]:
    said = imports(source)
    for where, name, bound in said:
        if where == "engine.contract" and (name is None or name != bound or name == "*"):
            raise PoiseError("import what you need by its own name (from engine.contract import Mechanism, ...)")
    return [entry for entry in said if not entry[0].startswith("engine")]


def _refuse_clashes(source: str, rest: str) -> None:
    taken = {name for node in ast.parse(rest).body for name in defined(node)}
    clash = sorted(taken & {name for node in ast.parse(source).body for name in defined(node)})
    if clash:
        raise PoiseError(f"{', '.join(clash)}: the exported file needs this name itself; rename it in the algorithm")


def _version_check(trainer: str) -> str:
    made = version("trl")
    return (
        f'MADE_FOR = "{made}"\n"""The release of TRL whose private methods this trainer overrides."""\n\n'
        "if trl.__version__ != MADE_FOR:\n"
        f'    warnings.warn(f"{trainer} was made for TRL {{MADE_FOR}}, and this is {{trl.__version__}}", stacklevel=2)'
    )


def _title(words: str) -> str:
    return f"# {words}\n# {'-' * len(words)}"


def _header(name: str, trainer: str, source: str, profile: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    model = profile["model"]
    lora = f"LoRA r={model['lora_r']}, lora_alpha={model['lora_alpha']}, target_modules={model['lora_target']!r}"
    said = {"Hypothesis": ast.get_docstring(ast.parse(source)) or "", **facts}
    said |= {
        "Settings": f"profile {profile['name']}, see grpo_config; trained with {lora} and no dropout",
        "Made for": f"TRL {version('trl')}, one process",
        "Use": f"{trainer}(model=..., reward_funcs=[...], args=grpo_config(...), train_dataset=..., peft_config=...)",
        "Licence": "MIT, copyright (c) 2026 The POISE TUI authors; keep this line",
    }
    lines = [f"{name} as a trainer for TRL: copy this file into your project.", ""]
    for word, text in said.items():
        clean = "".join(c if c.isprintable() else " " for c in text.replace("\\", "/").replace('"', "'"))
        if clean.strip():
            lines += textwrap.wrap(" ".join(f"{word}: {clean}".split()), 112, subsequent_indent="    ")
    return '"""' + "\n".join(lines) + '\n"""'
