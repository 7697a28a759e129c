"""Attacks on what decides a candidate's fate: the grader with the answers, and the verification."""

from __future__ import annotations

import gc
import json
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tests.attacks.attack import Job, attack, leave, own

OPTIONS = {"pool_size": 4}
SEED = 7
ALIKE = "what it does is measured in numbers, not asked"
ROBUST = "the grader takes nobody's word"


def _stream(job: Job) -> socket.socket:
    stream = socket.socket(fileno=job["grader_fd"])
    stream.settimeout(3)
    return stream


def _problems(seed: int) -> list[Any]:
    from engine.tasks import load_taskset

    tasks = load_taskset("tiny", OPTIONS)
    return [p for name in tasks.names for p in tasks.problems("train", name, 4, seed)]


@attack(24, "search its own memory for the answers (gc, frames)", graded=True, nothing="engine")
def search_memory(job: Job) -> list[str]:
    """With no protection the trainer itself holds the problems, as trainers commonly do."""
    from engine.tasks.grader_client import GraderClient

    held = _problems(SEED) if job.get("trusting") else GraderClient(job["grader_fd"]).prompts()
    frames, frame = [], sys._getframe()
    while frame is not None:
        frames += list(frame.f_locals.values())
        frame = frame.f_back  # type: ignore[assignment]
    reachable = gc.get_objects() + frames
    reachable += [x for some in reachable if isinstance(some, list | tuple) for x in some]
    found = []
    for thing in reachable:
        with suppress(Exception):
            if type(thing).__name__ == "Problem" and isinstance(thing.gold, str):
                found.append(thing.gold)
    return found if held else []


def _grader_is_dead(world: Any, result: Mapping[str, Any]) -> str | None:
    """Whether the grader serves others no more."""
    failed: str | None = world.grader_fails()
    return failed


@attack(47, "send open descriptors to the grader, without end", graded=True, harm=_grader_is_dead, alone=ROBUST)
def descriptors(job: Job) -> None:
    stream = _stream(job)
    mine = [socket.socket(fileno=job["grader_fd"]).detach()] * 50
    with suppress(OSError):
        for _ in range(200):
            socket.send_fds(stream, [b"x\n"], mine)


@attack(48, "garbage, giants and depths to the grader", graded=True, harm=_grader_is_dead, alone=ROBUST)
def garbage(job: Job) -> None:
    stream = _stream(job)
    deep = b'{"op": "grade", "items": ' + b"[" * 100_000 + b"\n"
    lines = [b"\0\xff\n", b"{}\n", b"[]\n", b"null\n", deep, b'{"op": "grade", "items": [1, null, {}]}\n']
    lines += [b'{"op": "grade", "items": [{"id": 1e999, "completion": 1, "truncated": 9}]}\n', b"x" * (70 << 20)]
    with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
        for line in lines:
            stream.sendall(line)


@attack(49, "guess the answers: ask the grader without end", graded=True, nothing="engine")
def guess(job: Job) -> str | None:
    stream = _stream(job)
    lines = stream.makefile("rb")
    stream.sendall(b'{"op": "prompts"}\n')
    name = json.loads(lines.readline())["prompts"][0]["id"]
    asked = 0
    with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
        for number in range(2000):
            item = {"id": name, "completion": f"#{number}", "truncated": False}
            stream.sendall(json.dumps({"op": "grade", "items": [item]}).encode() + b"\n")
            if "error" in json.loads(lines.readline() or b'{"error": "closed"}'):
                break
            asked += 1
    return f"{asked} guesses" if asked >= 2000 else None


@attack(
    78,
    "work out the training problems' answers from the tasks' code",
    succeeds="the tasks' code is public and the training seed known; held-out problems come from a secret seed",
)
def training_answers(job: Job) -> list[str]:
    return [problem.gold for problem in _problems(SEED)]


def _printed(world: Any, result: Mapping[str, Any]) -> str | None:
    return world.in_log(result)  # type: ignore[no-any-return]


def _passes(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.loop.report import read_report

    return "it passes" if result["status"] == "done" and read_report(result["data"])["passed"] else None


@attack(33, "a tensor that says it equals everything", candidate="lying_tensor.py", harm=_passes, alone=ALIKE)
def lying_tensor(job: Job) -> None:
    raise NotImplementedError("a candidate's file")


@attack(
    79,
    "forge its own verification",
    harm=_passes,
    succeeds="it is checked in its own process; what it gains is one training, its score is measured by another",
)
def forged_verification(job: Job) -> None:
    report: Job = {"passed": True, "cause": None, "checks": [], "claims": [], "mechanisms": []}
    report |= {
        "warnings": [],
        "algorithm": "x",
        "profile": "tiny",
        "fingerprint": "f" * 64,
        "profile_fingerprint": None,
        "signature": {},
    }
    own(job, "result.json").write_text(json.dumps({"status": "done", "cause": None, "data": report}))
    leave()


@attack(
    94,
    "get past the lint to the whole of Python",
    candidate="past_lint.py",
    harm=_printed,
)
def past_lint(job: Job) -> None:
    raise NotImplementedError("a candidate's file")
