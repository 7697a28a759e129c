"""What candidate code tries is refused, and each refusal means something: without protection the same succeeds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from engine.sandbox.layers import LAYERS
from tests.attacks.attack import Attack
from tests.attacks.child import attacks
from tests.attacks.runs import Arena
from tests.attacks.table import DOCUMENT, PLACE, home, measure
from tests.attacks.world import ROOT, World
from tests.sandbox.conftest import needs

KNOWN = attacks()
LOST = {
    "environment": {2},
    "namespaces": set(),
    "limits": {17, 18, 19, 30, 35, 67, 68, 69},
    "landlock": {10, 26, 27, 34, 50, 51, 52, 63, 81, 96},
    "seccomp": {16, 28, 53, 58, 65, 70, 71, 75, 95, 97},
}
"""What succeeds with a layer missing: the others do not hold it."""
NOBODY = 65534


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def arena() -> AsyncIterator[Arena]:
    """The default level, one fork server for all attacks."""
    with tempfile.TemporaryDirectory(prefix="attacked-", dir=home(), ignore_cleanup_errors=True) as base:
        world = World(Path(base))
        arena = Arena(frozenset(LAYERS), world)
        yield arena
        await arena.close()
        world.close()


@needs()
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("attack", KNOWN.values(), ids=lambda attack: f"{attack.number}-{attack.title[:40]}")
async def test_the_sandbox_stops(arena: Arena, attack: Attack) -> None:
    if attack.number == 37:
        pytest.skip(attack.alone)
    outcome = await arena.attempt(attack)
    print(f"{attack.number} {attack.title}: {outcome.cell()}")
    if attack.succeeds:
        assert outcome.succeeded, "it is held now: docs/security.md says that it is not"
    else:
        assert not outcome.evidence
        assert outcome.by


def test_the_whole_list_is_tried() -> None:
    assert set(range(1, 41)) <= KNOWN.keys()
    assert len(KNOWN) >= 50


def test_what_cannot_be_stopped_is_told() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = {int(n): title for n, title in re.findall(r"^\| (\d+) \| (.*?) \| ", text, re.MULTILINE)}
    assert rows == {number: attack.title for number, attack in KNOWN.items()}
    table = PLACE.search(text)
    assert table is not None
    for attack in KNOWN.values():
        assert not attack.succeeds or attack.succeeds in table[0], attack.number


@pytest.mark.slow
@needs()
async def test_with_no_protection_each_succeeds() -> None:
    rows = await measure({"nothing"})
    for number, row in rows.items():
        assert row["nothing"].succeeded == (not KNOWN[number].alone), (number, row)


@pytest.mark.slow
@needs()
@pytest.mark.parametrize("layer", LAYERS)
async def test_a_missing_layer_costs_what_is_written(layer: str) -> None:
    rows = await measure({f"without {layer}"})
    lost = {number for number, row in rows.items() if row[f"without {layer}"].succeeded and not KNOWN[number].succeeds}
    assert lost == LOST[layer]


@pytest.mark.slow
@needs()
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_normal_user_is_as_safe(tmp_path: Path) -> None:
    """The default level from an account without privileges, which is shown Python where only root could look."""
    base = Path(sysconfig.get_config_var("installed_base") or sys.base_prefix)
    hidden = next((part for part in reversed(base.parents) if not part.stat().st_mode & 0o005), None)
    show = f"mkdir {tmp_path}/p && mount --bind {base} {tmp_path}/p && mount -t tmpfs -o mode=755 none {hidden} && "
    show += f"mkdir -p {base} && mount --bind {tmp_path}/p {base} && "
    run = f"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --inh-caps=-all --bounding-set=-all"
    command = f"{show if hidden else ''}{run} {sys.executable} -P -m tests.attacks.table --only default --json"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", command],
        env=environ,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode == 4 or "unshare" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-2000:]
    succeeded = {int(number) for number, row in json.loads(done.stdout).items() if row["default"]}
    assert succeeded == {number for number, attack in KNOWN.items() if attack.succeeds}
