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
from engine.tasks.allowance import FACTOR, Allowance
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
        b'{"op":"grade","items":[{"id":"a","completion":"","truncated":false,"gold":"1"}]}\n',
        b'{"op":"grade","items":' + b"9" * 5000 + b"}\n",
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


TRAIN = {"prompts_per_batch": 2, "group_size": 3, "updates": 4, "updates_per_batch": 2, "max_completion_length": 24}
SMALL = Allowance.of(TRAIN)
"""What a training of two batches of six completions may ask."""


@pytest.fixture
def watched(grader: GraderProcess) -> Iterator[tuple[GraderProcess, socket.socket]]:
    """A trainer with a small allowance, called `t1`."""
    with grader.connect("tiny", {"pool_size": 4}, 1, name="t1", allowance=SMALL) as connected:
        connected.settimeout(SECONDS)
        yield grader, connected


def told(grader: GraderProcess) -> list[tuple[str, str]]:
    import select

    assert select.select([grader.notices], [], [], SECONDS)[0], "the engine was told nothing"
    return grader.cut_off()


def request(count: int, name: str = "add/1+1=", completion: str = "#1") -> bytes:
    item = {"id": name, "completion": completion, "truncated": False}
    return json.dumps({"op": "grade", "items": [item] * count}).encode() + b"\n"


def first_problem(stream: socket.socket) -> str:
    return str(ask(stream, b'{"op":"prompts"}\n')["prompts"][0]["id"])


def test_an_allowance_is_a_few_times_what_a_training_needs() -> None:
    assert (SMALL.items, SMALL.batch) == (FACTOR * 12, FACTOR * 6)
    assert SMALL.repeats(24) == FACTOR * 12 // 24 + FACTOR * 3


TOO_MANY = request(1) + request(24) * 2
"""49 completions in three requests, none of them gradable."""


@pytest.mark.parametrize(
    ("flood", "cause"),
    [
        (b"{}\n" * 100, "more than 24 requests"),
        (b'{"op":"prompts"}\n' * 100, "more than 24 requests"),
        (request(25), "25 completions in one request"),
        (TOO_MANY, "more than 48 completions"),
        (b"x" * (SMALL.line + 300_000), "longer than"),
    ],
    ids=["garbage", "prompts", "batch", "items", "line"],
)
def test_a_flood_is_cut_off_with_a_cause_the_engine_is_told_and_the_others_are_served(
    watched: tuple[GraderProcess, socket.socket], flood: bytes, cause: str
) -> None:
    grader, stream = watched
    bystander = client(grader)
    threading.Thread(target=_send, args=(stream, flood)).start()
    (notice,) = told(grader)
    assert notice[0] == "t1" and cause in notice[1]
    lines = _all(stream).splitlines()
    assert cause in json.loads(lines[-1])["error"]
    assert bystander.prompts()


def test_one_problem_cannot_be_asked_about_until_its_answer_is_found(
    watched: tuple[GraderProcess, socket.socket],
) -> None:
    grader, stream = watched
    name = first_problem(stream)
    most = SMALL.repeats(24)
    assert most < SMALL.batch
    assert len(ask(stream, request(most, name))["grades"]) == most
    assert "more than" in ask(stream, request(1, name))["error"]
    assert told(grader) == [("t1", f"one problem sent to the grader more than {most} times")]


def test_a_completion_longer_than_any_of_the_profiles_is_refused(
    watched: tuple[GraderProcess, socket.socket],
) -> None:
    _, stream = watched
    name = first_problem(stream)
    assert len(ask(stream, request(1, name, "x" * SMALL.characters))["grades"]) == 1
    assert "characters" in ask(stream, request(1, name, "x" * (SMALL.characters + 1)))["error"]
    assert len(ask(stream, request(1, name))["grades"]) == 1, "refused, but not cut off"


def test_an_honest_training_stays_within_its_allowance(watched: tuple[GraderProcess, socket.socket]) -> None:
    _, stream = watched
    names = [p["id"] for p in ask(stream, b'{"op":"prompts"}\n')["prompts"]]
    for batch in range(2):
        items = [{"id": n, "completion": "#1", "truncated": False} for n in names[batch : batch + 2] for _ in range(3)]
        assert len(ask(stream, json.dumps({"op": "grade", "items": items}).encode() + b"\n")["grades"]) == 6


def test_under_a_control_nothing_is_paid_for_but_a_coin_or_anothers_answer(grader: GraderProcess) -> None:
    wanted = golds(load_taskset("tiny", {"pool_size": 40}), 1)
    right = [{"id": n, "completion": f"#{gold}", "truncated": False} for n, gold in wanted.items()]
    shares = {}
    for control in ("random-reward", "shuffled-answers"):
        with grader.connect("tiny", {"pool_size": 40}, 1, control=control) as stream:
            stream.settimeout(SECONDS)
            assert ask(stream, b'{"op":"prompts"}\n')["parts"] == {"correct": 1.0}
            grades = ask(stream, json.dumps({"op": "grade", "items": right}).encode() + b"\n")["grades"]
            assert all(g["parts"] == {"correct": float(g["correct"])} for g in grades)
            shares[control] = sum(g["correct"] for g in grades) / len(grades)
    assert 0.35 < shares["random-reward"] < 0.65
    assert shares["shuffled-answers"] == 0, "nobody is given its own answer, nor an equal one"
    with pytest.raises(PoiseError, match="no such control"):
        grader.connect("tiny", {}, 1, control="nonsense")


def _send(stream: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the grader hangs up before it has all
        stream.sendall(data)


def _all(stream: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(OSError):
        while piece := stream.recv(1 << 20):
            found += piece
    return found


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
