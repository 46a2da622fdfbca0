"""A map says its values where there is room for them, and has names that can be read."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QFontMetricsF
from pytestqt.qtbot import QtBot

from gui.pictures.heat_map import HeatMap
from gui.pictures.scales import share_scale
from gui.widgets.theme import palette


def shown_map(qtbot: QtBot, width: int, height: int, columns: int, rows: int) -> HeatMap:
    plot = HeatMap("Share of zero deltas", "Layer")
    qtbot.addWidget(plot)
    plot.resize(width, height)
    values = np.linspace(30, 100, columns * rows).reshape(columns, rows)
    values[0, 0] = np.nan
    names = [str(number) for number in range(columns)], [f"attention {number}" for number in range(rows)]
    plot.show()
    plot.show_cells(values, *names, share_scale(values, "% zero deltas"))
    QCoreApplication.processEvents()
    return plot


@pytest.mark.parametrize(
    ("size", "cells"), [((700, 400), (10, 9)), ((1900, 1000), (34, 12)), ((1900, 1000), (12, 40))]
)
def test_values_stand_in_the_cells_where_there_is_room(
    qtbot: QtBot, size: tuple[int, int], cells: tuple[int, int]
) -> None:
    plot = shown_map(qtbot, *size, *cells)
    assert len(plot.texts.texts) == cells[0] * cells[1] - 1
    assert plot.texts.texts[-1] == "100.0"
    pixels = plot.view.size().width() / cells[0]
    assert max(QFontMetricsF(plot.font()).horizontalAdvance(text) for text in plot.texts.texts) < pixels


@pytest.mark.parametrize(("size", "cells"), [((700, 400), (34, 9)), ((700, 400), (8, 60))])
def test_values_are_left_out_where_there_is_none(
    qtbot: QtBot, size: tuple[int, int], cells: tuple[int, int]
) -> None:
    plot = shown_map(qtbot, *size, *cells)
    assert plot.texts.texts == []
    plot.setRange(xRange=(-0.5, 4.5), yRange=(-0.5, 4.5), padding=0)  # as zooming does
    assert plot.texts.texts


@pytest.mark.parametrize("rows", [9, 26, 31, 60])
def test_names_of_rows_have_the_size_of_other_text_and_do_not_overlap(qtbot: QtBot, rows: int) -> None:
    plot = shown_map(qtbot, 700, 400, 8, rows)
    axis = plot.getPlotItem().getAxis("left")
    names = axis._tickLevels[0]
    font = axis.style["tickFont"]
    assert font.pointSizeF() >= 0.85 * plot.font().pointSizeF()
    between = (names[1][0] - names[0][0]) * plot.view.size().height() / rows
    assert between >= 0.95 * QFontMetricsF(font).height()


def test_a_plot_that_was_closed_hears_of_another_theme_without_harm(qtbot: QtBot) -> None:
    plot = HeatMap("A map", "Layer")
    plot.close()
    plot.setPalette(palette(dark=True))  # what is raised in it fails the test
    plot.deleteLater()
