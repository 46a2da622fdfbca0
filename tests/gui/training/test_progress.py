"""How a training goes, from the events of its processes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gui.background.task import Task
from gui.training.progress import TrainingProgress, thinned
from gui.training.training import ShownTraining


def step(order: int, number: int, loss: float | None = 1.0, **more: Any) -> dict[str, Any]:
    values = {"epoch": number / 4, "of": 8, "learning_rate": 1e-5, "grad_norm": 0.5, "eval_loss": None}
    event = {"kind": "step", "order": order, "step": number, "loss": loss, "at": 100.0 + number}
    return event | values | more


def test_steps_are_noted_by_order() -> None:
    progress = TrainingProgress()
    progress.expect(3)
    for number in range(1, 5):
        assert progress.take(step(2, number, 3.0 - number, eval_loss=2.5 if number == 4 else None))
    order = progress.orders[2]
    assert [one.number for one in progress.orders.values()] == [1, 2, 3]
    assert (order.step, order.of, order.epoch, order.share) == (4, 8, 1, 0.5)
    assert order.values["loss"].tolist() == [2.0, 1.0, 0.0, -1.0]
    assert (order.last("learning_rate"), order.last("grad_norm")) == (1e-5, 0.5)
    assert (order.eval_steps.tolist(), order.eval_loss) == ([4], 2.5)
    assert order.remaining_s == pytest.approx(4.0)  # a second each
    assert math.isnan(progress.orders[1].eval_loss)
    progress.take({"kind": "order_done", "order": 2, "folder": "x"})
    assert (progress.done, order.share, order.remaining_s) == (1, 1.0, None)


def test_what_is_done_again_counts_once() -> None:
    progress = TrainingProgress()
    for number in range(1, 7):
        progress.take(step(1, number, 1.0, eval_loss=number if number in {3, 6} else None))
    for number in (4, 5):  # from a checkpoint after step 3, an hour later
        progress.take(step(1, number, 9.0, at=3700.0 + number))
    order = progress.orders[1]
    assert order.steps.tolist() == [1, 2, 3, 4, 5]
    assert order.values["loss"].tolist() == [1.0, 1.0, 1.0, 9.0, 9.0]
    assert (order.eval_steps.tolist(), order.eval_losses.tolist()) == ([3], [3.0])
    assert order.remaining_s == pytest.approx(3.0)  # the pause is not its pace


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "step"},
        {"kind": "step", "order": 0, "step": 1},
        {"kind": "step", "order": True, "step": 1},
        {"kind": "step", "order": 1, "step": "4"},
        {"kind": "step", "order": 10**30, "step": 1},
        {"kind": "order_done", "order": "one"},
        {"kind": "note", "order": 1},
    ],
)
def test_what_says_nothing_of_an_order_changes_nothing(event: dict[str, Any]) -> None:
    progress = TrainingProgress()
    assert not progress.take(event)
    assert progress.orders == {}


def test_strange_values_are_gaps() -> None:
    progress = TrainingProgress()
    progress.take({"kind": "step", "order": 1, "step": 1, "loss": "x", "of": -1, "epoch": [], "at": 10**400})
    progress.take(step(1, 2, None))
    assert all(math.isnan(value) for value in progress.orders[1].values["loss"])
    x, y = thinned(progress.orders[1].steps, progress.orders[1].values["loss"], 10)
    assert (len(x), len(y)) == (0, 0)


def test_a_long_line_is_thinned_to_means() -> None:
    steps, values = list(range(1, 1001)), [float(number % 7) for number in range(1000)]
    values[10] = math.nan
    x, y = thinned(steps, values, 50)
    assert len(x) == len(y) == 50
    known = np.delete(np.array(values), 10)
    parts = [known[999 * at // 50 : 999 * (at + 1) // 50] for at in range(50)]
    np.testing.assert_allclose(y, [part.mean() for part in parts])
    assert np.all(np.diff(x) > 0)
    x, y = thinned(steps[:5], values[:5], 50)
    assert (x.tolist(), y.tolist()) == ([1, 2, 3, 4, 5], [0, 1, 2, 3, 4])


def test_what_went_on_comes_after_what_it_goes_on_with(tmp_path: Path) -> None:
    arguments = ("b", "--orders", "2", "--out", "/runs")
    first = replace(Task.begin("train", "T", arguments, tmp_path), began=1.0)
    second = replace(Task.begin("train", "T", arguments, tmp_path), began=2.0)
    assert ShownTraining.folder_of(first) == Path("/runs")
    training = ShownTraining(Path("/runs"))
    training.add(second)  # as they happen to be found, and read
    training.add(first)
    training.take(second.id, step(1, 4, 9.0))
    for number in range(1, 6):
        training.take(first.id, step(1, number, 1.0))
    assert training.progress.orders[1].steps.tolist() == [1, 2, 3, 4, 5]
    training.update(replace(first, state="failed"))
    training.catch_up()
    assert training.progress.orders[1].values["loss"].tolist() == [1.0, 1.0, 1.0, 9.0]
    assert (training.task.id, len(training.progress.orders)) == (second.id, 2)


def test_a_task_of_another_machine_keeps_nobody_waiting(tmp_path: Path) -> None:
    """It seems to run for ever: whether it was killed is not known here."""
    arguments = ("b", "--orders", "1", "--out", "/runs")
    first = replace(Task.begin("train", "T", arguments, tmp_path), began=1.0, host="elsewhere")
    second = replace(Task.begin("train", "T", arguments, tmp_path), began=2.0)
    training = ShownTraining(Path("/runs"))
    training.add(first)
    training.add(second)
    training.take(first.id, step(1, 1, 3.0))
    training.take(second.id, step(1, 2, 2.0))
    assert training.progress.orders[1].steps.tolist() == [1, 2]


def test_an_order_whose_last_step_is_done_takes_no_more_time() -> None:
    progress = TrainingProgress()
    for step in range(1, 5):
        progress.take({"kind": "step", "at": 10.0 * step, "order": 1, "step": step, "of": 5, "loss": 1.0})
    assert progress.orders[1].remaining_s == 10.0
    progress.take({"kind": "step", "at": 50.0, "order": 1, "step": 5, "of": 5, "loss": 1.0})
    assert progress.orders[1].remaining_s is None
