"""The table of faults in the documentation is what the tests do."""

import subprocess
import sys
from pathlib import Path

from tests.faults import FAULTS

CHECKOUT = Path(__file__).parents[2]


def test_every_fault_has_a_test_and_the_documentation_says_how_often_it_is_done() -> None:
    command = [sys.executable, "-P", "-m", "tests.faults"]
    done = subprocess.run(
        command, cwd=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT), "PATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = {int(row.split("|")[1]): row.split("|") for row in done.stdout.splitlines()[2:]}
    assert list(rows) == list(FAULTS) == [*range(1, 22), 25]
    for number, row in rows.items():
        assert row[4].strip() and row[5].strip() != "-", f"no test in `make test` does fault {number}"
    assert done.stdout in (CHECKOUT / "docs" / "reliability.md").read_text(), f"run {' '.join(command[1:])}"
