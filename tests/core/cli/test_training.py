"""`paramosaic train`: what it says, in which order, and to whom."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import small_trainings as small

from core.cli.commands import main
from core.cli.desktop import Desktop
from core.errors import Cancelled
from core.train.settings import TrainSettings
from core.train.training import TrainRequest

DESKTOP = Desktop(lambda: False, lambda demo: 0, lambda record, folder: [])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    small.base_folder(tmp_path / "base")
    small.rows_file(tmp_path / "rows.jsonl", 9)
    return tmp_path


def run(place: Path, *more: str) -> int:
    data, progress = str(place / "rows.jsonl"), str(place / "events.jsonl")
    plain = [str(place / "base"), "--data", data, "--out", str(place / "runs"), "--progress", progress]
    return main(DESKTOP, ["train", *plain, "--threads", "1", "--device", "cpu", *more])


def events(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "events.jsonl").read_text().splitlines()]


def test_a_training_and_what_it_says(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    held_out = str(place / "rows.jsonl")
    many = ("--orders", "2", "--epochs", "1", "--batch", "4", "--validation", held_out)
    assert run(place, *many, "--json") == 0
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert document["recipe"] == str(place / "runs" / "recipe.yaml")
    assert [order["epochs"] for order in document["orders"]] == [
        [str(place / "runs" / f"order-{number}" / "epoch-1")] for number in (1, 2)
    ]
    lines = err.splitlines()
    assert "are in rows.jsonl too" in lines[0]  # which were trained on
    assert lines[1].startswith("note: disk: ")
    assert "order 1 is done" not in err
    assert "order 1 of 2 is done" in lines
    assert not [line for line in lines if not line.startswith(("note: ", "order "))], (
        "nobody else says anything"
    )

    told = events(place)
    assert (told[0]["kind"], told[0]["pid"]) == ("began", os.getpid())
    last = [event for event in told if event["kind"] == "step" and event["step"] == event["of"]]
    assert [(event["order"], event["step"], event["epoch"]) for event in last] == [(1, 3, 1.0), (2, 3, 1.0)]
    assert [event["eval_loss"] for event in last] == [order["eval_loss"] for order in document["orders"]]
    assert [event["order"] for event in told if event["kind"] == "order_done"] == [1, 2]
    shares = [event["share"] for event in told if event["kind"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert (told[-1]["kind"], told[-1]["result"]) == ("done", str(place / "runs"))

    assert run(place, *many, "--seed", "1") == 1
    assert "error: the training in" in capfd.readouterr().err
    assert events(place)[-1]["kind"] == "failed"
    assert "--seed" in events(place)[-1]["hint"]

    assert run(place, *many) == 0
    out, _ = capfd.readouterr()
    assert out.splitlines()[0].startswith("order 1    3 steps  loss ")
    assert "recipe" in out

    # The folder of the runs in the place of a model, and one of its models alone.
    base, runs = str(place / "base"), str(place / "runs")
    for command in (["inspect", base, runs], ["evaluate", runs, "--data", held_out]):
        assert main(DESKTOP, command) == 1
        _, err = capfd.readouterr()
        assert (
            f"error: {runs} is a folder of training runs and no model itself: it holds the models of 2" in err
        )
        assert (
            f"hint: name one of them, such as {runs}/order-1/epoch-1; {runs}/recipe.yaml merges them" in err
        )
    assert main(DESKTOP, ["evaluate", f"{runs}/order-1/epoch-1", "--data", held_out, "--device", "cpu"]) == 0
    assert capfd.readouterr().out.splitlines()[1].startswith("order-1/epoch-1 ")


def test_presets_give_what_is_not_given(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of `gsm8k` the batch, the length and n; the epochs and the learning rate are given."""
    asked: list[TrainRequest] = []

    def stop(request: TrainRequest, **_: Any) -> None:
        asked.append(request)
        raise Cancelled

    monkeypatch.setattr("core.cli.training.train_sub_models", stop)
    assert run(place, "--orders", "5", "--epochs", "1", "--preset", "gsm8k", "--lr", "1e-4") == 130
    assert asked[0].settings == TrainSettings(
        orders=5, epochs=1, learning_rate=1e-4, batch=64, micro_batch=8, max_length=800
    )
    assert (asked[0].resamples, asked[0].save_every_s, asked[0].validation) == (1, 600, None)
    assert [event["kind"] for event in events(place)] == ["began", "cancelled"]
    assert "hint: the same command again goes on from here" in capfd.readouterr().err


def test_what_is_no_preset_is_refused(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(place, "--orders", "1", "--preset", "gsm8") == 1
    assert "error: there is no preset 'gsm8'" in capfd.readouterr().err
    assert [event["kind"] for event in events(place)] == ["began", "failed"]
