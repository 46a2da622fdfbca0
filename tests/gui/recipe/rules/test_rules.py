"""The table of rules: what rows mean, what can be typed, and the table as a person uses it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QAbstractItemView, QApplication, QComboBox, QLineEdit, QScrollArea, QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from core import load_recipe
from core.methods import METHODS, ParameterSpec
from gui.document.merge_setup import MergeSetup, ModelChoice, Rule, setup_of_recipe
from gui.document.recipe_files import save_recipe
from gui.document.undo import UndoHistory
from gui.jobs import JobKeeper
from gui.recipe.panel import RecipePanel
from gui.recipe.rules.checks import check_rows
from gui.recipe.rules.rows import Layers, RuleRow, TensorNames, rows_of, rules_of
from gui.recipe.rules.table_model import Column, RulesModel
from gui.recipe.rules.text import Refused, value_text, values_from_text, where_from_text, where_text
from gui.settings import Settings

SELECTION = METHODS["parameter_selection"]
N, WEIGHT = (SELECTION.parameter(name) for name in ("resamples", "weight"))
assert N is not None
assert WEIGHT is not None
BASE, ONE, TWO, THREE = (Path(f"/models/{name}") for name in ("base", "run-1", "run-2", "run-3"))
SETUP = MergeSetup(
    "parameter_selection",
    BASE,
    tuple(ModelChoice(folder) for folder in (ONE, TWO, THREE)),
    2,
    {"resamples": 4},
    seed=7,
)
LAYERS = 12
NAMES = (
    "model.embed_tokens.weight",
    *(
        f"model.layers.{layer}.{part}.weight"
        for layer in range(LAYERS)
        for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
    ),
    "model.norm.weight",
)
TENSORS = TensorNames(NAMES)
TOWERS = TensorNames(
    [*(f"vision.blocks.{at}.w" for at in range(4)), *(f"text.layers.{at}.w" for at in range(6))]
)
ROOT = QModelIndex()


def of_layers(first: int, last: int, value: Any = (8,)) -> tuple[Rule, ...]:
    return tuple(Rule("resamples", None, f"model.layers.{at}.", value) for at in range(first, last + 1))


# -- rows and rules


def test_a_range_of_layers_is_a_rule_for_each() -> None:
    row = RuleRow("resamples", None, Layers("model.layers", 4, 7), (8,))
    assert rules_of([row]) == of_layers(4, 7)
    assert rows_of(of_layers(4, 7), TENSORS) == (row,)
    assert [len(TENSORS.hit_by([rule.filter])) for rule in rules_of([row])] == [4] * 4


def test_only_neighbours_that_differ_in_the_layer_are_one_row() -> None:
    rules = (*of_layers(9, 11), *of_layers(1, 2), *of_layers(3, 3, (1,)), *of_layers(5, 5))
    rules += tuple(replace(rule, model=TWO, parameter="weight") for rule in of_layers(6, 7))
    rows = rows_of(rules, TENSORS)
    assert [where_text(row.where, TENSORS) for row in rows] == [
        "layers 9-11",
        "layers 1-2",
        "layer 3",
        "layer 5",
        "layers 6-7",
    ]
    assert rules_of(rows) == rules


def test_layers_that_the_model_does_not_name_so_stay_filters() -> None:
    rules = (
        *of_layers(0, 1),
        Rule("resamples", None, "layers.2.", (8,)),
        Rule("resamples", None, "q.", (8,)),
    )
    for tensors in (TensorNames(), TOWERS):
        assert [row.where for row in rows_of(rules, tensors)] == [rule.filter for rule in rules]
    assert [row.where for row in rows_of(rules, TENSORS)] == [Layers("model.layers", 0, 1), "layers.2.", "q."]


wheres = st.sampled_from(
    ["", "mlp", "model.layers.04.", "model.layers.4.mlp", "model.layers.", ".4.", "4."]
) | (st.integers(0, 13).map(lambda layer: f"model.layers.{layer}."))


@given(
    st.lists(
        st.builds(
            Rule,
            st.sampled_from(["resamples", "weight"]),
            st.sampled_from([None, ONE]),
            wheres,
            st.sampled_from([(1,), (2, 3)]),
        )
    )
)
def test_rows_mean_the_rules_that_they_came_from(rules: list[Rule]) -> None:
    assert rules_of(rows_of(rules, TENSORS)) == tuple(rules)


# -- what is typed


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        ("mlp", "mlp"),
        ("  layers.4. ", "layers.4."),
        ("", ""),
        ("*", ""),
        ("Everywhere", ""),
        ("layer 3", Layers("model.layers", 3, 3)),
        ("Layers 4-7", Layers("model.layers", 4, 7)),
        ("layers 4 – 7", Layers("model.layers", 4, 7)),
        ("layers 0 to 11", Layers("model.layers", 0, 11)),
        ("layer 3 of model.layers", Layers("model.layers", 3, 3)),
        ('"layers 4-7"', "layers 4-7"),
    ],
)
def test_where_a_rule_holds_is_typed(typed: str, where: str | Layers) -> None:
    assert where_from_text(typed, TENSORS) == where


@pytest.mark.parametrize(
    ("typed", "tensors", "reason"),
    [
        ("layers 4-12", TENSORS, "There is no layer 12: they are numbered from 0 to 11."),
        ("layers 7-4", TENSORS, "The first layer of a range comes before the last."),
        ("layers 4, 6", TENSORS, "Write “layer 3”, “layers 4-7”, or a part of the tensors' names."),
        ("layer 3 of text.layers", TENSORS, "There are no layers of text.layers, only of model.layers."),
        (
            "layer 3",
            TOWERS,
            "Say of what, such as “layer 3 of vision.blocks”: there is vision.blocks and text.layers.",
        ),
        (
            "layer 3",
            TensorNames(),
            "Which layers there are is known as soon as the models are chosen and read.",
        ),
        (
            "layer 3",
            TensorNames(["w"]),
            "The names of the tensors say nothing of layers; give a part of their names.",
        ),
        (
            "layer 1 of layers",
            TensorNames(["layers.1.w", "vision.layers.1.w"]),
            "Filters cannot tell these layers from vision.layers.1.w, whose name holds “layers.” too.",
        ),
    ],
)
def test_layers_that_cannot_be_meant_are_refused(typed: str, tensors: TensorNames, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        where_from_text(typed, tensors)
    assert str(refused.value) == reason


def test_layers_of_one_of_several_stacks_are_named() -> None:
    where = where_from_text("layers 1-2 of text.layers", TOWERS)
    assert where == Layers("text.layers", 1, 2)
    assert where_text(where, TOWERS) == "layers 1-2 of text.layers"
    assert TOWERS.hit_by(where.filters) == ("text.layers.1.w", "text.layers.2.w")


@given(
    st.text("layers 3-\"'*.of to", max_size=12)
    | st.sampled_from(["everywhere", "Layer 3", "layers 4-7"])
    | st.builds(
        lambda first, more: Layers("model.layers", first, first + more), st.integers(0, 5), st.integers(0, 6)
    )
)
def test_what_is_shown_is_read_as_what_was_meant(where: str | Layers) -> None:
    assert where_from_text(where_text(where, TENSORS), TENSORS) == where


@pytest.mark.parametrize(
    ("typed", "spec", "value"),
    [
        ("4", N, (4,)),
        ("4.0", N, (4,)),
        ("1,5", N, (1, 5)),
        ("0.5", WEIGHT, (0.5,)),
        ("0.2, 0.8", WEIGHT, (0.2, 0.8)),
        ("0.2,0.8", WEIGHT, (0.2, 0.8)),
        ("0,2; 0,8", WEIGHT, (0.2, 0.8)),
        ("0,2, 0,8", WEIGHT, (0.2, 0.8)),
        ("0.2 … 1 … 0.8", WEIGHT, (0.2, 1.0, 0.8)),
        ("0.2...0.8", WEIGHT, (0.2, 0.8)),
        ("1,2,3", WEIGHT, (1.0, 2.0, 3.0)),
    ],
)
def test_a_number_or_a_gradient_is_typed(typed: str, spec: ParameterSpec, value: tuple[float, ...]) -> None:
    read = values_from_text(typed, spec)
    assert read == value
    assert {type(number) for number in read} == {int if spec is N else float}
    for between in (" … ", ", "):
        assert values_from_text(value_text(read, between), spec) == value


@pytest.mark.parametrize(
    ("typed", "spec", "reason"),
    [
        ("", N, "Give a number, or several for a gradient over the layers."),
        ("abc", N, "“abc” is no number."),
        ("1.5", N, "The value must be a whole number, not 1.5."),
        ("101", N, "The value is 101, and must be between 0 and 100."),
        ("0.2, -1", WEIGHT, "The value is -1.0, and must be at least 0."),
        ("0,5", WEIGHT, "Write 0.5 for one number, or “0; 5” for a gradient."),
        ("0.2; ", WEIGHT, "A number is missing."),
        ("inf", WEIGHT, "“inf” is no number."),
    ],
)
def test_what_is_no_value_is_refused(typed: str, spec: ParameterSpec, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        values_from_text(typed, spec)
    assert str(refused.value) == reason


# -- what rows do


def problems(*rows: RuleRow, tensors: TensorNames = TENSORS) -> list[str | None]:
    names = {ONE: "run-1", TWO: "run-2", THREE: "run-3"}
    return [finding.problem for finding in check_rows(rows, SELECTION, names, [ONE, TWO], tensors)]


def weight(model: Path | None, where: str, value: float = 2.0) -> RuleRow:
    return RuleRow("weight", model, where, (value,))


def test_a_rule_that_does_nothing_says_why() -> None:
    assert problems(weight(None, "gate")) == ["No tensor has “gate” in its name."]
    assert problems(RuleRow("resamples", None, Layers("model.layers", 90, 91), (1,))) == [
        "There are no such layers."
    ]
    assert problems(weight(THREE, "mlp")) == ["run-3 takes no part in the merge."]
    assert problems(weight(Path("/models/run-9"), "mlp")) == ["run-9 is not in the list of sub-models."]
    assert problems(weight(None, "mlp", -1.0)) == ["The value is -1.0, and must be at least 0."]
    assert problems(weight(None, "gate"), tensors=TensorNames()) == [None]


@pytest.mark.parametrize(
    ("rows", "hidden"),
    [
        ([weight(None, "mlp"), weight(None, "mlp.up")], [False, True]),
        ([weight(None, "mlp.up"), weight(None, "mlp")], [False, False]),
        ([weight(None, ""), weight(ONE, "mlp")], [False, True]),
        ([weight(ONE, ""), weight(None, "mlp")], [False, False]),  # it is left to run-2
        ([weight(ONE, ""), weight(TWO, "mlp"), weight(None, "mlp")], [False, False, True]),
        ([weight(ONE, "mlp"), weight(TWO, "mlp")], [False, False]),
        ([weight(ONE, "mlp"), weight(ONE, "mlp")], [False, True]),
        ([weight(None, "mlp.up"), weight(None, "mlp.down"), weight(None, "mlp")], [False, False, True]),
        ([weight(None, ""), RuleRow("resamples", None, "mlp", (1,))], [False, False]),
    ],
)
def test_a_rule_that_rows_above_leave_nothing_is_found(rows: list[RuleRow], hidden: list[bool]) -> None:
    assert [problem is not None for problem in problems(*rows)] == hidden


def test_a_rule_is_hidden_exactly_where_the_recipe_is_the_same_without_it() -> None:
    wheres = ["", "mlp", "layers.1.", "mlp.up"]
    all_rows = [
        weight(model, where, 3.0 + at) for at, where in enumerate(wheres) for model in (None, ONE, TWO)
    ]
    for first in all_rows:
        for second in all_rows:
            setup = replace(SETUP, rules=rules_of([first, second]))
            values = [
                [part.recipe().values_for(name, 0.0) for name in NAMES]
                for part in (setup, replace(setup, rules=rules_of([first])))
            ]
            hidden = problems(first, second)[1] is not None
            same = values[0] == values[1]
            assert hidden == same or first.value == second.value


def test_ten_thousand_tensors_take_a_few_milliseconds_a_rule() -> None:
    tensors = TensorNames(f"model.layers.{at // 100}.mlp.experts.{at % 100}.w" for at in range(10_000))
    rows = [RuleRow("resamples", None, f"experts.{at}.", (1,)) for at in range(20)]
    started = time.perf_counter()
    findings = check_rows(rows, SELECTION, {}, [ONE], tensors)
    assert time.perf_counter() - started < 1.0
    assert {len(finding.hits) for finding in findings} == {100}


# -- the item model


def test_the_table_keeps_the_rules_of_item_models(qtmodeltester: ModelTester) -> None:
    model = RulesModel(SELECTION, lambda: {"resamples": 4})
    qtmodeltester.check(model)
    model.set_models(SETUP)
    model.set_tensors(NAMES)
    for _ in range(4):
        model.add()
    model.set_row(3, RuleRow("weight", None, "mlp", (1.0,)))
    model.set_row(2, RuleRow("weight", None, "embed", (1.0,)))
    kept = [QPersistentModelIndex(model.index(row, Column.WHERE)) for row in range(4)]
    model.set_row(3, RuleRow("weight", TWO, "mlp", (1.0,)))
    assert [index.row() for index in kept] == [0, 1, 3, 2]
    model.move(0, 3)
    model.move(3, 1)
    model.remove(1)
    qtmodeltester.check(model)
    model.set_method(METHODS["linear"])
    model.set_rules(())
    qtmodeltester.check(model)


# -- the panel


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
    assert not panel.rules.message_label.isVisible()


def test_layers_are_typed_and_come_back_from_a_file(qtbot: QtBot, panel: RecipePanel, tmp_path: Path) -> None:
    panel.parameters.fields["resamples"].setValue(4)
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
    assert message.text() == "The value is 101, and must be between 0 and 100."
    assert read(panel).rules == (Rule("resamples", None, "mlp", (4,)),)
    press(qtbot, panel, Qt.Key.Key_Backspace)
    assert not message.isVisible()
    press(qtbot, panel, Qt.Key.Key_Return)
    assert read(panel).rules == (Rule("resamples", None, "mlp", (10,)),)


def test_bad_input_that_is_left_changes_nothing_and_is_told(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "mlp", "9")
    panel.rules.table.select_row(0, Column.WHERE)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    editor(panel).selectAll()
    qtbot.keyClicks(editor(panel), "layer 99")
    panel.seed.edit.setFocus()
    assert column(panel, Column.WHERE) == ["mlp"]
    assert panel.rules.message_label.text() == "There is no layer 99: they are numbered from 0 to 11."


def test_escape_leaves_the_cell_as_it_was(qtbot: QtBot, panel: RecipePanel) -> None:
    add(qtbot, panel, "mlp", "9")
    panel.rules.table.select_row(0, Column.VALUE)
    qtbot.keyClicks(panel.rules.table, "x")
    type_into(qtbot, panel, "x")
    assert panel.rules.message_label.isVisible()
    press(qtbot, panel, Qt.Key.Key_Escape)
    assert not panel.rules.message_label.isVisible()
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
    panel.parameters.fields["resamples"].setValue(5)
    assert read(panel).recipe().values_for(NAMES[0], 0.0).resamples == 9
    choose(qtbot, panel, 0, Column.PARAMETER, "Weight")
    choose(qtbot, panel, 0, Column.MODEL, "run-2")
    assert "the weight of run-2 outside this table" in message.text()
    panel.rules.table.select_row(0, Column.WHERE)
    qtbot.keyClick(panel.rules.table, Qt.Key.Key_F2)
    type_into(qtbot, panel, "mlp")
    assert not message.isVisible()


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
    assert not panel.rules.message_label.isVisible()
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
    assert values.weights == (2.0, 3.0)


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
        assert table.rowAt(table.viewport().height() - 1) == 7  # and the rest by scrolling
        assert table.verticalScrollBar().maximum() > 0
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
