"""Every method of the registry, and one that has everything a method may have, in the window's fields."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from method_checks import edge_settings, model_numbers
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox
from pytestqt.qtbot import QtBot

import gui.looking.look_jobs
from core import RecipeError, load_recipe
from core.kernels.interface import Counts
from core.methods import METHODS, Draws, MethodSpec, ParameterSpec, ParameterValue
from core.runs.history import History
from gui.document.merge_setup import MergeSetup, ModelChoice, Rule, form_parameters
from gui.document.opening import setup_of_recipe
from gui.document.recipe_files import save_recipe
from gui.jobs import JobKeeper
from gui.models.table_model import Column
from gui.settings import Settings
from gui.window.window import MainWindow

MADE_UP = MethodSpec(
    name="made_up",
    title="Made up",
    help="Has everything that a method may have.",
    source="nowhere",
    parameters=(
        ParameterSpec("norm", "choice", "merge", "l2", "Norm", "Of what.", choices=("l1", "l2", "max")),
        ParameterSpec("rescale", "flag", "merge", True, "Rescale", "Make up for what was left out."),
        ParameterSpec("rounds", "int", "merge", 3, "Rounds", "How many.", minimum=1, maximum=20),
        ParameterSpec("strength", "float", "merge", 1.0, "Strength", "Of all.", symbol="s"),
        ParameterSpec("density", "float", "model", 0.5, "Density", "Kept.", minimum=0.0, maximum=1.0),
        ParameterSpec("majority", "flag", "model", False, "Majority", "Follows it."),
    ),
    base="allowed",
    draws=Draws(),
    least_models=2,
    most_models=3,
    load_arithmetic=lambda: lambda job, first, models, base: (models[0], Counts.zeros(job)),
)
Open = Callable[[MergeSetup], MergeSetup]
BEFORE = MergeSetup("parameter_selection", None, (), 0)


EVERY = [*METHODS, MADE_UP.name]


@pytest.fixture(scope="module", autouse=True)
def made_up() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, MADE_UP.name, MADE_UP)
        yield


@pytest.fixture(params=EVERY)
def method(request: pytest.FixtureRequest) -> MethodSpec:
    return METHODS[request.param]


@pytest.fixture(scope="module")
def only_window(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MainWindow]:
    """One for all methods: opening a set-up leaves nothing of the one before."""
    folder = tmp_path_factory.mktemp("window")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(gui.looking.look_jobs, "preview_plan", lambda *_, **__: iter(()))  # no test is about it
        window = MainWindow(Settings(folder / "settings.ini"), History(folder / "history"))
        window.show()
        yield window
        window.close_at_once()
        window.deleteLater()


@pytest.fixture
def window(only_window: MainWindow, qtbot: QtBot) -> Iterator[MainWindow]:
    yield only_window
    for timer in only_window.recipe.output.findChildren(QTimer):
        timer.stop()  # or it starts a job within a test that has no window
    keepers = only_window.findChildren(JobKeeper)
    qtbot.waitUntil(
        lambda: only_window.preflight.checked and all(keeper.idle for keeper in keepers), timeout=30_000
    )


@pytest.fixture
def opened(method: MethodSpec, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a set-up in the window, and says what the fields say then."""
    now = iter(range(0, 10_000, 10))  # so that no step grows
    monkeypatch.setattr("gui.document.undo.monotonic", lambda: float(next(now)))

    def open_setup(setup: MergeSetup) -> MergeSetup:
        window.recipes.opened.emit(setup, None)
        return window.setup()

    return open_setup


def setup_of(
    method: MethodSpec, values: Mapping[str, Any], models: Path, number: int, out: Path
) -> MergeSetup:
    """A set-up with `values`; those of each sub-model are weights, and rules that hold for one."""
    choices = [ModelChoice(models / f"run-{at}") for at in range(1, number + 1)]
    parameters: dict[str, ParameterValue] = {spec.name: spec.default for spec in form_parameters(method)}
    rules: list[Rule] = []
    for name, value in values.items():
        if name == "weight":
            choices = [replace(one, weight=own) for one, own in zip(choices, value, strict=True)]
        elif isinstance(value, list) and number == 1:  # the value of the only one is that of all
            parameters[name] = value[0]
        elif isinstance(value, list):
            own = [(one.folder, at) for one, at in zip(choices, value, strict=True) if at != parameters[name]]
            rules += (Rule(name, folder, "", (at,)) for folder, at in own)
        else:
            parameters[name] = value
    return replace(
        BEFORE,
        method=method.name,
        base=models / "base",
        models=tuple(choices),
        k=number,
        parameters=parameters,
        rules=tuple(rules),
        seed=7,
        out=str(out),
    )


def every_setup(method: MethodSpec, models: Path, out: Path) -> Iterator[MergeSetup]:
    for number in model_numbers(method):
        for values in edge_settings(method, number):
            yield setup_of(method, values, models, number, out)


