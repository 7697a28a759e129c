"""Clients steer an engine through its socket, and an engine cannot be harmed through it."""

import asyncio
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.process.control import LINE_LIMIT, ControlServer, send


async def handle(command: str, fields: dict[str, Any]) -> dict[str, Any]:
    match command:
        case "ping":
            return {"echo": {key: value for key, value in fields.items() if key != "uid"}, "uid": fields["uid"]}
        case "prune":
            raise PoiseError(f"no node {fields['node']!r}", Exit.NOT_FOUND)
        case "hang":
            await asyncio.sleep(3600)
        case "exit":
            raise RuntimeError("a bug")
        case "odd":
            return {"data": object()}
    return {}


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "engine.sock"
    server = ControlServer(path, handle)
    await server.start()
    yield path
    await server.close()
    assert not path.exists()


async def ask(path: Path, command: str, **fields: Any) -> dict[str, Any]:
    return await asyncio.to_thread(send, path, command, **fields)


async def exchange(path: Path, line: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    answer = await reader.readline()
    writer.close()
    return answer


async def test_a_command_is_answered_with_its_data(path: Path) -> None:
    answer = await ask(path, "ping", node="c003", text="ä\n")
    assert answer["echo"] == {"node": "c003", "text": "ä\n"}


async def test_who_sends_a_command_is_what_the_kernel_says(path: Path) -> None:
    assert (await ask(path, "ping", uid=12345))["uid"] == os.getuid()


async def test_only_the_user_may_open_the_socket(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_refusal_carries_its_line_and_exit_code(path: Path) -> None:
    with pytest.raises(PoiseError, match=r"^no node 'c009'$") as caught:
        await ask(path, "prune", node="c009")
    assert caught.value.code == Exit.NOT_FOUND


async def test_a_bug_in_one_command_is_told_and_the_next_one_works(path: Path) -> None:
    with pytest.raises(PoiseError, match=r"failed at 'exit': RuntimeError: a bug$") as caught:
        await ask(path, "exit")
    assert caught.value.code == Exit.ERROR
    with pytest.raises(PoiseError, match="failed at 'odd': TypeError"):
        await ask(path, "odd")
    assert (await ask(path, "ping"))["echo"] == {}


async def test_an_engine_that_does_not_answer_is_one_clear_line(path: Path) -> None:
    with pytest.raises(PoiseError, match=r"^the engine did not answer within 0\.1 s$"):
        await ask(path, "hang", timeout=0.1)


async def test_a_server_that_drips_bytes_cannot_hold_a_client(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "drip.sock"))
    listener.listen()
    done = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            while not done.wait(0.02):
                connection.send(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(PoiseError, match="did not answer"):
        await ask(tmp_path / "drip.sock", "ping", timeout=0.2)
    done.set()
    thread.join()
    listener.close()


def test_an_engine_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="the engine does not answer: No such file"):
        send(tmp_path / "none.sock", "ping")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale.sock"))
    stale.close()
    with pytest.raises(PoiseError, match="the engine does not answer: Connection refused"):
        send(tmp_path / "stale.sock", "ping")
    with pytest.raises(PoiseError, match="the engine does not answer"):
        send(tmp_path / ("x" * 120), "ping")


NO_COMMANDS = {
    "text": b"nonsense",
    "list": b"[]",
    "empty": b"{}",
    "number": b'{"command": 3}',
    "bytes": b"\xff",
    "deep": b"[" * 9999,
}


@pytest.mark.parametrize("name", NO_COMMANDS)
async def test_what_is_no_command_is_refused_and_harms_nothing(path: Path, name: str) -> None:
    assert b'"ok":false' in await exchange(path, NO_COMMANDS[name] + b"\n")
    assert (await ask(path, "ping"))["echo"] == {}


async def test_an_endless_command_is_refused(path: Path) -> None:
    assert b"too long" in await exchange(path, b"x" * (LINE_LIMIT + 2))


async def test_many_clients_at_once_get_their_own_answers(path: Path) -> None:
    answers = await asyncio.gather(*(ask(path, "ping", n=n) for n in range(20)))
    assert [answer["echo"]["n"] for answer in answers] == list(range(20))


async def test_a_client_that_leaves_early_harms_nothing(path: Path) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"command": "ping"}\n{"command"')
        writer.transport.abort()
    assert (await ask(path, "ping"))["echo"] == {}


async def test_an_engine_may_stop_while_clients_hang_on(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "engine.sock", handle)
    await server.start()
    waiting = asyncio.create_task(ask(tmp_path / "engine.sock", "hang"))
    reader, _ = await asyncio.open_unix_connection(tmp_path / "engine.sock")
    await ask(tmp_path / "engine.sock", "ping")
    async with asyncio.timeout(5):
        await server.close()
        assert await reader.read() == b""
        with pytest.raises(PoiseError, match="does not answer"):
            await waiting


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    old = socket.socket(socket.AF_UNIX)
    old.bind(str(path))
    old.close()
    server = ControlServer(path, handle)
    await server.start()
    assert (await ask(path, "ping"))["echo"] == {}
    await server.close()


async def test_a_socket_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "x.sock", tmp_path / ("x" * 120)):
        with pytest.raises(PoiseError, match="cannot listen on"):
            await ControlServer(path, handle).start()
    assert os.umask(0o022) == 0o022
