"""A message takes its room from what is above it, and gives it back."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from gui.failure import Failure
from gui.widgets.messages import MessagePanel


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
