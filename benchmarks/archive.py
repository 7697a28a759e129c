"""The archive beside stock TinyDB and a bare append, in one run: `python -P -m benchmarks.archive [--quick]`.

Every operation ends with its data on disk (fsync or fdatasync). Documents are candidates of 4 KB of JSON. Stock and
ours are asked by the same TinyDB calls. Medians, in milliseconds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from tinydb import TinyDB

from engine.archive.events import Event
from engine.archive.store import Archive, Change

SIZES = (100, 1_000, 5_000, 20_000)
DOCUMENT_BYTES = 4096
TIMES = 300
MEMORY = """
import os, sys, time
from pathlib import Path
from engine.archive.store import Archive
def now(): return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before, start = now(), time.perf_counter()
archive = Archive.open(Path(sys.argv[1]))
seconds = time.perf_counter() - start
[peak] = [int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmHWM")]
print(seconds, now() - before, peak - before)
"""


def document(number: int) -> dict[str, Any]:
    """A candidate as the engine stores it, padded to 4 KB by its reflection."""
    tasks = ("copy", "sort", "add", "parity", "count", "reverse")
    value = {
        "id": f"c{number:05d}", "name": f"node {number}", "parent": "c00000", "depth": 3,
        "status": "scored", "cause": None,
        "proposal": {"hypothesis": "h" * 300, "mechanisms": [{"name": "ClipHigher", "params": {"high": 0.28}}]},
        "code_sha256": "0" * 64, "overall": 41.25,
        "benchmarks": {t: {"metric": "avg@4", "value": 50.0, "n": 64, "ci": [40.0, 60.0]} for t in tasks},
        "fidelity": 1.0, "seeds": [7], "cost": {"train_seconds": 3.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
        "created": 1.0, "finished": 2.0, "decision": {"saw": [f"c{i:05d}" for i in range(20)], "terms": {"prior": 0.5}},
    }  # fmt: skip
    value["reflection"] = "r" * (DOCUMENT_BYTES - len(orjson.dumps(value)) - len('"reflection":"",'))
    return value


def medians(times: int, calls: Mapping[str, Callable[[int], object]]) -> dict[str, float]:
    """Each call in turn, so that whatever else the disk does meets them alike."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(times):
        for name, call in calls.items():
            start = time.perf_counter()
            call(number)
            spent[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) * 1000 for name, times in spent.items()}


def median(times: int, call: Callable[[int], object]) -> float:
    return medians(times, {"it": call})["it"]


@contextmanager
def bare(folder: Path) -> Iterator[Callable[[int], None]]:
    """The least there is: one append of 4 KB and fdatasync."""
    handle = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    data = orjson.dumps(document(0))

    def append(number: int) -> None:
        os.write(handle, data)
        os.fdatasync(handle)

    try:
        yield append
    finally:
        os.close(handle)


def stock(folder: Path, size: int) -> tuple[float, float, float]:
    """Insert, update, reopen with TinyDB's own JSONStorage."""
    path = folder / "stock.json"
    path.write_bytes(orjson.dumps({"candidates": {str(i + 1): document(i) for i in range(size)}}))
    times = 20 if size <= 1_000 else 3
    with TinyDB(path) as database:
        table = database.table("candidates")
        insert = median(times, lambda number: table.insert(document(size + number)))
        update = median(times, lambda number: table.update({"overall": float(number)}, doc_ids=[number + 1]))
    start = time.perf_counter()
    with TinyDB(path) as database:
        len(database.table("candidates"))
    return insert, update, (time.perf_counter() - start) * 1000


def ours(folder: Path, size: int) -> dict[str, float]:
    """The same calls on the archive, and a commit as the engine makes it (document, event); sizes in bytes."""
    path = folder / "archive.json"
    archive = Archive.open(path)
    table = archive.database.table("candidates")
    table.insert_multiple(document(i) for i in range(size))
    archive.compact()
    with bare(folder) as append:
        calls: dict[str, Callable[[int], object]] = {
            "bare": append,
            "insert": lambda number: table.insert(document(size + number)),
            "update": lambda number: table.update({"overall": float(number)}, doc_ids=[number % size + 1]),
        }
        found = medians(TIMES, calls)

    def commit(number: int) -> None:
        fields = {"overall": float(number)}
        id = f"c{number % size:05d}"
        archive.commit([Change("candidates", id, fields)], [Event("candidate.updated", id, fields)])

    found["commit"] = median(TIMES, commit)
    slowest, count = 0.0, 0
    archive._roll()
    assert archive._thread is not None
    while archive._thread.is_alive():
        start = time.perf_counter()
        commit(count)
        slowest, count = max(slowest, time.perf_counter() - start), count + 1
    found |= {"slowest": slowest * 1000, "beside": count}
    archive.close()
    done = subprocess.run([sys.executable, "-P", "-c", MEMORY, path], capture_output=True, text=True, check=True)
    seconds, kept, peak = map(float, done.stdout.split())
    data = path.stat().st_size
    return found | {"reopen": seconds * 1000, "memory": kept / data, "peak": peak / data}


def main() -> None:
    """Measure and print tables in Markdown; `--out` also writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 and 1,000 documents only")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    rows: list[dict[str, float]] = []
    for size in SIZES[:2] if options.quick else SIZES:
        with tempfile.TemporaryDirectory(dir=".") as place:
            insert, update, reopen = stock(Path(place), size)
            row = {"documents": size, "stock_insert": insert, "stock_update": update, "stock_reopen": reopen}
            rows.append(row | ours(Path(place), size))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, ", end="")
    print(f"Python {platform.python_version()}; ms, medians\n")
    print("| documents | stock insert | insert | times | stock update | update | times | bare | insert/bare |")
    print("|" + " ---: |" * 9)
    for r in rows:
        cells = [f"{r['documents']:.0f}", f"{r['stock_insert']:.1f}", f"{r['insert']:.3f}"]
        cells += [f"{r['stock_insert'] / r['insert']:.0f}", f"{r['stock_update']:.1f}", f"{r['update']:.3f}"]
        cells += [f"{r['stock_update'] / r['update']:.0f}", f"{r['bare']:.3f}", f"{r['insert'] / r['bare']:.2f}"]
        print("| " + " | ".join(cells) + " |")
    print("\n| documents | commit with event | stock reopen | reopen | memory / data | peak / data | ", end="")
    print("slowest commit while compacting (of how many) |\n|" + " ---: |" * 7)
    for r in rows:
        cells = [f"{r['documents']:.0f}", f"{r['commit']:.3f}", f"{r['stock_reopen']:.0f}", f"{r['reopen']:.0f}"]
        cells += [f"{r['memory']:.2f}", f"{r['peak']:.2f}", f"{r['slowest']:.1f} ({r['beside']:.0f})"]
        print("| " + " | ".join(cells) + " |")
    first, last = rows[0], rows[-1]
    flat = {name: last[name] / first[name] for name in ("insert", "update")}
    print(f"\nFlat: insert {flat['insert']:.2f}, update {flat['update']:.2f}: the time at ", end="")
    print(f"{last['documents']:.0f} documents over that at {first['documents']:.0f}.")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
