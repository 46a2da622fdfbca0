"""The list of problems: where it has no room for all, and in which colours."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QRegion
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from gui.preflight.problem_list import ProblemList
from gui.preflight.report import Problem
from gui.widgets.theme import accent_of, apply_theme, palette

LONG = (
    "The tokenizer of run-2 has other entries than that of the base, and the merge takes that of the base. "
)


@pytest.fixture
def shown(qtbot: QtBot) -> ProblemList:
    problems = ProblemList()
    qtbot.addWidget(problems)
    problems.resize(400, 100)
    with qtbot.waitExposed(problems):
        problems.show()
    return problems


def test_paths_are_broken_and_numbers_are_not(shown: ProblemList) -> None:
    shown.show_problems([], [Problem("/models/run.one holds 1.35 MB", None, "out")], "")
    texts = [label.text() for label in shown.findChildren(QLabel)]
    assert "/\u200bmodels/\u200brun.\u200bone holds 1.35 MB" in texts


@pytest.mark.parametrize("lines", [3, 5])
def test_a_line_is_whole_or_not_there(qtbot: QtBot, shown: ProblemList, lines: int) -> None:
    shown.set_lines(lines)
    shown.show_problems([], [Problem(f"{n}: {LONG * (n % 3 + 1)}", LONG, "models") for n in range(6)], "")
    qtbot.wait(5)
    bar, view = shown.verticalScrollBar(), shown.viewport()
    assert bar.maximum() > 0
    cut = 0
    for value in range(0, bar.maximum() + 1, 5):
        bar.setValue(value)
        for label in view.findChildren(QLabel):
            count = round(label.height() / label.fontMetrics().lineSpacing())
            height = label.height() / count
            content = shown.widget()
            mask = QRegion(content.rect()) if content.mask().isEmpty() else content.mask()
            seen = mask.translated(QPoint() - label.mapTo(content, QPoint()))
            for at in range(count):
                line = QRect(0, round(at * height), label.width(), int(height))
                place = line.translated(label.mapTo(view, QPoint()))
                if view.rect().intersects(place) and not view.rect().contains(place):
                    cut += 1
                    assert not seen.intersects(line.adjusted(0, 2, 0, -2))
                elif view.rect().contains(place):
                    assert seen.contains(line.center())
    assert cut
    row = shown.links[0].parentWidget()
    assert row is not None
    assert LONG.strip() in row.toolTip().replace("\n", " ")


def test_the_way_to_a_problem_can_be_read_in_another_theme(shown: ProblemList) -> None:
    shown.show_problems([Problem("Choose the base model.", None, "base")], [], "")
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    for dark in (True, False):
        apply_theme(application, dark=dark)
        application.processEvents()
        (link,) = shown.links
        colour = link.palette().color(link.palette().ColorRole.ButtonText)
        assert colour == accent_of(palette(dark=dark))
