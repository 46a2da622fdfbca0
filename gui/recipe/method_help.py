"""What a method does, in a sentence: as a line of the form, or behind a button where that is tight."""

from __future__ import annotations

import html
import re

from PySide6.QtCore import QEvent, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QFocusEvent
from PySide6.QtWidgets import QLabel, QMenu, QToolButton, QVBoxLayout, QWidget, QWidgetAction

from core.methods import MethodSpec
from gui.widgets.theme import GRID, secondary

__all__ = ["HelpButton", "HelpLabel"]

_LINES = 4
"""Reserved, so that choosing a method moves nothing."""


class HelpLabel(QLabel):
    """What a method does, and where it was described."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self._reserve()
        secondary(self)
        self.linkActivated.connect(_open_link)

    def show_method(self, method: MethodSpec) -> None:
        self._text = f"{html.escape(method.help)} {_source_link(method.source)}"
        self.setText(self._text)
        self.setAccessibleName(method.help)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() == Qt.FocusReason.TabFocusReason:
            self.focusNextPrevChild(True)  # to the link, the only thing in it that takes the focus

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._reserve()
        elif event.type() == QEvent.Type.PaletteChange:
            self.setText("")  # the link keeps its colour unless the text changes
            self.setText(self._text)

    def _reserve(self) -> None:
        self.setMinimumHeight(_LINES * self.fontMetrics().lineSpacing())


class HelpButton(QToolButton):
    """Opens what a method does.

    Attributes:
        label: what is opened.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setText("?")
        self.setAccessibleName("What the method does")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.label = HelpLabel()
        page = QWidget()
        page.setFixedWidth(44 * GRID)
        column = QVBoxLayout(page)
        column.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        column.addWidget(self.label)
        menu = QMenu(self)
        entry = QWidgetAction(menu)
        entry.setDefaultWidget(page)
        menu.addAction(entry)
        menu.aboutToShow.connect(self.label.setFocus)
        self.setMenu(menu)

    def show_method(self, method: MethodSpec) -> None:
        self.label.show_method(method)
        self.setToolTip(f"<p>{html.escape(method.help)}</p>")


def _source_link(source: str) -> str:
    """The source of a method, with links where it names papers ("arXiv:2410.03743")."""
    return re.sub(
        r"arXiv:([0-9]{4}\.[0-9]{4,5})",
        r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>',
        html.escape(source),
    )


@Slot(str)
def _open_link(address: str) -> None:
    QDesktopServices.openUrl(QUrl(address))
