"""A machine that lacks layers of the sandbox: refused with the way to get them, or run on the user's word, visibly."""

from __future__ import annotations

import os
from pathlib import Path

from engine.archive.store import read_archive
from tests.run.world import World, profile


def without_layers(world: World) -> None:
    """An installation whose libseccomp cannot be loaded and whose PATH has no bubblewrap: shims, found first."""
    shims = world.path / "shims"
    shims.mkdir()
    (shims / "pyseccomp.py").write_text("raise OSError('libseccomp.so.2: cannot open shared object file')\n")
    paths = [p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "bwrap").exists()]
    world.extra = {
        "PYTHONPATH": f"{shims}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "PATH": os.pathsep.join(paths),
    }


def test_too_few_layers_are_refused_unless_the_user_insists_and_then_it_shows(world: World) -> None:
    without_layers(world)
    arguments = ["run", "--headless", "--profile", str(profile(world.path, baseline_seeds="1")), "--candidates", "1"]
    refused = world.poise(*arguments, "--name", "r")
    assert refused.returncode == 4, refused.stderr
    assert "seccomp" in refused.stderr and "apt install libseccomp2" in refused.stderr
    assert "--allow-weak-sandbox" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not world.folder("r").path.exists(), "nothing is left of a run that was refused"

    allowed = world.poise(*arguments, "--name", "w", "--allow-weak-sandbox")
    assert allowed.returncode == 0, allowed.stderr
    run = read_archive(world.folder("w").archive).run()
    assert run["sandbox"] == "without namespaces, seccomp"
    assert {c["sandbox"] for c in world.export("w")["candidates"]} == {run["sandbox"]}
    assert f"sandbox     {run['sandbox']}" in world.poise("status", "w").stdout
