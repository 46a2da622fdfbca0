"""Sentences above and below pictures keep their room, and are read whole as far as it goes."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from gui.widgets.wrapped import WrappedLabel

LONG = (
    "Share of parameters left on a zero delta in layer 3. Rings: expected. Dots: counted by the merge. " * 4
)


@pytest.fixture
def label(qtbot: QtBot) -> WrappedLabel:
    label = WrappedLabel()
    qtbot.addWidget(label)
    label.resize(420, 100)
    with qtbot.waitExposed(label):
        label.show()
    return label


def test_the_height_is_that_of_two_lines_whatever_is_said(label: WrappedLabel) -> None:
    heights = set()
    for text in ("", "Short.", LONG):
        label.setText(text)
        label.resize(420, 100)
        heights.add((label.height(), label.sizeHint().height()))
    assert heights == {(2 * label.fontMetrics().lineSpacing(),) * 2}


def test_a_wide_label_has_one_line(label: WrappedLabel) -> None:
    label.resize(3000, 100)
    assert label.height() == label.fontMetrics().lineSpacing()


def test_what_fits_into_two_lines_is_there_word_for_word(label: WrappedLabel) -> None:
    label.setText(LONG[:97].strip())
    assert len(label.shown_lines) == 2
    assert " ".join(label.shown_lines) == label.text()
    assert all(label.fontMetrics().horizontalAdvance(line) <= label.width() for line in label.shown_lines)
    assert label.toolTip() == ""


def test_what_does_not_fit_is_in_the_tool_tip(label: WrappedLabel) -> None:
    label.setText(LONG)
    assert label.shown_lines[-1].endswith("…")
    assert label.toolTip() == label.text()
    label.resize(3000, 100)
    assert label.toolTip() == ""


def test_a_name_without_spaces_is_broken(label: WrappedLabel) -> None:
    label.setText("w" * 70)
    first, second = label.shown_lines
    assert label.fontMetrics().horizontalAdvance(first) <= label.width()
    assert first
    assert second


def test_it_is_painted_where_it_is_said_to_be(label: WrappedLabel) -> None:
    label.setText("")
    empty = label.grab().toImage()
    label.setText("Short.")
    assert label.grab().toImage() != empty


def test_on_paper_all_of_it_is_shown(label: WrappedLabel) -> None:
    label.setText(LONG)
    label.show_whole(True)
    assert " ".join(label.shown_lines) == label.text().strip()
    assert label.sizeHint().height() == len(label.shown_lines) * label.fontMetrics().lineSpacing()
    label.show_whole(False)
    assert len(label.shown_lines) == 2


def test_one_that_grows_takes_its_second_line_when_it_needs_it_and_keeps_it(label: WrappedLabel) -> None:
    line = label.fontMetrics().lineSpacing()
    label.set_growing(True)
    label.setText("Short.")
    assert label.height() == line
    label.setText(LONG)
    assert label.height() == 2 * line
    assert len(label.shown_lines) == 2
    label.setText("Short.")
    assert label.height() == 2 * line
    label.resize(430, 100)
    assert label.height() == line


def test_a_name_with_signs_that_are_two_units_long_is_broken_where_it_ends(label: WrappedLabel) -> None:
    label.setText("🦙" * 40 + " and more words than there is room for in one line of this label")
    assert all(label.fontMetrics().horizontalAdvance(line) <= label.width() for line in label.shown_lines)
