"""The strip that tells how far a merge is and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QLabel, QListView, QPushButton, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from core import Leftover, Progress, RunRecord
from gui.failure import Failure
from gui.run.panel import RunPanel, title_text
from gui.run.result import MergeResult
from gui.widgets.messages import MessagePanel

TENSOR = "model.layers.11.mlp.up_proj.weight"


@pytest.fixture
def panel(qtbot: QtBot) -> RunPanel:
    panel = RunPanel()
    qtbot.addWidget(panel)
    panel.resize(860, 80)
    panel.show()
    return panel


def progress(done: int, tensor: str = TENSOR) -> Progress:
    return Progress(done, 10_000_000_000, 1, 4, done / 2e9, tensor)


def result(out: Path, method: str = "parameter_selection", *warnings: str) -> MergeResult:
    record = RunRecord(
        recipe={"merge_method": method},
        inputs=(),
        software={},
        device="cpu",
        seconds=63.2,
        bytes_read=9_000_000_000,
        bytes_written=1_500_000_000,
        tensors=(),
    )
    return MergeResult(record, out, warnings, None, True)


def shown(panel: RunPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel) if label.isVisible() and label.text()]


def buttons(panel: RunPanel | MessagePanel) -> list[str]:
    return [button.text() for button in panel.findChildren(QPushButton) if button.isVisible()]


def press(qtbot: QtBot, panel: RunPanel | MessagePanel, text: str) -> None:
    button = next(
        item for item in panel.findChildren(QPushButton) if item.text() == text and item.isVisible()
    )
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_nothing_is_said_before_the_first_merge(panel: RunPanel) -> None:
    assert shown(panel) == []
    assert not panel.bar.isVisible()


def test_progress_in_bytes_speed_and_time(panel: RunPanel) -> None:
    panel.begin()
    assert shown(panel) == ["0 %", "Checking the models"]
    panel.show_progress(progress(0, ""))
    assert panel.bar.value() == 0
    panel.show_progress(progress(6_200_000_000))
    assert shown(panel) == ["62 %", "6.2 GB of 10 GB", "2 GB/s", "1.9 s left", TENSOR]
    assert panel.bar.value() == 0.62 * panel.bar.maximum()


def test_the_facts_stay_where_they_are(panel: RunPanel, qtbot: QtBot) -> None:
    panel.begin()
    places: set[tuple[int, ...]] = set()
    for done in (0, 1, 999_000, 99_900_000, 1_230_000_000, 9_870_000_000, 10_000_000_000):
        panel.show_progress(progress(done, TENSOR * (1 + done % 3)))
        qtbot.wait(1)
        places.add(tuple(label.x() for label in panel.findChildren(QLabel) if label.isVisible()))
    panel.show_cancelling()
    qtbot.wait(1)
    places.add(tuple(label.x() for label in panel.findChildren(QLabel) if label.isVisible()))
    assert len(places) == 1
    assert panel.width() == 860


@pytest.mark.parametrize("size", [8, 10, 13])
@pytest.mark.parametrize("width", [680, 860])
@pytest.mark.parametrize("said", [False, True])
def test_what_is_above_stays_where_it_is_when_the_merge_ends(
    qtbot: QtBot, size: int, width: int, said: bool
) -> None:
    window, panel = QWidget(), RunPanel()
    qtbot.addWidget(window)
    font = window.font()
    font.setPointSize(size)
    window.setFont(font)
    column = QVBoxLayout(window)
    column.addWidget(QWidget(), 1)
    column.addWidget(panel)
    window.resize(width, 400)
    window.show()
    if said:
        panel.show_cancelled()  # which has one line, and no buttons
        qtbot.wait(1)
    panel.begin()
    panel.show_progress(progress(5))
    qtbot.wait(1)
    during = panel.y()
    panel.show_result(result(Path("/models/merged")))
    qtbot.wait(1)
    assert panel.y() == during


def test_the_title_says_100_only_when_nothing_is_left() -> None:
    assert [title_text(progress(done)) for done in (0, 6_299_999_999, 9_999_999_999, 10_000_000_000)] == [
        "0 %",
        "62 %",
        "99 %",
        "100 %",
    ]


def test_a_result_says_what_was_written_where_and_in_what_time(panel: RunPanel) -> None:
    panel.begin()
    panel.show_result(result(Path("/models/merged"), "parameter_selection", "Two tensors differ."))
    for words in (
        "Merged in 1 min 3 s",
        "9 GB read",
        "1.5 GB written to /models/merged",
        "Two tensors differ.",
    ):
        assert words in panel.message.text
    assert not panel.bar.isVisible()


def test_each_warning_is_said_once_and_many_leave_room_for_the_pictures(panel: RunPanel) -> None:
    panel.show_result(result(Path("/merged"), "linear", "One.", "Two."), ["Two.", "Left out: three."])
    assert panel.message.text.splitlines()[1:] == ["One.", "Two.", "Left out: three."]
    many = [f"{number} is the base in every merged number. ".ljust(150, "x") for number in range(30)]
    panel.show_result(result(Path("/merged"), "linear", *many), many)
    lines = panel.message.text.splitlines()[1:]
    assert lines == [*many[:3], "27 more in the log, and in README.md of the output."]
    panel.show_result(result(Path("/merged"), "linear", "long " * 1000))
    assert len(panel.message.text) < 600


def test_the_folder_can_be_opened(
    qtbot: QtBot, panel: RunPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    panel.show_result(result(tmp_path))
    with qtbot.assertNotEmitted(panel.again_requested):
        press(qtbot, panel, "Open folder")
    assert [Path(url.toLocalFile()) for url in opened] == [tmp_path]


def test_of_several_merges_the_one_that_runs_is_named(panel: RunPanel) -> None:
    panel.resize(1200, 80)
    panel.begin()
    panel.show_stage("Merge 1 of 2: first.")
    panel.show_progress(progress(10**9))
    assert shown(panel)[-1] == f"Merge 1 of 2: first, {TENSOR}"
    panel.show_result(replace(result(Path("/merged")), before_s=10.0))
    assert panel.message.text.startswith("Merged in 1 min 13 s")
    panel.begin()
    panel.show_progress(progress(10**9))
    assert shown(panel)[-1] == TENSOR


def test_the_merge_can_be_done_again_with_another_seed(qtbot: QtBot, panel: RunPanel) -> None:
    panel.again_requested.connect(panel.begin)  # as the window does: the button that was pressed goes
    panel.show_result(result(Path("/merged")))
    with qtbot.waitSignal(panel.again_requested):
        press(qtbot, panel, "Merge again with another seed")
    assert shown(panel) == ["0 %", "Checking the models"]
    panel.show_result(result(Path("/merged")))
    assert buttons(panel) == ["Open folder", "Merge again with another seed", "Evaluate this merge"]


def test_a_method_that_does_not_draw_has_no_other_seed(panel: RunPanel) -> None:
    panel.show_result(result(Path("/merged"), "linear"))
    assert buttons(panel) == ["Open folder", "Evaluate this merge"]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda panel: panel.show_cancelled(), "Cancelled. Nothing was written."),
        (
            lambda panel: panel.show_failure(Failure("It is full.", "Free some space.")),
            "It is full. Free some space.",
        ),
    ],
)
def test_an_end_without_a_result(panel: RunPanel, end: Callable[[RunPanel], None], words: str) -> None:
    panel.show_result(result(Path("/merged")))
    panel.begin()
    panel.show_cancelling()
    end(panel)
    assert panel.message.text == words
    assert not panel.bar.isVisible()
    assert buttons(panel) == []


def test_a_message_can_be_dismissed(qtbot: QtBot, panel: RunPanel) -> None:
    panel.show_cancelled()
    (close,) = panel.findChildren(QToolButton)
    qtbot.mouseClick(close, Qt.MouseButton.LeftButton)
    assert panel.message.text == ""
    assert shown(panel) == []


def dismiss(qtbot: QtBot, panel: RunPanel) -> None:
    (close,) = panel.findChildren(QToolButton)
    qtbot.mouseClick(close, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("failures", [1, 2])
def test_what_goes_wrong_beside_a_result_does_not_take_it_away(
    qtbot: QtBot, panel: RunPanel, failures: int
) -> None:
    panel.show_result(result(Path("/merged")))
    said = panel.message.text
    for number in range(failures):
        panel.show_aside(Failure(f"Folder {number} is not there any more.", None))
        assert panel.message.text == f"Folder {number} is not there any more."
        assert buttons(panel) == []
    dismiss(qtbot, panel)
    assert panel.message.text == said
    assert buttons(panel) == ["Open folder", "Merge again with another seed", "Evaluate this merge"]
    dismiss(qtbot, panel)
    assert shown(panel) == []


def test_what_goes_wrong_after_a_cancel_leaves_what_can_be_resumed(qtbot: QtBot, panel: RunPanel) -> None:
    left = Leftover(Path("/merged.partial"), None, False, 0.5, 10.0)
    panel.show_cancelled(left)
    panel.show_aside(Failure("It cannot be read.", None))
    dismiss(qtbot, panel)
    assert buttons(panel) == ["Resume", "Remove what it left…"]
    with qtbot.waitSignal(panel.removal_requested) as asked:
        press(qtbot, panel, "Remove what it left…")
    assert asked.args == [left]
    panel.show_aside(Failure("It cannot be removed.", None))
    panel.forget_left(left.path)
    assert shown(panel) == []


def test_a_result_that_was_dismissed_or_is_of_another_merge_does_not_come_back(
    qtbot: QtBot, panel: RunPanel
) -> None:
    panel.show_result(result(Path("/merged")))
    dismiss(qtbot, panel)
    panel.show_aside(Failure("It is gone.", None))
    dismiss(qtbot, panel)
    assert shown(panel) == []
    panel.show_result(result(Path("/merged")))
    panel.begin()
    panel.show_aside(Failure("It is gone.", None))
    dismiss(qtbot, panel)
    assert shown(panel) == ["0 %", "Checking the models"]


def test_a_message_offers_what_can_be_done(qtbot: QtBot) -> None:
    message = MessagePanel(closable=False)
    qtbot.addWidget(message)
    message.show_failure(Failure("It is not there.", None), ["Look again", "Remove it"])
    assert buttons(message) == ["Look again", "Remove it"]
    with qtbot.waitSignal(message.action_requested) as asked:
        press(qtbot, message, "Remove it")
    assert asked.args == ["Remove it"]
    message.show_note("It is there now.")
    assert buttons(message) == []


def test_more_buttons_have_room_at_once(qtbot: QtBot) -> None:
    around, above = QWidget(), QListView()
    message = MessagePanel(takes_from=above)
    qtbot.addWidget(around)
    layout = QVBoxLayout(around)
    layout.addWidget(above, 1)
    layout.addWidget(message)
    around.resize(400, 500)
    around.show()
    qtbot.waitExposed(around)
    told = Failure("A sentence that needs a few lines in this narrow panel. " * 2, None)
    words = ["Remove", "Untick", "Remove all 3"]
    message.show_failure(told, words[:2])
    qtbot.wait(5)
    message.show_failure(told, words)
    at_once = message.minimumHeight()
    qtbot.wait(5)
    assert message.height() == at_once  # and moves nothing later
    label = message.findChildren(QLabel)[0]
    assert label.height() >= label.heightForWidth(label.width())
    assert all(button.y() > label.geometry().bottom() for button in message.findChildren(QPushButton))


def test_buttons_leave_room_for_the_text(qtbot: QtBot) -> None:
    message = MessagePanel()
    qtbot.addWidget(message)
    message.show_success("Merged", "A sentence", ["Merge again with another seed"])

    (button,) = message.findChildren(QPushButton)
    hint = message.findChildren(QLabel)[1]
    for width, below in ((900, False), (300, True), (900, False)):
        message.resize(width, 200)
        qtbot.waitUntil(lambda below=below: (button.y() > hint.geometry().bottom()) == below)
