"""The control socket: how clients steer an engine, one JSON object a line each way.

    {"command": "pause", "node": "c003"}  ->  {"ok": true, "data": {}}
                                          ->  {"ok": false, "error": "one line", "code": 3}

`send` is the clients' side and imports nothing heavy; `ControlServer` is the engine's.
"""

import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from engine.errors import Exit, PoiseError

if TYPE_CHECKING:
    import asyncio

Handler = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
LINE_LIMIT = 1 << 20
"""Bytes of one command; `inject` carries a whole algorithm file."""


def send(path: Path | str, command: str, *, timeout: float = 10.0, **fields: Any) -> dict[str, Any]:
    """Send a command to an engine and wait for its answer.

    Args:
        path: its control socket.
        command: such as "ping", "pause" or "prune".
        timeout: seconds for the whole exchange.
        fields: what the command needs, such as `node`.

    Returns:
        the answer's data.

    Raises:
        PoiseError: the engine refused (with its own line and code), or it does not answer (1).
    """
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout)
            connection.connect(str(path))
            if peer_uid(connection) not in (os.getuid(), 0):
                raise PoiseError(f"{path} belongs to another user's process", Exit.REFUSED)
            connection.sendall(orjson.dumps({"command": command, **fields}) + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                if not (part := connection.recv(1 << 16)):
                    raise ConnectionError("it closed the connection")
                answer += part
            value = orjson.loads(answer)
        except TimeoutError:
            raise PoiseError(f"the engine did not answer within {timeout:g} s") from None
        except (OSError, ValueError) as error:
            raise PoiseError(f"the engine does not answer: {getattr(error, 'strerror', None) or error}") from None
    if not value.get("ok"):
        raise PoiseError(str(value.get("error")), Exit(value.get("code", Exit.ERROR)))
    data: dict[str, Any] = value.get("data") or {}
    return data


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end of a Unix socket, vouched for by the kernel."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


class ControlServer:
    """Listens on a Unix socket that only this user can open, and answers each command through a handler."""

    def __init__(self, path: Path, handler: Handler) -> None:
        """
        Args:
            path: the socket's path; a stale socket there is replaced (the run's lock says that we may).
            handler: `await handler(command, fields)` returns the answer's data; it may raise PoiseError. The fields
                hold `uid`, the sender's user id as the kernel knows it.
        """
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Begin to listen. Raises PoiseError if the socket cannot be made."""
        import asyncio

        try:
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # Closed to others from its first moment: there is no time between bind and a chmod.
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
        except OSError as error:
            raise PoiseError(f"cannot listen on {self._path}: {error}") from None
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_LIMIT)

    async def close(self) -> None:
        """Stop listening, hang up on all clients and remove the socket."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._connections):
                writer.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: "asyncio.StreamReader", writer: "asyncio.StreamWriter") -> None:
        self._connections.add(writer)
        try:
            connection: socket.socket = writer.get_extra_info("socket")
            uid = peer_uid(connection)
            if uid not in (os.getuid(), 0):
                return
            while line := await reader.readline():
                writer.write(await self._answer(line, uid))
                await writer.drain()
        except ValueError:  # what StreamReader raises for a line over its limit
            writer.write(_refusal("the command is too long", Exit.USAGE))
        except ConnectionError:
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, line: bytes, uid: int) -> bytes:
        try:
            fields = orjson.loads(line)
            command = fields.pop("command")
            if not isinstance(command, str):
                raise TypeError
            fields["uid"] = uid
        except (ValueError, KeyError, TypeError, AttributeError):
            return _refusal("a command is one JSON object with a field 'command'", Exit.USAGE)
        try:
            return _line({"ok": True, "data": await self._handler(command, fields)})
        except PoiseError as error:
            return _refusal(str(error), error.code)
        except Exception as error:
            # A bug in one command must not take the engine's socket down.
            logging.getLogger(__name__).exception("command %s failed", command)
            return _refusal(f"the engine failed at {command!r}: {type(error).__name__}: {error}", Exit.ERROR)


def _refusal(error: str, code: Exit) -> bytes:
    return _line({"ok": False, "error": error, "code": int(code)})


def _line(answer: dict[str, Any]) -> bytes:
    return orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE)
