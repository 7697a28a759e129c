"""What `--llm` may say; a mistake is one line, and nothing was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Exit, PoiseError
from engine.search.models import Models, chain_of, parse_models

NAMES = st.lists(
    st.from_regex(r"[a-z][a-z0-9_.-]{0,8}/[a-z0-9][a-z0-9:._-]{0,8}", fullmatch=True).filter(
        lambda n: not n.startswith(("poise/", "record:"))
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


@pytest.mark.parametrize(
    ("spec", "arms"),
    [
        ("poise/composer", ("poise/composer",)),
        ("ollama/qwen3:8b", ("ollama/qwen3:8b",)),
        ("openrouter/qwen/qwen3-coder:free", ("openrouter/qwen/qwen3-coder:free",)),
        ("openai/a, anthropic/b", ("openai/a", "anthropic/b")),
        ("openai/a | ollama/b , poise/composer", ("openai/a|ollama/b", "poise/composer")),
        ("openai/a|poise/composer", ("openai/a|poise/composer",)),
    ],
)
def test_models_are_read_as_arms_and_chains(spec: str, arms: tuple[str, ...]) -> None:
    assert parse_models(spec) == Models(arms)


@given(names=NAMES, bars=st.lists(st.booleans(), min_size=6, max_size=6))
def test_what_is_read_is_written_so_that_it_reads_the_same(names: list[str], bars: list[bool]) -> None:
    spec = names[0] + "".join(("|" if bar else " , ") + name for name, bar in zip(names[1:], bars, strict=False))
    models = parse_models(spec)
    assert parse_models(models.spec) == models
    assert [n for arm in models.arms for n in chain_of(arm)] == names


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "a name is missing"),
        ("openai/a,,openai/b", "a name is missing"),
        ("openai/a|", "a name is missing"),
        ("gpt", "'gpt' is no model"),
        ("openai/", "is no model"),
        ("openai/a b", "is no model"),
        ("openai/a\nb", "is no model"),
        ("https://host/v1", "is no model"),
        ("poise/other", "poise/composer"),
        ("openai/a,openai/a", "named twice"),
        ("openai/a|openai/a", "names a model twice"),
        ("poise/composer|openai/a", "would never be asked"),
        ("openai/a,record:runs/x", "stands alone"),
        ("record:", "needs a path"),
    ],
)
def test_a_specification_that_cannot_be_meant_is_refused_in_one_line(spec: str, told: str) -> None:
    with pytest.raises(PoiseError) as caught:
        parse_models(spec)
    assert told in str(caught.value) and "\n" not in str(caught.value) and caught.value.code is Exit.USAGE


def test_a_recording_is_a_runs_folder_or_its_file_and_kept_as_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "llm.jsonl"
    file.touch()
    monkeypatch.chdir(tmp_path)
    for spec in ("record:run", "record:run/llm.jsonl", f"record:{file}"):
        assert parse_models(spec) == Models((), file)
        assert parse_models(spec).spec == f"record:{file}"


def test_a_recording_that_is_not_there_is_said_to_be_not_there(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="does not exist") as caught:
        parse_models(f"record:{tmp_path}")
    assert caught.value.code is Exit.NOT_FOUND


def test_poise_run_says_what_is_wrong_with_llm_and_starts_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", "--runs-dir", str(tmp_path / "runs")]
    for spec, code in (("gpt", Exit.USAGE), ("record:nowhere", Exit.NOT_FOUND)):
        done = subprocess.run([*command, "--llm", spec], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code and len(done.stderr.splitlines()) == 1, done.stderr
        assert "--llm" in done.stderr and not (tmp_path / "runs").exists()


def test_reading_a_specification_loads_no_heavy_library() -> None:
    code = (
        "import sys, engine.search.models; print(sorted({'litellm', 'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
