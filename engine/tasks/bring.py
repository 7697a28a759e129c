"""Bring the data of a task set, for `poise fetch`: `python -P -m engine.tasks.bring NAME OPTIONS-AS-JSON`.

A process of its own: task sets may import what a client must not.
"""

import json
import sys

from engine.errors import PoiseError
from engine.tasks import check_taskset


def main() -> int:
    """One line on stderr where it cannot be brought."""
    try:
        check_taskset(sys.argv[1], json.loads(sys.argv[2]))
    except PoiseError as error:
        print(error, file=sys.stderr)
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
