"""A message takes its room from what is above it, and gives it back."""

from __future__ import annotations

from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from gui.failure import Failure
from gui.preflight.panel import PreflightPanel
from gui.widgets.messages import ElidedLabel, MessagePanel


def test_it_gives_back_what_is_above_as_it_is_by_then(qtbot: QtBot) -> None:
    panel, above = QWidget(), QLabel("above")
    qtbot.addWidget(panel)
    above.setMinimumHeight(90)
    message = MessagePanel(takes_from=above)
    column = QVBoxLayout(panel)
    column.addWidget(above, 1)
    column.addWidget(message)
    panel.resize(300, 260)
    panel.show()
    message.show_failure(Failure("Something is wrong.", None))
    assert above.minimumHeight() < 90
    above.setMinimumHeight(120)  # as for a larger font
    message.show_failure(Failure("Something else is wrong, and it takes longer to say what it is." * 2, None))
    assert above.minimumHeight() < 120
    message.clear()
    assert above.minimumHeight() == 120


def test_who_hears_a_line_hears_all_of_it(qtbot: QtBot) -> None:
    label = ElidedLabel()
    qtbot.addWidget(label)
    label.resize(60, 20)
    label.set_full_text("Reads 3 GB, writes 1 GB, about 8 s")
    assert "…" in label.text()
    read = QAccessible.queryAccessibleInterface(label).text(QAccessible.Text.Name)
    assert read == "Reads 3 GB, writes 1 GB, about 8 s"


def test_figures_are_heard_and_not_only_what_they_are_of(qtbot: QtBot) -> None:
    panel = PreflightPanel()
    qtbot.addWidget(panel)
    panel._flow.set_full_text("Reads 3 GB")
    assert QAccessible.queryAccessibleInterface(panel._flow).text(QAccessible.Text.Name) == "Reads 3 GB"
