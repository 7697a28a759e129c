"""Telemetry describes this machine truly and never fills its disk."""

import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from engine.archive.events import JsonLinesReader
from engine.process.telemetry import Sampler, Telemetry, append_bounded

KEYS = "time cpu memory_used memory_total engine_rss gpus processes"


def test_a_sample_has_the_fixed_keys_and_this_machines_figures() -> None:
    sample = Sampler(lambda: {os.getpid(): "c001-search-0"}).sample()
    assert list(sample) == KEYS.split()
    assert len(sample["cpu"]) == psutil.cpu_count()
    assert 0 < sample["memory_used"] < sample["memory_total"] == psutil.virtual_memory().total >> 20
    [process] = sample["processes"]
    assert (process["pid"], process["trial"]) == (os.getpid(), "c001-search-0")
    assert process["rss"] == pytest.approx(sample["engine_rss"], abs=5)
    for gpu in sample["gpus"]:  # none on most machines that run this test
        assert list(gpu) == ["index", "name", "util", "mem_used", "mem_total", "power", "temp"]


def test_a_process_that_ended_is_left_out() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert Sampler(lambda: {child.pid: "gone", os.getpid(): "here"}).sample()["processes"][0]["trial"] == "here"


def test_samples_are_written_until_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    reader = JsonLinesReader(path, order="time")
    telemetry = Telemetry(path, dict, interval=0.01)
    telemetry.start()
    seen: list[float] = []
    while len(seen) < 3:
        seen += [sample["time"] for sample in reader.read()]
    telemetry.stop()
    size = path.stat().st_size
    assert seen == sorted(seen)
    assert path.stat().st_size == size


def test_a_folder_that_vanishes_stops_no_engine(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "gone" / "telemetry.jsonl", dict, interval=0.001)
    telemetry.start()
    telemetry.stop()


def test_the_file_stays_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    reader, seen, largest = JsonLinesReader(path, order="time"), [], 0
    for time in range(500):
        append_bounded(path, json.dumps({"time": time, "pad": "x" * 20}).encode() + b"\n", 2000)
        largest = max(largest, path.stat().st_size)
        seen += [sample["time"] for sample in reader.read()]
    assert largest <= 2000
    assert seen == list(range(500))
    kept = [json.loads(line)["time"] for line in path.read_bytes().splitlines()]
    assert kept == list(range(kept[0], 500)) and len(kept) > 10
