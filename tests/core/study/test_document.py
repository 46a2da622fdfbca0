"""A study as files, and read again."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study.made_up import MadeUp, data_set, recipe_of, scores_of

from core.checkpoint.ownership import OWN_FOLDER
from core.errors import MergeError, OutputError, RunningError
from core.study.document import from_json, read_study, to_csv, to_document, to_json, to_markdown
from core.study.folder import study_folder, write_study
from core.study.studying import run_study
from core.study.table import Options
from core.study.values import Curve, Study

CURVE = Curve("order-1", "anchor", (1.0, 2.5), (3.0, math.nan), (2.0, 1.0), (4.0, 5.0))


@pytest.fixture(scope="module")
def study() -> Study:
    loss = data_set(30)
    values = {"else": 0.1 * scores_of(np.arange(30.0)).loss}
    values["base"] = values["else"] + 1
    values["average"] = values["else"] - 0.5
    found = run_study(recipe_of(), loss, MadeUp(values), options=Options(ns=(0,), seeds=2))
    curve = replace(CURVE, mean=(3.0, 2.0))
    return replace(
        found, anchor=(curve,), steps=(curve, replace(curve, role="merge")), score={"better": "lower"}
    )


def test_what_is_written_is_read_again(study: Study) -> None:
    assert from_json(to_json(study)) == study


def test_the_unit_of_an_earlier_study_is_that_of_its_comparisons(study: Study) -> None:
    document = to_document(study)
    assert document.pop("unit") == "nats a token"
    assert from_json(json.dumps(document)) == study
    for row in document["rows"]:
        if row["comparison"] is not None:
            row["comparison"]["unit"] = "nats a sample"
    assert from_json(json.dumps(document)).unit == "nats a sample"


def test_a_document_has_no_numbers_that_json_does_not_know(study: Study) -> None:
    document = json.loads(to_json(replace(study, anchor=(CURVE,))), parse_constant=lambda name: 1 / 0)
    assert document["kind"] == "paramosaic study"
    assert document["anchor"][0]["mean"] == [3.0, None]
    row = document["rows"][0]
    assert (row["key"], row["loss"]["mean"]) == ("base", pytest.approx(2.45))
    assert row["comparison"]["verdict"] == "hurts"
    assert row["comparison"]["sentence"].startswith(
        "base, against the median single model: hurts on 30 samples"
    )


def test_what_a_later_version_adds_is_passed_over(study: Study) -> None:
    document = to_document(study) | {"weather": "fine"}
    document["rows"][0]["colour"] = "blue"
    assert from_json(json.dumps(document)) == study


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "something"}, "this is no study"),
        ({"schema_version": 2}, "a later version"),
        ({"rows": [{}]}, "is damaged"),
        ({"rows": None}, "is damaged"),
        ({"advice": 3}, "is damaged"),
    ],
)
def test_what_is_no_study_is_refused(
    study: Study, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    (tmp_path / "study.json").write_text(json.dumps(to_document(study) | change))
    with pytest.raises(MergeError, match=said) as caught:
        read_study(tmp_path)
    assert "study.json" in caught.value.message
    with pytest.raises(MergeError, match="damaged"):
        from_json(to_json(study)[:-30])


def test_the_table_of_a_person(study: Study) -> None:
    lines = to_markdown(study).splitlines()
    assert lines[0] == "| model | loss | best | against the median single (95 %) | verdict |"
    assert lines[2] == "| base | 2.4500 |  | +1.00 (+1.00 to +1.00) | hurts |"
    assert lines[3].startswith("| single (K = 3) | 1.4500 ± 0.0000 | 1.4500 |  |  |")
    assert study.sentence in lines
    assert any("30 samples of made-up.jsonl" in line and study.reference in line for line in lines)


def test_groups_are_named_and_counted_beside_samples(study: Study) -> None:
    values = {"else": 0.1 * scores_of(np.arange(40.0)).loss}
    grouped = run_study(
        recipe_of(),
        data_set(groups=lambda row: str(row // 2)),
        MadeUp(values),
        options=Options(ns=(0,), seeds=1),
    )
    assert "means over 40 samples in 20 groups of made-up.jsonl" in to_markdown(grouped)
    assert json.loads(to_json(grouped))["n_groups"] == 20
    assert {row["groups"] for row in csv.DictReader(io.StringIO(to_csv(grouped)))} == {"", "20"}
    assert "40 samples in 20 groups" in grouped.sentence
    for found, groups in ((study, None), (grouped, 20)):  # as an earlier version wrote it
        document = to_document(found)
        assert document.pop("n_groups") == groups
        assert from_json(json.dumps(document)).n_groups == groups


def test_each_measure_is_adjusted_by_itself_and_that_is_said(study: Study) -> None:
    assert "adjusted for 9 compared, each measure by itself;" in to_markdown(study)


def test_the_table_of_other_tools(study: Study) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(study))))
    assert [row["key"] for row in rows] == [row.key for row in study.rows]
    assert (rows[2]["key"], float(rows[2]["difference"]), rows[2]["verdict"]) == ("average", -0.5, "helps")
    assert rows[1]["difference"] == ""
    assert rows[2]["accuracy_verdict"] == rows[2]["score_verdict"] == ""


def test_every_verdict_is_in_the_table_of_other_tools(study: Study) -> None:
    base, _, average, *_ = study.rows
    assert base.comparison is not None
    assert average.comparison is not None
    tested = replace(base.comparison, accuracy_difference=-0.25, mcnemar_p=0.01, mcnemar_p_holm=0.04)
    seeds = replace(average.comparison, difference=0.125, low=0.1, high=0.15, verdict="hurts")
    rows = (
        replace(base, comparison=replace(tested, accuracy_verdict="hurts")),
        replace(average, accuracy_comparison=seeds, score_comparison=replace(seeds, difference=2.0, p=0.5)),
    )
    first, second = csv.DictReader(io.StringIO(to_csv(replace(study, rows=rows))))
    assert [first[f"accuracy_{name}"] for name in ("difference", "low", "p", "p_holm", "verdict")] == [
        *("-0.25", "", "0.01", "0.04", "hurts")
    ]
    assert (first["verdict"], first["score_verdict"]) == ("hurts", "")
    assert [second[f"accuracy_{name}"] for name in ("difference", "low", "verdict")] == [
        *("0.125", "0.1", "hurts")
    ]
    assert [second[f"score_{name}"] for name in ("difference", "p", "verdict")] == ["2.0", "0.5", "hurts"]
    assert second["verdict"] == "helps"


def test_its_folder_is_its_own(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "new" / "study"
    with study_folder(out, [tmp_path / "model"]) as folder:
        with (
            pytest.raises(RunningError, match=r"another study is writing .* it is running as"),
            study_folder(out, []),
        ):
            pass
        write_study(study, folder)
    assert {path.name for path in out.iterdir()} == {OWN_FOLDER, "study.json", "table.md", "table.csv"}
    assert read_study(out) == study
    with study_folder(out, []):  # and again
        pass


def test_nothing_else_is_written_into(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    with (
        pytest.raises(OutputError, match="is in the folder of a model"),
        study_folder(model / "study", [model]),
    ):
        pass
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "README.md").write_text("mine")
    with pytest.raises(OutputError, match=r"holds README.md, which no study wrote"), study_folder(other, []):
        pass
    assert [path.name for path in other.iterdir()] == ["README.md"]
