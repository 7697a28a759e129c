"""Broken and deceptive files: each is stopped by the right check, which names mechanism, stage, regime and cause.

Every file in `broken/` says in its first lines what its report must say.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.verify.verify import verify

FILES = sorted((Path(__file__).parent / "broken").glob("*.py"))


def wanted(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^# (check|mechanism|stage|regime|found): (.+)$", path.read_text(), re.MULTILINE))


def failed(report: dict[str, Any]) -> dict[str, Any]:
    bad = [check for check in report["checks"] if not check["passed"]]
    assert len(bad) == 1, f"stopped at the first failure: {report['checks']}"
    return dict(bad[0])


def test_there_are_at_least_thirty_of_them() -> None:
    assert len(FILES) >= 30


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_broken_file_is_stopped_for_its_true_cause(path: Path) -> None:
    torch.manual_seed(0)
    said, report = wanted(path), verify(path)
    assert not report["passed"], f"{path.stem} passed"
    check = failed(report)
    assert check["name"] == said["check"], report["cause"]
    assert said.get("found", "") in check["detail"]
    if said["check"] not in ("loads", "composes"):
        for key in ("mechanism", "stage", "regime"):
            assert key not in said or check[key] == said[key], (key, check)
        assert check["expected"]
        assert check["found"]
    assert report["fingerprint"] is None
    assert "\n" not in report["cause"]