def test_a_form_gives_back_what_it_was_given(
    method: MethodSpec, window: MainWindow, opened: Open, models: Path, out: Path
) -> None:
    for setup in every_setup(method, models, out):
        assert opened(setup) == setup
    fields = window.recipe.parameters.fields
    QApplication.processEvents()  # until then Qt has not shown what is new
    assert list(fields) == [spec.name for spec in method.parameters if spec.name != "weight"]
    for spec in form_parameters(method):
        field = fields[spec.name]
        assert isinstance(field, QCheckBox) == (spec.kind == "flag")
        assert isinstance(field, QComboBox) == (spec.kind == "choice")
        assert spec.help in html.unescape(field.toolTip())
        assert field.isVisibleTo(window) == spec.has_effect(window.setup().parameters)


def test_only_what_the_method_has_is_asked_for(
    method: MethodSpec, window: MainWindow, opened: Open, models: Path, out: Path
) -> None:
    number = model_numbers(method)[-1]
    opened(setup_of(method, {}, models, number, out))
    window.models.add_sub_models([models / f"run-{at}" for at in range(number + 1, 6)])
    recipe, k_box = window.recipe, window.models.k_box
    QApplication.processEvents()
    for widget in (recipe.seed, recipe.seed.edit, recipe.seed.dice_button):
        assert widget.isVisibleTo(window) == (method.draws is not None)
    assert window.models.table.isColumnHidden(Column.WEIGHT) == (method.weight is None)
    ruled = [spec.name for spec in recipe.rules.model.parameters()]
    assert sorted(ruled) == sorted(spec.name for spec in method.parameters if spec.is_number)
    assert recipe.rules_fold.isVisibleTo(window) == bool(ruled)
    assert (k_box.minimum(), k_box.maximum()) == (method.least_models, method.most_models or 5)
    assert window.setup().k == k_box.maximum()
    edit = next(action for action in window.menuBar().actions() if action.text() == "&Edit").menu()
    seeds = [action for action in edit.actions() if "seed" in action.text()]
    assert {action.isEnabled() for action in seeds} == {window.setup().draws}


@pytest.mark.parametrize("method", [MADE_UP.name], indirect=True)
def test_a_switch_of_one_sub_model_is_kept_and_told(
    method: MethodSpec, window: MainWindow, opened: Open, models: Path, out: Path
) -> None:
    setup = setup_of(method, {"majority": [False, True]}, models, 2, out)
    assert opened(setup) == setup
    others = window.recipe.rules.others_label
    assert others.text() == "Some sub-models have their own Majority, as the recipe said."
    window.recipe.method_box.setCurrentIndex(window.recipe.method_box.findData("slerp"))
    assert others.text() == "1 rule for Majority is kept for methods that have it."


def test_a_set_up_is_the_same_after_it_was_saved(
    method: MethodSpec, models: Path, tmp_path: Path, out: Path
) -> None:
    saved, refused = 0, set()
    for setup in every_setup(method, models, out):
        try:
            recipe = setup.recipe()
        except RecipeError as error:  # these values make no sense together
            refused.add(error.field)
            continue
        save_recipe(recipe, tmp_path / "recipe.yaml")
        again = setup_of_recipe(load_recipe(tmp_path / "recipe.yaml"), replace(BEFORE, out=str(out)))
        assert (again, again.recipe()) == (setup, recipe)
        saved += 1
    assert saved > len(method.parameters)
    assert refused <= {spec.name for spec in method.parameters}


def test_every_parameter_can_be_undone(
    method: MethodSpec, window: MainWindow, opened: Open, models: Path, out: Path
) -> None:
    begun = opened(setup_of(method, {}, models, model_numbers(method)[-1], out))
    undo = window.document.undo
    snapshots = [begun]
    for spec in method.parameters:
        edges = [values[spec.name] for values in edge_settings(method, 1) if spec.name in values]
        value = edges[-1][0] if spec.scope == "model" else edges[-1]
        if spec.name == "weight":
            window.models.sub_models_model.set_weight([0], value)
            assert undo.undo_label == "weight of run-1"
        else:
            form = window.recipe.parameters
            form.set_values({**form.values(), spec.name: value})
            assert undo.undo_label.casefold() == (spec.symbol or spec.title).casefold()
        snapshots.append(window.setup())
    for snapshot in snapshots[-2::-1]:
        undo.undo()
        assert window.setup() == snapshot
    for snapshot in snapshots[1:]:
        undo.redo()
        assert window.setup() == snapshot


def test_a_report_is_made_of_every_method(
    qtbot: QtBot,
    method: MethodSpec,
    window: MainWindow,
    opened: Open,
    models: Path,
    out: Path,
) -> None:
    opened(setup_of(method, {}, models, model_numbers(method)[-1], out))
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert window.preflight.reason is None


@pytest.mark.parametrize(
    "method",
    ["parameter_selection", *(pytest.param(name, marks=pytest.mark.slow) for name in EVERY)],
    indirect=True,
)
def test_whatever_takes_part_a_choice_of_methods_ends_in_a_sentence_at_most(
    qtbot: QtBot,
    method: MethodSpec,
    window: MainWindow,
    opened: Open,
    models: Path,
    out: Path,
) -> None:
    opened(setup_of(method, {}, models, model_numbers(method)[-1], out))
    for other in METHODS:
        window.recipe.method_box.setCurrentIndex(window.recipe.method_box.findData(other))
        qtbot.waitUntil(lambda: window.preflight.checked)
        assert not [link for link in window.preflight.problems.links if link.text() == "Details…"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
