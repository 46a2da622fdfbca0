"""Keys lead to every cell of a map that holds something."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui.pictures.heat_map import HeatMap
from gui.pictures.scales import share_scale

ARROWS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down)


class Walked(HeatMap):
    """A map that selects what is chosen, as the pictures do."""

    def __init__(self, qtbot: QtBot, filled: np.ndarray) -> None:
        super().__init__("Map", "Layer")
        qtbot.addWidget(self)
        self.at: tuple[int, int] | None = None
        self.chosen.connect(self._go_to)
        self.fill(filled)

    def fill(self, filled: np.ndarray) -> None:
        """`filled`: which cells hold something. [rows, columns]"""
        values = np.where(filled.T, 50.0, np.nan)
        columns, rows = ([str(number) for number in range(count)] for count in values.shape)
        self.show_cells(values, columns, rows, share_scale(values, "%"))

    def _go_to(self, cell: tuple[int, int]) -> None:
        self.at = cell
        self.select(*cell)

    def after(self, *keys: Qt.Key) -> tuple[int, int] | None:
        for key in keys:
            QTest.keyClick(self, key)
        return self.at


def reached_from(plot: Walked, start: tuple[int, int]) -> set[tuple[int, int]]:
    found, left = {start}, [start]
    while left:
        cell = left.pop()
        for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            plot.select(*cell)
            plot.at = None
            plot.go(right, down)
            if plot.at is not None and plot.at not in found:
                found.add(plot.at)
                left.append(plot.at)
    return found


def test_every_cell_of_any_map_can_be_gone_to_from_every_other(qtbot: QtBot) -> None:
    generator = np.random.default_rng(7)
    plot = Walked(qtbot, np.zeros((1, 1), bool))
    maps = 0
    while maps < 20:
        filled = generator.random(generator.integers(1, 6, 2)) < generator.random()
        cells = {(int(column), int(row)) for row, column in np.argwhere(filled)}
        if len(cells) < 2:
            continue
        maps += 1
        plot.fill(filled)
        for start in cells:
            assert reached_from(plot, start) == cells, filled
        plot.select(None, None)
        assert plot.after(Qt.Key.Key_Right) in cells


def test_no_cell_is_a_dead_end(qtbot: QtBot) -> None:
    """Embeddings before the layers and a head behind them share no row and no column with anything."""
    filled = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    plot = Walked(qtbot, filled)
    assert plot.after(Qt.Key.Key_Down) == (0, 0)
    assert plot.after(Qt.Key.Key_Right) == (1, 1)
    assert plot.after(Qt.Key.Key_Right, Qt.Key.Key_Right) == (3, 3)
    assert plot.after(Qt.Key.Key_Right, Qt.Key.Key_Down) == (3, 3)
    assert plot.after(Qt.Key.Key_Up) == (2, 2)
    assert plot.after(Qt.Key.Key_Up, Qt.Key.Key_Up) == (0, 0)


@pytest.mark.parametrize(
    ("key", "end"),
    [
        (Qt.Key.Key_Home, (1, 2)),
        (Qt.Key.Key_End, (3, 2)),
        (Qt.Key.Key_PageUp, (2, 1)),
        (Qt.Key.Key_PageDown, (2, 3)),
    ],
)
def test_the_ends_of_a_row_and_a_column(qtbot: QtBot, key: Qt.Key, end: tuple[int, int]) -> None:
    filled = np.array(
        [[1, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1]], bool
    )
    plot = Walked(qtbot, filled)
    plot.select(2, 2)
    assert plot.after(key) == end
    assert plot.after(key) == end


def test_keys_that_go_along_a_row_skip_what_is_empty(qtbot: QtBot) -> None:
    plot = Walked(qtbot, np.array([[1, 0, 0, 1], [0, 1, 1, 0]], bool))
    plot.select(0, 0)
    assert plot.after(Qt.Key.Key_Right) == (3, 0)
    assert plot.after(Qt.Key.Key_Down) == (2, 1)


def test_a_map_of_nothing_is_gone_through_without_harm(qtbot: QtBot) -> None:
    plot = Walked(qtbot, np.zeros((2, 2), bool))
    assert plot.after(*ARROWS, Qt.Key.Key_Home, Qt.Key.Key_End) is None
    plot.select(1, None)
    assert plot.after(*ARROWS, Qt.Key.Key_PageDown) is None
