"""Base, sub-model and merge are asked the same in the window; a process stands for the models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette, QTextCharFormat
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

import gui.trying.panel
from gui.jobs import JobKeeper
from gui.settings import Settings
from gui.trying.asking import Asking
from gui.trying.child import AnswerProcess, TryEvent
from gui.trying.column import AnswerColumn
from gui.trying.differences import Difference
from gui.trying.panel import TryPanel
from gui.widgets.contrast import contrast
from gui.widgets.places import Places
from gui.widgets.theme import apply_theme
from gui.window.window import MainWindow

FAKE = [sys.executable, str(Path(__file__).parent / "fake_models.py")]


@pytest.fixture
def begun() -> list[AnswerProcess]:
    """The processes that were begun."""
    return []


@pytest.fixture
def panel(qtbot: QtBot, settings: Settings, tmp_path: Path, begun: list[AnswerProcess]) -> Iterator[TryPanel]:
    jobs = JobKeeper()

    def process() -> AnswerProcess:
        begun.append(AnswerProcess(FAKE))
        return begun[-1]

    panel = TryPanel(jobs, Places(settings), asking=Asking(jobs, process=process))
    qtbot.addWidget(panel)
    panel.resize(900, 400)
    panel.show()
    panel.activateWindow()
    panel.set_models(tmp_path / "base", [tmp_path / "one", tmp_path / "two"])
    panel.set_outputs([tmp_path / "merged"])
    yield panel
    panel.asking._idle.stop()
    jobs.stop_all()


def ask(qtbot: QtBot, panel: TryPanel, prompt: str = "Ann") -> None:
    panel.prompt.setPlainText(prompt)
    panel.send()
    qtbot.waitUntil(lambda: not panel.asking.running, timeout=20_000)


def marks(column: AnswerColumn) -> list[str]:
    """The text of what is marked; every mark is seen without its colour."""
    selections = column.view.extraSelections()
    for selection in selections:
        assert selection.format.underlineStyle() == QTextCharFormat.UnderlineStyle.SingleUnderline
        assert selection.format.background().color().alpha() > 0
    return [selection.cursor.selectedText() for selection in selections]


def test_when_all_is_said_the_first_difference_is_in_sight(qtbot: QtBot, panel: TryPanel) -> None:
    same, other = "The same in both. " * 200, "And more. " * 300
    base, tuned, merge = panel.columns
    for column, end in ((base, "one"), (tuned, "two"), (merge, "one")):
        column.begin()
        column.take(TryEvent("token", text=f"{same}{end} {other}"))
    for column in panel.columns:
        column.take(TryEvent("answer", tokens=200, seconds=1.2, stopped="length"))
    panel._comparing.compare()
    qtbot.waitUntil(lambda: marks(tuned) == ["two"])
    (mark,) = tuned.view.extraSelections()
    seen = tuned.view.viewport().rect()
    qtbot.waitUntil(lambda: seen.contains(tuned.view.cursorRect(mark.cursor)))
    assert base.view.verticalScrollBar().value() == merge.view.verticalScrollBar().value() == 0
    assert tuned.status.text() == "1 word differs · cut at 200 tokens, 1.2 s"
    assert "as many tokens as were asked for" in tuned.status.toolTip()


@pytest.mark.parametrize("width", [540, 900])
def test_how_an_answer_ended_is_read_whole(qtbot: QtBot, panel: TryPanel, width: int) -> None:
    panel.resize(width, 400)
    column = panel.columns[1]
    column.begin()
    column.take(TryEvent("token", text="One answer."))
    column.take(TryEvent("answer", tokens=200, seconds=1.2, stopped="length"))
    column.mark(Difference((), 123), "Base")
    told = "123 words differ · cut at 200 tokens, 1.2 s"
    qtbot.waitUntil(lambda: " ".join(column.status.shown_lines) == told)


def test_three_models_answer_and_what_differs_from_the_base_is_marked(
    qtbot: QtBot, panel: TryPanel, begun: list[AnswerProcess]
) -> None:
    assert not panel.send_button.isEnabled()
    panel.prompt.setFocus()
    QTest.keyClicks(panel.prompt, "Ann")
    QTest.keyClick(panel.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert panel.asking.running
    assert not panel.send_button.isEnabled()
    assert panel.stop_button.isEnabled()
    qtbot.waitUntil(lambda: not panel.asking.running, timeout=20_000)
    base, tuned, merge = panel.columns
    assert base.view.toPlainText() == "日本 says base to Ann at 0."
    assert merge.view.toPlainText() == "日本 says merged to Ann at 0."
    qtbot.waitUntil(lambda: marks(tuned) == ["one"] and marks(merge) == ["merged"])
    assert marks(base) == []
    assert "1 word differs · 4 tokens, 0.5 s" in tuned.status.text()
    assert "It has no chat template: the prompt is given as it is." in base.status.text()
    panel.reference.setCurrentIndex(2)
    qtbot.waitUntil(lambda: marks(base) == ["base"] and marks(merge) == [])
    panel.reference.setCurrentIndex(3)
    qtbot.waitUntil(lambda: marks(base) == marks(tuned) == [])
    panel.copy()
    assert QGuiApplication.clipboard().text() == (
        "Prompt\nAnn\n\nBase: base\n日本 says base to Ann at 0.\n\n"
        "Sub-model: one\n日本 says one to Ann at 0.\n\n"
        "Merge: merged\n日本 says merged to Ann at 0.\n"
    )
    ask(qtbot, panel, "Bob")
    assert base.text == "日本 says base to Bob at 0."
    assert len(begun) == 1  # the models stay in memory between two prompts
    panel.asking.let_go()
    qtbot.waitUntil(lambda: begun[0].isFinished(), timeout=10_000)
    ask(qtbot, panel, "Cy")
    assert len(begun) == 2


def test_stop_and_a_second_press_that_waits_for_nothing(
    qtbot: QtBot, panel: TryPanel, tmp_path: Path, begun: list[AnswerProcess]
) -> None:
    panel.set_models(tmp_path / "endless", [tmp_path / "one"])
    panel.prompt.setPlainText("Ann")
    panel.send()
    base, tuned, _ = panel.columns
    qtbot.waitUntil(lambda: base.text.endswith(" and"), timeout=20_000)
    QTest.mouseClick(panel.stop_button, Qt.MouseButton.LeftButton)
    assert panel.stop_button.text() == "Stopping…"
    qtbot.waitUntil(lambda: not panel.asking.running, timeout=20_000)
    assert ", stopped" in base.status.text()
    assert tuned.status.text() == "was not asked"
    panel.set_models(tmp_path / "deaf", [tmp_path / "one"])
    panel.send()
    qtbot.waitUntil(lambda: base.text.endswith(" and"), timeout=20_000)
    for _ in range(2):
        QTest.mouseClick(panel.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.asking.running, timeout=20_000)
    assert base.status.text().endswith("stopped")
    panel.set_models(tmp_path / "base", [tmp_path / "one"])
    ask(qtbot, panel)  # in a new process
    assert base.text == "日本 says base to Ann at 0."
    assert len(begun) == 2


def test_what_goes_wrong_is_said_where_the_answer_would_be(
    qtbot: QtBot, panel: TryPanel, tmp_path: Path
) -> None:
    panel.set_models(tmp_path / "broken", [tmp_path / "fatal"])
    ask(qtbot, panel)
    broken, fatal, merge = panel.columns
    assert broken.view.placeholderText() == "Broken lacks lm_head.weight. Clear Chat template under Settings."
    assert "has ended: Cannot go on." in fatal.view.placeholderText()
    assert "Send the prompt again." in merge.view.placeholderText()
    panel.set_models(tmp_path / "base", [tmp_path / "one"])
    ask(qtbot, panel)
    assert merge.text == "日本 says merged to Ann at 0."


def test_the_programs_own_process_begins_wherever_the_window_runs(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gui").mkdir()
    (tmp_path / "gui" / "__init__.py").write_text("raise SystemExit('another program')")
    monkeypatch.chdir(tmp_path)
    jobs, process = JobKeeper(), AnswerProcess()
    kinds: list[str] = []
    process.said.connect(lambda event: kinds.append(event.kind))
    process.send({"id": 1, "prompt": "x", "models": []})
    jobs.start(process)
    qtbot.waitUntil(lambda: kinds == ["ready", "failed", "ended"], timeout=30_000)
    with qtbot.waitSignal(process.ended) as ended:
        process.cancel()
    assert ended.args == [None]
    jobs.stop_all()


def test_the_settings_are_what_is_asked(qtbot: QtBot, panel: TryPanel) -> None:
    form = panel.form
    assert not form.seed.isEnabled()
    assert panel.fold.summary_label._full == "temperature 0, 200 tokens"
    panel.fold.button.click()
    assert form.isVisible()
    form.temperature.edit.setText("0.7")
    form.tokens.edit.setText("12")
    form.system.setPlainText("Be brief")
    form.chat.setChecked(False)
    assert form.seed.isEnabled()
    form.seed.edit.setText("9")
    options = form.options()
    assert (options.temperature, options.max_new_tokens, options.seed) == (0.7, 12, 9)
    assert (options.system, options.chat) == ("Be brief", False)
    panel.prompt.setPlainText("Ann")
    form.tokens.edit.setText("0")
    assert not panel.send_button.isEnabled()
    assert "at least 1" in panel.send_button.toolTip()
    form.tokens.edit.setText("12")
    panel.columns[1].box.setChecked(False)
    panel.columns[2].box.setChecked(False)
    ask(qtbot, panel)
    assert [column.text for column in panel.columns] == ["日本 says base to Ann at 0.7.", "", ""]


def test_columns_without_a_model_say_what_to_do_next(
    qtbot: QtBot, panel: TryPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.set_models(None, [])
    panel.set_outputs([])
    panel.prompt.setPlainText("Ann")
    told = [column.view.placeholderText() for column in panel.columns]
    assert told[0].startswith("Choose a base")
    assert told[1].startswith("Add a sub-model")
    assert told[2].startswith("Press Merge")
    assert panel.send_button.toolTip() == "There is no model to ask yet: choose one in a column below."
    chosen: list[Path | None] = [None, tmp_path / "other"]
    monkeypatch.setattr(gui.trying.panel, "choose_folder", lambda *_: chosen.pop(0))
    column = panel.columns[2]
    for _ in range(2):
        last = column.choice.count() - 1
        column.choice.setCurrentIndex(last)
        column.choice.activated.emit(last)
    assert column.model == tmp_path / "other"
    panel.set_outputs([tmp_path / "merged"])
    assert column.model == tmp_path / "other"  # what was chosen stays
    panel.show_output(tmp_path / "later")
    assert column.model == tmp_path / "later"  # until there is a new merge
    ask(qtbot, panel)
    assert column.text == "日本 says later to Ann at 0."


def test_what_changes_while_they_answer_is_there_afterwards(
    qtbot: QtBot, panel: TryPanel, tmp_path: Path
) -> None:
    panel.set_models(tmp_path / "endless", [tmp_path / "one"])
    panel.prompt.setPlainText("Ann")
    panel.send()
    base, _, merge = panel.columns
    qtbot.waitUntil(lambda: bool(base.text), timeout=20_000)
    panel.set_models(tmp_path / "base", [tmp_path / "one"])
    panel.show_output(tmp_path / "later")
    panel.set_merging(True)
    assert panel.note._full == "A merge is running: the models answer more slowly."
    assert (base.model, merge.model) == (tmp_path / "endless", tmp_path / "merged")
    panel.asking.stop()
    qtbot.waitUntil(lambda: not panel.asking.running, timeout=20_000)
    assert (base.model, merge.model) == (tmp_path / "base", tmp_path / "later")
    assert base.text == ""  # it was another model's


def test_marked_words_can_be_read_in_both_themes(qtbot: QtBot, panel: TryPanel, qapp: QApplication) -> None:
    ask(qtbot, panel)
    column = panel.columns[1]
    qtbot.waitUntil(lambda: marks(column) == ["one"])
    seen = set()
    try:
        for dark in (True, False):
            apply_theme(qapp, dark=dark)
            qtbot.wait(1)
            selections = column.view.extraSelections()
            line, tint = (
                selections[0].format.underlineColor(),
                selections[0].format.background().color(),
            )
            colours = column.view.palette()
            ground = colours.color(QPalette.ColorRole.Base)
            share = tint.alphaF()
            behind = QColor.fromRgbF(
                *(
                    share * over + (1 - share) * under
                    for over, under in zip(tint.getRgbF()[:3], ground.getRgbF()[:3], strict=True)
                )
            )
            assert contrast(colours.color(QPalette.ColorRole.Text), behind) >= 4.5
            assert contrast(line, behind) >= 3
            seen.add(line.name())
    finally:
        apply_theme(qapp, dark=False)
    assert len(seen) == 2


def test_the_window_tells_it_which_models_there_are(
    qtbot: QtBot, window: MainWindow, models: Path, before_chunks: Callable[[Callable[[], None]], None]
) -> None:
    window.resize(960, 620)
    window.activateWindow()
    trying = window.trying
    QTest.keyClick(
        window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    qtbot.waitUntil(lambda: trying.prompt.hasFocus() and not trying.prompt.visibleRegion().isEmpty())
    window.load_recipe(models / "recipe.yaml", models / "tried")
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    assert trying.columns[0].model == models / "base"
    assert trying.columns[1].models == tuple(models / f"run-{number}" for number in (1, 2, 3))
    assert trying.columns[2].model is None
    seen: list[bool] = []
    before_chunks(lambda: seen.append(trying._merging))
    QTest.keyClick(trying.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert not window.merging  # Ctrl+Enter is the prompt's there
    window.start_merge()
    qtbot.waitUntil(lambda: window.merger.result is not None and not window.merging, timeout=60_000)
    assert seen
    assert all(seen)
    assert not trying._merging
    assert trying.columns[2].model == models / "tried"
    for column in trying.columns:
        place = column.mapTo(window, QPoint(column.width(), 0))
        assert window.rect().contains(place - QPoint(1, 0))
