"""kill -9 in a loop of commits: nothing acknowledged is ever lost, whatever the writer was doing."""

import os
import random
import signal
from pathlib import Path

import pytest

from engine.archive.events import Event, EventReader
from engine.archive.folder import RunFolder
from engine.archive.store import Archive, Change, read_archive

FEW, MANY = 60, 1200
"""Kills of a test."""
ROUND = 20
"""Kills before a new folder is begun."""


def write_until_killed(path: Path, acknowledge: int) -> None:
    """The child: commits as fast as it can, and acknowledges each on a pipe. A small journal is folded all the time."""
    archive = Archive.open(path, compact_bytes=20_000)
    number = len(archive.candidates())
    while True:
        event = Event("n", f"c{number}")
        archive.commit([Change("candidates", f"c{number}", {"text": "x" * 500})], [event])
        archive.commit([Change("candidates", f"c{number}", {"done": number})], [])
        os.write(acknowledge, b"%d\n" % number)
        number += 1


def kill_one(path: Path, dice: random.Random) -> list[int]:
    """One life of a writer, ended at a random moment; returns the numbers it acknowledged."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_until_killed(path, write)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        acknowledged = [int(pipe.readline()) for _ in range(dice.randint(1, 40))]
        for _ in range(dice.randint(0, 20_000)):
            pass
        os.kill(child, signal.SIGKILL)
        acknowledged += map(int, pipe.read().split())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "it was killed, and had not failed"
    return acknowledged


def kill_many(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """Returns how many commits were to be found, after all kills, and how many were."""
    dice = random.Random(seed)
    acknowledged = present = 0
    numbers: list[int] = []
    for kill in range(kills):
        run = RunFolder(folder / f"run{kill // ROUND}")
        run.path.mkdir(exist_ok=True)
        if kill % ROUND == 0:
            numbers = []
        numbers += kill_one(run.archive, dice)
        seen = {document["id"]: document for document in read_archive(run.archive).candidates()}
        present += sum(seen.get(f"c{number}", {}).get("done") == number for number in numbers)
        acknowledged += len(numbers)
        archive = Archive.open(run.archive)
        assert all(damage.tail for damage in archive.damages)
        ids = [document["id"] for document in archive.candidates()]
        assert ids == [f"c{number}" for number in range(len(ids))]
        events = [event for event in EventReader(run.events).read() if event.kind == "n"]
        assert [event.node for event in events] == ids, "an event for each commit, once"
        assert [event.seq for event in events] == sorted({event.seq for event in events})
        archive.close()
    return acknowledged, present


@pytest.mark.fault(1, 6, times=FEW)
def test_kill_9_in_a_loop_of_commits_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged, present = kill_many(tmp_path, kills=FEW, seed=random.randrange(1 << 30))
    assert acknowledged > 600
    assert present == acknowledged


@pytest.mark.fault(1, 6, times=MANY)
@pytest.mark.slow
def test_a_thousand_times_kill_9_lose_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged, present = kill_many(tmp_path, kills=MANY, seed=4)
    print(f"{MANY} kills, {acknowledged} commits acknowledged, {acknowledged - present} lost")
    assert present == acknowledged
