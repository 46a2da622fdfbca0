"""Making sub-models from the window, with a process that only says that it trains."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLabel
from pytestqt.qtbot import QtBot
from safetensors import safe_open

from core.data.rows import read_data
from core.train.settings import TrainSettings
from gui.training.dialog import MakeDialog
from gui.training.panel import TrainingPanel
from gui.training.table_model import Column
from gui.window.focus import is_covered
from gui.window.window import MainWindow
from resources import DEMO_FOLDER

FAKE = Path(__file__).parents[1] / "background" / "fake_child.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f'{{"prompt": "{number}", "response": "x"}}\n' for number in range(1001)))
    return path


@pytest.fixture
def making(qtbot: QtBot, window: MainWindow) -> Iterator[MainWindow]:
    """A window whose tasks are fake ones; all of them end with the test."""
    window.tasks.command = [sys.executable, "-S", "-E", str(FAKE)]
    yield window
    for task in window.tasks.running:
        window.tasks.stop(task)
    qtbot.waitUntil(lambda: (window.tasks.look(), not window.tasks.running)[1])


def ask(qtbot: QtBot, window: MainWindow, data: Path | None, out: Path) -> MakeDialog:
    """The dialog, filled in, once it has been looked at."""
    window.actions_.make.trigger()
    dialog = window.making.dialog
    assert dialog is not None
    dialog.form.fields["base"].setText(str(DEMO_FOLDER / "base"))  # type: ignore[attr-defined]
    if data is not None:
        dialog.form.fields["data"].setText(str(data))  # type: ignore[attr-defined]
    dialog.form.fields["out"].setText(str(out))  # type: ignore[attr-defined]
    look(qtbot, dialog)
    return dialog


def look(qtbot: QtBot, dialog: MakeDialog) -> None:
    dialog.look_now()
    qtbot.waitUntil(lambda: dialog.estimate is not None)


def events(order: int, steps: int, *, done: bool = True) -> list[str]:
    """What a process says of an order."""
    said: list[dict[str, Any]] = [
        {"kind": "step", "order": order, "step": step, "of": 4, "epoch": 1, "loss": 2.5 / step}
        | {"learning_rate": 1e-5, "grad_norm": 0.25, "eval_loss": 1.25 if step == 4 else None}
        for step in range(1, steps + 1)
    ]
    if done:
        said.append({"kind": "order_done", "order": order, "folder": f"order-{order}/epoch-1"})
    return [f"say:{json.dumps(one)}" for one in said]


def shown(window: MainWindow, row: int, column: Column) -> str:
    model = window.training.model
    return str(model.index(row, column).data())


def lines_of(panel: TrainingPanel) -> list[tuple[list[float], list[float]]]:
    """The steps and the losses of each order, as they are drawn."""
    assert panel.curves is not None
    lines = (line.getData() for line in panel.curves.plots["loss"].lines)
    return [(x.tolist(), y.tolist()) if x is not None else ([], []) for x, y in lines]


def start(window: MainWindow, out: Path, acts: list[str], orders: int = 2) -> None:
    """As Start in the dialog, with what the process is to do."""
    window.making._start([*acts, "--orders", str(orders), "--out", str(out)], f"Making {out.name}")


def test_what_it_takes_is_said_before_it_begins(
    qtbot: QtBot, making: MainWindow, data: Path, tmp_path: Path
) -> None:
    dialog = ask(qtbot, making, None, tmp_path / "runs")
    assert not dialog.start_button.isEnabled()
    assert dialog.message.text == "Choose the data to train on."
    dialog.form.fields["data"].setText(str(data))  # type: ignore[attr-defined]
    dialog.form.fields["orders"].show_number(8)  # type: ignore[attr-defined]
    look(qtbot, dialog)
    with safe_open(DEMO_FOLDER / "base" / "model.safetensors", "pt") as file:
        parameters = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    text = dialog.form.out_text.text().replace("\u202f", " ")
    assert f"{-(-1001 // 8) * 3} steps for each of 8 orders." in text
    lists = 8 * 3 * sum(len(f"{row}\n") for row in range(1001))  # a line for each row; the logs take the rest
    models = (8 * 3 * 2 + 24) * parameters
    said = float(re.search(r"([\d.]+) MB in all", text)[1]) * 1e6  # type: ignore[index]
    assert models + lists <= said <= models + 8 * 1.3e5
    assert "0 bytes" not in text
    assert "for 24 models" in text
    assert (
        dialog.form.texts["data"].accessibleName().replace("\u202f", " ")
        == "1 001 rows: prompts with responses."
    )
    assert dialog.start_button.isEnabled()
    assert dialog.message.text == ""
    dialog.form.fields["keep"].setCurrentIndex(2)  # type: ignore[attr-defined]
    look(qtbot, dialog)
    assert not dialog.start_button.isEnabled()
    assert "validation data" in dialog.message.text
    dialog.reject()


def test_texts_may_take_more_steps_than_rows_say(qtbot: QtBot, making: MainWindow, tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("".join(f"Passage {number}.\n\n" for number in range(20)))
    dialog = ask(qtbot, making, plain, tmp_path / "runs")
    passages = len(read_data(plain).rows)
    plural = "" if passages == 1 else "s"
    assert dialog.form.texts["data"].accessibleName() == f"{passages} passage{plural} of plain text."
    text = dialog.form.out_text.text().replace("\u202f", " ")
    steps = 3 * -(-passages // 8)
    assert f"{steps} steps for each of " in text
    assert ", and more where a text has more than 512 tokens. Disk: " in text
    dialog.reject()


def test_what_cannot_be_used_is_said_in_its_place(
    qtbot: QtBot, making: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a"}\n{"txt": "b"}\n')
    dialog = ask(qtbot, making, bad, tmp_path / "runs")
    assert "line 2" in dialog.form.texts["data"].accessibleName()
    assert "line 2" in dialog.message.text
    assert not dialog.start_button.isEnabled()
    bad.write_text('{"text": "a"}\n{"text": "b"}\n')
    dialog.form.fields["validation"].setText(str(tmp_path / "gone.csv"))  # type: ignore[attr-defined]
    look(qtbot, dialog)
    assert "gone.csv" in dialog.form.texts["validation"].accessibleName()
    assert "gone.csv" not in dialog.form.texts["data"].accessibleName()
    dialog.form.fields["validation"].setText("")  # type: ignore[attr-defined]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "accelerate" else find(name)
    )
    look(qtbot, dialog)
    assert "accelerate" in dialog.message.text
    assert "pip install" in dialog.message.text
    assert not dialog.start_button.isEnabled()
    dialog.reject()


def test_a_preset_fills_in_what_it_says(qtbot: QtBot, making: MainWindow, tmp_path: Path) -> None:
    making.making.ask()
    dialog = making.making.dialog
    assert dialog is not None
    preset = dialog.form.fields["preset"]
    preset.setCurrentIndex(preset.findData("bert-squad"))  # type: ignore[attr-defined]
    preset.activated.emit(preset.currentIndex())  # type: ignore[attr-defined]
    values = {name: dialog.form.fields[name].value for name in ("learning_rate", "batch", "max_length")}  # type: ignore[attr-defined]
    assert values == {"learning_rate": 3e-5, "batch": 12, "max_length": 512}  # Table 5 of the paper
    dialog.reject()


def test_no_key_of_the_dialog_has_two_meanings(making: MainWindow) -> None:
    making.making.ask()
    dialog = making.making.dialog
    assert dialog is not None
    labels = [label for label in dialog.findChildren(QLabel) if label.buddy() is not None]
    texts = [label.text() for label in labels]
    texts += [button.text() for button in dialog.findChildren(QAbstractButton)]
    letters = [found[1].upper() for text in texts if (found := re.search(r"&([^&\s])", text))]
    assert len(letters) >= 12
    assert len(letters) == len(set(letters))
    dialog.reject()


def test_from_start_to_the_recipe(qtbot: QtBot, making: MainWindow, data: Path, tmp_path: Path) -> None:
    window, out, gate = making, tmp_path / "runs", tmp_path / "gate"
    dialog = ask(qtbot, window, data, out)
    QTest.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    assert window.making.dialog is None
    (task,) = window.tasks.tasks
    assert task.title == "Making runs"
    assert not is_covered(window.training)
    qtbot.waitUntil(lambda: (window.tasks.look(), not window.tasks.running)[1])
    window.training.dismiss_button.click()
    assert (window.training.training, window.tasks.tasks) == (None, ())
    acts = [*events(1, 4), *events(2, 2, done=False), f"wait:{gate}"]
    start(window, out, acts)
    panel = window.training
    qtbot.waitUntil(lambda: shown(window, 1, Column.STEP) == "2 of 4")
    row = [shown(window, 0, column) for column in Column]
    assert row == ["order-1", "done", "4 of 4", "0.6250", "1.2500", "1.00e-05", "0.25", "–"]
    assert [shown(window, 1, one) for one in (Column.PROGRESS, Column.LOSS)] == ["50 %", "1.2500"]
    qtbot.waitUntil(lambda: panel.curves is not None and len(panel.curves.plots) == 3)
    qtbot.waitUntil(lambda: len(lines_of(panel)[1][0]) == 2)
    assert lines_of(panel)[0] == ([1, 2, 3, 4], [2.5, 1.25, 2.5 / 3, 0.625])
    assert panel.curves is not None
    assert panel.curves.plots["loss"].dots.points == [(4.0, 1.25)]
    assert not panel.use_button.isEnabled()  # one order is no merge
    assert (panel.go_on_button.isHidden(), panel.stop_button.isHidden()) == (True, False)
    panel.stop_button.click()
    qtbot.waitUntil(lambda: not panel.go_on_button.isHidden())
    assert window.tasks.tasks[0].state == "cancelled"
    gate.touch()
    panel.go_on_button.click()
    qtbot.waitUntil(lambda: (window.tasks.look(), not window.tasks.running)[1])
    assert len(window.tasks.tasks) == 2
    assert panel.training is window.making.trainings[0]


def test_the_made_models_are_one_step_of_the_recipe(qtbot: QtBot, making: MainWindow, tmp_path: Path) -> None:
    window, out = making, tmp_path / "runs"
    write_runs(out, epochs={1: (1, 2), 2: (1, 2), 3: (1,)})
    start(window, out, [*events(1, 4), *events(2, 4), 'say:{"kind":"done","result":null}'], orders=3)
    panel = window.training
    qtbot.waitUntil(lambda: (window.tasks.look(), panel.use_button.isEnabled())[1])
    before = window.setup()
    panel.use_button.click()
    qtbot.waitUntil(lambda: window.models.k == 3)
    setup = window.setup()
    assert setup.base == DEMO_FOLDER / "base"
    assert setup.out == str(tmp_path / "runs-merged")
    # The third has not come to epoch 2, and models of different numbers of steps do not belong together.
    assert [model.folder for model in setup.models] == [
        out / f"order-{number}/epoch-1" for number in (1, 2, 3)
    ]
    window.document.undo.undo()
    assert window.setup() == before
    assert window.document.undo.undo_label == ""
    qtbot.waitUntil(lambda: window.idle)


def write_runs(folder: Path, *, epochs: dict[int, tuple[int, ...]]) -> None:
    """A folder of runs as the training writes it, with models of the demo."""
    settings = TrainSettings(orders=len(epochs), epochs=2)
    document = {
        "format": 1,
        "base": {"path": str(DEMO_FOLDER / "base"), "new_head": False},
        "data": {"path": "/d.jsonl", "digest": "0" * 32, "rows": 8},
        "validation": None,
        "settings": settings.as_dict(),
        "orders": [{"digests": ["0", "0"]} for _ in epochs],
        "samples": 8,
        "unit": "row",
        "task": "causal",
    }
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps(document))
    for number, there in epochs.items():
        for epoch in there:
            shutil.copytree(DEMO_FOLDER / f"order-{number}", folder / f"order-{number}" / f"epoch-{epoch}")


def test_without_two_models_it_is_said(qtbot: QtBot, making: MainWindow, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    write_runs(out, epochs={1: (1,), 2: ()})
    start(making, out, ['say:{"kind":"done","result":null}'])
    panel = making.training
    qtbot.waitUntil(lambda: (making.tasks.look(), panel.use_button.isEnabled())[1])
    panel.use_button.click()
    qtbot.waitUntil(lambda: "no two sub-models" in panel.message.text)
    assert making.setup().models == ()
    qtbot.waitUntil(lambda: making.idle)


def test_a_training_is_found_again_with_its_curves(qtbot: QtBot, making: MainWindow, tmp_path: Path) -> None:
    window, out = making, tmp_path / "runs"
    gate = tmp_path / "gate"
    start(
        window, out, [*events(1, 3, done=False), f"wait:{gate}", 'say:{"kind":"failed","message":"no room"}']
    )
    qtbot.waitUntil(lambda: shown(window, 0, Column.STEP) == "3 of 4")
    again = MainWindow(window.settings, window._history)
    qtbot.addWidget(again)
    again.show()
    again.layout_.show_training()
    qtbot.waitUntil(lambda: shown(again, 0, Column.STEP) == "3 of 4")
    assert again.training.model.rowCount() == 2
    gate.touch()
    qtbot.waitUntil(lambda: "No room." in again.training.message.text)
    again.close_at_once()
    qtbot.waitUntil(lambda: "No room." in window.training.message.text)


def test_it_is_offered_where_models_are_added(making: MainWindow) -> None:
    making.models.actions_.make.trigger()
    assert making.making.dialog is not None
    making.making.dialog.reject()


def test_what_was_begun_last_is_shown(qtbot: QtBot, making: MainWindow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    start(making, tmp_path / "first", [*events(1, 1, done=False), f"wait:{gate}"])
    qtbot.waitUntil(lambda: shown(making, 0, Column.STEP) == "1 of 4")
    start(making, tmp_path / "second", [*events(1, 2, done=False), f"wait:{gate}"])
    qtbot.waitUntil(lambda: shown(making, 0, Column.STEP) == "2 of 4")
    panel = making.training
    assert panel.choice.currentText() == "second"
    panel.chosen.emit(panel.choice.itemData(1))
    qtbot.waitUntil(lambda: shown(making, 0, Column.STEP) == "1 of 4")
    gate.touch()
