"""The grader as the trainers meet it: a real process at the end of real sockets."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PoiseError
from engine.tasks import TaskSet, load_taskset
from engine.tasks.grader import MAX_LINE
from engine.tasks.grader_client import GraderClient, GraderProcess

SECONDS = 20


@pytest.fixture(scope="module")
def grader() -> Iterator[GraderProcess]:
    with GraderProcess() as process:
        yield process


@pytest.fixture
def stream(grader: GraderProcess) -> Iterator[socket.socket]:
    with grader.connect("tiny", {"pool_size": 4}, 1) as connected:
        connected.settimeout(SECONDS)
        yield connected


def ask(stream: socket.socket, data: bytes) -> dict[str, Any]:
    stream.sendall(data)
    return read(stream)


def read(stream: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        piece = stream.recv(1 << 20)
        assert piece, f"closed after {line[:80]!r}"
        line += piece
    answer: dict[str, Any] = json.loads(line)
    return answer


def client(grader: GraderProcess, **options: Any) -> GraderClient:
    return GraderClient(grader.connect("tiny", options, 1).detach())


def golds(tasks: TaskSet, seed: int) -> dict[str, str]:
    return {p.id: p.gold for name in tasks.names for p in tasks.problems("train", name, tasks.pool_size, seed)}


def test_the_prompts_are_a_fixed_pool_of_training_problems(grader: GraderProcess) -> None:
    prompts, weights = client(grader, pool_size=6).prompts()
    assert prompts == client(grader, pool_size=6).prompts()[0]
    assert {p["id"] for p in prompts} == set(golds(load_taskset("tiny", {"pool_size": 6}), 1))
    assert weights == load_taskset("tiny").part_weights


def test_grades_are_those_of_the_task_set(grader: GraderProcess) -> None:
    tasks = load_taskset("tiny")
    connected = client(grader)
    known = {p.id: p for name in tasks.names for p in tasks.problems("train", name, tasks.pool_size, 1)}
    responses = [("#{}", False), ("1,2#{}", False), ("#{}", True), ("{}", False), ("#7{}", False)]
    for pattern, truncated in responses:
        texts = {name: pattern.format(problem.gold) for name, problem in known.items()}
        grades = connected.grade([{"id": n, "completion": t, "truncated": truncated} for n, t in texts.items()])
        assert grades == [tasks.grade(known[n], t, truncated) for n, t in texts.items()]


def test_gold_is_in_no_answer(grader: GraderProcess, stream: socket.socket) -> None:
    answers = golds(load_taskset("tiny", {"pool_size": 4}), 1)
    listed = ask(stream, b'{"op":"prompts"}\n')
    assert all(set(prompt) == {"id", "task", "prompt"} for prompt in listed["prompts"])
    assert all(f"{p['task']}/{p['prompt']}" == p["id"] + "=" for p in listed["prompts"])
    items = [{"id": name, "completion": "#" + "?" * len(gold), "truncated": False} for name, gold in answers.items()]
    for grade in ask(stream, json.dumps({"op": "grade", "items": items}).encode() + b"\n")["grades"]:
        assert set(grade) == {"parts", "valid", "correct"}
        assert set(grade["parts"]) == {"correct", "format", "brevity"}
    for bad in (b"{}\n", b'{"op":"gold"}\n', b'{"op":"grade","items":[{"id":"add/1+1"}]}\n'):
        text = json.dumps(ask(stream, bad))
        assert not any(f'"{gold}"' in text for gold in answers.values())


def test_two_trainers_are_served_at_once_each_with_its_own_pool(grader: GraderProcess) -> None:
    failures: list[BaseException] = []

    def use(options: dict[str, Any], seed: int, connected: GraderClient) -> None:
        try:
            wanted = golds(load_taskset("tiny", options), seed)
            for _ in range(30):
                assert {p["id"] for p in connected.prompts()[0]} == set(wanted)
                right = connected.grade(
                    [{"id": n, "completion": f"#{gold}", "truncated": False} for n, gold in wanted.items()]
                )
                assert all(grade.correct for grade in right)
        except BaseException as error:
            failures.append(error)

    jobs = [({"pool_size": 20}, 1), ({"pool_size": 10}, 2)]
    ends = [GraderClient(grader.connect("tiny", options, seed).detach()) for options, seed in jobs]
    threads = [threading.Thread(target=use, args=(*job, end)) for job, end in zip(jobs, ends, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not failures


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b"7\n",
        b'{"op":["prompts"]}\n',
        b'{"op":"grade"}\n',
        b'{"op":"grade","items":[3]}\n',
        b'{"op":"grade","items":[{"id":{},"completion":"","truncated":false}]}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_garbage_gets_an_error_and_the_connection_lives_on(stream: socket.socket, garbage: bytes) -> None:
    assert set(ask(stream, garbage)) == {"error"}
    assert len(ask(stream, b'{"op":"prompts"}\n')["prompts"]) == 24


def test_unknown_ids_and_held_out_problems_are_refused(grader: GraderProcess) -> None:
    held_out = load_taskset("tiny").problems("development", "mul", 1, 1)[0]
    connected = client(grader)
    for name in (held_out.id, "add/1+1", ""):
        with pytest.raises(PoiseError, match="unknown problem"):
            connected.grade([{"id": name, "completion": "#1", "truncated": False}])
    assert connected.prompts()


def test_unusable_items_are_refused(grader: GraderProcess) -> None:
    connected = client(grader)
    name = connected.prompts()[0][0]["id"]
    with pytest.raises(PoiseError, match="needs a text"):
        connected.grade([{"id": name, "completion": 3, "truncated": False}])  # type: ignore[typeddict-item]
    with pytest.raises(PoiseError, match="needs a text"):
        connected.grade([{"id": name, "completion": "#3"}])  # type: ignore[typeddict-item]


def test_an_endless_line_ends_its_connection_and_no_other(grader: GraderProcess, stream: socket.socket) -> None:
    bystander = client(grader)
    with contextlib.suppress(OSError):  # the grader may hang up before it has all
        stream.sendall(b"x" * (MAX_LINE + 1024 * 1024))
    assert "longer than" in read(stream)["error"]
    assert bystander.prompts()


def test_a_large_request_within_the_limit_is_graded(grader: GraderProcess) -> None:
    connected = client(grader)
    name = connected.prompts()[0][0]["id"]
    assert len(connected.grade([{"id": name, "completion": "#1", "truncated": False}] * 20_000)) == 20_000


def test_requests_in_pieces_and_several_at_once_are_answered_in_order(stream: socket.socket) -> None:
    for byte in b'{"op":"prompts"}':
        stream.send(bytes([byte]))
    stream.sendall(b"\n{}\n" + b'{"op":"prompts"}\n')
    lines = stream.makefile("rb")
    kinds = [next(iter(json.loads(lines.readline()))) for _ in range(3)]
    assert kinds == ["prompts", "error", "prompts"]


def test_a_half_closed_trainer_still_gets_its_answer_and_then_the_end(stream: socket.socket) -> None:
    stream.sendall(b'{"op":"prompts"}\n')
    stream.shutdown(socket.SHUT_WR)
    assert len(read(stream)["prompts"]) == 24
    assert stream.recv(1) == b""


def test_a_trainer_that_floods_and_never_reads_does_not_stop_the_others(grader: GraderProcess) -> None:
    with grader.connect("tiny", {}, 1) as rude:
        rude.settimeout(0.3)
        with pytest.raises(TimeoutError):
            while True:
                rude.sendall(b'{"op":"prompts"}\n' * 1000)
        assert client(grader).prompts()
    assert client(grader).prompts()


def test_a_trainer_that_vanishes_does_not_stop_the_others(grader: GraderProcess) -> None:
    for _ in range(20):
        stream = grader.connect("tiny", {}, 1)
        stream.sendall(b'{"op":"prompts"}\n' * 50)
        stream.close()
    assert client(grader).prompts()


@pytest.mark.parametrize(("taskset", "options"), [("nowhere", {}), ("tiny", {"pool_size": -1}), ("tiny", {"x": 1})])
def test_tasks_that_do_not_load_are_refused_at_once(
    grader: GraderProcess, taskset: str, options: dict[str, Any]
) -> None:
    with pytest.raises(PoiseError):
        grader.connect(taskset, options, 1)
    assert client(grader).prompts()


def test_a_task_set_that_raises_is_an_error_and_not_the_end(tmp_path: Path, grader: GraderProcess) -> None:
    path = tmp_path / "angry.py"
    path.write_text(
        "from engine.tasks.interface import Problem\n"
        "class Angry:\n"
        "    names, hard, weights, part_weights, pool_size = ('a',), (), {'a': 1.0}, {'correct': 1.0}, 1\n"
        "    def problems(self, split, task, count, seed): return [Problem('a/1', 'a', '1=', 'secret')]\n"
        "    def grade(self, problem, completion, truncated): raise RuntimeError(problem.gold)\n"
        "def taskset(options): return Angry()\n"
    )
    connected = GraderClient(grader.connect(str(path), {}, 1).detach())
    with pytest.raises(PoiseError, match="RuntimeError") as caught:
        connected.grade([{"id": "a/1", "completion": "", "truncated": False}])
    assert "secret" not in str(caught.value)
    assert connected.prompts()


def test_closing_the_engines_end_ends_the_grader_and_its_connections() -> None:
    process = GraderProcess()
    connected = client(process)
    assert connected.prompts()
    process.close()
    with pytest.raises(PoiseError, match="gone"):
        connected.prompts()
    with pytest.raises(PoiseError):
        process.connect("tiny", {}, 1)


def test_the_grader_dies_with_an_engine_that_is_killed() -> None:
    code = (
        "import sys, time\n"
        "from engine.tasks.grader_client import GraderProcess\n"
        "process = GraderProcess(); process.connect('tiny', {}, 1)\n"
        "print(process.pid, flush=True); time.sleep(600)\n"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root) as engine:
        assert engine.stdout
        grader = int(engine.stdout.readline())
        watch = os.pidfd_open(grader)
        os.kill(engine.pid, signal.SIGKILL)
    try:
        import select

        assert select.select([watch], [], [], SECONDS)[0], "the grader outlived its engine"
    finally:
        os.close(watch)


def test_the_grader_starts_quickly_and_without_torch() -> None:
    start = time.monotonic()
    with GraderProcess() as process:
        assert client(process).prompts()
        assert time.monotonic() - start < 2.0
        maps = Path(f"/proc/{process.pid}/maps")
        if maps.exists():
            assert "torch" not in maps.read_text()
