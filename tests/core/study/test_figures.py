"""The figures of a training in three orders whose losses are made up from the places of the samples."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from study.made_up import DIGEST, MadeUp, data_set, recipe_of

from core.evaluate.statistics.resampling import halves
from core.study.curves import effect_of_orders, effect_of_position
from core.study.document import to_json
from core.study.studying import run_study
from core.study.table import Options
from core.study.values import Study
from core.train.orders import digest_of_order, order_text
from core.train.settings import TrainSettings

ROWS, STEPS_PER_EPOCH = 120, 15
OPTIONS = Options(ns=(0, 2), seeds=1, lambdas=(1.0,), soup=False)
GENERATOR = np.random.default_rng(11)
ORDERS = [GENERATOR.permutation(ROWS) for _ in range(3)]
PLACES = np.argsort(ORDERS, axis=1)
DIFFICULTY = GENERATOR.uniform(1, 3, ROWS)
VALIDATION = GENERATOR.uniform(1, 3, 40)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of a training of two epochs, all of whose models were kept; they have no weights."""
    orders = []
    for number, order in enumerate(ORDERS, start=1):
        place = tmp_path / f"order-{number}" / "order"
        place.mkdir(parents=True)
        digests = []
        for epoch, rows in enumerate((order, order[::-1]), start=1):
            (place / f"epoch-{epoch}.txt").write_bytes(order_text(rows))
            digests.append(digest_of_order(order_text(rows)))
            (tmp_path / f"order-{number}" / f"epoch-{epoch}").mkdir()
        orders.append({"digests": digests})
    document = {
        "format": 1,
        "base": {"name": "base", "path": "/nowhere/base", "new_head": False},
        "data": {"path": "made-up.jsonl", "digest": DIGEST, "rows": ROWS},
        "validation": None,
        "task": "causal",
        "unit": "row",
        "samples": ROWS,
        "settings": TrainSettings(orders=3, epochs=2, batch=8).as_dict(),
        "orders": orders,
    }
    (tmp_path / "training.json").write_text(json.dumps(document))
    return tmp_path


class Trained(MadeUp):
    """Training losses that rise by 0.4 from the first place to the last, and have a level by model."""

    def scores(self, model, data, *, training, progress):  # type: ignore[no-untyped-def]
        if not training:
            return super().scores(model, data, training=training, progress=progress)
        number = int(model.key.removeprefix("single-")) if model.key.startswith("single") else 0
        losses = DIFFICULTY - 0.3
        if number:
            losses = DIFFICULTY + 0.4 * PLACES[number - 1] / (ROWS - 1) + 0.05 * number
        made_up = MadeUp({model.key: losses[: len(data.rows)]})
        return made_up.scores(model, data, training=True, progress=progress)


def validation_losses() -> dict[str, NDArray[np.float64] | Exception]:
    found: dict[str, NDArray[np.float64] | Exception] = {"else": VALIDATION + 0.5}
    for number in (1, 2, 3):
        found[f"epoch-1-single-{number}"] = VALIDATION + 0.1 * number
        found[f"single-{number}"] = VALIDATION + 0.01 * number
    found["selection-n2-seed7"] = VALIDATION - 0.2
    found["epoch-1-selection-n2-seed7"] = VALIDATION - 0.1
    return found


def study_of(runs: Path, rows: int = ROWS, last: int = 3) -> Study:
    models = [{"model": str(runs / f"order-{number}" / "epoch-2")} for number in range(1, last + 1)]
    return run_study(
        recipe_of(models=models),
        data_set(40),
        Trained(validation_losses()),
        training=data_set(rows),
        options=OPTIONS,
    )


