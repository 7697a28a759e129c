"""A whole profile of a big model starts from local folders alone: model and data, with no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine.profiles.load_model import SHIPPED
from engine.profiles.schema import FOLDER

SCRIPT = """
import socket, sys
def refuse(*a, **k): raise AssertionError('network')
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from engine.profiles.schema import load_profile
from engine.profiles.load_model import load_base
from engine.tasks import check_taskset
profile = load_profile(sys.argv[1]).resolved()
model, tokenizer = load_base(profile['model'])
tasks = check_taskset(profile['tasks']['name'], profile['tasks']['options'])
found = [len(tasks.problems(split, name, 2, 0)) for split in ('train', 'development') for name in tasks.names]
print(type(model).__name__, list(tasks.names), found)
"""


def test_the_papers_profile_loads_from_local_folders_with_no_network(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED["tiny"], tmp_path / "model")
    rows = [
        {"problem": f"What is {a} + {b}?", "answer": str(a + b), "level": f"Level {3 + (a + b) % 3}"}
        for a in range(30)
        for b in range(30)
    ]
    data = tmp_path / "math.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (FOLDER / "qwen-math.toml").read_text()
    text = text.replace('name = "Qwen/Qwen2.5-Math-1.5B"', 'name = "./model"').replace(
        "examples = 5000", "examples = 500"
    )
    text = text.replace("levels = [3, 4, 5]", f'levels = [3, 4, 5]\ndata = "{data}"')
    lines = [line for line in text.splitlines() if not line.startswith("revision = ")]
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "mine.toml")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[0] == "LlamaForCausalLM ['level3', 'level4', 'level5'] [2, 2, 2, 2, 2, 2]", (
        done.stderr
    )
