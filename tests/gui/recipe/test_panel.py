"""The fields of a recipe, as a person fills them in."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDesktopServices, QFont, QGuiApplication, QKeySequence, QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

import core.devices
from core.devices import Device
from core.methods import METHODS, ParameterSpec
from core.recipe.tokenizer_section import TokenizerSection
from gui.document.merge_setup import MergeSetup, ModelChoice, Rule
from gui.jobs import JobKeeper
from gui.recipe.panel import RecipePanel
from gui.settings import Settings
from gui.widgets.fields import NumberField
from gui.widgets.theme import GRID

BEFORE = MergeSetup("parameter_selection", Path("/models/base"), (ModelChoice(Path("/models/run-1")),), 1)
FULL = replace(
    BEFORE,
    parameters={"resamples": 9},
    rules=(Rule("resamples", None, "mlp", (1, 2)),),
    seed=2**64 - 1,
    dtype="float32",
    out_dtype="float8_e4m3fn",
    zero_tolerance=1.25e-7,
    nonfinite="error",
    vocab="base",
    tokenizer_source=Path("/models/run-1"),
    missing="from_base",
    out=os.path.abspath("/tmp/merged"),
    device="cuda:3",
    threads=5,
    shard_size_bytes=1_234_567_891,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "settings.ini")


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """The devices that are found: none, unless a test adds some."""
    found: list[Device] = []
    monkeypatch.setattr(core.devices, "usable_devices", lambda: list(found))
    return found


@pytest.fixture
def jobs(qapp: QApplication) -> Iterator[JobKeeper]:
    keeper = JobKeeper()
    yield keeper
    for window in QApplication.topLevelWidgets():
        window.hide()
    keeper.stop_all()


@pytest.fixture
def panel(qtbot: QtBot, jobs: JobKeeper, settings: Settings) -> RecipePanel:
    return make_panel(qtbot, jobs, settings)


def make_panel(qtbot: QtBot, jobs: JobKeeper, settings: Settings) -> RecipePanel:
    panel = RecipePanel(jobs, settings)
    qtbot.addWidget(panel)
    panel.resize(420, 700)
    panel.show()
    return panel


def choose(box: QComboBox, data: object) -> None:
    box.setCurrentIndex(box.findData(data))


def read(panel: RecipePanel) -> MergeSetup:
    return panel.read_into(BEFORE)


def test_what_is_set_is_read(panel: RecipePanel) -> None:
    panel.apply(FULL)
    assert read(panel) == FULL
    empty = MergeSetup.empty(BEFORE)
    panel.apply(empty)
    assert panel.read_into(empty) == replace(empty, parameters={"resamples": 1})


def test_setting_all_tells_once(qtbot: QtBot, panel: RecipePanel) -> None:
    told: list[None] = []
    panel.changed.connect(lambda: told.append(None))
    panel.apply(replace(FULL, method="linear", parameters={}))
    assert len(told) == 1


def test_only_methods_that_draw_ask_for_n(qtbot: QtBot, panel: RecipePanel) -> None:
    assert list(panel.parameters.fields) == ["resamples"]
    choose(panel.method_box, "linear")
    assert read(panel).parameters == {"normalize": True}
    assert METHODS["linear"].help in panel.help_label.accessibleName()
    choose(panel.method_box, "parameter_selection")
    field = panel.parameters.fields["resamples"]
    field.setFocus()
    qtbot.keyClicks(field, "3")
    qtbot.keyClick(field, Qt.Key.Key_Up)
    assert read(panel).parameters["resamples"] in (14, 32)


def test_a_form_is_built_from_what_the_method_says(
    qtbot: QtBot, jobs: JobKeeper, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = METHODS["parameter_selection"]
    odd = replace(
        selection,
        name="odd",
        parameters=(
            *selection.parameters,
            ParameterSpec("density", "float", "model", 0.3, "Density", "Kept share.", "", 0.0, 1.0),
            ParameterSpec("scale", "float", "merge", 1.0, "Scale", "Of the deltas."),
            ParameterSpec("rescale", "flag", "merge", True, "Rescale", "Make up for what was left out."),
        ),
    )
    monkeypatch.setitem(METHODS, "odd", odd)
    panel = make_panel(qtbot, jobs, settings)
    choose(panel.method_box, "odd")
    assert read(panel).parameters == {"resamples": 1, "density": 0.3, "scale": 1.0, "rescale": True}
    density = panel.parameters.fields["density"]
    assert isinstance(density, NumberField)
    assert "From 0 to 1, default 0.3." in density.toolTip()
    density.setFocus()
    density.selectAll()
    qtbot.keyClicks(density, "0.123456789012345")
    assert read(panel).parameters["density"] == 0.123456789012345
    density.selectAll()
    qtbot.keyClicks(density, "0.2")
    qtbot.keyClick(density, Qt.Key.Key_Up)
    assert (density.text(), read(panel).parameters["density"]) == ("0.21", 0.21)
    qtbot.keyClick(panel.parameters.fields["rescale"], Qt.Key.Key_Space)
    assert read(panel).parameters["rescale"] is False
    panel.apply(replace(BEFORE, method="odd", parameters={"scale": -1e-20}))
    assert read(panel).parameters["scale"] == -1e-20


def test_what_was_set_comes_back_where_a_method_takes_it(panel: RecipePanel) -> None:
    fields = panel.parameters.fields
    panel.parameters.set_values({"resamples": 9})
    choose(panel.method_box, "linear")
    choose(panel.method_box, "task_arithmetic")
    assert read(panel).parameters == {"lambda": 1.0, "normalize": False}  # its own defaults
    panel.parameters.set_values({"lambda": 0.5, "normalize": True})
    choose(panel.method_box, "linear")
    panel.parameters.set_values({"normalize": False})
    choose(panel.method_box, "parameter_selection")
    assert read(panel).parameters == {"resamples": 9}
    choose(panel.method_box, "task_arithmetic")
    assert read(panel).parameters == {"lambda": 0.5, "normalize": False}
    panel.forget_values()
    choose(panel.method_box, "parameter_selection")
    assert read(panel).parameters == {"resamples": 1}
    assert fields is not panel.parameters.fields


def test_what_a_method_does_not_take_stays_behind(
    qtbot: QtBot, jobs: JobKeeper, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = METHODS["parameter_selection"]
    weight, n = selection.parameters
    few = replace(selection, name="few", parameters=(weight, replace(n, maximum=4)))
    monkeypatch.setitem(METHODS, "few", few)
    panel = make_panel(qtbot, jobs, settings)
    for typed, taken in ((9, 1), (3, 3)):
        choose(panel.method_box, "parameter_selection")
        panel.parameters.set_values({"resamples": typed})
        choose(panel.method_box, "few")
        assert read(panel).parameters == {"resamples": taken}


@pytest.mark.parametrize("number", [1e-300, -2.5e300, 0.1 + 0.2, 1 / 3, 1e16 + 2, 0.0])
def test_a_number_keeps_every_digit(qtbot: QtBot, panel: RecipePanel, number: float) -> None:
    choose(panel.method_box, "task_arithmetic")
    panel.parameters.set_values({"lambda": number})
    assert read(panel).parameters["lambda"] == number
    field = panel.parameters.fields["lambda"]
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, repr(number))
    assert read(panel).parameters["lambda"] == number


def test_a_number_steps_on_from_zero(qtbot: QtBot, panel: RecipePanel) -> None:
    choose(panel.method_box, "slerp")
    panel.parameters.set_values({"t": 0.0})
    qtbot.keyClick(panel.parameters.fields["t"], Qt.Key.Key_Up)
    assert read(panel).parameters["t"] == 0.1
    panel.parameters.set_values({"t": 0.0})
    qtbot.keyClick(panel.parameters.fields["t"], Qt.Key.Key_Down)
    assert read(panel).parameters["t"] == -0.1


def test_only_methods_that_draw_have_a_seed(panel: RecipePanel) -> None:
    for method, spec in METHODS.items():
        choose(panel.method_box, method)
        QApplication.processEvents()
        assert panel.seed.isVisible() == (spec.draws is not None)
        assert panel.show_field("seed") == panel.read_into(MergeSetup("", None, (), 0)).draws
        above = panel.seed if spec.draws is not None else panel._form
        if above.isHidden():  # there is nothing to be set
            continue
        gap = panel.output.mapTo(panel, QPoint()).y() - above.mapTo(panel, QPoint(0, above.height())).y()
        assert 0 <= gap <= 2 * GRID


@pytest.mark.parametrize(("typed", "seed"), [("0", 0), ("18446744073709551615", 2**64 - 1), ("", None)])
def test_a_seed_has_64_bits(qtbot: QtBot, panel: RecipePanel, typed: str, seed: int | None) -> None:
    panel.seed.edit.clear()
    qtbot.keyClicks(panel.seed.edit, typed)
    assert read(panel).seed == seed
    assert panel.seed.copy_button.isEnabled() == (seed is not None)


def test_the_die_gives_another_seed_that_can_be_copied(qtbot: QtBot, panel: RecipePanel) -> None:
    with qtbot.waitSignal(panel.changed):
        qtbot.mouseClick(panel.seed.dice_button, Qt.MouseButton.LeftButton)
    seed = read(panel).seed
    assert seed != 0
    qtbot.mouseClick(panel.seed.copy_button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == str(seed)


def test_the_paper_opens_from_the_keyboard(
    qtbot: QtBot, panel: RecipePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(QUrl(url).toString()))
    panel.activateWindow()
    panel.method_box.setFocus()
    qtbot.keyClick(panel.method_box, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is panel.help_label
    qtbot.keyClick(panel.help_label, Qt.Key.Key_Return)
    assert opened == ["https://arxiv.org/abs/2410.03743"]


def test_free_space_is_told_of_a_folder_that_does_not_exist_yet(
    qtbot: QtBot, panel: RecipePanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=12_000_000_000)
    asked: list[Path] = []

    def disk_usage(folder: Path) -> object:
        asked.append(folder)
        if folder != tmp_path:
            raise FileNotFoundError(folder)
        return usage

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    qtbot.keyClicks(panel.output.edit, str(tmp_path / "a" / "b"))
    qtbot.waitUntil(lambda: panel.output.space_label.text() == "12 GB free there")
    assert len(asked) == 2  # once for all the typing
    panel.output.edit.clear()
    qtbot.waitUntil(lambda: not panel.output.space_label.text().strip())


def test_no_room_is_told_of_in_a_file(qtbot: QtBot, panel: RecipePanel, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a file")
    panel.output.edit.setText(str(tmp_path / "other"))
    qtbot.waitUntil(lambda: "free there" in panel.output.space_label.text())
    panel.output.edit.setText(str(tmp_path / "notes.txt"))
    qtbot.waitUntil(lambda: not panel.output.space_label.text().strip())


def test_a_disk_that_never_answers_holds_nothing_up(
    qtbot: QtBot, panel: RecipePanel, jobs: JobKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = threading.Event(), threading.Event()

    def disk_usage(folder: Path) -> object:
        asked.set()
        released.wait(30)
        raise OSError

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    qtbot.keyClicks(panel.output.edit, "/far/away")
    qtbot.waitUntil(asked.is_set)
    jobs.stop_all()
    assert not released.is_set()
    released.set()


def test_a_folder_dropped_on_the_output_is_where_it_goes(
    panel: RecipePanel, tmp_path: Path, drop: Callable[..., None]
) -> None:
    (tmp_path / "merged").mkdir()
    drop(panel.output.edit, tmp_path)
    assert read(panel).out == str(tmp_path / "merged-2")


def test_the_output_folder_is_chosen_in_a_dialog(
    qtbot: QtBot, panel: RecipePanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gui.recipe.output_field.choose_folder", lambda *_: tmp_path)
    qtbot.keyClicks(panel.output.edit, "best")
    qtbot.mouseClick(panel.output.choose_button, Qt.MouseButton.LeftButton)
    assert read(panel).out == str(tmp_path / "best")


def test_a_suggestion_gives_way_to_what_was_typed(qtbot: QtBot, panel: RecipePanel, tmp_path: Path) -> None:
    panel.suggest_output(tmp_path / "one")
    panel.suggest_output(tmp_path / "two")
    assert read(panel).out == str(tmp_path / "two")
    qtbot.keyClicks(panel.output.edit, "3")
    panel.suggest_output(tmp_path / "four")
    assert read(panel).out == str(tmp_path / "two3")
    panel.suggest_output(tmp_path / "five", insist=True)
    assert read(panel).out == str(tmp_path / "five")


def test_a_home_folder_may_be_written_short(qtbot: QtBot, panel: RecipePanel) -> None:
    qtbot.keyClicks(panel.output.edit, "~/merged")
    assert read(panel).out == str(Path.home() / "merged")
    panel.output.edit.clear()
    qtbot.keyClicks(panel.output.edit, "~nobody-of-this-name/merged")
    assert read(panel).out.endswith("~nobody-of-this-name/merged")


def test_the_folded_part_remembers_whether_it_was_open(
    qtbot: QtBot, panel: RecipePanel, jobs: JobKeeper, settings: Settings
) -> None:
    assert not panel.precision.isVisible()
    qtbot.mouseClick(panel.precision_fold.button, Qt.MouseButton.LeftButton)
    assert panel.precision.isVisible()
    assert make_panel(qtbot, jobs, settings).precision.isVisible()
    qtbot.keyClick(panel.precision_fold.button, Qt.Key.Key_Space)
    assert not panel.precision.isVisible()
    assert not make_panel(qtbot, jobs, settings).precision.isVisible()


@pytest.mark.parametrize("part", ["rules", "precision"])
@pytest.mark.parametrize("by", ["button", "name"])
def test_what_is_unfolded_comes_into_sight(qtbot: QtBot, panel: RecipePanel, part: str, by: str) -> None:
    panel.set_room(spacing=4, headings=True, help_lines=False)
    panel.resize(420, 480)
    content, fold = getattr(panel, part), getattr(panel, f"{part}_fold")
    with qtbot.waitSignal(panel.refolded):
        if by == "button":
            qtbot.mouseClick(fold.button, Qt.MouseButton.LeftButton)
        else:
            panel.show_field("rules" if part == "rules" else "device")
    qtbot.waitUntil(lambda: content.visibleRegion().boundingRect().height() == content.height() > 0)
    with qtbot.assertNotEmitted(panel.refolded):
        panel.show_field("rules" if part == "rules" else "device")
    with qtbot.waitSignal(panel.refolded):
        qtbot.mouseClick(fold.button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("part", ["rules", "precision"])
def test_what_is_too_high_is_unfolded_from_its_heading_on(
    qtbot: QtBot, panel: RecipePanel, part: str
) -> None:
    panel.set_room(spacing=4, headings=False, help_lines=False)
    panel.resize(420, panel.minimumSizeHint().height())
    fold = getattr(panel, f"{part}_fold")
    (scrolled,) = [area for area in panel.findChildren(QScrollArea) if area.isAncestorOf(panel.rules)]
    scrolled.ensureWidgetVisible(fold.button)
    with qtbot.waitSignal(panel.refolded):
        qtbot.mouseClick(fold.button, Qt.MouseButton.LeftButton)
    assert fold.height() > scrolled.viewport().height()
    assert fold.button.mapTo(scrolled.viewport(), QPoint()).y() == 0


def test_tab_goes_to_nothing_that_is_out_of_sight(qtbot: QtBot, panel: RecipePanel) -> None:
    panel.set_room(spacing=4, headings=False, help_lines=False)
    panel.resize(420, panel.minimumSizeHint().height())
    panel.show_field("device")
    qtbot.waitUntil(lambda: not panel.precision.fields["device"].visibleRegion().isEmpty())
    for key, first in ((Qt.Key.Key_Tab, panel.output.choose_button), (Qt.Key.Key_Backtab, None)):
        stop = first or list(panel.precision.fields.values())[-1]
        stop.setFocus()
        for _ in range(6):
            qtbot.keyClick(QApplication.focusWidget(), key)
            focus = QApplication.focusWidget()
            assert focus.visibleRegion().boundingRect().size() == focus.size(), focus.accessibleName()


def test_a_press_scrolls_nothing_away(qtbot: QtBot, panel: RecipePanel) -> None:
    panel.set_room(spacing=4, headings=False, help_lines=False)
    panel.resize(420, panel.minimumSizeHint().height())
    panel.show_field("device")
    (scrolled,) = [area for area in panel.findChildren(QScrollArea) if area.isAncestorOf(panel.rules)]
    fold = panel.precision_fold
    qtbot.waitUntil(lambda: scrolled.verticalScrollBar().maximum() > fold.y() + fold.button.height())
    panel.output.edit.setFocus()
    scrolled.verticalScrollBar().setValue(fold.y() + fold.button.height() // 2)  # half of it is in sight
    with qtbot.waitSignal(fold.toggled):
        qtbot.mouseClick(
            fold.button, Qt.MouseButton.LeftButton, pos=fold.button.rect().center() + QPoint(0, 5)
        )


@pytest.mark.parametrize("there", [True, False])
def test_the_room_for_rules_goes_with_them(qtbot: QtBot, panel: RecipePanel, there: bool) -> None:
    if not there:
        panel.apply(FULL)
        qtbot.wait(1)
    height = panel.sizeHint().height()
    with qtbot.waitSignal(panel.refolded):
        panel.apply(FULL if there else replace(FULL, rules=()))
    assert (panel.sizeHint().height() > height) == there


def test_a_recipe_that_is_opened_scrolls_nothing(qtbot: QtBot, panel: RecipePanel) -> None:
    panel.resize(420, panel.minimumSizeHint().height())
    panel.apply(FULL)
    qtbot.wait(50)
    assert panel.rules_fold.unfolded
    (scrolled,) = [area for area in panel.findChildren(QScrollArea) if area.isAncestorOf(panel.rules)]
    assert scrolled.verticalScrollBar().maximum() > 0
    assert scrolled.verticalScrollBar().value() == 0


def test_while_it_is_folded_it_says_what_is_unusual(qtbot: QtBot, panel: RecipePanel) -> None:
    assert not panel.precision_fold.summary_label.isVisible()
    panel.apply(replace(BEFORE, dtype="float32", threads=1))
    assert panel.precision_fold.summary_label.isVisible()
    assert panel.precision_fold.summary_label.text() == "merged as float32, 1 thread"
    qtbot.mouseClick(panel.precision_fold.button, Qt.MouseButton.LeftButton)
    assert not panel.precision_fold.summary_label.isVisible()


def test_devices_are_looked_up_when_they_come_into_sight(
    qtbot: QtBot, panel: RecipePanel, gpus: list[Device]
) -> None:
    panel.apply(replace(BEFORE, device="cuda:1"))
    gpus += [
        Device("cuda:0", "Fast Card", "cuda", 80 * 10**9, 70 * 10**9),
        Device("cuda:1", "Old Card", "cuda", 8 * 10**9, 7 * 10**9),
    ]
    qtbot.mouseClick(panel.precision_fold.button, Qt.MouseButton.LeftButton)
    box = panel.precision.device
    qtbot.waitUntil(lambda: box.findText("Fast Card (cuda:0)") >= 0)
    assert box.currentText() == "Old Card (cuda:1)"
    assert box.itemData(box.currentIndex(), Qt.ItemDataRole.ToolTipRole) == "7 GB of 8 GB free"
    assert [box.itemData(at) for at in range(box.count())] == ["auto", "cpu", "cuda:1", "cuda:0"]
    choose(box, "cuda:0")
    assert read(panel).device == "cuda:0"


def test_a_lookup_that_fails_leaves_the_cpu(
    qtbot: QtBot, panel: RecipePanel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> list[Device]:
        raise RuntimeError("no driver")

    monkeypatch.setattr(core.devices, "usable_devices", broken)
    qtbot.mouseClick(panel.precision_fold.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "no driver" in capsys.readouterr().err)
    assert panel.precision.device.count() == 2


def test_where_it_runs_is_remembered(
    qtbot: QtBot, panel: RecipePanel, jobs: JobKeeper, settings: Settings
) -> None:
    panel.show_field("device")
    choose(panel.precision.device, "cpu")
    panel.precision.threads.show_number(2)
    panel.precision.shard_size.show_number(0.5)
    setup = read(make_panel(qtbot, jobs, settings))
    assert (setup.device, setup.threads, setup.shard_size_bytes) == ("cpu", 2, 500_000_000)


def test_the_tokens_that_are_chosen_take_the_place_of_a_models(qtbot: QtBot, panel: RecipePanel) -> None:
    padded = TokenizerSection((), 64)
    setup = replace(FULL, vocab=None, tokenizer_source=Path("/models/run-1"), tokenizer=padded)
    panel.apply(setup)
    assert read(panel) == setup
    choose(panel.precision.vocab, "union")
    chosen = read(panel)
    assert (chosen.vocab, chosen.tokenizer_source, chosen.tokenizer) == ("union", None, padded)
    assert panel.others.label.text() == "rows a multiple of 64, missing tensors from the base"
    panel.apply(replace(setup, vocab="union"))  # as version 0.1 wrote it
    assert read(panel).tokenizer_source == Path("/models/run-1")


def test_what_has_no_field_is_shown_and_can_be_forgotten(qtbot: QtBot, panel: RecipePanel) -> None:
    assert not panel.others.forget_button.isVisible()
    panel.apply(FULL)
    assert panel.others.label.text() == "tokenizer of run-1, missing tensors from the base"
    qtbot.mouseClick(panel.others.forget_button, Qt.MouseButton.LeftButton)
    setup = read(panel)
    assert (setup.rules, setup.vocab, setup.tokenizer_source) == (FULL.rules, FULL.vocab, None)
    assert setup.missing is None
    assert not panel.others.forget_button.isVisible()


@pytest.mark.parametrize(
    "target",
    [
        "method",
        "resamples",
        "seed",
        "out",
        "zero_tolerance",
        "dtype",
        "device",
        "threads",
        "shard_size_bytes",
    ],
)
def test_a_field_is_shown_by_its_name(panel: RecipePanel, target: str) -> None:
    panel.activateWindow()
    assert panel.show_field(target)
    focused = QApplication.focusWidget()
    assert focused is not None
    assert focused.isVisible()
    names = {"method": "Merge method", "resamples": "n, resamples", "seed": "Seed", "out": "Output folder"}
    if target in names:
        assert names[target] in focused.accessibleName()
    assert not panel.show_field("base")


def test_the_wheel_scrolls_past_fields(qtbot: QtBot, panel: RecipePanel) -> None:
    panel.activateWindow()
    panel.seed.edit.setFocus()
    field = panel.parameters.fields["resamples"]
    turn(field)
    assert read(panel).parameters["resamples"] == 1
    field.setFocus()
    turn(field)
    assert read(panel).parameters["resamples"] == 2


def test_undo_is_the_windows_while_a_field_has_the_focus(qtbot: QtBot, panel: RecipePanel) -> None:
    undone: list[str] = []
    undo = QAction(panel)
    undo.setShortcuts(QKeySequence.StandardKey.Undo)
    undo.triggered.connect(lambda: undone.append("undo"))
    panel.addAction(undo)
    panel.activateWindow()
    for field in (panel.seed.edit, panel.output.edit, panel.parameters.fields["resamples"]):
        field.setFocus()
        qtbot.keyClicks(field, "5")
        qtbot.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(undone) == 3
    assert panel.seed.edit.text() == "5"


def test_every_field_has_a_name_and_a_tip(panel: RecipePanel) -> None:
    panel.apply(FULL)
    panel.show_field("device")
    buttons = [
        panel.seed.dice_button,
        panel.seed.copy_button,
        panel.output.choose_button,
        panel.precision_fold.button,
    ]
    fields = [panel.method_box, panel.seed.edit, panel.output.edit, *panel.precision.fields.values()]
    for widget in [*buttons, *fields, *panel.parameters.fields.values(), panel.others.forget_button]:
        assert widget.accessibleName() or widget.text()  # type: ignore[attr-defined]
        assert widget.toolTip()
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_nothing_is_wider_than_the_column(
    qtbot: QtBot, jobs: JobKeeper, settings: Settings, qapp: QApplication, scale: float
) -> None:
    usual = QFont(qapp.font())
    font = QFont(usual)
    font.setPointSizeF(font.pointSizeF() * scale)
    qapp.setFont(font)
    try:
        column = QScrollArea()
        qtbot.addWidget(column)
        panel = RecipePanel(jobs, settings)
        panel.apply(FULL)
        panel.show_field("device")
        column.setWidget(panel)
        column.setWidgetResizable(True)
        column.resize(420, 600)
        column.show()
        qtbot.waitUntil(lambda: panel.width() <= column.viewport().width())
        qtbot.waitUntil(lambda: panel.precision.height() >= panel.precision.sizeHint().height())
        for widget in panel.findChildren(QWidget):
            if widget.isVisible() and widget.parent() in (panel, panel.seed, panel.output, panel.precision):
                assert widget.width() >= widget.minimumSizeHint().width()
                assert widget.height() >= widget.minimumSizeHint().height()
                assert widget.geometry().right() < widget.parentWidget().width()
    finally:
        qapp.setFont(usual)


def turn(widget: QWidget) -> None:
    """Turn the wheel over `widget` by one notch."""
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        at,
        QPointF(widget.mapToGlobal(at.toPoint())),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