def test_losses_by_position_for_each_order_and_for_the_anchor(runs: Path) -> None:
    study = study_of(runs)
    assert [(curve.label, curve.role) for curve in study.positions] == [
        (f"order-{number}/epoch-2", "single") for number in (1, 2, 3)
    ]
    assert [curve.role for curve in study.anchor] == ["anchor", "sub-model", "sub-model", "merge"]
    segments = ROWS // 10
    for number in range(3):
        rows = ORDERS[number].reshape(segments, 10)  # the rows that are seen first, then the next, …
        losses = DIFFICULTY + 0.4 * PLACES[number] / (ROWS - 1) + 0.05 * (number + 1)
        assert study.positions[number].mean == pytest.approx(losses[rows].mean(axis=1))
        assert study.anchor[number].mean == pytest.approx(
            losses[ORDERS[0].reshape(segments, 10)].mean(axis=1)
        )
    merged = (DIFFICULTY - 0.3)[ORDERS[0].reshape(segments, 10)].mean(axis=1)
    assert study.anchor[3].mean == pytest.approx(merged)
    assert study.anchor[3].x == pytest.approx([10 * one + 5.5 for one in range(segments)])


def test_differences_by_position_leave_out_how_hard_samples_and_how_good_models_are(runs: Path) -> None:
    study = study_of(runs)
    assert [(curve.label, curve.role) for curve in study.differences] == [
        *((f"order-{number}/epoch-2", "single") for number in (1, 2, 3)),
        ("mean of 3 orders", "mean"),
    ]
    segments = ROWS // 10
    mean = sum(0.4 * places / (ROWS - 1) for places in PLACES) / 3
    beside = [0.4 * places / (ROWS - 1) - mean for places in PLACES]
    rows = [order.reshape(segments, 10) for order in ORDERS]
    in_segments = [values[own].mean(axis=1) for values, own in zip(beside, rows, strict=True)]
    for curve, expected in zip(study.differences, in_segments, strict=False):
        assert curve.mean == pytest.approx(expected)
        assert curve.x == pytest.approx([10 * one + 5.5 for one in range(segments)])
    assert study.differences[-1].mean == pytest.approx(np.mean(in_segments, axis=0))


def test_the_imbalance_is_found_beneath_how_hard_samples_are(runs: Path) -> None:
    assert study_of(runs).imbalance.startswith(
        "In these 3 orders there is a training imbalance: a sample that is seen last in the first epoch "
        "instead of first ends with a loss that is 0.400000 nats a token higher (95 % from +0.4"
    )
    assert (
        " Other orders of this training are expected to show it, too (95 % from +0.4"
        in study_of(runs).imbalance
    )


def test_losses_of_classifiers_are_by_sample_and_figures_show_one_merge(runs: Path) -> None:
    """The best merge is chosen by halves here, and they differ: there is no such model."""

    class Classifiers(Trained):
        def scores(self, model, data, *, training, progress):  # type: ignore[no-untyped-def]
            found = super().scores(model, data, training=training, progress=progress)
            return replace(found, task="classifier", tokenizer_digest="")

    first = np.isin(np.arange(40), halves(DIGEST, 40)[0])
    losses = validation_losses()
    losses["selection-n0-seed7"] = VALIDATION - np.where(first, 0.5, 0.3)
    losses["selection-n2-seed7"] = VALIDATION - np.where(first, 0.3, 0.6)
    models = [{"model": str(runs / f"order-{number}" / "epoch-2")} for number in (1, 2, 3)]
    study = run_study(
        recipe_of(models=models),
        data_set(40),
        Classifiers(losses),
        training=data_set(ROWS),
        options=OPTIONS,
    )
    assert study.unit == "nats a sample"
    assert "0.400000 nats a sample higher" in study.imbalance
    assert "nats a token" not in to_json(study)
    assert study.best == "chosen"
    assert study.anchor[-1].label == "selection + n = 2, seed 7"


def test_validation_losses_by_step_single_and_merged(runs: Path) -> None:
    single, merged = study_of(runs).steps
    assert single.x == merged.x == (STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH)
    assert single.mean == pytest.approx([VALIDATION.mean() + 0.2, VALIDATION.mean() + 0.02])
    half = 4.302652729749462 * 0.1 / 3**0.5  # Student's quantile of 2 degrees of freedom
    assert single.high[0] == pytest.approx(single.mean[0] + half)
    assert merged.mean == pytest.approx([VALIDATION.mean() - 0.1, VALIDATION.mean() - 0.2])


