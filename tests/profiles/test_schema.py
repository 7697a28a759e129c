"""A profile either loads whole or is refused in one line that names file, key and what is expected."""

import tomllib
from pathlib import Path

import pytest
import tomli_w

from engine.errors import Exit, PoiseError
from engine.profiles.schema import FOLDER, Profile, known_profiles, load_profile

TINY = (FOLDER / "tiny.toml").read_text()

MINE = """
name = "mine"
[model]
name = "tiny"
[tasks]
name = "tiny"
[train]
learning_rate = 1e-3
updates = 80
checkpoint_every = 20
sample_every = 4
[score]
problems = 100
samples = 8
k = 4
batch_size = 800
[search]
[search.weights]
performance = 0.6
diversity = 0.2
pareto = 0.2
bayes = 0.2
[limits]
verify_seconds = 60
train_seconds = 600
score_seconds = 180
memory_mb = 4096
file_mb = 256
files = 256
"""
"""As little as a profile can say."""


def refusal(path: Path | str) -> str:
    with pytest.raises(PoiseError) as caught:
        load_profile(path)
    assert caught.value.code == Exit.USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    assert MINE.count(old) >= 1, old
    path = tmp_path / "my.toml"
    path.write_text(MINE.replace(old, new, 1))
    return path


@pytest.mark.parametrize("name", known_profiles())
def test_shipped_profiles_load_and_survive_json_and_toml(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    resolved = profile.resolved()
    assert Profile.model_validate(resolved) == profile
    assert tomllib.loads(tomli_w.dumps(resolved)) == resolved, "run.toml must be able to hold it"


def test_tiny_spells_out_every_value_so_that_a_copy_of_it_is_a_complete_starting_point() -> None:
    assert load_profile("tiny").resolved() == tomllib.loads(TINY)


def test_tiny_keeps_the_mechanisms_alive() -> None:
    """Without KL, entropy term and off-policy updates, mechanisms that act on them would be inert."""
    train = load_profile("tiny").train
    assert train.beta > 0
    assert train.entropy_coef > 0
    assert train.updates_per_batch >= 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("updates = 80", "updates = 0", "train.updates = 0: expected greater than or equal to 1"),
        ("updates = 80", 'updates = "80"', "train.updates = '80': expected a valid integer"),
        ("updates = 80", "threads = true", "train.threads = True: expected a valid integer"),
        ("updates = 80", "updtes = 80", "unknown key train.updtes; known here: learning_rate,"),
        ("[limits]", "[limit]", "unknown key limit; known here: name, description, model, tasks, train,"),
        ("learning_rate = 1e-3", "learning_rate = nan", "train.learning_rate = nan: expected a finite"),
        ("learning_rate = 1e-3", "", "train.learning_rate is missing"),
        ("updates = 80", "updates = 81", "[train] updates = 81 must be a multiple of"),
        ("checkpoint_every = 20", "checkpoint_every = 5", "[train] checkpoint_every = 5 must be a"),
        ("updates = 80", "updates_per_batch = 3", "[train] updates_per_batch = 3 must divide the"),
        ("updates = 80", "group_size = 1", "train.group_size = 1: expected greater than or equal to 2"),
        ("samples = 8", "samples = 2", "[score] samples = 2 must be at least k = 4"),
        ("problems = 100", 'problems = "x"', "score.problems = 'x': expected a valid integer or a valid dict"),
        ("problems = 100", "problems = {add = 0}", "score.problems.add = 0: expected greater"),
        ('name = "tiny"', "lora_target = 3", "model.lora_target = 3: expected a valid string or a valid list"),
        ("performance = 0.6", "performance = -1", "search.weights.performance = -1: expected"),
        ("[search.weights]", "parents = 0\n[search.weights]", "search.parents = 0: expected greater"),
        ("[limits]", "[search.potential]\ngamma = 1.1\n[limits]", "search.potential.gamma = 1.1: expected less"),
        ("[limits]", "[search.potential]\nkapa = 1\n[limits]", "unknown key search.potential.kapa; known here: gamma"),
        ('name = "mine"', 'name = "../x"', "name = '../x': expected match pattern"),
    ],
)
def test_a_wrong_value_is_refused_with_its_file_its_key_and_what_is_expected(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    path = changed(tmp_path, old, new)
    assert refusal(path).startswith(f"profile {path}: {says}")


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    path = changed(tmp_path, "updates = 80", "updates = 0\nnonsense = 1")
    assert refusal(path).endswith("(and 1 more)")


def test_weights_that_choose_nothing_are_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "performance = 0.6", "performance = 0")
    assert load_profile(path).search.weights.performance == 0
    path.write_text(MINE.replace("= 0.6", "= 0").replace("= 0.2", "= 0"))
    assert "[search.weights] one of performance, diversity, pareto and bayes must be more than 0" in refusal(path)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    assert refusal("tinny") == "unknown profile 'tinny': use tiny, or the path of a TOML file"
    assert refusal("no/such.toml") == "no profile file no/such.toml: give a TOML file, or one of tiny"


def test_broken_toml_is_refused_with_its_line_and_column(tmp_path: Path) -> None:
    path = changed(tmp_path, "[train]", "[train")
    assert refusal(path).startswith(f"profile {path} is not TOML: ")
    assert "line 7" in refusal(path)
    assert "column" in refusal(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert refusal(path) == f"profile {path} is not UTF-8 text"


def test_paths_in_a_profile_are_seen_from_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = changed(tmp_path, '[model]\nname = "tiny"', '[model]\nname = "./weights"')
    path.write_text(path.read_text().replace('[tasks]\nname = "tiny"', '[tasks]\nname = "mine.py"'))
    monkeypatch.chdir("/")
    profile = load_profile(path)
    assert Path(profile.model.name) == tmp_path / "weights"
    assert Path(profile.tasks.name) == tmp_path / "mine.py"


def test_files_of_the_tasks_are_seen_from_the_profile_too(tmp_path: Path) -> None:
    options = '[tasks.options]\ndata = "./train.jsonl"\nother = "owner/name"\nlevels = [3]\n[train]'
    profile = load_profile(changed(tmp_path, "[train]", options))
    assert profile.tasks.options == {"data": str(tmp_path / "train.jsonl"), "other": "owner/name", "levels": [3]}


def test_a_loaded_profile_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_profile("tiny").train.updates = 3  # type: ignore[misc]
