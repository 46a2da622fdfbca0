"""Every map is brightest where fine-tuning changed most, on a light ground as on a dark one, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QImage, QPalette
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core import load_recipe, plan_merge
from core.deltas.findings import Findings
from core.deltas.preview import measure_plan
from core.deltas.tensor_view import TensorView
from gui.pictures.headless import write_pictures
from gui.pictures.heat_map import HeatMap
from gui.pictures.picture import Picture
from gui.pictures.resampling import ResamplingPicture
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown
from gui.pictures.tensor_map import TensorMap
from gui.pictures.zero_deltas import ZeroDeltasPicture
from gui.widgets.contrast import contrast, luminance
from gui.widgets.theme import apply_theme, model_colour, palette


@pytest.fixture(scope="module")
def findings(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[QPalette]:
    before, style = qapp.palette(), qapp.style().objectName()
    apply_theme(qapp, dark=request.param == "dark")
    yield qapp.palette()
    qapp.setStyle(style)
    qapp.setPalette(before)


def seen_at(plot: HeatMap, column: int, row: int) -> QColor:
    """The colour of a cell on the screen, beside its middle, where its value is."""
    at = plot.mapFromScene(plot.view.mapViewToScene(QPointF(column - 0.4, row - 0.4)))
    image: QImage = plot.grab().toImage()
    return image.pixelColor((at.toPointF() * image.devicePixelRatio()).toPoint())


def assert_bright_is_changed(plot: HeatMap, ground: QColor) -> None:
    """`plot`'s values are shares of what did not change."""
    known = [
        (float(plot.values[cell]), cell) for cell in np.ndindex(plot.values.shape) if plot.values[cell] >= 0
    ]
    (least, changed), (most, unchanged) = min(known), max(known)
    assert most - least > 1
    bright, dim = seen_at(plot, *changed), seen_at(plot, *unchanged)
    assert luminance(bright) > luminance(dim)
    assert contrast(bright, ground) >= 1.39
    assert contrast(dim, ground) >= 1.39


def shown(qtbot: QtBot, picture: Picture, findings: Findings) -> None:
    qtbot.addWidget(picture)
    picture.resize(820, 480)
    picture.show_numbers(Shown(findings))
    picture.show()


def test_where_few_deltas_are_zero(qtbot: QtBot, theme: QPalette, findings: Findings) -> None:
    picture = ZeroDeltasPicture(Selection())
    shown(qtbot, picture, findings)
    assert_bright_is_changed(picture.plot, theme.color(QPalette.ColorRole.Base))
    assert "Bright is where training changed most." in picture.explanation.text()


def test_where_resampling_leaves_few_on_a_zero_delta(
    qtbot: QtBot, theme: QPalette, findings: Findings
) -> None:
    picture = ResamplingPicture(Selection())
    shown(qtbot, picture, findings)
    picture.view_field.setCurrentIndex(1)
    picture.view_field.activated.emit(1)
    assert_bright_is_changed(picture.layers_plot, theme.color(QPalette.ColorRole.Base))
    assert "Bright: few." in picture.explanation.text()


def test_where_in_a_matrix_it_happened(qtbot: QtBot, theme: QPalette) -> None:
    bounds = np.array([0, 8, 16])
    changed = np.array([[[60, 2], [64, 0]]])
    view = TensorView("w", (16, 16), bounds, bounds, changed, np.array([8, 8]))
    tiles = TensorMap()
    qtbot.addWidget(tiles)
    tiles.resize(400, 300)
    tiles.show()
    tiles.show_view(view, None)
    assert_bright_is_changed(tiles.plot, theme.color(QPalette.ColorRole.Base))


@pytest.mark.parametrize("theme", ["dark"], indirect=True)
def test_on_paper_sub_models_have_the_colours_for_white(
    theme: QPalette, findings: Findings, tmp_path: Path
) -> None:
    write_pictures(findings, tmp_path)
    image = QImage(str(tmp_path / "agreement.png"))
    colours = {image.pixel(x, y) for x in range(0, image.width(), 4) for y in range(0, image.height(), 4)}
    for number in range(3):
        assert model_colour(number, palette(dark=False)).rgb() in colours
