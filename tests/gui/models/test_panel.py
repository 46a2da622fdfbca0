"""Choosing models: the base, the list, K, and what is said of a folder that holds no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDragMoveEvent, QDropEvent, QFont
from PySide6.QtWidgets import QApplication, QLineEdit, QStyle, QStyleOptionViewItem
from pytestqt.qtbot import QtBot

import gui.models.panel
import gui.models.read_jobs
from core.methods import METHODS, MethodSpec
from gui.document.merge_setup import ModelChoice
from gui.jobs import JobKeeper
from gui.models.panel import ModelsPanel
from gui.models.summary import ModelSummary
from gui.models.table_model import Column
from gui.widgets.theme import GRID

Drop = Callable[..., None]
ALT = Qt.KeyboardModifier.AltModifier
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelsPanel]:
    monkeypatch.chdir(tmp_path)
    jobs = JobKeeper()
    panel = ModelsPanel(jobs)
    qtbot.addWidget(panel)
    panel.resize(420, 330)
    panel.show()
    qtbot.waitExposed(panel)
    yield panel
    jobs.stop_all()


@pytest.fixture
def three(qtbot: QtBot, panel: ModelsPanel, models: Path) -> ModelsPanel:
    """A panel with three sub-models, their headers read."""
    panel.add_sub_models([models / f"run-{number}" for number in (1, 2, 3)])
    qtbot.waitUntil(lambda: len(panel.summaries()) == 3)
    return panel


def names(panel: ModelsPanel) -> list[str]:
    return [choice.folder.name for choice in panel.choices()]


def taking_part(panel: ModelsPanel) -> list[str]:
    """The rows that are not greyed."""
    model = panel.sub_models_model
    role = Qt.ItemDataRole.ForegroundRole
    return [name for row, name in enumerate(names(panel)) if model.index(row, Column.NAME).data(role) is None]


def cell(panel: ModelsPanel, row: int, column: Column) -> str:
    return panel.sub_models_model.index(row, column).data()


def click(qtbot: QtBot, panel: ModelsPanel, row: int, column: Column = Column.NAME) -> None:
    area = panel.table.visualRect(panel.sub_models_model.index(row, column))
    qtbot.mouseClick(panel.table.viewport(), LEFT, pos=area.center())


def click_check_box(qtbot: QtBot, panel: ModelsPanel, row: int) -> None:
    index = panel.sub_models_model.index(row, Column.NAME)
    option = QStyleOptionViewItem()
    panel.table.itemDelegateForIndex(index).initStyleOption(option, index)
    option.rect = panel.table.visualRect(index)
    box = panel.style().subElementRect(QStyle.SubElement.SE_ItemViewItemCheckIndicator, option, panel.table)
    qtbot.mouseClick(panel.table.viewport(), LEFT, pos=box.center())


def counted(panel: ModelsPanel) -> list[None]:
    """Grows by one with each `changed`."""
    told: list[None] = []
    panel.changed.connect(lambda: told.append(None))
    return told


# -- the list


def test_added_folders_are_read(three: ModelsPanel) -> None:
    assert names(three) == ["run-1", "run-2", "run-3"]
    assert cell(three, 0, Column.TYPE) == "bf16"
    assert cell(three, 0, Column.PARAMETERS).endswith("K")
    assert three.k_box.text() == "3 of 3"


def test_the_same_folder_comes_in_once(three: ModelsPanel, models: Path) -> None:
    notes: list[str] = []
    three.note_given.connect(notes.append)
    three.add_sub_models([models / "run-2"])
    assert len(three.choices()) == 3
    assert notes == ["run-2 is in the list already"]


def test_a_click_on_the_check_box_takes_a_model_out(qtbot: QtBot, three: ModelsPanel) -> None:
    click_check_box(qtbot, three, 1)
    assert [choice.enabled for choice in three.choices()] == [True, False, True]
    assert taking_part(three) == ["run-1", "run-3"]
    assert three.k_box.text() == "2 of 2"
    click_check_box(qtbot, three, 1)
    assert three.k_box.text() == "3 of 3"


def test_the_space_key_ticks_all_selected(qtbot: QtBot, three: ModelsPanel) -> None:
    three.table.select_rows([0, 2])
    three.table.setFocus()
    qtbot.keyClick(three.table, Qt.Key.Key_Space)
    assert taking_part(three) == ["run-2"]
    qtbot.keyClick(three.table, Qt.Key.Key_Space)
    assert taking_part(three) == ["run-1", "run-2", "run-3"]


def test_the_first_k_take_part(three: ModelsPanel) -> None:
    three.k_box.setValue(2)
    assert taking_part(three) == ["run-1", "run-2"]
    three.table.select_rows([0])
    three.enable_selected(False)
    assert taking_part(three) == ["run-2", "run-3"]
    assert three.k_box.text() == "2 of 2"


def test_only_the_selected_take_part(three: ModelsPanel) -> None:
    three.table.select_rows([0, 2])
    three.enable_only_selected()
    assert taking_part(three) == ["run-1", "run-3"]
    assert three.table.selected_rows() == [0, 2]


def test_no_model_is_no_k(three: ModelsPanel) -> None:
    three.table.selectAll()
    three.enable_selected(False)
    assert (three.k, three.k_box.isEnabled()) == (0, False)
    three.remove_selected()
    assert (three.choices(), three.k) == ((), 0)


def test_keys_move_and_remove_rows(qtbot: QtBot, three: ModelsPanel) -> None:
    three.table.select_rows([1, 2])
    three.table.setFocus()
    qtbot.keyClick(three.table, Qt.Key.Key_Up, ALT)
    assert names(three) == ["run-2", "run-3", "run-1"]
    assert three.table.selected_rows() == [0, 1]
    assert not three.actions_.up.isEnabled()
    qtbot.keyClick(three.table, Qt.Key.Key_Down, ALT)
    assert names(three) == ["run-1", "run-2", "run-3"]
    qtbot.keyClick(three.table, Qt.Key.Key_Delete)
    assert names(three) == ["run-1"]
    assert three.table.selected_rows() == [0]


def test_rows_are_dragged(three: ModelsPanel) -> None:
    table, model = three.table, three.sub_models_model
    mime = model.mimeData([model.index(0, 0)])
    low = table.visualRect(model.index(2, 0)).bottomLeft() - QPoint(0, 2)
    move, keys = Qt.DropAction.MoveAction, Qt.KeyboardModifier.NoModifier
    for event in (
        QDragEnterEvent(low, move, mime, LEFT, keys),
        QDragMoveEvent(low, move, mime, LEFT, keys),
        QDropEvent(QPointF(low), move, mime, LEFT, keys),
    ):
        event.ignore()
        QApplication.sendEvent(table.viewport(), event)
        assert event.isAccepted()
    assert names(three) == ["run-2", "run-3", "run-1"]


def test_moving_a_row_decides_who_takes_part(three: ModelsPanel) -> None:
    three.k_box.setValue(1)
    three.table.select_rows([2])
    three.move_selected(-2)
    assert taking_part(three) == ["run-3"]
    three.move_selected(2)
    assert taking_part(three) == ["run-1"]


@pytest.mark.parametrize(
    ("typed", "weight"), [("0.25", 0.25), ("2,5", 1), ("1e-3", 0.001), ("-1", 1), ("many", 1), ("", 1)]
)
def test_a_weight_is_typed(qtbot: QtBot, three: ModelsPanel, typed: str, weight: float) -> None:
    click(qtbot, three, 1, Column.WEIGHT)
    qtbot.keyClick(three.table, Qt.Key.Key_F2)
    type_weight(qtbot, three, typed)
    assert [choice.weight for choice in three.choices()] == [1, weight, 1]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_weight_is_what_the_method_takes(qtbot: QtBot, three: ModelsPanel, method: MethodSpec) -> None:
    three.set_method(method)
    weight = method.parameter("weight")
    assert three.table.isColumnHidden(Column.WEIGHT) == (weight is None)
    three.table.select_rows([1])
    assert three.actions_.weight.isVisible() == three.actions_.weight.isEnabled() == (weight is not None)
    if weight is None:
        three.table.edit_weight()
        assert three.table.findChild(QLineEdit) is None
        return
    header = three.sub_models_model.headerData(
        Column.WEIGHT, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
    )
    assert weight.help in header
    assert ("At least 0" in header) == (weight.minimum == 0)
    notes: list[str] = []
    three.note_given.connect(notes.append)
    three.actions_.weight.trigger()
    type_weight(qtbot, three, "-1")
    assert three.choices()[1].weight == (1 if weight.minimum == 0 else -1)
    assert notes == (["Weight is at least 0."] if weight.minimum == 0 else [])


def test_k_is_what_the_method_takes(three: ModelsPanel) -> None:
    two_or_more = replace(METHODS["slerp"], name="made up", least_models=2, most_models=None)
    three.k_box.setValue(2)
    for method, lowest, highest, k in (
        (METHODS["slerp"], 1, 1, 1),
        (METHODS["linear"], 1, 3, 2),
        (two_or_more, 2, 3, 2),
        (replace(two_or_more, least_models=4), 3, 3, 3),
        (METHODS["linear"], 1, 3, 2),
    ):
        three.set_method(method)
        assert (three.k_box.minimum(), three.k_box.maximum(), three.k_box.value()) == (lowest, highest, k)
        assert three.k == k
        assert (method.models_text() in three.k_box.toolTip()) == (method.name != "linear")


def test_all_take_part_again_after_a_method_that_takes_one(three: ModelsPanel, models: Path) -> None:
    three.set_method(METHODS["slerp"])
    assert taking_part(three) == ["run-1"]
    assert (
        three.sub_models_model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole).endswith("Takes no part: K is 1")
    )
    three.set_method(METHODS["linear"])
    assert taking_part(three) == ["run-1", "run-2", "run-3"]


def test_a_weight_is_for_all_selected(qtbot: QtBot, three: ModelsPanel) -> None:
    three.table.select_rows([0, 1])
    told = counted(three)
    three.actions_.weight.trigger()
    type_weight(qtbot, three, "0.5")
    assert [choice.weight for choice in three.choices()] == [0.5, 0.5, 1]
    assert len(told) == 1


def type_weight(qtbot: QtBot, panel: ModelsPanel, text: str) -> None:
    editor = panel.table.findChild(QLineEdit)
    assert editor is not None
    editor.selectAll()
    qtbot.keyClick(editor, Qt.Key.Key_Delete)
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: panel.table.findChild(QLineEdit) is None)


def test_the_context_menu_does_what_the_keys_do(three: ModelsPanel) -> None:
    texts = [action.text() for action in three.table.actions() if not action.isSeparator()]
    assert {"Take part", "Make this the base", "Set weight…", "Open folder", "Remove"} < set(texts)
    assert not three.actions_.remove.isEnabled()
    three.table.select_rows([1])
    assert three.actions_.toggle.isChecked()
    three.actions_.toggle.trigger()
    assert taking_part(three) == ["run-1", "run-3"]
    assert not three.actions_.toggle.isChecked()


def test_the_folder_of_a_model_is_opened(
    three: ModelsPanel, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    three.table.select_rows([1])
    three.actions_.open.trigger()
    assert [Path(url.toLocalFile()) for url in opened] == [models / "run-2"]


# -- the base


def test_a_sub_model_becomes_the_base(qtbot: QtBot, three: ModelsPanel, models: Path) -> None:
    three.table.select_rows([1])
    three.enable_selected(True)
    told = counted(three)
    three.make_selected_the_base()
    assert (three.base_folder, names(three)) == (models / "run-2", ["run-1", "run-3"])
    three.table.select_rows([0])
    three.make_selected_the_base()
    assert (three.base_folder, names(three)) == (models / "run-1", ["run-2", "run-3"])
    assert len(told) == 2


def test_the_base_is_shown_and_taken_out(qtbot: QtBot, panel: ModelsPanel, models: Path) -> None:
    panel.set_base(models / "base")
    qtbot.waitUntil(lambda: "bf16" in panel.base.accessibleName())
    assert panel.base.toolTip().startswith(str(models / "base"))
    qtbot.mouseClick(panel.base.clear_button, LEFT)
    assert panel.base_folder is None
    assert "No base" in panel.base.accessibleName()
    assert not panel.base.clear_button.isVisible()


def test_dialogs_begin_where_the_last_one_ended(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path] = []

    def choose(parent: object, title: str, start: Path) -> Path:
        begun.append(start)
        return models / "base"

    monkeypatch.setattr(gui.models.panel, "choose_folder", choose)
    qtbot.mouseClick(panel.base.choose_button, LEFT)
    panel.ask_for_base()
    assert begun == [tmp_path, models]
    assert panel.base_folder == models / "base"


# -- what the window sets and asks


def test_applying_sets_all_at_once(qtbot: QtBot, three: ModelsPanel, models: Path) -> None:
    told, before = counted(three), three.summaries()
    choices = [ModelChoice(models / "run-3", 0.5), ModelChoice(models / "run-1", enabled=False)]
    three.table.select_rows([2])
    three.apply(models / "base", choices, 1)
    assert (three.base_folder, three.choices(), three.k) == (models / "base", tuple(choices), 1)
    assert len(told) == 1
    assert three.table.selected_rows() == [0]  # the same model
    assert three.summaries()[models / "run-3"] is before[models / "run-3"]  # known, not read again
    qtbot.waitUntil(lambda: len(three.summaries()) == 3)
    three.apply(models / "base", choices, 1)
    assert len(told) == 1


def test_refreshing_reads_what_changed_on_the_disk(qtbot: QtBot, panel: ModelsPanel, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    panel.add_sub_models([folder])
    qtbot.waitUntil(lambda: folder in panel.summaries())
    folder.rmdir()
    with qtbot.waitSignal(panel.summaries_changed):
        panel.refresh()
    problem = panel.summaries()[folder].problem
    assert problem is not None
    assert "does not exist" in problem.message


def test_a_model_that_does_not_fit_is_told_when_it_is_selected(
    qtbot: QtBot, three: ModelsPanel, models: Path
) -> None:
    fitting, odd, broken = (models / f"run-{number}" for number in (1, 2, 3))
    three.set_states({fitting: None, odd: "Its vocabulary is larger.", broken: "It is another kind."})
    assert [cell(three, row, Column.STATE) for row in range(3)] == ["✓", "!", "!"]
    click(qtbot, three, 2)
    assert three.message.text == "It is another kind."
    click(qtbot, three, 1)
    assert three.message.text == "Its vocabulary is larger."
    three.set_states({})
    assert three.message.text == ""
    assert cell(three, 1, Column.STATE) == ""


def test_a_folder_without_a_model_is_told_inline(qtbot: QtBot, panel: ModelsPanel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    panel.add_sub_models([tmp_path / "empty"])
    qtbot.waitUntil(lambda: panel.message.text != "")
    assert "holds no model" in panel.message.text
    assert "config.json" in panel.message.text  # the hint
    assert cell(panel, 0, Column.STATE) == "!"
    panel.table.selectAll()
    panel.remove_selected()
    assert panel.message.text == ""


def test_a_model_is_shown(three: ModelsPanel, models: Path) -> None:
    three.show_model(models / "run-3")
    assert three.table.selected_rows() == [2]
    assert QApplication.focusWidget() is three.table
    three.apply(models / "base", three.choices(), 3)
    three.show_model(models / "base")
    assert QApplication.focusWidget() is three.base.choose_button


def test_hundreds_of_models_are_told_in_few_signals(
    qtbot: QtBot, panel: ModelsPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        gui.models.read_jobs,
        "read_summary",
        lambda folder: ModelSummary(folder, folder.name, 1, ("BF16",), 2),
    )
    told, learnt, painted = counted(panel), [], []
    panel.summaries_changed.connect(lambda: learnt.append(None))
    panel.sub_models_model.dataChanged.connect(lambda *_: painted.append(None))
    folders = [tmp_path / f"model-{number}" for number in range(500)]
    panel.add_sub_models(folders)
    qtbot.waitUntil(lambda: len(panel.summaries()) == 500)
    assert len(told) == 1
    assert len(learnt) < 50
    assert len(painted) < 60
    assert panel.k_box.text() == "500 of 500"


@pytest.mark.parametrize("scale", [1, 1.5])
def test_numbers_are_never_cut(qtbot: QtBot, three: ModelsPanel, scale: float) -> None:
    font = QFont(three.font())
    font.setPointSizeF(font.pointSizeF() * scale)
    three.setFont(font)
    table = three.table
    metrics = table.fontMetrics()
    for column, widest in (
        (Column.WEIGHT, "0.125"),
        (Column.PARAMETERS, "13.02 B"),
        (Column.TYPE, "bf16 +1"),
        (Column.SIZE, "26.0 GB"),
    ):
        room = table.columnWidth(column)
        assert table.isColumnHidden(column) or room > metrics.horizontalAdvance(widest) + GRID // 2
    assert table.columnWidth(Column.NAME) > metrics.horizontalAdvance("run-1") + 3 * GRID
    three.resize(900, 330)
    assert not any(table.isColumnHidden(column) for column in Column)
