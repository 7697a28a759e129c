"""What a language model costs survives crashes: no answer is paid twice, and no budget passed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.search import ledger as ledger_module
from engine.search.ledger import Identity, Ledger
from engine.search.llm import complete
from tests.search.model_server import SILENT, ModelServer, serving

ASK = '''
import asyncio, sys, time
from pathlib import Path
from engine.search.ledger import Ledger
from engine.search.llm import complete

def on_call(call, spent_usd):
    """The archive is told next; this process is killed before it is."""
    print("recorded", flush=True)
    time.sleep(60)

async def main():
    ledger = Ledger(Path(sys.argv[1]), on_call=on_call)
    messages = [{"role": "user", "content": "what next?"}]
    print("asking", flush=True)
    await complete("openai/test", messages, purpose="propose", schema=None, timeout=60, seed=7, ledger=ledger)

asyncio.run(main())
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "llm.jsonl"


def record(usd: float, turn: int = 1, ok: bool = True) -> dict[str, Any]:
    identity = {"purpose": "propose", "model": "m", "seed": 1, "turn": turn, "prompt": "p"}
    figures = {"answer": f"answer {turn}", "tokens_in": 1, "tokens_out": 1, "usd": usd, "seconds": 0.1}
    return {**identity, **figures, "ok": ok, "error": None, "messages": []}


def question(turn: int) -> Identity:
    return Identity("propose", "m", 1, turn, "p")


async def filled(path: Path, *usd: float) -> Ledger:
    ledger = Ledger(path)
    for turn, cost in enumerate(usd, start=1):
        await ledger.reserve(str(turn), record(1.0, turn))
        ledger.settle(str(turn), record(cost, turn))
    return ledger


async def kill_while_asking(path: Path, server: ModelServer, word: str) -> None:
    """Start a process that asks, and kill -9 it once the server has the question or the ledger has the answer."""
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "OPENAI_API_BASE": server.url}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK, str(path), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    while (await child.stdout.readline()).decode().strip() != word:
        pass
    await server.asked.wait()
    child.kill()
    await child.wait()


async def ask_again(
    path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch, limit: float | None = None
) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    ledger = Ledger(path, limit_usd=limit)
    before = ledger.spent_usd
    messages = [{"role": "user", "content": "what next?"}]
    found = await complete("openai/test", messages, purpose="propose", schema=None, timeout=20, seed=7, ledger=ledger)
    return found, before, ledger.spent_usd


@pytest.mark.fault(21)
async def test_an_answer_recorded_before_a_kill_is_never_asked_or_paid_for_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving("the answer", "another answer") as server:
        await kill_while_asking(path, server, "recorded")
        found, before, after = await ask_again(path, server, monkeypatch)
    assert len(server.requests) == 1
    assert found.text == "the answer" and found.usd == before == after > 0


@pytest.mark.fault(21)
async def test_a_call_without_a_record_is_charged_at_its_highest_price_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(SILENT) as server:
        await kill_while_asking(path, server, "asking")
        with pytest.raises(PoiseError) as caught:
            await ask_again(path, server, monkeypatch, limit=2.0)
    assert caught.value.code == Exit.REFUSED and len(server.requests) == 1, "nobody knows what it cost: no more"
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert 1.6 < line["usd"] < 1.7 and not line["ok"] and "ended while it waited" in line["error"]
    assert Ledger(path).spent_usd == line["usd"], "also after the next restart"


@pytest.mark.fault(21)
async def test_killed_at_any_byte_of_the_record_the_money_is_counted_once(path: Path, tmp_path: Path) -> None:
    """The call's reservation is on disk first, so a torn record is charged from it, a whole one from itself."""
    ledger = Ledger(path)
    await ledger.reserve("a", record(1.0, ok=False))
    reserved = path.with_name("llm.reserved.json").read_bytes()
    ledger.settle("a", record(0.25))
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir()
        (folder / "llm.jsonl").write_bytes(whole[:size])
        (folder / "llm.reserved.json").write_bytes(reserved)
        again = Ledger(folder / "llm.jsonl")
        assert again.spent_usd == (0.25 if size == len(whole) else 1.0)
        assert Ledger(folder / "llm.jsonl").spent_usd == again.spent_usd
        assert (again.recorded(question(1)) is not None) == (size == len(whole))
        shutil.rmtree(folder)


