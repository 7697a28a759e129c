"""What is installed is whole: the command, both packages, styles and model; and nothing is undeclared."""

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.run.world import profile

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = {canonicalize_name(r.name): r for r in map(Requirement, PROJECT["dependencies"])}
EXTRAS = {
    extra: {canonicalize_name(r.name): r for r in map(Requirement, lines)}
    for extra, lines in PROJECT["optional-dependencies"].items()
}


def python(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Python as children are started: with -P."""
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built by the installed hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel as pip installs it, and nothing of the checkout."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(target), str(wheel)], check=True, capture_output=True)
    return target


def test_the_wheel_holds_both_packages_the_styles_the_profiles_the_prompts_and_the_shipped_model(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"engine/contract.py", "poise_tui/cli.py", "engine/profiles/tiny.toml"} <= names
    for style in (ROOT / "styles").rglob("*.tcss"):
        assert f"poise_tui/{style.relative_to(ROOT)}" in names
    for file in (ROOT / "engine" / "profiles" / "tiny_model").iterdir():
        assert f"engine/profiles/tiny_model/{file.name}" in names
    assert any(name.endswith(".safetensors") for name in names)
    for file in (ROOT / "engine" / "search" / "prompts").glob("*.md"):
        assert f"engine/search/prompts/{file.name}" in names
    outside = {name for name in names if name.split("/")[0] not in ("engine", "poise_tui")}
    assert all(".dist-info/" in name for name in outside)
    assert not any("__pycache__" in name or name.startswith("tests") for name in names)


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run([*command, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    subprocess.run([*command, "-t", "wheel"], cwd=source, check=True, capture_output=True)
    (again,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()
    assert {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "constraints.txt"} <= {p.name for p in source.iterdir()}


def test_the_wheel_alone_gives_a_poise_that_runs_from_anywhere(installed: Path, tmp_path: Path) -> None:
    start = f"import sys; sys.path.insert(0, {str(installed)!r}); from poise_tui.cli import main; main()"
    done = python("-c", start, "run", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: poise run")
    assert (installed / "bin" / "poise").is_file()


def test_a_folder_named_engine_where_the_user_stands_never_shadows_ours(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (tmp_path / "engine" / name).write_text("raise RuntimeError('the wrong engine')\n")
    done = python("-m", "engine", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_styles_are_found_installed_editable_and_in_a_checkout(installed: Path, tmp_path: Path) -> None:
    code = "from poise_tui.styles_path import styles_folder; print(styles_folder())"
    for place in (installed, ROOT):
        start = f"import sys; sys.path.insert(0, {str(place)!r}); {code}"
        done = subprocess.run([sys.executable, "-P", "-c", start], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = Path(done.stdout.strip())
        assert found.is_relative_to(place)
        assert list(found.glob("*.tcss"))


def third_party_imports() -> set[str]:
    """Top-level packages that engine or poise_tui import, at any level, outside the standard library and the extras."""
    found = set()
    for file in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "poise_tui").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"engine", "poise_tui"} - set(EXTRAS)


def test_every_import_is_declared_and_every_dependency_is_imported() -> None:
    distributions = metadata.packages_distributions()
    # What an extra brings may be missing here, and is then known by its module's name.
    optional = {canonicalize_name(name) for extra in EXTRAS.values() for name in extra} - set(REQUIREMENTS)
    found = {name for module in third_party_imports() for name in distributions.get(module, [module])}
    needed = {canonicalize_name(name) for name in found} - optional
    assert needed <= set(REQUIREMENTS), "imported, not declared"
    assert set(REQUIREMENTS) <= needed, "declared, not imported"


PINNED = (("trl", "1.16.0"), ("textual", "8.2.8"), ("tinydb", "4.9.0"), ("textual-serve", "1.1.3"))


def test_what_is_private_to_a_library_is_pinned_exactly() -> None:
    for name, version in PINNED:
        assert str(REQUIREMENTS[name].specifier) == f"=={version}"


def test_malicious_releases_of_litellm_are_never_taken() -> None:
    allowed = REQUIREMENTS["litellm"].specifier
    assert "1.82.7" not in allowed
    assert "1.82.8" not in allowed
    assert "1.106.2" in allowed


def test_the_ranges_have_room_for_what_the_extras_want() -> None:
    """vLLM 0.31 wants torch 2.13 and transformers 5.10.4 to 5.17; `make test-slow` resolves it for real."""
    assert "2.13.0" in REQUIREMENTS["torch"].specifier
    assert "2.14.0" not in REQUIREMENTS["torch"].specifier
    for version, fits in (("5.10.3", False), ("5.10.4", True), ("5.17.0", True), ("5.18.0", False)):
        assert (version in REQUIREMENTS["transformers"].specifier) is fits
    assert "0.31.0" in EXTRAS["vllm"]["vllm"].specifier
    assert "0.32.0" not in EXTRAS["vllm"]["vllm"].specifier
    assert "2.60.0" in EXTRAS["ray"]["ray"].specifier
    assert set(EXTRAS) == {"vllm", "ray", "tasks", "log", "dev"}


def test_constraints_fit_the_declared_ranges_and_leave_torch_to_the_makefile() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if re.match(r"\w", line)
    )
    versions = {canonicalize_name(name): Version(version) for name, version in pins.items()}
    assert "torch" not in versions
    assert not {name for name in versions if name.startswith(("nvidia-cu", "triton"))}
    for name, requirement in {**REQUIREMENTS, **EXTRAS["dev"]}.items():
        if name != "torch":
            assert versions[name] in requirement.specifier, name


@pytest.mark.slow
def test_vllm_and_ray_resolve_together_with_all_else(tmp_path: Path) -> None:
    """The real resolver, dry: needs a package index."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--report",
        str(tmp_path / "report"),
    ]
    done = subprocess.run([*command, f"{ROOT}[vllm,ray]"], capture_output=True, text=True)
    if done.returncode and re.search(
        r"(?i)connection|name resolution|no matching distribution.*hatchling", done.stderr
    ):
        pytest.skip("no package index is reached from here")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report").read_text())
    chosen = {canonicalize_name(i["metadata"]["name"]): i["metadata"]["version"] for i in report["install"]}
    assert Version(chosen["vllm"]) <= Version("0.31")
    assert "ray" in chosen
    assert Version(chosen.get("transformers", "5.17.0")) < Version("5.18")


@pytest.mark.slow
def test_an_empty_environment_with_the_wheel_discovers_something_outside_the_tree(wheel: Path, tmp_path: Path) -> None:
    """Installs everything, as a user does: needs a package index."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    inside = tmp_path / "venv" / "bin"
    torch = f"torch=={metadata.version('torch')}"
    pip = [str(inside / "python"), "-m", "pip", "install", "--quiet"]
    # The build for processors where it lies on this machine, as the Makefile does it.
    subprocess.run([*pip, "--no-index", "--no-deps", torch], capture_output=True)
    done = subprocess.run([*pip, str(wheel), "-c", str(ROOT / "constraints.txt")], capture_output=True, text=True)
    if done.returncode and re.search(r"(?i)connection|name resolution", done.stderr):
        pytest.skip("no package index is reached from here")
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "POISE_RUNS": str(tmp_path / "runs")}

    def poise(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(inside / "poise"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert poise("--version").stdout.startswith("poise, version ")
    found = poise("run", "--headless", "--profile", str(profile(tmp_path)), "--candidates", "2", "--name", "first")
    assert found.returncode == 0, found.stdout + found.stderr
    exported = json.loads(poise("export", "first").stdout)
    assert [c["status"] for c in exported["candidates"]].count("scored") >= 2
