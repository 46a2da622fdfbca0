"""Sub-models that are really trained, from the window: stopped, gone on with, and merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file

from gui.window.window import MainWindow
from resources import DEMO_FOLDER

pytestmark = pytest.mark.slow

WAIT_MS = 300_000


def test_two_orders_of_the_demo(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "runs"
    rows = (
        f'{{"prompt": "{number} and {number + 1}: ", "response": "word {number}"}}' for number in range(24)
    )
    data.write_text("\n".join(rows))
    window.models.set_base(DEMO_FOLDER / "base")
    window.making.ask()
    dialog = window.making.dialog
    assert dialog is not None
    assert dialog.form.path("base") == DEMO_FOLDER / "base"
    for name, text in (("data", data), ("validation", data), ("out", out)):
        dialog.form.fields[name].setText(str(text))  # type: ignore[attr-defined]
    for name, value in (("orders", 2), ("epochs", 1), ("max_length", 32), ("learning_rate", 1e-3)):
        dialog.form.fields[name].show_number(value)  # type: ignore[attr-defined]
    dialog.look_now()
    qtbot.waitUntil(lambda: dialog.estimate is not None, timeout=WAIT_MS)
    assert "3 steps for each of 2 orders." in dialog.form.out_text.text()
    dialog.start_button.click()
    training = window.training.training
    assert training is not None
    qtbot.waitUntil(lambda: training.progress.orders[1].step > 0, timeout=WAIT_MS)
    window.training.stop_button.click()
    qtbot.waitUntil(lambda: not window.training.go_on_button.isHidden(), timeout=WAIT_MS)
    assert window.tasks.tasks[0].state == "cancelled"
    window.training.go_on_button.click()
    qtbot.waitUntil(lambda: training.task.state == "done", timeout=WAIT_MS)
    qtbot.waitUntil(lambda: training.progress.done == 2, timeout=WAIT_MS)
    for order in training.progress.orders.values():
        steps = order.steps.tolist()  # of those that follow within a tenth of a second some are not told
        assert steps == sorted({*steps} & {1, 2, 3})
        assert steps[-1] == 3
        assert order.eval_loss < 20
    qtbot.waitUntil(window.training.use_button.isEnabled)
    window.training.use_button.click()
    qtbot.waitUntil(lambda: window.models.k == 2, timeout=WAIT_MS)
    setup = window.setup()
    first, second = (load_file(model.folder / "model.safetensors") for model in setup.models)
    assert any((first[name] != second[name]).any() for name in first)
    qtbot.waitUntil(lambda: window.merge_button.isEnabled(), timeout=WAIT_MS)
    window.start_merge()
    qtbot.waitUntil(lambda: window.merger.result is not None and not window.merging, timeout=WAIT_MS)
    assert Path(setup.out) == tmp_path / "runs-merged"
    assert (tmp_path / "runs-merged" / "model.safetensors").exists()
    assert setup.base == DEMO_FOLDER / "base"
    qtbot.waitUntil(lambda: window.idle, timeout=WAIT_MS)
