"""`paramosaic evaluate` on the demo models, from the command line to what it leaves behind."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.evaluate import harness
from core.evaluate.scores import Scores
from core.evaluate.store.score_store import ScoreStore
from resources import DEMO_FOLDER

BASE, ONE, TWO = (str(DEMO_FOLDER / name) for name in ("base", "order-1", "order-2"))
NAMES = [
    *("closes", "opens", "reads", "returns", "removes", "copies"),
    *("sorts", "joins", "splits", "moves", "binds", "ends"),
]


@pytest.fixture
def data(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """24 rows in 12 groups; what is evaluated is kept in a folder of the test's own."""
    monkeypatch.setenv("PARAMOSAIC_DATA_DIR", str(workshop.folder / "kept"))
    rows = [
        {"prompt": f"The method {name}", "response": f" the {what} and all its names.", "group": name}
        for name in NAMES
        for what in ("list", "stream")
    ]
    path = Path(workshop.folder / "data.jsonl")
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_models_are_compared_from_the_command_line(workshop: Any, data: Path) -> None:
    merge = workshop.recipe(
        json.dumps({"merge_method": "linear", "models": [{"model": ONE}, {"model": TWO}]}),
        name="average.yaml",
    )
    out, said = workshop.folder / "samples.csv", workshop.folder / "events.jsonl"
    arguments = ["evaluate", ONE, merge, BASE, ONE, "--reference", BASE, "--data", data, "--device", "cpu"]
    found = workshop.run(*arguments, "--out", out, "--progress", said, "--json")
    assert found.status == 0, found.stderr
    document = json.loads(found.stdout)
    models = {model["name"]: model for model in document["models"]}
    assert list(models) == ["order-1", "average", "base"]
    assert document["reference"] == "base"
    assert document["data"] | {"path": ""} == document["data"] | {
        "path": "",
        "kind": "prompt",
        "rows": 24,
        "groups": 12,
        "notes": [],
    }

    with out.open(newline="", encoding="utf-8") as file:
        samples = list(csv.DictReader(file))
    losses = {
        name: {int(row["line"]): float(row["loss"]) for row in samples if row["model"] == name}
        for name in models
    }
    for name, model in models.items():
        assert list(losses[name]) == list(range(1, 25))
        assert model["mean_loss"] == pytest.approx(sum(losses[name].values()) / 24, abs=1e-12)
        mine = [row for row in samples if row["model"] == name]
        bits = [
            float(row["loss"]) * int(row["tokens"]) / math.log(2) / int(row["text_bytes"]) for row in mine
        ]
        assert model["bits_per_byte"] == pytest.approx(sum(bits) / 24, abs=1e-12)
        assert {row["group"] for row in mine} == set(NAMES)

    comparisons = {one["name"]: one for one in document["comparisons"]}
    assert list(comparisons) == ["order-1", "average"]
    for name, comparison in comparisons.items():
        differences = [losses[name][line] - losses["base"][line] for line in losses["base"]]
        assert comparison["difference"] == pytest.approx(sum(differences) / 24, abs=1e-12)
        assert (comparison["reference"], comparison["n"], comparison["clusters"]) == ("base", 24, 12)
        assert comparison["verdict"] == "too few to say"  # 12 groups are

    told = events(said)
    kinds = [event["kind"] for event in told]
    assert (kinds[0], kinds[-1]) == ("began", "done")
    assert [event["name"] for event in told if event["kind"] == "scores"] == list(models)
    shares = [event["share"] for event in told if event["kind"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert (
        next(event for event in told if event["kind"] == "comparisons")["comparisons"]
        == document["comparisons"]
    )
    assert told[-1]["result"] == str(out)

    # Again, for people: nothing is computed, so models need not even load.
    again = workshop.run(*arguments)
    assert again.status == 0
    lines = again.stdout.splitlines()
    assert re.fullmatch(r"model +loss +bits a byte +difference, nats a token \(95 %\) +verdict", lines[0])
    assert [line.split()[0] for line in lines[1:4]] == list(models)
    assert lines[1].split()[1] == f"{models['order-1']['mean_loss']:.4f}"
    assert lines[3].endswith("  reference")
    assert lines[5] == comparisons["order-1"]["sentence"]
    assert len(ScoreStore().all()) == 4  # a recipe's are those of the model that it makes as well


def test_what_cannot_be_evaluated_is_one_sentence_here_and_in_the_events(workshop: Any, data: Path) -> None:
    said = workshop.folder / "events.jsonl"
    for arguments, sentence in (
        ([BASE, "--data", workshop.folder / "none.jsonl"], "none.jsonl"),
        ([workshop.folder / "none", "--data", data], "none"),
        ([BASE, "--data", data, "--out", workshop.folder / "no" / "s.csv"], "no folder"),
        ([BASE, "--data", data, "--out", workshop.folder], "is a folder"),
        ([BASE, "--data", data, "--max-new-tokens", 0], "max_new_tokens"),
    ):
        said.unlink(missing_ok=True)
        found = workshop.run("evaluate", *arguments, "--progress", said)
        assert (found.status, found.stdout) == (1, "")
        assert sentence in found.error
        assert events(said)[-1]["kind"] == "failed"
        assert events(said)[-1]["message"] == found.error
    assert not ScoreStore().all()
    assert workshop.run("evaluate", BASE).status == 2


def test_data_and_models_survive_being_named_as_output(workshop: Any, data: Path) -> None:
    before = data.read_bytes()
    for option, place in (("--out", data), ("--progress", data), ("--out", Path(ONE) / "x.csv")):
        for command in (
            ["evaluate", ONE, "--data", data, option, place],
            ["train", ONE, "--data", data, "--orders", "1", "--out", workshop.folder / "runs", option, place],
        ):
            if command[0] == "train" and option == "--out":
                continue  # a folder, which tests of trainings are about
            found = workshop.run(*command)
            assert found.status == 1
            assert f"error: {option} is " in found.stderr
        assert data.read_bytes() == before
    assert not (Path(ONE) / "x.csv").exists()


def test_tasks_are_adjusted_together_and_choosing_is_spoken_of(
    workshop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six right answers more than the base's: p = 2 · 2⁻⁶ alone, and four of these are compared."""

    def scores(name: str, right: int) -> Scores:
        nothing, none = np.full(40, np.nan), np.zeros(40, np.int64)
        correct = np.arange(40) < right
        lines = np.arange(1, 41)
        return Scores(
            name, name, name, "5eed" * 8, {}, "causal", nothing, none, none, correct, lines, "", 1.0
        )

    models = (scores("base", 4), scores("one", 10), scores("two", 10))
    tasks = tuple(harness.TaskScores(task, "acc", models) for task in ("sums", "words"))
    monkeypatch.setattr(harness, "evaluate_tasks", lambda *arguments, **options: tasks)
    said = workshop.folder / "said.jsonl"
    ran = workshop.run("evaluate", "base", "one", "two", "--task", "sums,words", "--json", "--progress", said)
    assert ran.status == 0, ran.stderr
    documents = json.loads(ran.stdout)["tasks"]
    found = [one for document in documents for one in document["comparisons"]]
    assert [one["mcnemar_p"] for one in found] == [1 / 32] * 4
    assert [one["p_holm"] for one in found] == [4 / 32] * 4
    assert {one["verdict"] for one in found} == {"no difference shown"}
    told = [event for event in events(said) if event["kind"] == "comparisons"]
    assert [one for event in told for one in event["comparisons"]] == found
    (note,) = documents[0]["notes"]
    assert "Of the gain of 0.1500 of the answers seen by the best of 2 (over base, " in note
    assert [event["text"] for event in events(said) if event["kind"] == "note"] == [note] * 2
    people = workshop.run("evaluate", "base", "one", "two", "--task", "sums,words").stdout
    assert people.count(f"note: {note}") == 2
    assert "among 4 compared" in people


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_what_is_no_file_is_not_replaced_by_one(workshop: Any, data: Path) -> None:
    pipe, link = workshop.folder / "pipe", workshop.folder / "link"
    os.mkfifo(pipe)
    os.symlink(pipe, link)
    for place in (pipe, link):
        found = workshop.run("evaluate", ONE, "--data", data, "--out", place)
        assert found.status == 1
        assert "is not a file" in found.stderr
    assert pipe.is_fifo()
    assert link.is_symlink()
