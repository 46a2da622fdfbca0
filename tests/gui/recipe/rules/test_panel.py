"""The table of rules as a person uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QAbstractItemView, QApplication, QComboBox, QLineEdit, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from core import load_recipe
from gui.document.merge_setup import MergeSetup, ModelChoice, Rule
from gui.document.opening import setup_of_recipe
from gui.document.recipe_files import save_recipe
from gui.document.undo import UndoHistory
from gui.jobs import JobKeeper
from gui.recipe.panel import RecipePanel
from gui.recipe.rules.table_model import Column
from gui.settings import Settings

BASE, ONE, TWO, THREE = (Path(f"/models/{name}") for name in ("base", "run-1", "run-2", "run-3"))
SETUP = MergeSetup(
    "parameter_selection",
    BASE,
    tuple(ModelChoice(folder) for folder in (ONE, TWO, THREE)),
    2,
    {"resamples": 4},
    seed=7,
)
NAMES = (
    "model.embed_tokens.weight",
    *(
        f"model.layers.{layer}.{part}.weight"
        for layer in range(12)
        for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
    ),
    "model.norm.weight",
)


def of_layers(first: int, last: int, value: Any = (8,)) -> tuple[Rule, ...]:
    return tuple(Rule("resamples", None, f"model.layers.{at}.", value) for at in range(first, last + 1))


@pytest.fixture
def jobs(qapp: QApplication) -> Iterator[JobKeeper]:
    keeper = JobKeeper()
    yield keeper
    for window in QApplication.topLevelWidgets():
        window.hide()
    keeper.stop_all()


@pytest.fixture
def panel(qtbot: QtBot, jobs: JobKeeper, settings: Settings) -> RecipePanel:
    """Of SETUP, with the tensors known and the rules unfolded."""
    panel = RecipePanel(jobs, settings)
    qtbot.addWidget(panel)
    panel.resize(420, 900)
    panel.apply(SETUP)
    panel.show_tensors(NAMES)
    panel.show()
    qtbot.mouseClick(panel.rules_fold.button, Qt.MouseButton.LeftButton)
    panel.activateWindow()
    return panel


def read(panel: RecipePanel) -> MergeSetup:
    return panel.read_into(SETUP)


def editor(panel: RecipePanel) -> QLineEdit:
    """The open one."""
    edits = [edit for edit in panel.rules.table.findChildren(QLineEdit) if edit.isVisible()]
    assert len(edits) == 1
    return edits[0]


def is_editing(panel: RecipePanel) -> bool:
    return panel.rules.table.state() == QAbstractItemView.State.EditingState


def press(qtbot: QtBot, panel: RecipePanel, key: Qt.Key) -> None:
    """A key, in the editor that is open."""
    qtbot.keyClick(editor(panel), key)
    QApplication.processEvents()  # Qt takes what was typed a moment later


def type_into(qtbot: QtBot, panel: RecipePanel, text: str, key: Qt.Key = Qt.Key.Key_Return) -> None:
    edit = editor(panel)
    edit.selectAll()
    qtbot.keyClick(edit, Qt.Key.Key_Backspace)
    qtbot.keyClicks(edit, text)
    press(qtbot, panel, key)


def add(qtbot: QtBot, panel: RecipePanel, where: str, value: str) -> None:
    """A rule, from the keyboard but for one click."""
    qtbot.mouseClick(panel.rules.add_button, Qt.MouseButton.LeftButton)
    type_into(qtbot, panel, where, Qt.Key.Key_Tab)
    type_into(qtbot, panel, value)


def choose(qtbot: QtBot, panel: RecipePanel, row: int, column: Column, text: str) -> None:
    """Choose from the list that opens in the cell."""
    panel.rules.table.select_row(row, column)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    box = next(box for box in panel.rules.table.findChildren(QComboBox) if box.isVisible())
    qtbot.waitUntil(lambda: box.view().isVisible())
    at = box.findText(text)
    assert at >= 0
    while box.view().currentIndex().row() != at:
        down = box.view().currentIndex().row() < at
        qtbot.keyClick(box.view(), Qt.Key.Key_Down if down else Qt.Key.Key_Up)
    qtbot.keyClick(box.view(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not is_editing(panel))


def column(panel: RecipePanel, column: Column) -> list[str]:
    model = panel.rules.model
    return [model.index(row, column).data() for row in range(model.rowCount())]


def tip(panel: RecipePanel, row: int) -> str:
    return panel.rules.model.index(row, Column.TENSORS).data(Qt.ItemDataRole.ToolTipRole)


def test_without_rules_there_is_a_sentence_and_a_button(
    qtbot: QtBot, jobs: JobKeeper, settings: Settings
) -> None:
    panel = RecipePanel(jobs, settings)
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.rules_fold.unfolded
    assert not panel.rules_fold.summary_label.isVisible()
    qtbot.mouseClick(panel.rules_fold.button, Qt.MouseButton.LeftButton)
    assert panel.rules.invitation.text() == "Give some tensors another n or weight than the rest."
    visible = [widget for widget in panel.rules.findChildren(QWidget) if widget.isVisible()]
    assert visible == [panel.rules.invitation, panel.rules.add_button]
    panel.method_box.setCurrentIndex(panel.method_box.findData("linear"))
    assert panel.rules.invitation.text() == "Give some tensors another weight than the rest."


def test_a_rule_is_added_by_typing(qtbot: QtBot, panel: RecipePanel) -> None:
    told: list[tuple[Rule, ...]] = []
    panel.changed.connect(lambda: told.append(read(panel).rules))
    add(qtbot, panel, "mlp", "9")
    assert told == [
        (Rule("resamples", None, "", (4,)),),  # the form's value: nothing is another yet
        (Rule("resamples", None, "mlp", (4,)),),
        (Rule("resamples", None, "mlp", (9,)),),
    ]
    assert column(panel, Column.TENSORS) == ["24"]
    lines = tip(panel, 0).splitlines()
    assert lines[0] == "24 tensors:"
    assert lines[1:11] == [name for name in NAMES if "mlp" in name][:10]
    assert lines[11:] == ["and 14 more"]
    assert panel.rules.message_label.text() == ""


def test_layers_are_typed_and_come_back_from_a_file(qtbot: QtBot, panel: RecipePanel, tmp_path: Path) -> None:
    panel.parameters.fields["resamples"].show_number(4)
    add(qtbot, panel, "layers 4-7", "8")
    add(qtbot, panel, "layers 9-11", "0, 6")
    rules = (*of_layers(4, 7), *of_layers(9, 11, (0, 6)))
    assert read(panel).rules == rules
    assert column(panel, Column.TENSORS) == ["16", "12"]
    setup = replace(read(panel), models=SETUP.models[:2])
    save_recipe(setup.recipe(), tmp_path / "recipe.yaml")
    opened = setup_of_recipe(load_recipe(tmp_path / "recipe.yaml"), setup)
    assert opened == setup
    panel.apply(MergeSetup.empty(setup))
    assert column(panel, Column.WHERE) == []
    panel.apply(opened)
    assert len(column(panel, Column.WHERE)) == 7  # the names are another model's, until they are known
    panel.show_tensors(NAMES)
    assert column(panel, Column.WHERE) == ["layers 4-7", "layers 9-11"]
    assert column(panel, Column.VALUE) == ["8", "0 … 6"]
    assert read(panel).rules == rules


def test_a_gradient_says_where_it_begins_and_ends(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "attn", "1, 4, 2")
    assert read(panel).rules == (Rule("resamples", None, "attn", (1, 4, 2)),)
    assert column(panel, Column.VALUE) == ["1 … 4 … 2"]
    assert "1 in the model's first layer, 2 in its last" in tip(panel, 0)
    panel.rules.table.select_row(0, Column.VALUE)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    assert editor(panel).text() == "1, 4, 2"


def test_bad_input_stays_in_the_cell_with_the_reason(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "mlp", "101")
    message = panel.rules.message_label
    assert is_editing(panel)
    assert (editor(panel).text(), editor(panel).toolTip()) == ("101", message.text())
    assert message.text() == "The value is at most 100."
    assert read(panel).rules == (Rule("resamples", None, "mlp", (4,)),)
    press(qtbot, panel, Qt.Key.Key_Backspace)
    assert message.text() == ""
    press(qtbot, panel, Qt.Key.Key_Return)
    assert read(panel).rules == (Rule("resamples", None, "mlp", (10,)),)


@pytest.mark.parametrize("leave", ["field", "row"])
def test_bad_input_that_is_left_stays_and_stands_in_the_way(
    qtbot: QtBot, panel: RecipePanel, leave: str
) -> None:
    add(qtbot, panel, "mlp", "9")
    add(qtbot, panel, "attn", "3")
    panel.rules.table.select_row(0, Column.WHERE)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    editor(panel).selectAll()
    place = panel.precision_fold.geometry()
    qtbot.keyClicks(editor(panel), "layer 99")
    if leave == "field":
        panel.seed.edit.setFocus()
    else:
        cell = panel.rules.table.visualRect(panel.rules.model.index(1, Column.VALUE))
        qtbot.mouseClick(panel.rules.table.viewport(), Qt.MouseButton.LeftButton, pos=cell.center())
    reason = "There is no layer 99: they are numbered from 0 to 11."
    assert column(panel, Column.WHERE) == ["mlp", "attn"]
    assert panel.rules.message_label.text() == reason
    assert editor(panel).text() == "layer 99"
    assert read(panel).unread["rules"].sentence == f"Rule 1: {reason}"
    assert panel.precision_fold.geometry() == place
    panel.seed.edit.setFocus()
    assert panel.show_field("rules")
    assert QApplication.focusWidget() is editor(panel)
    type_into(qtbot, panel, "layer 9")
    assert column(panel, Column.WHERE) == ["layer 9", "attn"]
    assert read(panel).unread == {}


def test_what_is_not_taken_goes_with_escape_undo_and_its_row(qtbot: QtBot, panel: RecipePanel) -> None:
    for end in ("escape", "undo", "remove"):
        add(qtbot, panel, "mlp", "9")
        before = read(panel)
        panel.rules.table.select_row(0, Column.VALUE)
        qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
        type_into(qtbot, panel, "nine")
        assert "rules" in read(panel).unread
        if end == "escape":
            press(qtbot, panel, Qt.Key.Key_Escape)
        elif end == "undo":
            panel.apply(before)
        else:
            panel.rules.remove.trigger()
            QApplication.processEvents()
        assert read(panel).unread == {}
        panel.rules.model.remove(0) if end != "remove" else None


def test_escape_leaves_the_cell_as_it_was(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "mlp", "9")
    panel.rules.table.select_row(0, Column.VALUE)
    qtbot.keyClicks(panel.rules.table, "x")
    type_into(qtbot, panel, "x")
    assert panel.rules.message_label.isVisible()
    press(qtbot, panel, Qt.Key.Key_Escape)
    assert panel.rules.message_label.text() == ""
    assert column(panel, Column.VALUE) == ["9"]


def test_layers_that_could_not_be_typed_now_may_stay(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "layers 4-7", "9")
    panel.show_models(replace(SETUP, base=Path("/models/other")))
    assert column(panel, Column.TENSORS) == ["–"]
    panel.rules.table.select_row(0, Column.WHERE)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    press(qtbot, panel, Qt.Key.Key_Return)
    assert not is_editing(panel)
    assert read(panel).rules == of_layers(4, 7, (9,))
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    type_into(qtbot, panel, "layers 4-6")
    assert panel.rules.message_label.text().startswith("Which layers there are is known as soon as")


def test_a_rule_for_all_tensors_says_that_it_leaves_the_field_none(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "", "9")
    message = panel.rules.message_label
    assert message.text() == "Rule 1 is for all tensors: the n outside this table has no effect."
    panel.parameters.fields["resamples"].show_number(5)
    assert read(panel).recipe().values_for(NAMES[0], 0.0)["resamples"] == 9
    choose(qtbot, panel, 0, Column.PARAMETER, "Weight")
    choose(qtbot, panel, 0, Column.MODEL, "run-2")
    assert "the weight of run-2 outside this table" in message.text()
    panel.rules.table.select_row(0, Column.WHERE)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    type_into(qtbot, panel, "mlp")
    assert message.text() == ""


def test_rules_are_moved_and_removed_from_the_keyboard(qtbot: QtBot, panel: RecipePanel) -> None:
    for where, value in (("mlp", "1"), ("mlp.up", "2"), ("embed", "3")):
        add(qtbot, panel, where, value)
    table = panel.rules.table
    assert column(panel, Column.TENSORS) == ["24", "! 12", "1"]
    table.select_row(0)
    assert panel.rules.message_label.text() == (
        "! Rule 2: It does nothing: rows above decide about all its 12 tensors already."
    )
    assert not panel.rules.up.isEnabled()
    table.select_row(1)
    qtbot.keyClick(table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert column(panel, Column.WHERE) == ["mlp.up", "mlp", "embed"]
    assert column(panel, Column.TENSORS) == ["12", "24", "1"]
    assert tip(panel, 1).startswith("24 tensors, 12 of them decided by rows above:")
    assert table.currentIndex().row() == 0
    for _ in range(3):
        qtbot.keyClick(table, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert [rule.filter for rule in read(panel).rules] == ["mlp", "embed", "mlp.up"]
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert [rule.filter for rule in read(panel).rules] == ["mlp", "embed"]
    assert table.currentIndex().row() == 1
    for _ in range(2):
        qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert read(panel).rules == ()
    assert QApplication.focusWidget() is panel.rules.add_button
    assert not table.isVisible()


def test_the_buttons_do_the_same(qtbot: QtBot, panel: RecipePanel) -> None:
    for where in ("mlp", "attn"):
        add(qtbot, panel, where, "1")
    remove, up, down = panel.rules.fields[2:]
    qtbot.mouseClick(up, Qt.MouseButton.LeftButton)
    assert column(panel, Column.WHERE) == ["attn", "mlp"]
    qtbot.mouseClick(down, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(remove, Qt.MouseButton.LeftButton)
    assert column(panel, Column.WHERE) == ["mlp"]


def test_a_sub_model_may_have_a_weight_of_its_own(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "mlp", "9")
    choose(qtbot, panel, 0, Column.PARAMETER, "Weight")
    assert read(panel).rules == (Rule("weight", None, "mlp", (1.0,)),)
    choose(qtbot, panel, 0, Column.MODEL, "run-2")
    assert read(panel).rules == (Rule("weight", TWO, "mlp", (1.0,)),)
    choose(qtbot, panel, 0, Column.MODEL, "All sub-models")
    choose(qtbot, panel, 0, Column.MODEL, "run-3")
    assert panel.rules.message_label.text() == "! run-3 takes no part in the merge."
    panel.show_models(replace(SETUP, k=3))
    assert panel.rules.message_label.text() == ""
    panel.show_models(replace(SETUP, models=SETUP.models[:2]))
    assert panel.rules.message_label.text() == "! run-3 is not in the list of sub-models."
    choose(qtbot, panel, 0, Column.PARAMETER, "n")
    assert read(panel).rules == (Rule("resamples", None, "mlp", (4,)),)


def test_n_is_for_all_sub_models(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "mlp", "9")
    panel.rules.table.select_row(0, Column.MODEL)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    assert not is_editing(panel)


def test_a_rule_of_a_sub_model_goes_before_those_for_all(qtbot: QtBot, panel: RecipePanel) -> None:
    told: list[None] = []
    for row, value in enumerate(("2", "3")):
        add(qtbot, panel, "mlp", "1")
        choose(qtbot, panel, row, Column.PARAMETER, "Weight")
        panel.rules.table.select_row(row, Column.VALUE)
        qtbot.keyClicks(panel.rules.table, value)
        press(qtbot, panel, Qt.Key.Key_Return)
    panel.changed.connect(lambda: told.append(None))
    choose(qtbot, panel, 1, Column.MODEL, "run-2")
    assert read(panel).rules == (Rule("weight", TWO, "mlp", (3.0,)), Rule("weight", None, "mlp", (2.0,)))
    assert panel.rules.table.currentIndex().row() == 0
    assert len(told) == 1
    values = read(panel).recipe().values_for("model.layers.0.mlp.up_proj.weight", 0.0)
    assert values["weight"] == (2.0, 3.0)


def test_every_edit_can_be_undone(qtbot: QtBot, panel: RecipePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 10))
    monkeypatch.setattr("gui.document.undo.monotonic", lambda: float(next(now)))
    history = UndoHistory()
    history.reset(read(panel))
    history.restored.connect(panel.apply)
    snapshots = [read(panel)]

    def note() -> None:
        history.note(read(panel))
        if read(panel) != snapshots[-1]:
            snapshots.append(read(panel))

    panel.changed.connect(note)
    add(qtbot, panel, "layers 4-7", "9")
    add(qtbot, panel, "mlp", "2")
    panel.rules.table.select_row(1)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_Delete)
    panel.changed.disconnect(note)
    assert len(snapshots) == 9
    assert history.undo_label == "rules"
    for snapshot in reversed(snapshots[:-1]):
        history.undo()
        assert read(panel) == snapshot
    assert not history.undo_label
    assert panel.rules_fold.unfolded
    for snapshot in snapshots[1:]:
        history.redo()
        assert read(panel) == snapshot
    assert column(panel, Column.WHERE) == ["layers 4-7"]


def test_rules_of_another_method_are_kept_and_not_shown(panel: RecipePanel) -> None:
    rules = (Rule("weight", None, "mlp", (2.0,)), *of_layers(4, 7))
    panel.apply(replace(SETUP, rules=rules))
    panel.method_box.setCurrentIndex(panel.method_box.findData("linear"))
    assert column(panel, Column.WHERE) == ["mlp"]
    assert read(panel).rules == rules
    assert panel.rules.others_label.text() == "4 rules for n are kept for methods that have it."
    panel.rules.table.select_row(0)
    panel.rules.remove.trigger()
    panel.method_box.setCurrentIndex(panel.method_box.findData("parameter_selection"))
    assert read(panel).rules == of_layers(4, 7)
    assert column(panel, Column.WHERE) == ["layers 4-7"]
    assert not panel.rules.others_label.isVisible()


def test_a_recipe_with_rules_unfolds_them_and_one_without_folds_them(
    qtbot: QtBot, jobs: JobKeeper, settings: Settings
) -> None:
    panel = RecipePanel(jobs, settings)
    qtbot.addWidget(panel)
    panel.show()
    ruled = replace(SETUP, rules=(Rule("resamples", None, "mlp", (1,)), Rule("resamples", None, "up", (1,))))
    panel.apply(ruled)
    assert panel.rules_fold.unfolded
    panel.apply(SETUP)
    assert not panel.rules_fold.unfolded
    panel.apply(ruled)
    qtbot.mouseClick(panel.rules_fold.button, Qt.MouseButton.LeftButton)
    summary = panel.rules_fold.summary_label
    assert (summary.isVisible(), summary.text()) == (True, "2 rules")
    panel.show_tensors(["model.layers.0.mlp.gate.weight"])
    assert summary.text() == "2 rules, 1 with a problem"
    assert panel.show_field("rules")
    assert panel.rules_fold.unfolded
    assert panel.rules.table.currentIndex().row() == 1


def test_an_editor_survives_what_is_told_meanwhile(qtbot: QtBot, panel: RecipePanel) -> None:
    qtbot.mouseClick(panel.rules.add_button, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(editor(panel), "mlp")
    panel.show_tensors(NAMES[:10])
    panel.show_tensors(())  # of a plan with errors
    panel.show_models(replace(SETUP, k=3))
    panel.apply(read(panel))
    assert editor(panel).text() == "mlp"
    press(qtbot, panel, Qt.Key.Key_Return)
    assert column(panel, Column.TENSORS) == ["4"]


def test_a_double_click_edits(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "mlp", "9")
    table = panel.rules.table
    at = table.visualRect(panel.rules.model.index(0, Column.WHERE)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    type_into(qtbot, panel, "attn")
    assert [rule.filter for rule in read(panel).rules] == ["attn"]


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_the_table_fits_the_column(
    qtbot: QtBot, jobs: JobKeeper, settings: Settings, qapp: QApplication, scale: float
) -> None:
    usual = QFont(qapp.font())
    font = QFont(usual)
    font.setPointSizeF(font.pointSizeF() * scale)
    qapp.setFont(font)
    try:
        scrolled = QScrollArea()
        qtbot.addWidget(scrolled)
        panel = RecipePanel(jobs, settings)
        rules = (
            Rule("weight", TWO, "self_attn", (0.2, 0.8)),
            *of_layers(4, 11),
            *(Rule("resamples", None, f"q{at}", (1,)) for at in range(12)),
        )
        long = tuple(ModelChoice(folder.with_name(f"{folder.name}-of-a-long-name")) for folder in (ONE, TWO))
        rules = (replace(rules[0], model=long[1].folder), *rules[1:])
        panel.apply(replace(SETUP, models=long, rules=rules))
        panel.show_tensors(NAMES)
        scrolled.setWidget(panel)
        scrolled.setWidgetResizable(True)
        scrolled.resize(420, 900)
        scrolled.show()
        QApplication.processEvents()
        table, model = panel.rules.table, panel.rules.model
        assert panel.width() <= scrolled.viewport().width()
        last = table.visualRect(model.index(0, Column.TENSORS))
        assert last.right() <= table.viewport().rect().right()
        for cell in (Column.PARAMETER, Column.WHERE, Column.VALUE, Column.TENSORS):
            for row in (0, 1):
                text = model.index(row, cell).data()
                assert table.columnWidth(cell) >= table.fontMetrics().horizontalAdvance(text)
        assert table.rowAt(table.viewport().height() - 1) == len(model.rows) - 1  # the form scrolls
        assert table.verticalScrollBar().maximum() == 0
        table.select_row(0, Column.VALUE)
        qtbot.keyClick(table, Qt.Key.Key_F2)
        edit = editor(panel)
        assert edit.width() > edit.fontMetrics().horizontalAdvance("0.25, 0.75, 0.25")
        assert table.viewport().rect().contains(edit.geometry())
    finally:
        qapp.setFont(usual)


def test_everything_has_a_name_and_a_tip(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "gate", "9")
    for widget in panel.rules.fields[1:]:
        assert widget.accessibleName() or widget.text()  # type: ignore[attr-defined]
        assert widget.toolTip()
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert panel.rules.table.accessibleName()
    model = panel.rules.model
    for section in Column:
        assert model.headerData(section, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    spoken = model.index(0, Column.TENSORS).data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "No tensor has “gate” in its name. 0 tensors"
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is panel.rules.add_button
