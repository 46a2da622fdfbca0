"""Showing a dock, bringing it to the front, and hiding it, with one key."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDockWidget, QWidget

from gui.window.focus import is_covered

__all__ = ["DockAction", "show_focus"]


def show_focus(window: QWidget) -> None:
    """Have buttons, fields and tabs of `window` show that they have the focus, as after Tab.

    After a click Qt shows that again only once Tab is pressed, whatever the reason that setFocus is given.
    """
    window.setAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
    focus = window.focusWidget()
    if focus is not None:
        focus.update()


class DockAction(QAction):
    """An entry for a dock: it is ticked while the dock is open, also behind another one.

    Qt's own would close a dock that is behind another one, and there is no key for the tabs of docks: what is
    in there would be out of reach without a mouse. This one brings it to the front, and closes it only there.
    """

    def __init__(self, dock: QDockWidget, keys: str) -> None:
        super().__init__(dock.windowTitle(), dock)
        self._dock = dock
        own = dock.toggleViewAction()
        own.setShortcut(QKeySequence())
        self.setShortcut(keys)
        self.setCheckable(True)
        self.setChecked(own.isChecked())
        own.toggled.connect(self.setChecked)
        self.triggered.connect(self._on_triggered)

    @Slot()
    def _on_triggered(self) -> None:
        dock = self._dock
        if dock.isHidden() or is_covered(dock):
            dock.show()
            dock.raise_()
            stop = next(filter(_takes_focus, dock.widget().findChildren(QWidget)), None)
            if stop is not None:
                stop.setFocus(Qt.FocusReason.ShortcutFocusReason)
                show_focus(dock.window())
        else:
            dock.hide()
        self.setChecked(not dock.isHidden())


def _takes_focus(widget: QWidget) -> bool:
    return bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus) and widget.isVisible() and widget.isEnabled()
