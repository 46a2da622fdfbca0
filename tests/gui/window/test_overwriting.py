"""An output that exists: another name, or replacing it, which is asked for, done last and never assumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QToolButton
from pytestqt.qtbot import QtBot

from core import load_recipe, plan_merge, run_merge
from core.run.record import read_record
from gui.window.window import MainWindow


@pytest.fixture(scope="module")
def finished(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished merge."""
    out = tmp_path_factory.mktemp("finished") / "merged"
    run_merge(plan_merge(load_recipe(models / "recipe.yaml")), out, threads=1)
    return out


@pytest.fixture
def opened(qtbot: QtBot, window: MainWindow, models: Path) -> MainWindow:
    """With a recipe that can be merged."""
    assert window.load_recipe(models / "recipe.yaml")
    check(qtbot, window)
    return window


def check(qtbot: QtBot, window: MainWindow) -> str | None:
    qtbot.waitUntil(lambda: window.preflight.checked)
    return window.preflight.reason


def type_out(qtbot: QtBot, window: MainWindow, text: str) -> str | None:
    edit = window.recipe.output_field
    window.activateWindow()
    edit.setFocus()
    qtbot.waitUntil(edit.hasFocus)
    edit.selectAll()
    qtbot.keyClick(edit, Qt.Key.Key_Delete)
    qtbot.keyClicks(edit, text)
    return check(qtbot, window)


def links(window: MainWindow) -> dict[str, QToolButton]:
    return {link.text(): link for link in window.preflight.problems.links}


def answer(qtbot: QtBot, window: MainWindow, words: str) -> str:
    """Press `words` in the question that is open; what it said."""
    box = window.findChild(QMessageBox)
    assert box is not None
    button = next(button for button in box.buttons() if button.text() == words)
    text = f"{box.text()} {box.informativeText()}"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is None)
    return text


def press(qtbot: QtBot, window: MainWindow, words: str) -> None:
    qtbot.mouseClick(links(window)[words], Qt.MouseButton.LeftButton)


def test_a_finished_merge_is_replaced_when_that_was_asked_for(
    qtbot: QtBot, opened: MainWindow, finished: Path, tmp_path: Path
) -> None:
    window, out = opened, tmp_path / "merged"
    shutil.copytree(finished, out)
    before = read_record(out).run_id
    files = sum(place.is_file() for place in out.rglob("*"))
    reason = type_out(qtbot, window, str(out))
    assert reason is not None
    assert reason.startswith(f"{out} exists already: a finished merge, {files} files, ")
    assert list(links(window))[:2] == ["Use merged-2", "Overwrite…"]
    assert not window.merge_button.isEnabled()
    press(qtbot, window, "Overwrite…")
    assert window.preflight.reason == reason, "nothing is done before the question is answered"
    answer(qtbot, window, "Leave it there")
    assert not window.setup().overwrite
    press(qtbot, window, "Overwrite…")
    question = answer(qtbot, window, "Overwrite it")
    assert str(out) in question
    assert f"a finished merge, {files} files, " in question
    assert check(qtbot, window) is None
    assert any("is replaced when the merge is done" in text for text in window.preflight.problems.texts)
    assert read_record(out).run_id == before
    with qtbot.waitSignal(window.merger.ended):
        qtbot.mouseClick(window.merge_button, Qt.MouseButton.LeftButton)
    assert read_record(out).run_id != before
    assert window.setup().out == str(out.with_name("merged-2"))
    assert not window.setup().overwrite
    reason = type_out(qtbot, window, str(out))
    assert reason is not None, "it was for one merge"


def test_a_free_name_is_one_press_away(qtbot: QtBot, opened: MainWindow, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken-2").mkdir()
    reason = type_out(qtbot, opened, str(tmp_path / "taken"))
    assert reason == f"{tmp_path / 'taken'} exists already: an empty folder."
    press(qtbot, opened, "Use taken-3")
    assert opened.setup().out == str(tmp_path / "taken-3")
    assert check(qtbot, opened) is None
    opened.document.undo.undo()
    assert opened.setup().out != str(tmp_path / "taken-3")


def test_the_choice_is_for_one_path_and_redo_does_not_bring_it_back(
    qtbot: QtBot, opened: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10_000, 10))  # so that no step grows
    monkeypatch.setattr("gui.document.undo.monotonic", lambda: float(next(now)))
    out = tmp_path / "taken"
    out.mkdir()
    opened.recipe.output.set_folder(str(out))
    for change in ("type", "undo"):
        check(qtbot, opened)
        press(qtbot, opened, "Overwrite…")
        answer(qtbot, opened, "Overwrite it")
        assert check(qtbot, opened) is None
        if change == "type":
            qtbot.keyClicks(opened.recipe.output_field, "x")
            qtbot.keyClick(opened.recipe.output_field, Qt.Key.Key_Backspace)
        else:
            assert opened.document.undo.undo_label == "overwriting"
            opened.document.undo.undo()
            assert opened.setup().out == str(out)
            opened.document.undo.redo()
        reason = check(qtbot, opened)
        assert reason is not None
        assert "exists already" in reason
    assert out.is_dir()


@pytest.mark.parametrize("kind", ["file", "files", "more"])
def test_what_is_no_merge_is_not_offered_to_be_replaced(
    qtbot: QtBot, opened: MainWindow, finished: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "mine"
    if kind == "file":
        out.write_text("a diary")
    elif kind == "files":
        out.mkdir()
        (out / "diary.txt").write_text("a diary")
    else:
        shutil.copytree(finished, out)
        (out / "diary.txt").write_text("a diary")
    reason = type_out(qtbot, opened, str(out))
    assert reason is not None
    assert next(iter(links(opened))) == "Use mine-2"
    assert "Overwrite…" not in links(opened)
    said = opened.preflight.problems.texts[0]
    if kind == "file":
        assert said == f"{out} is a file. The output is a new folder: choose a name that is not taken."
    else:
        assert "will not be overwritten" in said
    assert "output folder" not in reason
    opened.recipe.output.set_overwrite(str(out))  # even if it were said
    assert check(qtbot, opened) is not None
    assert not opened.merge_button.isEnabled()
    press(qtbot, opened, "Use mine-2")
    assert check(qtbot, opened) is None
    assert out.exists()
