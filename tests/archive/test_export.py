"""The export has exactly the keys that scripts rely on, for every node."""

import csv
import io

import pytest

from engine.archive.export import baseline, export_run, to_csv, to_markdown
from engine.archive.folder import RunFolder
from engine.archive.store import Archive, Change
from engine.errors import PoiseError
from tests.archive.conftest import candidate, trial

RUN_KEYS = "id profile status created seed directive budget spent"
CANDIDATE_KEYS = (
    "id name parent depth status cause proposal code_sha256 verification overall benchmarks fidelity seeds "
    "reflection attribution confirmed cost provenance flags sandbox created finished "
    "rungs gain promotions"
)
TRIAL_KEYS = "id candidate purpose seed off rung split overall benchmarks protocol cost status resumed rungs study"


def test_every_fixed_key_is_there_and_no_other(finished_run: RunFolder) -> None:
    exported = export_run(finished_run)
    assert list(exported) == ["run", "baseline", "candidates", "trials"]
    assert list(exported["run"]) == RUN_KEYS.split()
    assert list(exported["run"]["spent"]) == ["wall_seconds", "gpu_seconds", "llm_usd"]
    assert list(exported["baseline"]) == ["id", "overall_mean", "overall_std", "seeds", "rungs"]
    assert len(exported["candidates"]) == 3 and len(exported["trials"]) == 5
    for node in exported["candidates"]:
        assert list(node) == CANDIDATE_KEYS.split()
        assert list(node["proposal"]) == ["hypothesis", "mechanisms"]
        assert list(node["cost"]) == ["train_seconds", "gpu_seconds", "llm_usd"]
        assert list(node["provenance"]) == ["proposer", "model"]
        for score in node["benchmarks"].values():
            assert list(score) == ["metric", "value", "n", "ci"]
    for node in exported["trials"]:
        assert list(node) == TRIAL_KEYS.split()


def test_the_baseline_is_the_mean_and_spread_of_the_roots_baseline_trials(finished_run: RunFolder) -> None:
    assert export_run(finished_run)["baseline"] == {
        "id": "c000",
        "overall_mean": 32.0,
        "overall_std": 2.0,
        "seeds": [100, 101, 102],
        "rungs": [],
    }
    one = baseline([candidate(0)], [trial("c000", "baseline", 0), trial("c000", "ablate", 1)])
    assert one == {"id": "c000", "overall_mean": 30.0, "overall_std": None, "seeds": [100], "rungs": []}
    assert baseline([], []) == {"id": None, "overall_mean": None, "overall_std": None, "seeds": [], "rungs": []}


def test_a_run_without_an_engine_is_exported_as_dead(finished_run: RunFolder) -> None:
    archive = Archive.open(finished_run.archive)
    archive.commit([Change("run", "demo", {"status": "running"})], [])
    archive.close()
    assert export_run(finished_run)["run"]["status"] == "dead"


def test_the_table_has_a_row_for_every_candidate_and_columns_for_every_task(finished_run: RunFolder) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(export_run(finished_run)))))
    assert [row["id"] for row in rows] == ["c000", "c001", "c002"]
    assert (rows[1]["overall"], rows[1]["copy"], rows[1]["copy_low"]) == ("31.0", "50.0", "40.0")
    assert rows[1]["hypothesis"] == "a | b\nc"
    assert rows[1]["mechanisms"] == "ClipHigher"
    assert (rows[2]["overall"], rows[2]["copy"], rows[2]["cause"]) == ("", "", "NaN in the loss")


def test_the_markdown_table_keeps_its_shape_whatever_a_model_wrote(finished_run: RunFolder) -> None:
    exported = export_run(finished_run)
    exported["candidates"][0]["name"] = "a | b\n| evil <script>"
    lines = to_markdown(exported).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 3
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "<script>" not in to_markdown(exported)
    assert [row.split(" | ")[0] for row in table[2:]] == ["| c001", "| c000", "| c002"]  # best first


