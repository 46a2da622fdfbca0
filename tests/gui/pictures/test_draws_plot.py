"""The curve over n is drawn whole, and no line goes through its words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter
from pytestqt.qtbot import QtBot

from gui.pictures.draws_plot import DrawsPlot

FALLING = 0.6 * 0.8 ** np.arange(21)


@pytest.fixture
def plot(qtbot: QtBot) -> DrawsPlot:
    plot = DrawsPlot()
    qtbot.addWidget(plot)
    plot.resize(420, 240)
    with qtbot.waitExposed(plot):
        plot.show()
    plot.recolour()
    return plot


def words(plot: DrawsPlot, text: pg.TextItem) -> QRectF:
    """Where they are, in pixels of the scene."""
    plot.grab()  # they are placed when they are painted
    return text.mapRectToScene(text.boundingRect())


@pytest.mark.parametrize(("n", "flat"), [(0, 1), (4, 3), (4, 6), (0, 20), (19, 20), (7, 7)])
@pytest.mark.parametrize("height", [120, 500])
def test_words_stand_within_the_plot_and_over_every_line(
    plot: DrawsPlot, n: int, flat: int, height: int
) -> None:
    plot.resize(420, height)
    plot.show_curves(FALLING, np.zeros(0))
    plot.mark(n, flat)
    texts = [text for text in (plot.flat_text, plot.n_text) if text.isVisible()]
    lines = [plot.flat_line, plot.n_line]
    assert len(texts) == (1 if n == flat else 2)
    seen = plot.view.sceneBoundingRect()
    for text in texts:
        assert seen.adjusted(-1, -1, 1, 1).contains(words(plot, text))
        assert text.zValue() > max(line.zValue() for line in lines)
        assert text.fill.color().alpha() == 255  # what is below is not seen
    if len(texts) == 2:
        assert not words(plot, texts[0]).intersects(words(plot, texts[1]))


def test_words_go_to_the_sides_that_are_turned_away(plot: DrawsPlot) -> None:
    plot.show_curves(FALLING, np.zeros(0))
    plot.mark(10, 12)
    at = {n: plot.view.mapViewToScene(pg.QtCore.QPointF(n, 0)).x() for n in (10, 12)}
    assert words(plot, plot.n_text).right() <= at[10] + 1
    assert words(plot, plot.flat_text).left() >= at[12] - 1


def test_an_n_beyond_the_curve_is_told_of(plot: DrawsPlot) -> None:
    plot.show_curves(FALLING, np.zeros(0))
    plot.mark(50, 9)
    assert not plot.n_line.isVisible()
    assert plot.n_text.toPlainText() == "n = 50 lies further right"
    assert plot.view.sceneBoundingRect().adjusted(-1, -1, 1, 1).contains(words(plot, plot.n_text))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_marks_at_the_ends_are_whole(plot: DrawsPlot, share: float) -> None:
    plot.resize(420, 240)
    plot.show_curves(np.full(21, share), np.zeros(0))
    _, (bottom, top) = plot.view.viewRange()
    pixel = (top - bottom) / plot.view.size().height()
    assert bottom + 4 * pixel <= 100 * share <= top - 4 * pixel
    assert top < 110  # there is no more than 100 %


def test_what_is_beside_it_can_be_seen_in_the_dark(plot: DrawsPlot) -> None:
    from gui.widgets.theme import palette

    for dark in (False, True):
        plot.setPalette(palette(dark=dark))
        ground = plot.palette().base().color().lightnessF()
        assert abs(plot.beside.opts["pen"].color().lightnessF() - ground) > 0.3


@pytest.mark.parametrize("width", [160, 260, 420, 900])
def test_numbers_below_go_from_end_to_end_and_do_not_touch(plot: DrawsPlot, width: int) -> None:
    plot.resize(width, 240)
    plot.show_curves(FALLING, np.zeros(0))
    plot.grab()
    axis = plot.getPlotItem().getAxis("bottom")
    painter = QPainter(image := QImage(10, 10, QImage.Format.Format_RGB32))
    drawn = axis.generateDrawSpecs(painter)[2]
    painter.end()
    del image
    texts = [text for *_, text in drawn]
    assert (texts[0], texts[-1]) == ("0", "20")
    for (one, *_), (other, *_) in pairwise(drawn):
        assert not one.intersects(other)
