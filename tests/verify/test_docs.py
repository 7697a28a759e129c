"""The examples of docs/contract.md are algorithms that verify."""

import re
from pathlib import Path

from engine.verify.verify import verify

DOC = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
IMPORTS = """from typing import Annotated

from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Range, State, StepStats


"""


def blocks() -> list[str]:
    """Every run of lines that are indented by four blanks, without the indentation."""
    found = re.findall(r"(?:^(?: {4}.*)?\n)+", DOC, re.MULTILINE)
    return [re.sub(r"^ {4}", "", text, flags=re.MULTILINE).strip() + "\n" for text in found if text.strip()]


def test_the_first_example_is_a_whole_file_that_passes_with_its_claim(tmp_path: Path) -> None:
    source = next(text for text in blocks() if "algorithm = Algorithm(" in text)
    path = tmp_path / "mine.py"
    path.write_text(source)
    report = verify(path)
    assert report["passed"], report["cause"]
    assert [m["name"] for m in report["mechanisms"]] == ["FlooredStd", "HalfKl"]
    assert [c["claim"] for c in report["claims"]] == ["weakens_kl"]


def test_the_second_example_is_a_mechanism_with_state_that_passes(tmp_path: Path) -> None:
    source = next(text for text in blocks() if "class EntropyFloor" in text)
    path = tmp_path / "floor.py"
    path.write_text(f"{IMPORTS}{source}\n\nalgorithm = Algorithm(name='Floor', mechanisms=(EntropyFloor(),))\n")
    report = verify(path)
    assert report["passed"], report["cause"]


def test_its_table_lists_the_stages_in_their_order() -> None:
    from engine.stages import CONTROLLER, LOSS_STAGES, ROLLOUT_STAGES

    listed = re.findall(r"^\| (\w+)(?:\(self, s\))? \|", DOC, re.MULTILINE)
    assert listed[1:] == [*ROLLOUT_STAGES, *LOSS_STAGES, CONTROLLER]
