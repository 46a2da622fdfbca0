"""When the theme changes, what stands for a sub-model has its colour in the new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QSize
from PySide6.QtGui import QColor, QIcon
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core import load_recipe, plan_merge
from core.deltas.findings import Findings
from core.deltas.preview import measure_plan
from gui.pictures.agreement import AgreementPicture
from gui.pictures.detail import DetailPicture
from gui.pictures.picture import Picture
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown
from gui.pictures.zero_deltas import ZeroDeltasPicture
from gui.widgets.theme import apply_theme, model_colour


@pytest.fixture(scope="module")
def findings(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


@pytest.fixture
def application(qapp: QApplication) -> Iterator[QApplication]:
    before, style = qapp.palette(), qapp.style().objectName()
    apply_theme(qapp)
    yield qapp
    qapp.setStyle(style)
    qapp.setPalette(before)


def shown(qtbot: QtBot, picture: Picture, findings: Findings) -> None:
    qtbot.addWidget(picture)
    picture.resize(820, 480)
    picture.show_numbers(Shown(findings))
    picture.show()


def middle(icon: QIcon) -> QColor:
    return icon.pixmap(QSize(16, 16)).toImage().pixelColor(8, 8)


def test_sub_models_take_the_colours_of_the_new_theme(
    qtbot: QtBot, application: QApplication, findings: Findings
) -> None:
    selection = Selection()
    zero, detail, agreement = (
        kind(selection) for kind in (ZeroDeltasPicture, DetailPicture, AgreementPicture)
    )
    detail.set_in_front(True)
    for picture in (zero, detail, agreement):
        shown(qtbot, picture, findings)
    selection.select(column=1, kind=1)
    seen = []
    for dark in (False, True, False):
        apply_theme(application, dark=dark)
        QCoreApplication.processEvents()
        expected = [model_colour(number) for number in range(3)]
        assert [middle(zero.show_field.itemIcon(2 + number)) for number in range(3)] == expected
        names = [detail.table.model().index(number, 0) for number in range(3)]
        assert [middle(index.data(1)) for index in names] == expected
        assert [brush.color() for brush in agreement.plot.discs._brushes] == expected
        seen.append(expected[0])
    assert seen[0] != seen[1]
