"""What is dropped: folders of models, a base among them, and everything that is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QAbstractButton, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from gui.jobs import JobKeeper
from gui.models.panel import ModelsPanel
from gui.window.window import MainWindow

Drop = Callable[..., None]


@pytest.fixture
def panel(qtbot: QtBot) -> Iterator[ModelsPanel]:
    jobs = JobKeeper()
    panel = ModelsPanel(jobs)
    qtbot.addWidget(panel)
    panel.resize(420, 330)
    panel.show()
    yield panel
    jobs.stop_all()


@pytest.fixture
def many(models: Path, tmp_path: Path) -> Path:
    """A folder with base, model-1 … model-12 and a folder that is none."""
    folder = tmp_path / "many"
    shutil.copytree(models / "base", folder / "base")
    for number in range(1, 13):
        (folder / f"model-{number}").mkdir(parents=True)
        for file in (models / "run-1").iterdir():
            (folder / f"model-{number}" / file.name).hardlink_to(file)
    (folder / "logs").mkdir()
    return folder


def names(panel: ModelsPanel) -> list[str]:
    return [choice.folder.name for choice in panel.choices()]


def question_of(qtbot: QtBot, widget: QWidget) -> QMessageBox:
    qtbot.waitUntil(lambda: widget.findChild(QMessageBox) is not None)
    question = widget.findChild(QMessageBox)
    assert question is not None
    return question


def press(question: QWidget, words: str) -> None:
    next(button for button in question.findChildren(QAbstractButton) if button.text() == words).click()


def base_says(folder: Path, **said: object) -> None:
    """Write into the config of the model in `folder`."""
    path = folder / "config.json"
    text = path.read_text()
    path.unlink()  # it may be a hard link
    path.write_text(json.dumps(json.loads(text) | said))


NUMBERED = [f"model-{number}" for number in range(1, 13)]


def test_a_folder_of_models_is_asked_about_once(
    qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop
) -> None:
    changes: list[None] = []
    panel.changed.connect(lambda: changes.append(None))
    drop(panel.table, many)
    question = question_of(qtbot, panel)
    assert question.text() == "Add the 12 models in many?"
    assert names(panel) == []
    press(question, "Add 12 models")
    assert names(panel) == NUMBERED
    assert panel.base_folder == many / "base"
    assert len(changes) == 1  # one step to be undone
    assert panel.findChildren(QMessageBox) == [question]


def test_what_looks_like_the_base_may_be_a_sub_model(
    qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop
) -> None:
    drop(panel.table, many)
    question = question_of(qtbot, panel)
    tick = question.checkBox()
    assert "base" in tick.text()
    tick.click()
    press(question, "Add 12 models")
    assert panel.base_folder is None
    assert names(panel) == ["base", *NUMBERED]


def test_the_question_can_be_declined(qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop) -> None:
    drop(panel.table, many)
    press(question_of(qtbot, panel), "Cancel")
    assert (panel.base_folder, names(panel)) == (None, [])


def test_what_is_there_already_is_said(qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop) -> None:
    panel.set_base(many / "base")
    panel.add_sub_models([many / "model-2"])
    drop(panel.table, many)
    question = question_of(qtbot, panel)
    assert question.text() == "Add the 11 models in many?"
    assert "2 others are in the list already" in question.informativeText()
    assert question.checkBox() is None
    press(question, "Add 11 models")
    assert names(panel)[:3] == ["model-2", "model-1", "model-3"]
    notes: list[str] = []
    panel.note_given.connect(notes.append)
    drop(panel.table, many)
    qtbot.waitUntil(lambda: bool(notes))
    assert "in the list already" in notes[0]


def test_several_folders_come_in_natural_order(
    qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop
) -> None:
    drop(panel.table, *(many / f"model-{number}" for number in (10, 2, 1, 11)))
    qtbot.waitUntil(lambda: bool(panel.choices()))
    assert names(panel) == ["model-1", "model-2", "model-10", "model-11"]
    assert panel.findChild(QMessageBox) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", '{"_name_or_path": "somebody/llama"}'),
        ("README.md", "---\nlicense: mit\nbase_model:\n- somebody/llama\n---\n# run"),
        ("README.md", '---\nbase_model: "somebody/llama"\n---\n'),
        ("adapter_config.json", '{"base_model_name_or_path": "/elsewhere/llama"}'),
        ("paramosaic.json", '{"inputs": [{"name": "llama", "role": "base"}]}'),
    ],
)
def test_what_the_others_name_as_their_base_is_offered(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, drop: Drop, name: str, content: str
) -> None:
    for folder, of in (("llama", "base"), ("tuned-1", "run-1"), ("tuned-2", "run-2")):
        shutil.copytree(models / of, tmp_path / folder)
        if folder != "llama":
            (tmp_path / folder / name).write_text(content)
    drop(panel.table, *(tmp_path / folder for folder in ("tuned-2", "llama", "tuned-1")))
    question = question_of(qtbot, panel)
    assert question.text() == "Add 2 models?"
    press(question, "Add 2 models")
    assert (panel.base_folder, names(panel)) == (tmp_path / "llama", ["tuned-1", "tuned-2"])


def test_a_folder_called_base_is_offered_as_the_base(
    qtbot: QtBot, panel: ModelsPanel, models: Path, drop: Drop
) -> None:
    drop(panel.table, models / "base")
    question = question_of(qtbot, panel)
    assert question.text() == "Use base as the base model?"
    press(question, "&Use it as the base")
    assert (panel.base_folder, names(panel)) == (models / "base", [])


def test_the_models_in_the_list_say_who_their_base_is(
    qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop
) -> None:
    base_says(many / "model-2", _name_or_path="model-1")
    panel.add_sub_models([many / "model-2"])
    drop(panel.table, many / "model-1")
    question = question_of(qtbot, panel)
    assert question.text() == "Use model-1 as the base model?"
    press(question, "&Add it to the list")
    assert (panel.base_folder, names(panel)) == (None, ["model-2", "model-1"])


def test_a_folder_of_models_on_the_base_offers_the_base_in_it(
    qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop
) -> None:
    drop(panel.base, many)
    press(question_of(qtbot, panel), "Add 12 models")
    assert panel.base_folder == many / "base"


def test_the_base_is_one_model(qtbot: QtBot, panel: ModelsPanel, many: Path, drop: Drop) -> None:
    drop(panel.base, many / "model-1", many / "model-2")
    qtbot.waitUntil(lambda: "There is one base" in panel.message.text)
    assert panel.base_folder is None


NO_MODELS = (
    ("model.Q4.gguf", b"GGUF....", ("GGUF", "safetensors")),
    ("model.zip", b"PK\3\4", ("archive", "npack it first")),
    ("notes.txt", b"hello", ("neither a model nor a recipe", "rop the folder")),
    ("optimizer.pt", b"x", ("training run", "folder")),
    ("adapter_model.safetensors", b"x", ("factors of an adapter", "copy adapter_config.json")),
    ("model-00001-of-00002.safetensors", b"x", ("parts", "folder")),
    ("data.bin", b"junk" * 100, ("data.bin", "torch.save")),
    ("model.safetensors", b"junk" * 100, ("model.safetensors", "text file")),
    ("empty/", b"", ("holds no model", "choose the folder")),
    ("text/notes.txt", b"", ("holds no model", "choose the folder")),
    ("gguf/a.gguf", b"GGUF", ("GGUF", "safetensors")),
)
"""Names of what is dropped, or of a file in it, its content, and words of the answer."""


def test_what_is_no_model_is_answered(qtbot: QtBot, window: MainWindow, tmp_path: Path, drop: Drop) -> None:
    for number, (name, content, words) in enumerate(NO_MODELS):
        path = tmp_path / str(number) / name
        dropped = tmp_path / str(number) / name.partition("/")[0]
        (path if name.endswith("/") else path.parent).mkdir(parents=True)
        if not name.endswith("/"):
            path.write_bytes(content)
        drop(window, dropped)
        assert window.models.message.text == ""  # the answer before is gone
        qtbot.waitUntil(lambda: window.models.message.text != "")
        for word in words:
            assert word.lower() in window.models.message.text.lower(), name
        assert window.models.choices() == ()


def test_an_address_on_the_web_is_answered(qtbot: QtBot, window: MainWindow) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl("https://huggingface.co/somebody/llama")])
    enter, drop = events(mime)
    window.dragEnterEvent(enter)
    assert enter.isAccepted()
    window.dropEvent(drop)
    assert "huggingface.co/somebody/llama" in window.models.message.text
    assert "hf download" in window.models.message.text


def test_what_can_be_taken_of_a_drop_is_taken_and_the_rest_answered(
    qtbot: QtBot, window: MainWindow, models: Path, tmp_path: Path, drop: Drop
) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "notes.txt").write_text("")
    notes: list[str] = []
    window.models.note_given.connect(notes.append)
    window.models.add_sub_models([models / "run-1"])
    drop(window, tmp_path / "notes.txt", models / "run-2", models / "run-1", tmp_path / "a.gguf")
    qtbot.waitUntil(lambda: names(window.models) == ["run-1", "run-2"])
    assert "neither a model nor a recipe" in window.models.message.text
    assert "1 other cannot be taken either" in window.models.message.text
    assert notes == ["run-1 is in the list already"]


def test_one_file_of_several_is_that_model(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, drop: Drop
) -> None:
    for name in ("one", "two"):
        shutil.copy(models / "run-1" / "model.safetensors", tmp_path / f"{name}.safetensors")
    drop(panel.table, tmp_path / "two.safetensors")
    qtbot.waitUntil(lambda: len(panel.summaries()) == 1)
    assert names(panel) == ["two.safetensors"]
    assert panel.summaries()[tmp_path / "two.safetensors"].problem is None


def test_an_answer_goes_with_the_next_drop(
    qtbot: QtBot, panel: ModelsPanel, models: Path, tmp_path: Path, drop: Drop
) -> None:
    panel.add_from([tmp_path])
    qtbot.waitUntil(lambda: panel.message.text != "")
    drop(panel.table, models / "run-1")
    assert panel.message.text == ""
    qtbot.waitUntil(lambda: names(panel) == ["run-1"])


def events(mime: QMimeData) -> tuple[QDragEnterEvent, QDropEvent]:
    action, button, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), action, mime, button, keys)
    enter.ignore()
    return enter, QDropEvent(QPointF(5, 5), action, mime, button, keys)


def accents(widget: QWidget) -> int:
    """How many pixels at the left edge of `widget` have the colour of the frame that a hover shows."""
    widget.repaint()
    image = widget.grab().toImage()
    accent = widget.palette().color(widget.palette().ColorRole.Accent)
    middle = image.height() // 2
    return sum(image.pixelColor(x, middle) == accent for x in range(4))


@pytest.mark.parametrize(("name", "onto"), [("run-1", "table"), ("base", "base")])
def test_it_is_shown_where_a_drop_would_go(
    qtbot: QtBot, window: MainWindow, models: Path, name: str, onto: str
) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(models / name))])
    shown = {"table": window.models.table.viewport(), "base": window.models.base}
    other = shown["base" if onto == "table" else "table"]
    window.dragEnterEvent(events(mime)[0])
    assert accents(shown[onto])
    assert not accents(other)
    window.dragLeaveEvent(QDragLeaveEvent())
    assert not accents(shown[onto])


def test_over_the_base_it_says_so(panel: ModelsPanel, models: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(models / "run-1"))])
    panel.base.dragEnterEvent(events(mime)[0])
    assert "Drop to use run-1 as the base" in panel.base.accessibleName()
    panel.base.dragLeaveEvent(QDragLeaveEvent())
    assert "Drop to" not in panel.base.accessibleName()


def test_added_rows_are_scrolled_to(qtbot: QtBot, panel: ModelsPanel, many: Path) -> None:
    panel.add_sub_models([many / name for name in NUMBERED])
    bar = panel.table.verticalScrollBar()
    assert bar.value() == 0
    panel.add_sub_models([many / "base"])
    area = panel.table.visualRect(panel.sub_models_model.index(12, 0))
    assert panel.table.viewport().rect().contains(area)


def test_a_message_moves_no_button(qtbot: QtBot, panel: ModelsPanel, tmp_path: Path, models: Path) -> None:
    panel.resize(420, 420)
    panel.add_sub_models([models / "run-1"])
    qtbot.waitUntil(lambda: len(panel.summaries()) == 1)
    buttons = [button for button in panel.findChildren(QAbstractButton) if button.isVisible()]
    places = [button.mapTo(panel, QPoint(0, 0)) for button in buttons]
    panel.add_from([tmp_path])
    qtbot.waitUntil(lambda: panel.message.isVisible() and panel.message.height() > 24)
    assert panel.message.geometry().bottom() <= panel.message.parentWidget().height()
    assert [button.mapTo(panel, QPoint(0, 0)) for button in buttons] == places
    assert panel.height() == 420
    press(panel.message, "OK")
    assert panel.message.text == ""


def test_what_was_added_stays_in_sight_when_a_message_comes(
    qtbot: QtBot, panel: ModelsPanel, many: Path, tmp_path: Path
) -> None:
    panel.add_sub_models([many / f"model-{number}" for number in range(1, 6)])
    (tmp_path / "odd").mkdir()
    panel.add_sub_models([tmp_path / "odd"])
    qtbot.waitUntil(lambda: panel.message.isVisible())

    def seen() -> bool:
        area = panel.table.visualRect(panel.sub_models_model.index(5, 0))
        return (
            panel.table.viewport().rect().contains(area)
            and panel.table.viewport().height() < 6 * area.height()
        )

    qtbot.waitUntil(seen)
    qtbot.keyClick(panel.table, Qt.Key.Key_Home)
    panel.resize(420, 300)
    assert panel.table.verticalScrollBar().value() == 0


def test_a_place_at_which_nobody_may_look_is_answered(
    qtbot: QtBot, panel: ModelsPanel, tmp_path: Path
) -> None:
    panel.add_from([tmp_path / ("x" * 300)])
    qtbot.waitUntil(lambda: "cannot be read" in panel.message.text)
