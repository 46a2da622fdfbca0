"""What is typed as K and cannot be taken changes nothing, and is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.jobs import JobKeeper
from gui.models.panel import ModelsPanel


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path) -> Iterator[ModelsPanel]:
    jobs = JobKeeper()
    panel = ModelsPanel(jobs)
    qtbot.addWidget(panel)
    panel.show()
    panel.add_sub_models([tmp_path / f"run-{number}" for number in range(12)])
    yield panel
    jobs.stop_all()


@pytest.mark.parametrize(
    ("typed", "k", "said"),
    [
        ("7", 7, ""),
        ("15", 12, "K is at most 12."),
        ("0", 12, "K is at least 1."),
        ("x", 12, "K is a whole number from 1 to 12, not “x”."),
    ],
)
def test_it_is_taken_or_answered(qtbot: QtBot, panel: ModelsPanel, typed: str, k: int, said: str) -> None:
    notes: list[str] = []
    panel.note_given.connect(notes.append)
    panel.k_box.setFocus()
    panel.k_box.selectAll()
    qtbot.keyClicks(panel.k_box, typed)
    qtbot.keyClick(panel.k_box, Qt.Key.Key_Return)
    assert (panel.k, panel.k_box.text()) == (k, f"{k} of 12")
    assert notes[:1] == ([said] if said else [])
