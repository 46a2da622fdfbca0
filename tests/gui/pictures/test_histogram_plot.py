"""The powers of two under the histogram can be read at every width."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from core import load_recipe, plan_merge
from core.deltas.preview import measure_plan
from gui.pictures.histogram_plot import HistogramPlot


@pytest.mark.parametrize("width", [140, 200, 300, 900])
def test_numbers_below_do_not_touch(qtbot: QtBot, models: Path, width: int) -> None:
    plot = HistogramPlot()
    qtbot.addWidget(plot)
    plot.resize(width, 200)
    with qtbot.waitExposed(plot):
        plot.show()
    details = measure_plan(plan_merge(load_recipe(models / "recipe.yaml"))).part().details
    plot.show_histogram(details, [QColor("red")] * 3)
    (left, right), _ = plot.view.viewRange()
    pixels = plot.view.size().width() / (right - left)
    ticks = plot.getPlotItem().getAxis("bottom")._tickLevels[0]
    assert ticks
    for (at, text), (following, _) in pairwise(ticks):
        assert (following - at) * pixels > plot.fontMetrics().horizontalAdvance(text)
