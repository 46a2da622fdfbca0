"""Undo, redo, and whether the recipe is saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

import gui.document.undo
from gui.document.changes import changed_field, describe_change
from gui.document.merge_setup import MergeSetup, ModelChoice, Rule
from gui.document.undo import UndoHistory

RUNS = tuple(ModelChoice(Path(f"/models/run-{number}")) for number in (1, 2, 3))
SETUP = MergeSetup("parameter_selection", Path("/models/base"), RUNS, 3, {"resamples": 1}, seed=1)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(gui.document.undo, "monotonic", clock)
    return clock


@pytest.fixture
def history(qapp: QObject, clock: Clock) -> UndoHistory:
    """Begun with SETUP."""
    history = UndoHistory()
    history.reset(SETUP)
    return history


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"seed": 2}, "seed"),
        ({"parameters": {"resamples": 2}}, "n"),
        ({"method": "linear", "parameters": {}}, "method"),
        ({"models": RUNS[:2], "k": 2}, "remove run-3"),
        ({"models": RUNS[:1], "k": 1}, "remove 2 sub-models"),
        ({"models": (*RUNS, ModelChoice(Path("/x/new"))), "k": 4, "out": "/x/merged"}, "add new"),
        ({"models": RUNS[::-1]}, "order of the sub-models"),
        ({"models": (replace(RUNS[0], weight=2.0), *RUNS[1:])}, "weight of run-1"),
        ({"models": (replace(RUNS[0], enabled=False), *RUNS[1:])}, "leave out run-1"),
        ({"k": 2}, "K"),
        ({"base": None}, "base"),
        ({"rules": (Rule("resamples", None, "mlp", (2,)),)}, "rules"),
        ({"out": "/there"}, "output folder"),
        ({"dtype": "float32"}, "merge type"),
        ({"threads": 2}, "threads"),
    ],
)
def test_a_change_is_called_by_what_was_done(change: dict[str, Any], label: str) -> None:
    assert describe_change(SETUP, replace(SETUP, **change)) == label


def test_edits_of_one_field_are_told_from_others() -> None:
    assert changed_field(SETUP, replace(SETUP, seed=2)) == "seed"
    assert changed_field(SETUP, replace(SETUP, method="linear", parameters={})) == "method"
    assert changed_field(SETUP, replace(SETUP, seed=2, k=2)) is None
    assert changed_field(SETUP, replace(SETUP, models=RUNS[:2])) is None


def test_undo_and_redo_bring_back_what_was_shown(qtbot: QtBot, history: UndoHistory) -> None:
    parent = QObject()
    undo, redo = history.undo_action(parent), history.redo_action(parent)
    assert (undo.isEnabled(), redo.isEnabled()) == (False, False)
    second = replace(SETUP, seed=2)
    history.note(second)
    history.note(replace(second, parameters={"resamples": 5}))
    assert (undo.text(), redo.text()) == ("Undo n", "Redo")
    with qtbot.waitSignal(history.restored) as restored:
        undo.trigger()
    assert restored.args == [second]
    assert (undo.text(), redo.text()) == ("Undo seed", "Redo n")
    with qtbot.waitSignal(history.restored) as restored:
        undo.trigger()
    assert restored.args == [SETUP]
    assert not undo.isEnabled()
    with qtbot.waitSignal(history.restored) as restored:
        redo.trigger()
    assert restored.args == [second]


def test_what_the_window_shows_again_is_no_edit(history: UndoHistory) -> None:
    history.note(replace(SETUP, seed=2))
    history.undo()
    history.note(SETUP)
    assert history.redo_label == "seed"


def test_what_the_window_fills_in_itself_is_no_edit(history: UndoHistory) -> None:
    history.note(replace(SETUP, seed=2))
    history.restored.connect(lambda setup: history.note(replace(setup, out="/suggested")))
    history.undo()
    assert (history.undo_label, history.redo_label) == ("", "seed")


def test_a_new_edit_drops_what_could_be_redone(history: UndoHistory) -> None:
    history.note(replace(SETUP, seed=2))
    history.undo()
    history.note(replace(SETUP, k=2))
    assert (history.undo_label, history.redo_label) == ("K", "")


def test_typing_in_a_field_is_one_step(qtbot: QtBot, history: UndoHistory, clock: Clock) -> None:
    for seed in (12, 123, 1234):
        clock.now += 0.9
        history.note(replace(SETUP, seed=seed))
    clock.now += 1.1
    history.note(replace(SETUP, seed=5))
    with qtbot.waitSignal(history.restored) as restored:
        history.undo()
    assert restored.args[0].seed == 1234
    with qtbot.waitSignal(history.restored) as restored:
        history.undo()
    assert restored.args[0].seed == 1
    assert not history.undo_label


def test_an_edit_that_was_taken_back_by_hand_is_no_step(history: UndoHistory) -> None:
    history.note(replace(SETUP, k=2))
    history.note(SETUP)
    assert not history.undo_label


def test_edits_of_two_fields_are_two_steps(history: UndoHistory) -> None:
    history.note(replace(SETUP, seed=2))
    history.note(replace(SETUP, seed=2, k=2))
    history.undo()
    assert history.undo_label == "seed"


def test_an_edit_after_undo_is_a_step_of_its_own(qtbot: QtBot, history: UndoHistory) -> None:
    history.note(replace(SETUP, seed=2))
    history.note(replace(SETUP, seed=2, k=2))
    history.undo()
    history.note(replace(SETUP, seed=3))
    with qtbot.waitSignal(history.restored) as restored:
        history.undo()
    assert restored.args[0].seed == 2


def test_only_what_describes_the_merge_counts_as_unsaved(history: UndoHistory, clock: Clock) -> None:
    said: list[bool] = []
    history.clean_changed.connect(said.append)
    history.note(replace(SETUP, device="cpu", threads=2, out="/there"))
    assert (said, history.is_modified) == ([], False)
    assert history.undo_label
    history.note(replace(SETUP, seed=2))
    assert (said, history.is_modified) == ([False], True)
    history.mark_saved()
    history.undo()
    history.redo()
    assert said == [False, True, False, True]
    history.note(replace(SETUP, seed=3))
    history.reset(replace(SETUP, seed=3))
    assert (history.is_modified, history.undo_label) == (False, "")


def test_a_name_with_an_ampersand_is_shown_as_it_is(history: UndoHistory) -> None:
    parent = QObject()
    undo = history.undo_action(parent)
    history.note(replace(SETUP, models=(*RUNS, ModelChoice(Path("/models/a&b")))))
    assert undo.text() == "Undo add a&&b"
