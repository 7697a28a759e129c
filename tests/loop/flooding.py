"""What a child of a test does to the grader."""

import json
import socket
import time
from typing import Any


def flood(job: dict[str, Any]) -> dict[str, Any]:
    """Ask and ask, whatever is answered, and never end by itself."""
    stream = socket.socket(fileno=job["grader_fd"])
    line = json.dumps({"op": "prompts"}).encode() + b"\n"
    while True:
        try:
            stream.sendall(line)
            stream.recv(1 << 16)
        except OSError:
            time.sleep(600)
