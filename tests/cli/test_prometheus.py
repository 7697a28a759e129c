"""`poise status --prometheus`: what Prometheus' own parser reads of a run's health."""

import os
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from engine.process.lock import RunLock
from poise_tui.prometheus import HELP
from tests.cli.conftest import Poise, refusal, write_run

Samples = dict[tuple[str, str], float]


def scraped(poise: Poise, run: str) -> Samples:
    done = poise("status", run, "--prometheus")
    assert done.returncode == 0, done.stderr
    families = list(text_string_to_metric_families(done.stdout))
    assert {f.type for f in families} == {"gauge"}
    samples = [s for f in families for s in f.samples]
    assert {s.labels["run"] for s in samples} == {run}
    assert {s.name for s in samples} <= set(HELP)
    return {(s.name, s.labels.get("status") or s.labels.get("of", "")): s.value for s in samples}


def test_a_finished_run_as_metrics(poise: Poise, runs: Path) -> None:
    write_run(runs, "r")
    found = scraped(poise, "r")
    assert [found["poise_run_status", s] for s in ("running", "finished", "dead")] == [0, 1, 0]
    assert found["poise_engine_up", ""] == 0
    assert found["poise_candidates", "scored"] == 2
    assert found["poise_candidates", "failed"] == 1
    assert found["poise_budget", "candidates"] == 2
    assert found["poise_spent_wall_seconds", ""] == 60
    assert found["poise_best_overall", ""] == 41.25
    assert found["poise_disk_free_bytes", ""] > 0
    assert ("poise_budget", "hours") not in found, "what has no limit is not told"


def test_a_run_whose_engine_died_is_dead_and_a_live_one_is_up(poise: Poise, runs: Path) -> None:
    folder = write_run(runs, "r", status="running")
    assert scraped(poise, "r")["poise_run_status", "dead"] == 1
    lock = RunLock.acquire(folder / "engine.lock", "/nowhere")
    try:
        found = scraped(poise, "r")
        assert (found["poise_engine_up", ""], found["poise_run_status", "running"]) == (1, 1)
        assert found["poise_engine_silent_seconds", ""] == 0
        os.utime(folder / "engine.lock", (1, 1))
        assert scraped(poise, "r")["poise_engine_silent_seconds", ""] > 1000
    finally:
        lock.release()


def test_one_format_at_a_time(poise: Poise) -> None:
    assert refusal(poise("status", "--json", "--prometheus"), 2) == "--json and --prometheus: give one of them"