def test_a_training_that_went_on_from_a_checkpoint_says_how_well(finished_run: RunFolder) -> None:
    archive = Archive.open(finished_run.archive)
    how = {"c000-baseline-1": "exact", "c001-search-0": "inexact"}
    archive.commit([Change("trials", id, {"resumed": said}) for id, said in how.items()], [])
    archive.close()
    exported = export_run(finished_run)
    assert {t["id"]: t["resumed"] for t in exported["trials"] if t["resumed"] is not None} == how
    line = next(line for line in to_markdown(exported).splitlines() if "inexactly" in line)
    assert line.endswith(" may differ: c001-search-0.")


def test_a_young_run_can_be_exported(run_folder: RunFolder) -> None:
    archive = Archive.open(run_folder.archive)
    fields = {"profile": "tiny", "status": "running", "created": 1.0, "seed": 1}
    archive.commit([Change("run", "demo", fields), Change("candidates", "c000", {"status": "queued"})], [])
    exported = export_run(run_folder)
    assert exported["candidates"][0]["cost"] == {"train_seconds": None, "gpu_seconds": None, "llm_usd": None}
    assert "c000" in to_csv(exported) and "c000" in to_markdown(exported)


def test_exporting_nothing_is_one_clear_line(run_folder: RunFolder) -> None:
    with pytest.raises(PoiseError, match="no archive"):
        export_run(run_folder)


def ladder(overalls: dict[float, float]) -> list[dict[str, object]]:
    return [{"rung": r, "updates": round(48 * r), "overall": v, "benchmarks": {}} for r, v in overalls.items()]


def test_the_baseline_has_the_roots_level_at_every_rung_and_only_whole_trainings_count_as_its_level() -> None:
    trials = [
        trial("c000", "baseline", 0, overall=40.0, rungs=ladder({0.25: 30.0, 1.0: 40.0})),
        trial("c000", "baseline", 1, overall=34.0, rung=0.25, rungs=ladder({0.25: 34.0})),
    ]
    found = baseline([candidate(0)], trials)
    assert (found["overall_mean"], found["overall_std"], found["seeds"]) == (40.0, None, [100])
    quarter, whole = found["rungs"]
    assert (quarter["updates"], quarter["mean"], quarter["seeds"]) == (12, 32.0, [100, 101])
    assert quarter["std"] == pytest.approx(8**0.5)
    assert (whole["mean"], whole["std"], whole["seeds"]) == (40.0, None, [100])


def with_rungs(folder: RunFolder) -> None:
    """c000 and c001 trained whole, c002 stopped at a quarter with the highest number of them all."""
    gain = {"rung": 0.25, "value": 9.0, "low": 6.5, "high": 11.5, "mark": "better", "seeds": 1, "root_seeds": 3}
    rung = {"rung": 0.25, "updates": 12, "seeds": [100], "overalls": [90.0]}
    fields = {"status": "stopped", "overall": 90.0, "fidelity": 0.25, "rungs": [rung], "gain": gain}
    whole = {"gain": gain | {"rung": 1.0, "value": 1.0, "low": -2.0, "high": 4.0, "mark": "can't tell"}}
    archive = Archive.open(folder.archive)
    changes = [Change("candidates", "c002", fields), Change("candidates", "c001", {"fidelity": 1.0, **whole})]
    archive.commit([*changes, Change("candidates", "c000", {"fidelity": 1.0})], [])
    archive.close()


def test_a_score_at_a_rung_is_never_ranked_among_those_of_whole_trainings(finished_run: RunFolder) -> None:
    with_rungs(finished_run)
    lines = [line for line in to_markdown(export_run(finished_run)).splitlines() if line.startswith("| c0")]
    assert [line.split(" | ")[0] for line in lines] == ["| c001", "| c000", "| c002"]
    assert "| update 12 | 90.00 | +9.00 (+6.50 to +11.50), better |" in lines[2]
    assert "| whole | 31.00 | +1.00 (-2.00 to +4.00), can't tell |" in lines[0]


def test_the_table_has_the_gain_its_interval_and_its_mark(finished_run: RunFolder) -> None:
    with_rungs(finished_run)
    rows = list(csv.DictReader(io.StringIO(to_csv(export_run(finished_run)))))
    assert [rows[2][key] for key in ("gain", "gain_low", "gain_high", "mark")] == ["9.0", "6.5", "11.5", "better"]
    assert rows[0]["gain"] == rows[0]["mark"] == ""