async def test_a_torn_last_line_is_cut_off_and_what_stood_before_is_kept(path: Path) -> None:
    await filled(path, 0.1, 0.2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"usd": 5, "torn')
    ledger = Ledger(path)
    assert path.read_bytes() == whole and ledger.spent_usd == pytest.approx(0.3)
    await ledger.reserve("x", record(1.0, 3))
    ledger.settle("x", record(0.4, 3))
    assert [json.loads(line)["usd"] for line in path.read_text().splitlines()] == [0.1, 0.2, 0.4]
    found = Ledger(path).recorded(question(3))
    assert found is not None and found["answer"] == "answer 3"


async def test_a_damaged_line_is_counted_and_the_archive_knows_what_it_cost(path: Path) -> None:
    await filled(path, 0.1, 0.2, 0.3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00\x00garbage\n" + lines[2])
    ledger = Ledger(path, spent_usd=0.6)
    assert ledger.damaged == 1 and ledger.spent_usd == 0.6
    assert ledger.recorded(question(3)) is not None and ledger.recorded(question(2)) is None


async def test_a_lost_file_makes_nobody_richer(path: Path) -> None:
    await filled(path, 0.7)
    path.unlink()
    assert Ledger(path, spent_usd=0.7).spent_usd == 0.7


async def test_a_failed_call_is_asked_again_only_an_answer_counts_as_one(path: Path) -> None:
    ledger = Ledger(path)
    await ledger.reserve("a", record(1.0))
    ledger.settle("a", {**record(0.5, ok=False), "answer": None, "error": "500"})
    assert ledger.recorded(question(1)) is None and Ledger(path).recorded(question(1)) is None


async def test_a_record_that_finds_no_room_is_written_with_the_next(path: Path) -> None:
    """`/dev/full` refuses every write with ENOSPC, as a full disk does."""
    ledger = Ledger(path, limit_usd=1.5)
    await ledger.reserve("a", record(1.0, ok=False))
    path.symlink_to("/dev/full")
    ledger.settle("a", record(0.1))
    assert ledger.spent_usd == 0.1 and ledger.reserved_usd == 0, "the engine goes on"
    path.unlink()
    dead = path.parent / "dead"
    shutil.copytree(path.parent, dead, ignore=lambda *_: {"dead"})
    assert Ledger(dead / path.name).spent_usd == 1.0, "had it died here, what was set aside would count"
    await ledger.reserve("b", record(1.0, 2))
    ledger.settle("b", record(0.2, 2))
    assert [json.loads(line)["usd"] for line in path.read_text().splitlines()] == [0.1, 0.2]
    assert Ledger(path).spent_usd == pytest.approx(0.3)


async def test_no_call_is_made_while_its_reservation_finds_no_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "FULL_SECONDS", 0.01)
    ledger = Ledger(path)
    await ledger.reserve("a", record(1.0))
    path.symlink_to("/dev/full")
    ledger.settle("a", record(0.1))
    waiting = asyncio.create_task(ledger.reserve("b", record(1.0, 2)))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    path.unlink()
    await asyncio.wait_for(waiting, 5)
    assert ledger.reserved_usd == 1.0


async def test_another_decision_turn_prompt_or_model_is_another_question(path: Path) -> None:
    ask = [{"role": "user", "content": "a"}]
    same = Identity.of("propose", "m", 1, 1, ask)
    assert same == Identity.of("propose", "m", 1, 1, [{"role": "user", "content": "a"}])
    others = [
        Identity.of("repair", "m", 1, 1, ask),
        Identity.of("propose", "n", 1, 1, ask),
        Identity.of("propose", "m", 2, 1, ask),
        Identity.of("propose", "m", 1, 2, ask),
        Identity.of("propose", "m", 1, 1, [{"role": "user", "content": "b"}]),
    ]
    assert len({same, *others}) == 6
