"""The shipped model loads offline and is the warm start that the profile is made for."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import Exit, PoiseError
from engine.profiles.build_tiny_model import check, train
from engine.profiles.load_model import load_base, model_dir
from engine.tasks import load_taskset
from engine.tasks.tiny import MAX_LENGTH


def test_the_shipped_folder_is_small_and_holds_no_pickles() -> None:
    folder = model_dir({"name": "tiny"})
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json", ".md"}
    assert (folder / "RECIPE.md").is_file()


def test_the_tokenizer_keeps_every_character_of_every_task(tiny: tuple[Any, Any]) -> None:
    _, tokenizer = tiny
    tasks = load_taskset("tiny")
    for name in tasks.names:
        for problem in tasks.problems("train", name, 50, 0):
            text = f"{problem.prompt}1,2#{problem.gold}"
            tokens = tokenizer(text)["input_ids"]
            assert len(tokens) == len(text)
            assert tokenizer.decode(tokens) == text
            assert tokenizer.unk_token_id not in tokens


def test_prompts_are_padded_on_the_left(tiny: tuple[Any, Any]) -> None:
    _, tokenizer = tiny
    batch = tokenizer(["1+2=", "s123456="], padding=True)
    assert batch["input_ids"][0][:4] == [tokenizer.pad_token_id] * 4
    assert batch["attention_mask"][0] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_libraries_own_generate_works_on_it(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    inputs = tokenizer(["12+34=", "s528174="], return_tensors="pt", padding=True)
    output = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=24,
    )
    assert all("#" in text for text in tokenizer.batch_decode(output, skip_special_tokens=True))


def test_the_model_loads_in_a_process_that_knows_no_network() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from engine.profiles.load_model import load_base\n"
        "model, tokenizer = load_base({'name': 'tiny'})\n"
        "print(model.dtype, tokenizer.eos_token)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["torch.float32", "<eos>"]


def test_the_warm_start_has_the_regimes_that_the_profile_promises() -> None:
    table = check(model_dir({"name": "tiny"}), problems=60, seed=1)
    every = table.pop("all")
    hard = load_taskset("tiny").hard
    for task, row in table.items():
        assert 5 <= row["accuracy"] <= 60, task
        assert row["right if worked"] > 2 * row["right if direct"], task
        assert 20 <= row["direct"] <= 70, task
        if task in hard:
            assert row["all fail"] >= 20, task
    assert 15 <= every["accuracy"] <= 40
    assert 5 <= every["invalid"] <= 20
    shortest, _, longest = every["length 5/50/95"]
    assert longest >= 4 * shortest and longest <= MAX_LENGTH


@pytest.mark.parametrize("name", ["huge", "./nowhere"])
def test_a_missing_model_is_named(name: str) -> None:
    with pytest.raises(PoiseError, match=name) as caught:
        load_base({"name": name})
    assert caught.value.code == Exit.NOT_FOUND


def test_a_broken_model_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(PoiseError, match="does not load") as caught:
        load_base({"name": str(tmp_path)})
    assert "\n" not in str(caught.value)


def test_the_recipe_gives_the_same_weights_again() -> None:
    first, again = (train(seed=3, careful=3, careless=2).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = train(seed=4, careful=3, careless=2).state_dict()
    assert not all(torch.equal(first[name], other[name]) for name in first)
