"""What is said where there are sub-models and none is ticked."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from gui.window.window import MainWindow


def test_what_is_there_is_to_be_ticked_and_not_added(qtbot: QtBot, window: MainWindow, models: Path) -> None:
    assert window.load_recipe(models / "recipe.yaml")
    window.models.sub_models_model.enable(range(3), False)
    qtbot.waitUntil(lambda: window.preflight.checked)
    assert window.preflight.reason == "Tick at least one sub-model: none takes part."

    def said() -> list[str]:
        return [label.text() for label in window.pictures.findChildren(QLabel) if label.isVisible()]

    qtbot.waitUntil(lambda: any(text.startswith("Tick the models") for text in said()))
    assert not any(text.startswith("Add the models") for text in said())
