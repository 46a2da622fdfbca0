"""The theme that the application has: the system's, or the one that the user chose."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QObject, Qt, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from gui.widgets.theme import apply_theme, is_dark

__all__ = ["THEMES", "ThemeChoice"]

THEMES = {"": "As the &system", "light": "&Light", "dark": "&Dark"}
"""What can be chosen, and what a menu calls it."""

_SCHEMES = {
    "": Qt.ColorScheme.Unknown,
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
}


class ThemeChoice(QObject):
    """Gives an application its palette, now and whenever the system changes between light and dark.

    There is one in an application: `ThemeChoice.of(application)`.

    Attributes:
        chosen: one of THEMES.
    """

    def __init__(self, application: QApplication) -> None:
        super().__init__(application)
        self.chosen = ""
        self._application = application
        # Where the system does not say what it has, the palette that it gave to the application does.
        self._dark_at_first = is_dark(application.palette())
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._apply)

    @classmethod
    def of(cls, application: QCoreApplication | None) -> ThemeChoice:
        """The one of `application`, which is a QApplication."""
        assert isinstance(application, QApplication)
        found = application.findChild(cls)
        return found if isinstance(found, cls) else cls(application)

    def choose(self, theme: str) -> None:
        """Apply one of THEMES at once."""
        self.chosen = theme
        # The system draws the window's frame and its own dialogs in it, where it can.
        QGuiApplication.styleHints().setColorScheme(_SCHEMES[theme])
        self._apply()

    @Slot()
    def _apply(self) -> None:
        scheme = _SCHEMES[self.chosen]
        if scheme == Qt.ColorScheme.Unknown:
            scheme = QGuiApplication.styleHints().colorScheme()
        unknown = scheme == Qt.ColorScheme.Unknown
        apply_theme(self._application, dark=self._dark_at_first if unknown else scheme == Qt.ColorScheme.Dark)
