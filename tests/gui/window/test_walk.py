"""The whole path through the window, on Qt's own stage and on a real X server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QPushButton
from pytestqt.qtbot import QtBot

import gui.window.recipes
from core import load_recipe, plan_merge, run_merge
from gui.window.window import MainWindow


def test_from_a_first_start_to_the_same_bytes_by_command(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = next(
        button for button in window.pictures.findChildren(QPushButton) if button.text() == "Open the demo"
    )
    QTest.mouseClick(offer, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.preflight.checked and window.merge_button.isEnabled())
    assert window.setup().k == 8

    resamples = window.recipe.parameters.fields["resamples"]
    resamples.setFocus()
    resamples.selectAll()
    QTest.keyClicks(resamples, "6")
    QTest.keyClick(resamples, Qt.Key.Key_Tab)
    window.recipe.seed.edit.setFocus()
    window.recipe.seed.edit.selectAll()
    QTest.keyClicks(window.recipe.seed.edit, "20261125")
    setup = window.setup()
    assert (setup.parameters["resamples"], setup.seed) == (6, 20261125)

    QTest.mouseClick(window.merge_button, Qt.MouseButton.LeftButton)  # while that is still checked
    qtbot.waitUntil(lambda: "Merged in" in window.run.message.text, timeout=60_000)
    merged = Path(setup.out)
    assert window.pictures.sentence == ""
    if "SCREENSHOT" in os.environ:
        QGuiApplication.primaryScreen().grabWindow(0).save(os.environ["SCREENSHOT"])

    window.recipes.new()
    assert window.setup().models == ()
    qtbot.waitUntil(lambda: window.history.table.model().rowCount() == 1)
    window.history.table.selectRow(0)
    reopen = next(
        button for button in window.history.findChildren(QAbstractButton) if button.text() == "Reopen recipe"
    )
    QTest.mouseClick(reopen, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(window.setup().models) == 8)
    monkeypatch.setattr(gui.window.recipes, "choose_recipe_to_save", lambda *_: tmp_path / "saved.yaml")
    assert window.recipes.save()

    run_merge(plan_merge(load_recipe(tmp_path / "saved.yaml")), tmp_path / "by-command")
    for file in merged.glob("*.safetensors"):
        assert (tmp_path / "by-command" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="there is no Xvfb here")
def test_the_same_on_a_real_x_server(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x800x24"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as answers:
            display = f":{answers.readline().strip()}"
        test = f"{__file__}::{test_from_a_first_start_to_the_same_bytes_by_command.__name__}"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
            cwd=Path(__file__).parents[3],
            env=os.environ
            | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "SCREENSHOT": str(tmp_path / "screen.png")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if "Could not load the Qt platform plugin" in done.stdout + done.stderr:
            pytest.skip("Qt's libraries for X are not there: packaging/system_libraries.py --x11")
        assert done.returncode == 0, done.stdout[-4000:]
        assert (tmp_path / "screen.png").stat().st_size > 20_000
    finally:
        server.terminate()
        server.wait()
