"""The engine's command line, spoken by clients: `python -P -m engine start|resume|verify|train|score|control JSON`.

`start` and `resume` answer one JSON line on `ready_fd` before anything heavy is imported, then run to the end. The
others run one job in the foreground and print its result as one JSON line on stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from typing import Any

from engine.errors import Exit, PoiseError

COMMANDS = ("start", "resume", "verify", "train", "score", "control")


def main(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        the exit code.
    """
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        print("usage: python -P -m engine start|resume|verify|train|score|control JSON", file=sys.stderr)
        return Exit.USAGE
    command, request = arguments[0], json.loads(arguments[1])
    if command in ("start", "resume"):
        return _serve(command, request)
    from engine.loop.single import run_single

    try:
        result = asyncio.run(run_single(command, request))
    except PoiseError as e:
        print(f"poise: {e}", file=sys.stderr)
        return e.code
    print(json.dumps(result), flush=True)
    return Exit.DONE if result["status"] == "done" else Exit.ERROR


def _serve(command: str, request: dict[str, Any]) -> int:
    from engine.loop.service import serve

    def answer(reply: dict[str, Any]) -> None:
        """The one line that the client waits for."""
        if (fd := request.pop("ready_fd", None)) is not None:
            os.write(fd, json.dumps(reply).encode() + b"\n")
            os.close(fd)

    try:
        asyncio.run(serve(command, request, answer))
    except PoiseError as e:
        answer({"ok": False, "error": str(e), "code": int(e.code)})
        print(f"poise: {e}", file=sys.stderr, flush=True)
        return e.code
    except Exception as e:
        answer({"ok": False, "error": f"{type(e).__name__}: {e}; see engine.log", "code": int(Exit.ERROR)})
        traceback.print_exc()
        return Exit.ERROR
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
