"""In a low or narrow window the plots have the room, and every tab, name and number can be read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from core import load_recipe, plan_merge
from core.deltas.findings import Findings
from core.deltas.preview import measure_plan
from gui.pictures.detail import DetailPicture
from gui.pictures.draws_plot import DrawsPlot
from gui.pictures.export import save_picture
from gui.pictures.heat_map import HeatMap
from gui.pictures.magnitude import MagnitudePicture, _span_texts
from gui.pictures.marks import CellTexts
from gui.pictures.panel import PicturesPanel
from gui.pictures.picture import Picture
from gui.pictures.resampling import ResamplingPicture
from gui.pictures.scales import share_scale
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown
from gui.pictures.zero_deltas import ZeroDeltasPicture
from gui.widgets.theme import GRID, palette
from gui.widgets.wrapped import WrappedLabel

Show = Callable[[type[Picture], int, int], Picture]


@pytest.fixture(scope="module")
def findings(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


@pytest.fixture
def show(qtbot: QtBot, findings: Findings) -> Show:
    def show(kind: type[Picture], width: int, height: int) -> Picture:
        picture = kind(Selection())
        qtbot.addWidget(picture)
        picture.show_numbers(Shown(findings))
        picture.resize(width, height)
        with qtbot.waitExposed(picture):
            picture.show()
        return picture

    return show


@pytest.mark.parametrize("kind", [ZeroDeltasPicture, MagnitudePicture])
def test_a_low_picture_gives_the_line_of_its_heading_to_the_plots(show: Show, kind: type[Picture]) -> None:
    picture = show(kind, 530, 216)
    assert picture.body.height() >= 0.55 * picture.height()
    assert picture.explanation.isVisible()
    assert not any(line.endswith("…") for line in picture.explanation.shown_lines)
    assert picture.explanation.geometry().right() < picture.width()
    picture.resize(530, 400)
    QTest.qWait(1)
    assert picture._heading.isVisible()
    assert picture.explanation.width() > 480
    assert picture.explanation.y() > picture._heading.geometry().bottom()


def test_a_low_map_has_no_label_that_takes_its_height(show: Show) -> None:
    picture = show(ZeroDeltasPicture, 530, 170)
    assert isinstance(picture, ZeroDeltasPicture)
    below, bar = picture.plot.getPlotItem().getAxis("bottom"), picture.plot.bar.axis
    assert not below.label.isVisible()
    assert not bar.label.isVisible()
    QTest.qWait(1)
    wide = bar.width()
    picture.resize(530, 400)
    assert below.label.isVisible()
    assert bar.label.isVisible()
    QTest.qWait(1)
    assert bar.width() > wide


def test_a_file_has_the_heading_and_more_room(show: Show, tmp_path: Path) -> None:
    picture = show(ZeroDeltasPicture, 530, 170)
    save_picture(picture, tmp_path / "low.png")
    image = QImage(str(tmp_path / "low.png"))
    assert image.height() / image.devicePixelRatio() >= 2 * 360
    assert picture.height() == 170
    assert not picture._heading.isVisible()


def test_a_file_is_white_in_the_dark_theme(show: Show, tmp_path: Path) -> None:
    picture = show(ZeroDeltasPicture, 530, 170)
    picture.setPalette(palette(dark=True))
    in_window = picture.grab().toImage().pixelColor(2, 2)
    save_picture(picture, tmp_path / "dark.png")
    ground = QImage(str(tmp_path / "dark.png")).pixelColor(2, 2)
    assert in_window.lightness() < 50
    assert ground.name() == "#ffffff"


def test_below_the_curve_the_source_of_a_file_comes_last(show: Show) -> None:
    picture = show(ResamplingPicture, 640, 400)
    picture.set_printing(True)
    assert picture._source.y() > picture.read_out.geometry().bottom()
    picture.set_printing(False)


@pytest.mark.parametrize(("height", "seen"), [(110, False), (400, True)])
def test_words_in_the_curve_hide_none_of_its_points(qtbot: QtBot, height: int, seen: bool) -> None:
    plot = DrawsPlot()
    qtbot.addWidget(plot)
    plot.resize(520, height)
    plot.show_curves(np.linspace(0.44, 0.28, 21), np.zeros(0), np.linspace(0.6, 0.45, 21))
    plot.mark(4, 6)
    with qtbot.waitExposed(plot):
        plot.show()
    QTest.qWait(1)
    assert plot.flat_text.isVisible() == seen
    assert plot.flat_line.isVisible()


def test_every_tab_is_seen_where_the_button_beside_them_has_no_room(qtbot: QtBot, findings: Findings) -> None:
    panel = PicturesPanel()
    qtbot.addWidget(panel)
    panel.show_numbers(Shown(findings))
    tabs = panel.tabs.tabBar()
    for width, button in ((tabs.sizeHint().width() + 2 * GRID, False), (900, True)):
        panel.resize(width, 300)
        with qtbot.waitExposed(panel):
            panel.show()
        QTest.qWait(1)
        assert tabs.tabRect(tabs.count() - 1).right() <= tabs.width()
        corner = panel.tabs.cornerWidget()
        assert corner is not None
        assert corner.findChildren(QToolButton)[0].isVisible() == button


def test_the_four_plots_of_a_tall_detail_are_equally_large(show: Show) -> None:
    detail = show(DetailPicture, 540, 950)
    assert isinstance(detail, DetailPicture)
    assert detail.plots.shows_all
    assert max(heights := [plot.height() for plot in detail.plots.plots]) - min(heights) <= 1
    assert max(plot.width() for plot in detail.plots.plots) <= 270


def test_one_plot_has_all_of_the_height(show: Show) -> None:
    detail = show(DetailPicture, 540, 620)
    assert isinstance(detail, DetailPicture)
    assert not detail.plots.shows_all
    for current, plot in enumerate(detail.plots.plots):
        detail.plots.setCurrentIndex(current)
        detail.plots.layout().activate()
        assert plot.height() == detail.plots.height()


def test_a_low_and_narrow_detail_has_rows(show: Show) -> None:
    detail = show(DetailPicture, 540, 165)
    assert isinstance(detail, DetailPicture)
    assert detail.table.viewport().height() >= 3 * detail.table.rowHeight(0)
    heading = detail._heading
    assert heading.width() >= heading.sizeHint().width()
    assert detail.plots.height() <= detail.height()


def test_a_detail_of_nothing_offers_no_choice(show: Show) -> None:
    detail = show(DetailPicture, 900, 240)
    assert isinstance(detail, DetailPicture)
    known = detail.shown
    for shown, offers in ((Shown(), False), (known, True)):
        detail.show_numbers(shown)
        assert detail.tensor_field.isVisible() == offers
        assert detail.plot_field.isVisible() == offers


def test_no_number_is_cut_at_the_edge_of_a_map_that_was_zoomed(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(CellTexts, "draw", lambda self, painter, number: drawn.append(number))
    values = np.array([[77.8], [12.5], [50.0], [99.0]])
    shown = HeatMap("map", "Layer")
    qtbot.addWidget(shown)
    shown.resize(500, 200)
    shown.show_cells(values, ["0", "1", "2", "3"], ["q"], share_scale(values, "%"))
    with qtbot.waitExposed(shown):
        shown.show()
    for left, top, expected in ((-0.5, -0.5, {0, 1, 2}), (-0.02, -0.5, {1, 2}), (-0.5, -0.02, set())):
        shown.view.setRange(xRange=(left, left + 3), yRange=(top, 0.5), padding=0)
        image = QImage(500, 200, QImage.Format.Format_RGB32)
        painter = QPainter(image)
        drawn.clear()
        shown.render(painter)
        painter.end()
        assert set(drawn) == expected


@pytest.mark.parametrize(("width", "height"), [(140, 100), (300, 80)])
def test_names_do_not_overlap_where_a_cell_is_less_than_a_pixel(
    qtbot: QtBot, width: int, height: int
) -> None:
    shown = HeatMap("map", "Column", "Row")
    qtbot.addWidget(shown)
    shown.resize(width, height)
    names = [str(number) for number in range(128)]
    shown.show_cells(np.zeros((128, 128)), names, names, share_scale(np.zeros(1), "% zero"))
    with qtbot.waitExposed(shown):
        shown.show()
    QTest.qWait(1)
    sizes = {"bottom": shown.view.size().width(), "left": shown.view.size().height()}
    for side, size in sizes.items():
        places = [at for at, _ in shown.getPlotItem().getAxis(side)._tickLevels[0]]
        takes = shown.fontMetrics().height() if side == "left" else shown._text_width("100")
        assert all(two - one >= takes * 128 / size for one, two in pairwise(places))


def test_a_unit_stays_beside_its_number(qtbot: QtBot) -> None:
    label = WrappedLabel()
    qtbot.addWidget(label)
    for width in range(200, 300, 10):
        label.resize(width, 50)
        label.setText("From n = 5 on, each resample moves less than 0.5 %.")
        assert not any(line.startswith("%") for line in label.shown_lines)


def test_both_ends_of_a_span_have_the_same_decimals() -> None:
    assert _span_texts(0.00999, 0.01042) == ("1.00 %", "1.04 %")
    assert _span_texts(0.0017, 0.0018) == ("0.17 %", "0.18 %")
    assert _span_texts(0.31, 0.42) == ("31.0 %", "42.0 %")
