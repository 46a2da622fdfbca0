"""The detail takes the shape of its room, and keeps nothing of models that are not shown any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from core import load_recipe, plan_merge
from core.deltas.findings import Findings
from core.deltas.preview import measure_plan
from core.deltas.tensor_view import view_tensor
from gui.pictures.detail import DetailPicture
from gui.pictures.detail_model import Column
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown

EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture(scope="module")
def findings(models: Path) -> Findings:
    return measure_plan(plan_merge(load_recipe(models / "recipe.yaml")))


@pytest.fixture
def detail(qtbot: QtBot, findings: Findings) -> Callable[[int, int], DetailPicture]:
    def show(width: int, height: int) -> DetailPicture:
        detail = DetailPicture(Selection())
        qtbot.addWidget(detail)
        detail.show_numbers(Shown(findings))
        detail.resize(width, height)
        with qtbot.waitExposed(detail):
            detail.show()
        return detail

    return show


def middles(detail: DetailPicture) -> list[tuple[int, int]]:
    """Of numbers, plots and map."""
    places = [part.geometry().center() for part in (detail.table, detail.plots, detail.map)]
    return [(place.x(), place.y()) for place in places]


def test_in_a_low_dock_the_parts_stand_beside_each_other(detail) -> None:
    shown = detail(900, 240)
    xs, ys = zip(*middles(shown)[:2], strict=True)
    assert sorted(xs) == list(xs)
    assert len(set(ys)) == 1
    assert not shown.map.isVisible()  # there is none, and no room for saying so
    assert "Choose one tensor" in shown.tensor_field.toolTip()


def test_in_a_tall_dock_they_stand_below_each_other(detail) -> None:
    shown = detail(400, 900)
    assert shown.width() == 400
    assert shown.minimumSizeHint().width() < 400
    _, ys = zip(*middles(shown), strict=True)
    assert sorted(ys) == list(ys)
    assert len(set(ys)) == 3
    for part in (shown.table, shown.plots, shown.map):
        assert part.width() > 0.8 * shown.width()


def test_the_shape_may_change_while_it_is_shown(qtbot: QtBot, detail) -> None:
    shown = detail(900, 240)
    shown.resize(420, 900)
    qtbot.waitUntil(lambda: shown.parts.orientation() == Qt.Orientation.Vertical)
    shown.resize(900, 240)
    qtbot.waitUntil(lambda: shown.parts.orientation() == Qt.Orientation.Horizontal)


@pytest.mark.parametrize(("width", "height"), [(400, 900), (700, 1300), (2000, 300), (900, 240)])
def test_no_room_is_left_empty(detail, width: int, height: int) -> None:
    shown = detail(width, height)
    rows = shown.table.verticalHeader().length() + shown.table.horizontalHeader().height()
    columns = shown.table.horizontalHeader().length()
    if shown.parts.is_tall:
        assert shown.table.height() - rows < 40
        assert shown.map.height() <= 100  # a sentence is in it
    else:
        assert shown.table.width() - columns < 40
        assert shown.map.width() <= 180
    used = sum(
        part.height() if shown.parts.is_tall else part.width()
        for part in (shown.table, shown.plots, shown.map)
        if part.isVisible()
    )
    assert used > (shown.parts.height() if shown.parts.is_tall else shown.parts.width()) - 40


def test_where_there_is_room_all_plots_are_shown(qtbot: QtBot, detail) -> None:
    shown = detail(700, 1300)
    assert [plot.isVisible() for plot in shown.plots.plots] == [True] * 4
    assert not shown.plot_field.isVisible()
    for plot in shown.plots.plots:
        assert plot.height() > 200
    assert len(shown.plots.sizes.steps) == 3  # each of them was drawn
    assert shown.plots.pairs.size_in_cells == (3, 3)
    shown.resize(700, 260)
    qtbot.waitUntil(lambda: [plot.isVisible() for plot in shown.plots.plots] == [True, False, False, False])
    assert shown.plot_field.isVisible()


def test_what_was_moved_by_hand_stays(detail) -> None:
    shown = detail(1000, 300)
    shown.parts.moveSplitter(300, 1)
    width = shown.table.width()
    shown.selection.select(column=1)
    assert shown.table.width() == width


def test_a_map_has_the_room_of_a_plot(qtbot: QtBot, detail, models: Path) -> None:
    shown = detail(1000, 300)
    shown.tensor_field.setCurrentIndex(shown.tensor_field.findData(EMBEDDING))
    shown.tensor_field.activated.emit(shown.tensor_field.currentIndex())
    shown.show_view(view_tensor(plan_merge(load_recipe(models / "recipe.yaml")), EMBEDDING))
    assert shown.map.shows_map
    qtbot.waitUntil(lambda: shown.map.width() > 200 and shown.plots.width() > 200)


def test_columns_of_which_nothing_is_known_are_left_out(detail) -> None:
    shown = detail(1000, 300)
    assert shown.table.isColumnHidden(Column.TAKEN)  # nothing was merged
    assert not shown.table.isColumnHidden(Column.ZERO)


def test_the_summary_is_read_whole(detail) -> None:
    shown = detail(760, 300)
    assert "…" not in "".join(shown.explanation.shown_lines)
    assert shown.explanation.text().startswith("8 tensors · ")


def test_nothing_is_kept_of_models_that_are_gone(detail, findings: Findings) -> None:
    shown = detail(900, 300)
    shown.selection.select(column=1, kind=1)
    assert "attention q" in shown._heading.text()
    wanted: list[str] = []
    shown.view_wanted.connect(wanted.append)
    shown.show_numbers(Shown())
    assert shown._heading.text() == "All modules"
    assert shown.explanation.text() == ""
    assert shown.accessibleDescription() == ""
    assert shown.tensor_field.count() == 0
    assert wanted[-1] == ""
    assert "select in a picture" in shown.sentence
    shown.show_numbers(Shown(replace(findings, models=("a", "b", "c"))))
    assert shown.explanation.text().endswith(" %")
    assert shown.table.model().index(0, 0).data() == "a"


@pytest.mark.parametrize("width", [330, 500])
def test_no_number_is_cut_at_the_edge_of_a_narrow_table(detail, width: int) -> None:
    shown = detail(width, 900)
    table = shown.table
    header = table.horizontalHeader()
    ends = [header.sectionViewportPosition(column) + header.sectionSize(column) for column in Column]
    assert header.length() > table.viewport().width()  # it has to be scrolled
    assert any(abs(end - table.viewport().width()) <= 1 for end in ends)
