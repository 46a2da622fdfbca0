"""Methods in groups, presets with their choices in words, and forms of many parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot
from whole_tensor import by_engine, fine_tunes, torch_only

from core.methods import METHODS, MethodSpec
from gui.document.merge_setup import MergeSetup, Rule, form_parameters
from gui.document.presets import as_general, as_preset, words_of
from gui.jobs import JobKeeper
from gui.recipe.method_box import MethodBox
from gui.recipe.panel import RecipePanel
from gui.settings import Settings
from gui.window.window import MainWindow

PRESETS = [method for method in METHODS.values() if method.preset is not None]


@pytest.fixture
def panel(qtbot: QtBot, settings: Settings) -> RecipePanel:
    jobs = JobKeeper()
    panel = RecipePanel(jobs, settings)
    qtbot.addWidget(panel, before_close_func=lambda _: jobs.stop_all())
    panel.resize(440, 900)
    panel.show()
    return panel


def shown_fields(panel: RecipePanel) -> list[str]:
    return [name for name, field in panel.parameters.fields.items() if not field.isHidden()]


def choose(panel: RecipePanel, name: str, value: str) -> None:
    """Choose `value` in the field `name`."""
    field = panel.parameters.fields[name]
    field.setCurrentIndex(field.findData(value))  # type: ignore[union-attr]


def test_every_method_is_offered_once_under_its_heading(qtbot: QtBot) -> None:
    box = MethodBox()
    qtbot.addWidget(box)
    heading, found = "", {}
    for row in range(box.count()):
        item = box.model().index(row, 0)
        if box.itemData(row) is None:
            heading = box.itemText(row)
            assert not item.flags() & Qt.ItemFlag.ItemIsEnabled
            continue
        found[box.itemData(row)] = heading
        assert METHODS[box.itemData(row)].help in item.data(Qt.ItemDataRole.ToolTipRole)
    assert found.keys() == METHODS.keys()
    assert box.count() == len(METHODS) + len(set(found.values()))
    assert found["ties"] == found["sce"] == "Task vectors"
    assert found["slerp"] != found["ties"]


def test_the_keys_pass_over_headings(qtbot: QtBot) -> None:
    box = MethodBox()
    qtbot.addWidget(box)
    seen = [box.method.name]
    for _ in range(len(METHODS)):
        QTest.keyClick(box, Qt.Key.Key_Down)
        seen.append(box.method.name)
    assert set(seen) == set(METHODS)


@pytest.mark.parametrize("method", PRESETS, ids=lambda method: method.name)
def test_a_preset_is_found_again_from_its_choices(method: MethodSpec) -> None:
    for normalize in (False, True):
        values = {spec.name: spec.default for spec in form_parameters(method)}
        values |= {"normalize": normalize, "lambda": 0.5}
        general = as_general(method, values)
        assert general is not None
        assert general[0].name == "task_vectors"
        assert as_preset(*general) == (method, values)
        assert as_preset(general[0], {**general[1], "combine": "selection"}) is None


@pytest.mark.parametrize("method", PRESETS, ids=lambda method: method.name)
def test_a_preset_and_its_choices_give_the_same_bytes(method: MethodSpec) -> None:
    values = {spec.name: spec.default for spec in form_parameters(method)} | {"lambda": 0.7}
    values |= {"density": 0.4} if "density" in values else {}
    general = as_general(method, values)
    assert general is not None
    words = [merged(spec, given) for spec, given in ((method, values), general)]
    np.testing.assert_array_equal(*words)
    assert not np.array_equal(words[0], merged(method, values | {"normalize": not values["normalize"]}))


def merged(method: MethodSpec, values: Mapping[str, Any]) -> np.ndarray:
    """Three sub-models of unequal weight, in memory."""
    given = {spec.name: values.get(spec.name, spec.default) for spec in method.parameters}
    given |= {spec.name: [given[spec.name]] * 3 for spec in method.parameters if spec.scope == "model"}
    given["weight"] = [0.5, 1.0, 1.25]
    inputs = fine_tunes("BF16", 256, 3, 1.0, seed=3)
    engine = by_engine(
        method.name, inputs, "BF16", "BF16", given, shape=(8, 32), key=(5, 6), space=torch_only()
    )
    return engine.words


def test_choices_are_said_in_words() -> None:
    normal = {"normalize": True}
    assert words_of(METHODS["ties"], normal) == (
        "keeps the largest · elects a sign by mass · mean of what is left"
    )
    assert "sum of what is left" in words_of(METHODS["ties"], {"normalize": False})
    assert words_of(METHODS["linear"], normal) == ""


def test_the_choices_of_a_preset_are_one_press_away_and_one_step_back(
    qtbot: QtBot, window: MainWindow, models: Path
) -> None:
    window.load_recipe(models / "recipe.yaml")
    form = window.recipe.parameters
    window.recipe.method_box.choose("ties")
    form.set_value("density", 0.3)
    window.recipe.parameters.fields["rescale"].setChecked(True)  # type: ignore[union-attr]
    before = window.setup()
    assert form.choices.label.text() == "Keeps the largest · elects a sign by mass · mean of what is left"
    form.choices.button.click()
    after = window.setup()
    assert after.method == "task_vectors"
    assert {name: after.parameters[name] for name in ("sparsify", "elect", "combine")} == {
        "sparsify": "magnitude",
        "elect": "mass",
        "combine": "mean",
    }
    assert (after.parameters["density"], after.parameters["rescale"]) == (0.3, True)
    assert form.choices.button.text() == "Use TIES"
    window.document.undo.undo()
    assert window.setup() == before
    window.document.undo.redo()
    assert window.setup() == after
    form.choices.button.click()
    assert window.setup() == before
    window.recipe.method_box.choose("linear")
    assert not form.choices.isVisibleTo(window)


def test_what_has_no_effect_is_not_in_sight_and_keeps_its_value(panel: RecipePanel) -> None:
    panel.method_box.choose("task_vectors")
    assert shown_fields(panel) == ["sparsify", "elect", "combine", "lambda"]
    assert not panel.seed.isEnabled()
    choose(panel, "sparsify", "ranked")
    assert panel.seed.isEnabled()
    panel.parameters.set_value("epsilon", 0.05)
    assert {"density", "epsilon", "rescale"} < set(shown_fields(panel))
    assert not {"gamma", "rescale_by", "resamples"} & set(shown_fields(panel))
    choose(panel, "sparsify", "outliers")
    assert "gamma" in shown_fields(panel)
    assert "epsilon" not in shown_fields(panel)
    assert panel.parameters.values()["epsilon"] == 0.05
    choose(panel, "combine", "selection")
    assert "resamples" in shown_fields(panel)
    assert panel.show_field("gamma")
    assert not panel.show_field("epsilon")


def test_what_is_typed_where_it_has_no_effect_is_in_nobodys_way(panel: RecipePanel) -> None:
    panel.method_box.choose("task_vectors")
    choose(panel, "sparsify", "magnitude")
    panel.parameters.fields["density"].edit.setText("abc")  # type: ignore[union-attr]
    empty = MergeSetup("", None, (), 0)
    assert list(panel.read_into(empty).unread) == ["density"]
    choose(panel, "sparsify", "none")
    assert not panel.read_into(empty).unread


@pytest.mark.parametrize("larger", [1.0, 1.25])
def test_fields_of_many_parameters_are_whole(qtbot: QtBot, window: MainWindow, larger: float) -> None:
    font = window.font()
    font.setPointSizeF(larger * font.pointSizeF())
    window.setFont(font)
    window.resize(1024, 700)
    form = window.recipe.parameters
    for name in ("della", "task_vectors", "nuslerp"):
        window.recipe.method_box.choose(name)
        if name == "task_vectors":
            values = {"sparsify": "ranked", "combine": "selection", "rescale": True}
            form.set_values(values)
        for _ in range(3):
            QApplication.processEvents()
        assert window.width() == 1024
        fields = [field for field in form.fields.values() if not field.isHidden()]
        around: list[QWidget] = [window.recipe.method_box, window.recipe.output.edit, window.merge_button]
        for widget in (*fields, *around):
            assert widget.height() >= widget.minimumSizeHint().height()
            assert widget.width() >= widget.minimumSizeHint().width()
        places = [field.geometry() for field in fields]
        assert all(form.rect().contains(place) for place in places)
        assert not any(one.intersects(other) for one, other in pairwise(places))


def test_a_value_that_rules_say_everywhere_cannot_be_typed(
    qtbot: QtBot, window: MainWindow, models: Path
) -> None:
    window.load_recipe(models / "recipe.yaml")
    ties = replace(window.setup(), method="ties", parameters={"density": 0.5})
    own = [Rule("density", models / f"run-{number}", "", (0.1 * number,)) for number in (1, 2, 3)]
    for rules, typed in ((own[:2], True), (own, False), ([Rule("density", None, "mlp", (0.2,))], True)):
        window.recipes.opened.emit(replace(ties, rules=tuple(rules)), None)
        assert window.recipe.parameters.fields["density"].isEnabled() == typed
        assert window.setup().rules == tuple(rules)
        assert not window.recipe.rules.table.isHidden()