def test_some_training_rows_are_enough(runs: Path) -> None:
    study = study_of(runs, rows=50)
    assert len(study.positions[0].x) <= 5
    assert "0.400000 nats a token higher" in study.imbalance


def test_without_a_training_or_with_other_data_the_table_is_made_all_the_same(
    runs: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    document = json.loads((runs / "training.json").read_text())
    document["data"]["digest"] = "0" * 32
    (runs / "training.json").write_text(json.dumps(document))
    study = study_of(runs)
    assert (study.positions, study.anchor, len(study.steps)) == ((), (), 2)
    assert any("is not the file that was trained on" in note for note in study.notes)
    (runs / "training.json").unlink()
    study = study_of(runs)
    assert (study.steps, study.best) == ((), "selection-n2")
    assert any("does not come from `paramosaic train`" in note for note in study.notes)


def test_models_of_different_epochs_have_no_curve_over_steps(runs: Path) -> None:
    shutil.rmtree(runs / "order-2" / "epoch-2")
    models = [{"model": str(runs / "order-1" / "epoch-2")}, {"model": str(runs / "order-2" / "epoch-1")}]
    study = run_study(recipe_of(models=models), data_set(40), Trained(validation_losses()), options=OPTIONS)
    assert study.steps == ()
    assert any("not the same number of steps" in note for note in study.notes)


@pytest.mark.parametrize("orders", [3, 6])
def test_the_effects_of_position_miss_the_truth_as_often_as_they_say(orders: int) -> None:
    """That of these orders holds what happened along each of them; that of others holds what they share."""
    rng = np.random.default_rng(4)
    here, others = 0, 0
    for _ in range(1000):
        places = np.argsort(rng.random((orders, 60)), axis=1) / 59
        along = -0.1 + rng.normal(0, 0.3, (orders, 1))  # what this order's training happened to do
        losses = rng.normal(0, 1, 60) + rng.normal(0, 0.2, (orders, 60)) + rng.normal(0, 0.5, (orders, 1))
        for_these, for_others = losses - 0.1 * places, losses + along * places
        found = effect_of_position(for_these, places)
        assert found is not None
        here += not found[1] <= -0.1 <= found[2]
        found = effect_of_orders(for_others, places)
        assert found is not None
        others += not found[1] <= -0.1 <= found[2]
    assert 30 <= here <= 75
    assert 30 <= others <= 75
    assert effect_of_position(losses[:1], places[:1]) is None


def test_noise_along_two_orders_says_nothing_of_others() -> None:
    places = np.argsort(np.random.default_rng(1).random((3, 60)), axis=1) / 59
    assert effect_of_orders(places[:2], places[:2]) is None
    assert effect_of_orders(np.repeat(places[:1], 3, axis=0), np.repeat(places[:1], 3, axis=0)) is None


def test_an_imbalance_of_these_orders_that_others_need_not_have_is_said_so(runs: Path) -> None:
    """Each order has a slope of its own: large ones, of no common sign."""

    class Along(Trained):
        def scores(self, model, data, *, training, progress):  # type: ignore[no-untyped-def]
            found = super().scores(model, data, training=training, progress=progress)
            number = int(model.key[-1]) - 1 if model.key.startswith("single-") else None
            if not training or number is None:
                return found
            slope = (1.5, -0.4, 0.2)[number] - 0.4
            return replace(found, loss=found.loss + slope * PLACES[number] / (ROWS - 1))

    models = [{"model": str(runs / f"order-{number}" / "epoch-2")} for number in (1, 2, 3)]
    study = run_study(
        recipe_of(models=models),
        data_set(40),
        Along(validation_losses()),
        training=data_set(ROWS),
        options=OPTIONS,
    )
    assert study.imbalance.startswith("In these 3 orders there is a training imbalance")
    assert " Whether other orders of this training would show it is open (95 % from −" in study.imbalance
