"""What a job that holds vLLM may do beyond others: run compilers and listen. And what it still may not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.loop import confinement
from engine.profiles.schema import load_profile
from engine.sandbox.layers import Sandbox
from engine.sandbox.probe import available
from tests.sandbox.conftest import needs

ROOT = Path(__file__).parents[2]


@needs("seccomp")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler here")
def test_a_sampler_compiles_and_listens_and_reaches_nobody(tmp_path: Path) -> None:
    landlocked = "landlock" if "landlock" in available() else "no"
    command = [sys.executable, "-P", "-m", "tests.sandbox.sampler", str(tmp_path), landlocked]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": PATH}
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("program") is None
    assert found.pop("answer") == 42
    assert set(found.values()) <= {"EPERM", "EACCES"}, found


PATH = "/usr/local/bin:/usr/bin:/bin"


def profile(**generation: Any) -> dict[str, Any]:
    return load_profile("tiny").resolved() | ({"generation": generation} if generation else {})


@needs("namespaces")
def test_only_jobs_that_train_or_score_in_a_run_with_vllm_are_let() -> None:
    made = confinement.sandbox_for(profile(engine="vllm"), "standard", ())
    assert [kind for kind in ("verify", "train", "score", "call:x:y") if made.samples(kind)] == ["train", "score"]
    for other in (profile(), profile(engine="transformers")):
        assert not confinement.sandbox_for(other, "standard", ()).samplers
    assert Sandbox.read(json.loads(json.dumps(made.document()))) == made


def test_without_namespaces_vllm_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = frozenset({"environment", "limits", "seccomp", "landlock"})
    monkeypatch.setattr(confinement, "available", lambda: layers)
    with pytest.raises(PoiseError, match=r'in namespaces alone: .*\[generation\] engine = "transformers"') as refused:
        confinement.sandbox_for(profile(engine="vllm"), "standard", ())
    assert refused.value.code == Exit.REFUSED
    assert confinement.sandbox_for(profile(engine="vllm"), confinement.WEAK, ()).samplers
    assert not confinement.sandbox_for(profile(), "standard", ()).samplers
