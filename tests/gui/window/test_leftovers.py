"""What a merge leaves when it does not come to its end: stopping it, going on with it, removing it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

import gui.run.discard_job
import gui.run.merge_job
from core import Leftover, Progress, discard, leftover_of, load_recipe, plan_merge, read_record, run_merge
from core.errors import OutputError
from core.runs.learned import Learned
from gui.window.window import MainWindow

CutOff = Callable[[Path], Leftover]

RESUME, REMOVE = "Resume", "Remove what it left…"


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path) -> MainWindow:
    """A window with a recipe that was checked; the output is tmp_path/out."""
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "out")
    wait_for_check(qtbot, window)
    return window


@pytest.fixture
def halfway(qtbot: QtBot, ready: MainWindow, held_merge: SimpleNamespace) -> MainWindow:
    """The same, with a merge that has finished something and is held."""
    ready.merge_button.click()
    qtbot.waitUntil(lambda: held_merge.reached.is_set() and ready.merger.fraction > 0)
    return ready


def wait_for_check(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: window.preflight.checked)


def wait_for_end(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.merging, timeout=30_000)
    wait_for_check(qtbot, window)


def question_of(window: MainWindow) -> QMessageBox:
    found = window.findChild(QMessageBox)
    assert found is not None
    return found


def press(widget: QWidget, words: str) -> None:
    (button,) = [one for one in widget.findChildren(QAbstractButton) if one.text() == words]
    assert button.isEnabled()
    button.click()


def problems(window: MainWindow) -> str:
    return " ".join(window.preflight.problems.texts)


def assert_same_merge(models: Path, out: Path, tmp_path: Path) -> None:
    same = run_merge(plan_merge(load_recipe(models / "recipe.yaml")), tmp_path / "same")
    record = read_record(out)
    assert [tensor.digest for tensor in record.tensors] == [tensor.digest for tensor in same.tensors]
    assert record.tensors == same.tensors
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "same" / "model.safetensors").read_bytes()


# -- stopping


def test_cancelling_asks_what_becomes_of_what_is_finished(
    qtbot: QtBot, halfway: MainWindow, models: Path, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    halfway.preflight.cancel_button.click()
    box = question_of(halfway)
    assert box.text() == "Keep what is finished?"
    assert box.informativeText().startswith(f"{int(100 * halfway.merger.fraction)} % of it is.")
    words = {"Keep it and stop", "Stop and remove it", "Go on merging"}
    assert {button.text() for button in box.buttons()} == words
    assert box.defaultButton().text() == "Go on merging"
    assert halfway.merging  # it goes on meanwhile
    press(box, "Keep it and stop")
    held_merge.released.set()
    wait_for_end(qtbot, halfway)
    left = leftover_of(tmp_path / "out")
    assert left is not None
    said = f"{int(100 * left.fraction)} % of the merge is kept in {tmp_path / 'out.partial'}."
    assert halfway.run.message.text == f"Cancelled. {said}"
    assert said in halfway.log.text
    assert "An earlier merge into this folder was cut off" in problems(halfway)
    press(halfway.run, RESUME)
    qtbot.waitUntil(lambda: halfway.merging)
    wait_for_end(qtbot, halfway)
    assert "Merged, the rest in" in halfway.run.message.text
    assert_same_merge(models, tmp_path / "out", tmp_path)


def test_what_is_finished_can_be_removed_when_cancelling(
    qtbot: QtBot, halfway: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    halfway.actions_.cancel.trigger()
    press(question_of(halfway), "Stop and remove it")
    held_merge.released.set()
    wait_for_end(qtbot, halfway)
    assert list(tmp_path.iterdir()) == []
    assert halfway.run.message.text == "Cancelled. Nothing was written."
    assert halfway.merge_button.isEnabled()


def test_cancelling_can_be_thought_better_of(
    qtbot: QtBot, halfway: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    halfway.preflight.cancel_button.click()
    qtbot.keyClick(question_of(halfway), Qt.Key.Key_Escape)
    assert halfway.preflight.cancel_button.isEnabled()
    halfway.preflight.cancel_button.click()
    qtbot.waitUntil(lambda: halfway.findChild(QMessageBox) is not None)
    held_merge.released.set()  # and then it comes to its end by itself
    wait_for_end(qtbot, halfway)
    qtbot.waitUntil(lambda: halfway.findChild(QMessageBox) is None)
    assert read_record(tmp_path / "out")


def test_the_question_says_how_much_is_finished_by_now(
    qtbot: QtBot, halfway: MainWindow, held_merge: SimpleNamespace
) -> None:
    halfway.preflight.cancel_button.click()
    job = halfway.merger.job
    assert job is not None
    job.progressed.emit(Progress(63, 100, 5, 8, 1.0, "x"))
    qtbot.waitUntil(lambda: "63 % of it is." in question_of(halfway).informativeText())
    job.progressed.emit(Progress(64, 100, 5, 8, 1.0, "x"))
    qtbot.waitUntil(lambda: "64 % of it is." in question_of(halfway).informativeText())
    press(question_of(halfway), "Go on merging")
    held_merge.released.set()
    wait_for_end(qtbot, halfway)


def test_nothing_is_asked_before_anything_is_finished(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, before_chunks: Callable[[Callable[[], None]], None]
) -> None:
    reached, released = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert released.wait(30)

    before_chunks(wait)
    ready.merge_button.click()
    qtbot.waitUntil(reached.is_set)
    ready.preflight.cancel_button.click()
    assert ready.findChild(QMessageBox) is None
    released.set()
    wait_for_end(qtbot, ready)
    assert list(tmp_path.iterdir()) == []


def test_closing_keeps_what_is_finished_where_that_is_wanted(
    qtbot: QtBot, halfway: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    halfway.close()
    assert halfway.isVisible()
    press(question_of(halfway), "Keep it and close")
    held_merge.released.set()
    qtbot.waitUntil(lambda: not halfway.isVisible())
    assert leftover_of(tmp_path / "out") is not None


def test_a_signal_loses_nothing(
    qtbot: QtBot, halfway: MainWindow, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    halfway.preflight.cancel_button.click()  # and nobody answers
    halfway.close_at_once()
    held_merge.released.set()
    qtbot.waitUntil(lambda: not halfway.isVisible())
    left = leftover_of(tmp_path / "out")
    assert left is not None
    assert left.fraction > 0


# -- finding what is left


def test_what_a_merge_left_is_offered_as_soon_as_the_folder_is_named(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, cut_off: CutOff
) -> None:
    left = cut_off(tmp_path / "cut")
    window.recipe.output_field.setText(str(tmp_path / "cut"))  # before anything else is chosen
    qtbot.waitUntil(lambda: "cut off at" in problems(window))
    assert f"cut off at {int(100 * left.fraction)} %, less than a minute ago." in problems(window)
    assert window.load_recipe(models / "recipe.yaml", tmp_path / "cut")
    wait_for_check(qtbot, window)
    assert not window.merge_button.isEnabled()
    press(window.preflight.problems, RESUME)
    qtbot.waitUntil(lambda: window.merging)
    assert "cut off" not in problems(window)
    wait_for_end(qtbot, window)
    assert_same_merge(models, tmp_path / "cut", tmp_path)


def test_a_merge_that_goes_on_begins_where_it_stood(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff, held_merge: SimpleNamespace
) -> None:
    held_merge.released.set()
    left = cut_off(tmp_path / "out")
    held_merge.reached.clear()
    held_merge.released.clear()
    ready.checker.check_now(ready.setup())
    wait_for_check(qtbot, ready)
    seen: list[Progress] = []
    ready.pictures.tabs.setCurrentWidget(ready.pictures.provenance)
    press(ready.preflight.problems, RESUME)
    qtbot.waitUntil(lambda: ready.merger.job is not None)
    job = ready.merger.job
    assert job is not None
    assert ready.merger.fraction == left.fraction
    job.progressed.connect(seen.append)
    qtbot.waitUntil(held_merge.reached.is_set)
    qtbot.waitUntil(lambda: ready.pictures.provenance.sentence == "" and bool(seen))
    shown = np.isfinite(ready.pictures.provenance._left.getData()[1]).sum()
    assert shown > 1  # those of the earlier merge, too
    held_merge.released.set()
    wait_for_end(qtbot, ready)
    assert min(progress.fraction for progress in seen) >= left.fraction > 0
    assert seen[0].bytes_before > 0
    assert f"Going on at {int(100 * left.fraction)} %" in ready.log.text
    assert np.isfinite(ready.pictures.provenance._left.getData()[1]).sum() == 5


def test_a_merge_that_went_on_says_nothing_of_the_speed_of_the_machine(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.plan.estimate._WORTH_LEARNING_S", 1e-6)  # the models are small
    cut_off(tmp_path / "out")
    learned = Learned(ready._history.folder)
    before = learned.read()
    ready.resume_merge()
    qtbot.waitUntil(lambda: ready.merging)
    wait_for_end(qtbot, ready)
    assert learned.read() == before
    ready.merge_button.click()
    qtbot.waitUntil(lambda: learned.read() != before)
    wait_for_end(qtbot, ready)


def test_what_is_left_is_removed_after_a_question(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = cut_off(tmp_path / "out")
    in_threads: list[bool] = []

    def noted(folder: Path) -> Leftover:
        in_threads.append(threading.current_thread() is not threading.main_thread())
        return discard(folder)

    monkeypatch.setattr(gui.run.discard_job, "discard", noted)
    ready.checker.check_now(ready.setup())
    wait_for_check(qtbot, ready)
    press(ready.preflight.problems, REMOVE)
    box = question_of(ready)
    assert str(tmp_path / "out.partial") in box.text()
    assert box.textFormat() == Qt.TextFormat.PlainText
    assert f"{int(100 * left.fraction)} % of a merge" in box.informativeText()
    press(box, "Leave it there")
    qtbot.waitUntil(lambda: ready.findChild(QMessageBox) is None)
    assert (tmp_path / "out.partial").exists()
    press(ready.preflight.problems, REMOVE)
    press(question_of(ready), "Remove it")
    qtbot.waitUntil(ready.merge_button.isEnabled)
    assert list(tmp_path.iterdir()) == []
    assert in_threads == [True]
    assert f"Removed {tmp_path / 'out.partial'}" in ready.log.text


def test_what_holds_files_of_others_is_not_removed_and_that_is_said(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff
) -> None:
    left = cut_off(tmp_path / "out")
    (left.path / "thesis.tex").write_text("years of work")
    ready.checker.check_now(ready.setup())
    wait_for_check(qtbot, ready)
    press(ready.preflight.problems, REMOVE)
    press(question_of(ready), "Remove it")
    qtbot.waitUntil(lambda: "thesis.tex" in ready.run.message.text)
    wait_for_check(qtbot, ready)
    assert (left.path / "thesis.tex").read_text() == "years of work"
    assert "cut off at" in problems(ready)


def test_what_else_is_in_the_way_keeps_a_merge_from_going_on(
    qtbot: QtBot, ready: MainWindow, models: Path, tmp_path: Path, cut_off: CutOff
) -> None:
    cut_off(tmp_path / "out")
    (tmp_path / "out").mkdir()
    ready.checker.check_now(ready.setup())
    wait_for_check(qtbot, ready)
    assert "cut off at" in problems(ready)
    assert "exists already" in problems(ready)
    (resume,) = [link for link in ready.preflight.problems.links if link.text() == RESUME]
    assert not resume.isEnabled()
    assert "exists already" in resume.toolTip()
    ready.resume_merge()  # as the history does
    wait_for_check(qtbot, ready)
    assert f"Not resumed: {tmp_path / 'out'} exists already" in ready.statusBar().currentMessage()
    assert not ready.merging


def test_another_recipe_is_refused_with_what_is_different(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff
) -> None:
    cut_off(tmp_path / "out")
    ready.recipe.set_seed(99)
    wait_for_check(qtbot, ready)
    press(ready.preflight.problems, RESUME)
    qtbot.waitUntil(lambda: ready.merging)
    wait_for_end(qtbot, ready)
    assert "seed is 99 in the recipe now, and it was begun with 7" in ready.run.message.text
    assert "put that back, or press remove what it left." in ready.run.message.text.lower()
    assert "paramosaic discard" not in ready.run.message.text


def test_a_failure_offers_what_is_kept(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(tmp_path / "out")

    def fail(*arguments: object, **options: object) -> None:
        error = OutputError("the disk is gone", hint="plug it in, and go on with it (--resume)")
        error.kept = tmp_path / "out.partial"
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(gui.run.merge_job, "run_merge", fail)
        ready.resume_merge()
        # It fails at once, maybe before anyone could see it run.
        qtbot.waitUntil(lambda: ready.run.message.text.startswith("The disk is gone"))
        wait_for_end(qtbot, ready)
    assert ready.run.message.text.startswith("The disk is gone. Plug it in, and press Resume.")
    assert f"% of the merge is kept in {tmp_path / 'out.partial'}." in ready.run.message.text
    press(ready.run, REMOVE)
    press(question_of(ready), "Remove it")
    qtbot.waitUntil(lambda: ready.run.message.text == "")  # it speaks of what is no more
    qtbot.waitUntil(ready.merge_button.isEnabled)


def test_notes_of_the_engine_are_seen(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = run_merge

    def noting(*arguments: object, **options: object) -> object:
        options["on_note"]("put back <b>it</b>")  # type: ignore[operator]
        return merge(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(gui.run.merge_job, "run_merge", noting)
    ready.merge_button.click()
    qtbot.waitUntil(lambda: ready.merging)
    wait_for_end(qtbot, ready)
    assert "Put back <b>it</b>." in ready.log.text
    assert "Put back <b>it</b>." in ready.run.message.text


# -- another process


OWNS = """
import sys
from core.checkpoint.ownership import Ownership
from core.disk import OpenFolder
ownership = Ownership(OpenFolder(__import__("pathlib").Path(sys.argv[1])), "run-1")
print("owned", flush=True)
sys.stdin.read()
"""


def test_a_merge_of_another_process_is_waited_for(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = cut_off(tmp_path / "out")
    ready.checker._watch.setInterval(50)
    other = subprocess.Popen(
        [sys.executable, "-c", OWNS, str(left.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "owned\n"
        ready.checker.check_now(ready.setup())
        wait_for_check(qtbot, ready)
        assert f"Another merge is writing into this folder, running as pid {other.pid} on" in problems(ready)
        assert not ready.merge_button.isEnabled()
        assert {link.text() for link in ready.preflight.problems.links} == {"Show me"}
        ready.resume_merge()
        wait_for_check(qtbot, ready)
        assert not ready.merging
        reports: list[object] = []
        ready.checker.reported.connect(reports.append)
        qtbot.wait(300)
        assert reports == []  # it looks at the lock only
    finally:
        other.kill()
        other.communicate()
    qtbot.waitUntil(lambda: "cut off at" in problems(ready))


def test_the_window_looks_again_when_it_becomes_active(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path, cut_off: CutOff, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = QWidget()
    qtbot.addWidget(other)
    other.show()

    def look_away() -> None:
        other.activateWindow()
        qtbot.waitUntil(lambda: not ready.isActiveWindow())

    assert ready.merge_button.isEnabled()
    look_away()
    left = cut_off(tmp_path / "out")  # as by command
    ready.activateWindow()
    qtbot.waitUntil(lambda: "cut off at" in problems(ready))
    assert not ready.merge_button.isEnabled()
    look_away()
    discard(left.path)
    ready.activateWindow()
    qtbot.waitUntil(ready.merge_button.isEnabled)


# -- the history


def test_a_run_is_gone_on_with_from_the_history(
    qtbot: QtBot, halfway: MainWindow, models: Path, tmp_path: Path, held_merge: SimpleNamespace
) -> None:
    halfway.preflight.cancel_button.click()
    press(question_of(halfway), "Keep it and stop")
    held_merge.released.set()
    wait_for_end(qtbot, halfway)
    assert halfway.load_recipe(models / "recipe.yaml", tmp_path / "elsewhere")
    halfway.recipe.set_seed(8)
    wait_for_check(qtbot, halfway)
    halfway.document.keep(halfway.setup())  # nothing is asked
    qtbot.waitUntil(lambda: halfway.history.model.rowCount() == 1)
    halfway.history.table.selectRow(0)
    qtbot.waitUntil(lambda: "% is kept" in halfway.history.note.toolTip() + halfway.history.note.text())
    resume = next(action for action in halfway.history.actions_ if action.text() == RESUME)
    qtbot.waitUntil(resume.isEnabled)
    resume.trigger()
    qtbot.waitUntil(lambda: halfway.merging)
    wait_for_end(qtbot, halfway)
    assert_same_merge(models, tmp_path / "out", tmp_path)
    qtbot.waitUntil(lambda: halfway.history.model.rowCount() == 2)
    halfway.history.table.selectRow(1)
    assert not resume.isEnabled()
