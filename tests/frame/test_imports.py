"""Both programs stay what they are, a headless engine and light clients: proved by importing them."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "trl", "litellm", "sklearn", "ray")
LIGHT_ENGINE = (
    "engine",
    "engine.errors",
    "engine.stages",
    "engine.untrusted",
    "engine.algorithms.catalogue",
    "engine.algorithms.lint",
    "engine.algorithms.recipes",
    "engine.archive",
    "engine.generation.choice",
    "engine.loop.machine",
    "engine.loop.seeds",
    "engine.loop.study_plan",
    "engine.process",
    "engine.process.control",
    "engine.process.lock",
    "engine.process.registry",
    "engine.profiles",
    "engine.profiles.schema",
    "engine.report.compare",
    "engine.report.story",
    "engine.report.write",
    "engine.sandbox.layers",
    "engine.sandbox.probe",
    "engine.search.models",
    "engine.search.pareto",
    "engine.standalone.assemble",
    "engine.stats.noise",
    "engine.tasks.controls",
    "engine.training.checkpoints",
)
"""All that a client may use of the engine, with what lies below `engine.archive`."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("engine", "poise_tui", include_external_packages=True, cache_dir=None)


def loaded_by(modules: list[str]) -> set[str]:
    """The packages that a fresh Python has loaded after importing `modules`."""
    code = f"import importlib, sys\nfor m in {modules!r}: importlib.import_module(m)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.split()}


def modules_of(package: str) -> list[str]:
    files = (ROOT / package).rglob("*.py")
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return sorted(name.removesuffix(".__init__") for name in names if not name.endswith("__main__"))


def test_every_client_module_loads_without_torch_transformers_trl_or_litellm() -> None:
    modules = modules_of("poise_tui")
    assert "poise_tui.cli" in modules
    assert "poise_tui.commands.run" in modules
    assert not loaded_by(modules) & set(HEAVY)


def test_the_command_line_loads_no_textual_until_a_dashboard_opens() -> None:
    commands = modules_of("poise_tui/commands")
    assert "textual" not in loaded_by(["poise_tui.cli", "poise_tui.client", *commands])


def test_the_light_part_of_the_engine_loads_neither_torch_nor_textual(graph: grimp.ImportGraph) -> None:
    modules = [m for m in graph.modules if m in LIGHT_ENGINE or m.startswith("engine.archive.")]
    assert not loaded_by(sorted(modules)) & {*HEAVY, "textual"}


def test_clients_use_only_the_light_part_of_the_engine(graph: grimp.ImportGraph) -> None:
    used = {
        (client, module)
        for client in graph.modules
        if client.startswith("poise_tui")
        for module in graph.find_modules_directly_imported_by(client)
        if module.startswith("engine")
    }
    assert used, "clients read archives and send commands"
    wrong = [(c, m) for c, m in used if m not in LIGHT_ENGINE and not m.startswith("engine.archive.")]
    assert not wrong
