"""Norms that are alike are shown near to, with their spread and with those that stray."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui.pictures.norms_plot import NormsPlot

COLUMNS, MODELS = 6, 60
RED = QColor("red")


@pytest.fixture
def plot(qtbot: QtBot) -> NormsPlot:
    plot = NormsPlot()
    qtbot.addWidget(plot)
    plot.resize(500, 300)
    with qtbot.waitExposed(plot):
        plot.show()
    plot.recolour()
    plot.show_columns([str(layer) for layer in range(COLUMNS)], ["layers"] * COLUMNS)
    return plot


def alike(models: int = MODELS) -> np.ndarray:
    """Between 0.15 and 0.22."""
    random = np.random.default_rng(1)
    return np.linspace(0.21, 0.16, COLUMNS)[:, None] + random.uniform(-0.005, 0.005, (COLUMNS, models))


def show(plot: NormsPlot, norms: np.ndarray, apart: set[int], named: dict[int, str] | None = None) -> None:
    plot.show_norms(norms, [RED] * norms.shape[1], apart, named or {})


def test_the_scale_begins_near_norms_that_are_alike(plot: NormsPlot) -> None:
    norms = alike()
    show(plot, norms, set())
    _, (bottom, top) = plot.view.viewRange()
    assert 0.1 < bottom < norms.min()
    assert norms.max() < top
    assert norms.max() - norms.min() > 0.7 * (top - bottom)


def test_norms_that_hardly_differ_look_alike(plot: NormsPlot) -> None:
    norms = np.full((COLUMNS, 3), 0.2)
    norms[0, 0] = 0.2001
    show(plot, norms, set())
    _, (bottom, top) = plot.view.viewRange()
    assert top - bottom > 0.04


def test_the_scale_begins_at_zero_where_norms_differ(plot: NormsPlot) -> None:
    norms = alike()
    norms[2] /= 5
    show(plot, norms, set())
    assert plot.bottom == 0
    assert plot._none == []


def test_layers_in_which_nothing_changed_have_a_zero(plot: NormsPlot) -> None:
    norms = alike()
    norms[-1] = 0
    show(plot, norms, set())
    assert plot.bottom > 0.1
    assert [(text.toPlainText(), text.pos().x()) for text in plot._none] == [("0", COLUMNS - 1)]
    show(plot, np.zeros((COLUMNS, 3)), set())
    assert plot.bottom == 0


def test_medians_and_halves_are_those_of_the_sub_models(plot: NormsPlot) -> None:
    norms = alike()
    norms[1, :3] = np.nan
    norms[4] = np.nan
    show(plot, norms, set())
    known = [0, 1, 2, 3, 5]
    assert plot.medians[known] == pytest.approx(np.nanmedian(norms[known], axis=1))
    assert np.isnan(plot.medians[4])
    first, third = np.nanquantile(norms[known], (0.25, 0.75), axis=1)
    assert plot._boxes.opts["x"] == pytest.approx(known)
    assert plot._boxes.opts["y0"] == pytest.approx(first)
    assert plot._boxes.opts["height"] == pytest.approx(third - first)


def test_two_sub_models_have_no_spread(plot: NormsPlot) -> None:
    show(plot, alike(2), {0, 1})
    assert len(plot.medians) == 0
    assert len(plot.lines) == 2
    assert all(len(line.getData()[0]) == COLUMNS for line in plot.lines)


def test_those_that_stray_have_a_line_and_a_name_and_leave_the_spread(plot: NormsPlot) -> None:
    norms = alike()
    norms[:, 7] *= 2
    show(plot, norms, {7}, {7: "model-8 strays"})
    drawn = [number for number, line in enumerate(plot.lines) if len(line.getData()[0])]
    assert drawn == [7]
    assert [name.toPlainText() for name in plot.names] == ["model-8 strays"]
    assert plot.names[0].pos().y() == pytest.approx(norms[int(plot.names[0].pos().x()), 7])
    highest = plot._bars.opts["y0"] + plot._bars.opts["height"]
    assert highest == pytest.approx(np.delete(norms, 7, axis=1).max(axis=1))
