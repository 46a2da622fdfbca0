"""Numbers that are typed wrong: they stay, are said, and stand in the way of a merge."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from core.draws import MAX_SEED
from core.methods import METHODS
from gui.document.merge_setup import MergeSetup, form_parameters
from gui.jobs import JobKeeper
from gui.models.table_model import Column
from gui.numbers import NumberKind, Unread, number_text, read_number
from gui.recipe.panel import RecipePanel
from gui.settings import Settings
from gui.widgets.fields import NumberEdit, NumberField
from gui.window.window import MainWindow

N = NumberKind("n", whole=True, minimum=0, maximum=100)
SEED = NumberKind("The seed", whole=True, minimum=0, maximum=MAX_SEED)
WEIGHT = NumberKind("Weight", minimum=0)
SIZE = NumberKind("File size", minimum=0.001, unit="GB")


@pytest.mark.parametrize(
    ("typed", "kind", "value"),
    [
        (" 7 ", N, 7),
        ("+7", N, 7),
        (str(2**64 - 1), SEED, 2**64 - 1),
        ("1e-3", WEIGHT, 0.001),
        (".5", WEIGHT, 0.5),
        ("−0", WEIGHT, 0.0),
        ("0.5 gb", SIZE, 0.5),
        ("", NumberKind("Threads", optional=True), None),
    ],
)
def test_a_number_is_read(typed: str, kind: NumberKind, value: float | None) -> None:
    read = read_number(typed, kind)
    assert read == value
    if read is not None:
        assert not isinstance(read, Unread)
        assert read_number(number_text(read, kind), kind) == value


@pytest.mark.parametrize(
    ("typed", "kind", "sentence"),
    [
        ("999999", N, "n is at most 100."),
        ("-1", N, "n is at least 0."),
        ("abc", N, "n is a whole number from 0 to 100, not “abc”."),
        ("", N, "n is missing: give a whole number from 0 to 100."),
        ("1.5", N, "n is a whole number, written in digits only."),
        ("1,000", N, "n is written 1000: without a comma."),
        ("-1", SEED, "The seed is at least 0."),
        (str(2**64), SEED, f"The seed is at most {2**64 - 1}."),
        ("1e3", SEED, "The seed is a whole number, written in digits only."),
        ("9" * 5000, SEED, "The seed has too many digits."),
        ("٣", SEED, f"The seed is a whole number from 0 to {2**64 - 1}, not “٣”."),
        ("1,5", WEIGHT, "Weight is written 1.5: decimals follow a point."),
        ("nan", WEIGHT, "Weight is a number that ends somewhere, not nan."),
        ("-inf", WEIGHT, "Weight is a number that ends somewhere, not -inf."),
        ("1e400", WEIGHT, "Weight is larger than any number that can be held."),
        ("1e-400", WEIGHT, "Weight is so small that it would be 0."),
        ("1_0", WEIGHT, "Weight is a number of at least 0, not “1_0”."),
        ("5 TB", SIZE, "File size is a number of at least 0.001 GB, not “5 TB”."),
    ],
)
def test_why_something_is_no_number_is_said(typed: str, kind: NumberKind, sentence: str) -> None:
    read = read_number(typed, kind)
    assert isinstance(read, Unread)
    assert (read.text, read.sentence) == (typed, sentence)
    assert read.short


@pytest.fixture
def opened(qtbot: QtBot, window: MainWindow, models: Path) -> MainWindow:
    """With a recipe that can be merged."""
    assert window.load_recipe(models / "recipe.yaml")
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert window.preflight.reason is None
    return window


def type_over(qtbot: QtBot, field: NumberEdit | NumberField, text: str, leave: QWidget) -> None:
    """What a person does: into the field, all of it replaced, and on to another."""
    field.setFocus()
    field.selectAll()
    qtbot.keyClick(field, Qt.Key.Key_Delete)
    qtbot.keyClicks(field, text)
    leave.setFocus()


def check(qtbot: QtBot, window: MainWindow) -> str | None:
    qtbot.waitUntil(lambda: window.preflight.checked)
    return window.preflight.reason


@pytest.mark.parametrize("name", ["resamples", "seed", "zero_tolerance", "threads"])
def test_what_cannot_be_taken_stays_and_stands_in_the_way(
    qtbot: QtBot, opened: MainWindow, name: str
) -> None:
    window, recipe = opened, opened.recipe
    window.activateWindow()
    assert recipe.show_field(name)
    qtbot.wait(50)  # what is unfolded has its place then
    field = {"seed": recipe.seed.edit, **recipe.parameters.fields, **recipe.precision.fields}[name]
    assert isinstance(field, NumberEdit | NumberField)
    before, good = window.setup(), field.edit.text() if isinstance(field, NumberField) else field.text()
    places = [(part, part.geometry()) for part in recipe.findChildren(QWidget) if part.isVisible()]
    type_over(qtbot, field, "-77x", recipe.method_box)
    assert field.unread is not None
    reason = check(qtbot, window)
    assert reason == field.unread.sentence
    assert not window.merge_button.isEnabled()
    assert window.preflight.problems.texts[0] == reason
    assert field.unread.text == "-77x"
    assert len(places) > 20
    for part, place in places:
        assert part.geometry() == place, "nothing moves"
    assert reason in field.accessibleDescription()
    qtbot.mouseClick(window.preflight.problems.links[0], Qt.MouseButton.LeftButton)
    assert field.hasFocus()
    window.document.undo.undo()
    assert (window.setup(), field.unread) == (before, None)
    assert (field.edit.text() if isinstance(field, NumberField) else field.text()) == good
    assert check(qtbot, window) is None
    assert reason not in field.accessibleDescription()
    window.document.undo.redo()
    assert field.unread is not None
    assert field.unread.text == "-77x"
    assert check(qtbot, window) == reason


def test_a_picture_stays_while_a_number_is_mended(qtbot: QtBot, opened: MainWindow) -> None:
    window = opened
    qtbot.waitUntil(lambda: window.observer.findings is not None)
    type_over(qtbot, window.recipe.seed.edit, "abc", window.recipe.method_box)
    assert check(qtbot, window) is not None
    assert window.observer.findings is not None
    assert window.recipe.rules.model.tensors


def test_a_recipe_with_nonsense_in_it_is_not_saved(qtbot: QtBot, opened: MainWindow, tmp_path: Path) -> None:
    field = opened.recipe.parameters.fields["resamples"]
    assert isinstance(field, NumberField)
    type_over(qtbot, field, "999999", opened.recipe.method_box)
    assert not opened.recipes.save_to(tmp_path / "saved.yaml")
    assert not (tmp_path / "saved.yaml").exists()
    assert "n is at most 100." in opened.run.message.text


def test_an_arrow_leads_back_to_what_can_be(qtbot: QtBot, opened: MainWindow) -> None:
    field = opened.recipe.parameters.fields["resamples"]
    assert isinstance(field, NumberField)
    for typed, key, value in (
        ("999999", Qt.Key.Key_Down, 100),
        ("-5", Qt.Key.Key_Up, 0),
        ("abc", Qt.Key.Key_Up, 5),
    ):
        field.show_number(4)
        type_over(qtbot, field, typed, field)
        qtbot.keyClick(field, key)
        assert (field.value, field.unread, field.edit.text()) == (value, None, str(value))


def test_unfinished_text_is_marked_when_the_field_is_left(qtbot: QtBot, opened: MainWindow) -> None:
    opened.activateWindow()
    opened.recipe.show_field("zero_tolerance")
    edit = opened.recipe.precision.zero_tolerance
    qtbot.waitUntil(edit.hasFocus)
    qtbot.keyClicks(edit, "1e-")
    assert edit.problem == ""
    assert opened.setup().unread.keys() == {"zero_tolerance"}
    opened.recipe.method_box.setFocus()
    assert edit.problem == edit.unread.sentence if edit.unread is not None else False


@pytest.mark.parametrize("language", [QLocale.Language.English, QLocale.Language.German])
def test_every_number_of_every_form_goes_the_same_way(
    qtbot: QtBot, settings: Settings, language: QLocale.Language
) -> None:
    before, jobs = QLocale(), JobKeeper()
    QLocale.setDefault(QLocale(language))
    recipe = RecipePanel(jobs, settings)
    qtbot.addWidget(recipe, before_close_func=lambda _: jobs.stop_all())
    empty, seen = MergeSetup("", None, (), 0), 0
    try:
        for name, method in METHODS.items():
            recipe.method_box.setCurrentIndex(recipe.method_box.findData(name))
            for spec in form_parameters(method):
                if not spec.is_number:
                    continue
                field = recipe.parameters.fields[spec.name]
                assert isinstance(field, NumberField)
                if field.isHidden():  # it has no effect
                    continue
                for typed in ("abc", "1,5", "nan", "1e400", ""):
                    type_over(qtbot, field, typed, recipe.method_box)
                    unread = recipe.read_into(empty).unread
                    assert (unread[spec.name].text, field.edit.text()) == (typed, typed)
                type_over(qtbot, field, "1", recipe.method_box)
                setup = recipe.read_into(empty)
                assert (setup.unread, setup.parameters[spec.name]) == ({}, 1)
                seen += 1
    finally:
        QLocale.setDefault(before)
    assert seen > 2


@pytest.mark.parametrize("typed", ["abc", "-1", ""])
def test_a_weight_that_cannot_be_taken_stays_in_its_cell(
    qtbot: QtBot, opened: MainWindow, typed: str
) -> None:
    window, model = opened, opened.models.sub_models_model
    cell = model.index(1, Column.WEIGHT)
    model.setData(cell, typed)
    assert cell.data(Qt.ItemDataRole.EditRole) == typed
    assert cell.data() == (typed or "?")
    reason = check(qtbot, window)
    assert reason is not None
    assert reason.startswith("run-2: Weight is ")
    assert window.setup().models[1].weight == 1
    assert window.document.undo.undo_label == "weight of run-2"
    window.document.undo.undo()
    assert cell.data() == "1"
    assert check(qtbot, window) is None
    window.document.undo.redo()
    assert cell.data(Qt.ItemDataRole.EditRole) == typed
    if typed == "-1":  # another method takes what this one does not
        window.recipe.method_box.setCurrentIndex(window.recipe.method_box.findData("task_arithmetic"))
        assert window.setup().models[1].weight == -1
    else:
        model.setData(cell, "0.5")
    assert check(qtbot, window) is None
