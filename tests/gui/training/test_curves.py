"""Small plots of a training: as many as there is room for, and what they show."""

from __future__ import annotations

import math

import pytest
from pytestqt.qtbot import QtBot

from gui.training.curves import Curves
from gui.training.progress import MEASURES, TrainingProgress
from gui.widgets.theme import model_colour


@pytest.fixture
def curves(qtbot: QtBot) -> Curves:
    curves = Curves()
    qtbot.addWidget(curves)
    curves.resize(700, 140)
    curves.show()
    while curves.build_next():
        pass
    return curves


def in_sight(curves: Curves) -> list[str]:
    """The measures whose plots are seen, from left to right."""
    seen = [name for name in MEASURES if curves.plots[name].isVisible()]
    return sorted(seen, key=lambda name: curves.plots[name].mapTo(curves, curves.plots[name].pos()).x())


def test_as_many_are_shown_as_there_is_room_for(qtbot: QtBot, curves: Curves) -> None:
    qtbot.waitUntil(lambda: in_sight(curves) == list(MEASURES))
    assert not curves.choice.isVisible()
    curves.resize(380, 140)
    qtbot.waitUntil(lambda: in_sight(curves) == ["loss", "learning_rate"])
    curves.choice.setCurrentIndex(2)
    qtbot.waitUntil(lambda: in_sight(curves) == ["grad_norm", "loss"])
    curves.resize(200, 140)
    qtbot.waitUntil(lambda: in_sight(curves) == ["grad_norm"])
    assert curves.choice.isVisible()
    curves.resize(700, 140)
    qtbot.waitUntil(lambda: in_sight(curves) == list(MEASURES))


def test_each_order_has_the_colour_of_its_model(curves: Curves) -> None:
    progress = TrainingProgress()
    for number in (1, 2, 3):
        for step in range(1, 11):
            event = {"kind": "step", "order": number, "step": step, "of": 20, "loss": 3.0 - 0.1 * step}
            progress.take({**event, "learning_rate": 1e-5, "eval_loss": 2.5 if step == 10 else None})
    orders = tuple(progress.orders.values())
    curves.show_orders(orders, ())
    plot = curves.plots["loss"]
    colours = [line.opts["pen"].color() for line in plot.lines]
    assert colours == [model_colour(number) for number in range(3)]
    assert {line.opts["pen"].width() for line in plot.lines} == {1}
    (left, right), (bottom, top) = plot.home
    assert left == 0
    assert right > 20
    assert bottom <= 2.0 + 1e-9
    assert top >= 2.9 - 1e-9
    assert len(plot.dots.points) == 3
    assert curves.plots["grad_norm"].lines[0].getData()[0].tolist() == []  # nothing is said of it
    assert math.isnan(orders[0].last("grad_norm"))
    curves.show_orders(orders, {2})  # which is selected in the table
    assert [line.opts["pen"].color().alpha() for line in plot.lines] == [60, 255, 60]
