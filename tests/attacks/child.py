"""The attacked child: finds the attack by its number, and says what it obtained or what refused it."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from json import dumps, loads  # as they are before any attack
from pathlib import Path
from typing import Any

from tests.attacks.attack import ATTACKS, Attack, Denied, Job, Run, named

MODULES = ("reading", "writing", "network", "processes", "resources", "kernel", "results", "leaving", "answers")


def attacks() -> dict[int, Attack]:
    """All attacks by number."""
    for name in MODULES:
        importlib.import_module(f"tests.attacks.{name}")
    return dict(sorted(ATTACKS.items()))


def run(job: Job) -> dict[str, Any]:
    """The attack `job["attack"]`."""
    return _told(attacks()[job["attack"]].run, job)


def follow(job: Job) -> dict[str, Any]:
    """What comes after it, in another child."""
    after = attacks()[job["attack"]].follow
    assert after is not None
    return _told(after, job)


def _told(function: Run, job: Job) -> dict[str, Any]:
    try:
        found = function(job)
    except Denied as denied:
        return {"denied": list(denied.args)}
    except (OSError, MemoryError) as error:
        return {"denied": [named(error)], "said": str(error)}
    return {"obtained": found}


def main() -> None:
    """Without any protection: a plain process, which an engine that trusts it would start and believe."""
    job = loads(Path(sys.argv[1]).read_text())
    attack = attacks()[job["attack"]]
    result: dict[str, Any] = {"status": "done", "cause": None, "data": {}}
    # Open now: an attack may leave this process another user, or elsewhere.
    written = open(Path(job["folder"], ".result"), "w")  # noqa: SIM115
    try:
        if attack.candidate:
            from engine.verify.verify import run_job

            result["data"] = run_job(job)
        else:
            result["data"] = run(job)
            if attack.follow is not None:  # a worker that is used again
                job.pop("held", None)
                again = follow(job)
                result["data"] = again if again.get("obtained") else result["data"]
    except BaseException as error:
        traceback.print_exc()
        result |= {"status": "failed", "cause": str(error), "data": {}}
    written.write(dumps(result))
    written.close()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
