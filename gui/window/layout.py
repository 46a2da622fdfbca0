"""Where the panels are in the window: docks that can be moved, and whose places are remembered."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSize, Qt, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QDockWidget,
    QFrame,
    QMainWindow,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from gui.recipe.panel import RecipePanel
from gui.settings import Settings
from gui.widgets.theme import GRID
from gui.window.panels import Panels

__all__ = ["WindowLayout"]

_VERSION = 2
"""Of the docks: a state that was saved with others is not restored."""

_SIZE = QSize(1280, 800)


class WindowLayout:
    """Places the panels of a window: the set-up on the left, the log below, the pictures in the middle.

    Attributes:
        docks: the docks, in the order of the View menu.
    """

    def __init__(self, window: QMainWindow, panels: Panels) -> None:
        self._window = window
        window.setCentralWidget(_centre(panels.pictures, panels.run))
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self._setup = _dock(window, "Set-up", _left_column(panels.models, panels.recipe, panels.preflight))
        self._history = _dock(window, "History", panels.history)
        self._log = _dock(window, "Log", panels.log)
        self._detail = _dock(window, "Detail", panels.pictures.detail)
        self._detail.visibilityChanged.connect(panels.pictures.detail.set_in_front)
        self.docks = (self._setup, self._history, self._log, self._detail)
        self.reset()

    def actions(self) -> list[QAction]:
        """Show and hide each dock."""
        actions = [dock.toggleViewAction() for dock in self.docks]
        for number, action in enumerate(actions, start=1):
            action.setShortcut(f"Ctrl+{number}")
        return actions

    @Slot()
    def reset(self) -> None:
        """Put everything where it is at a first start."""
        window = self._window
        for dock in self.docks:
            dock.setFloating(False)
            window.removeDockWidget(dock)
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._setup)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self._history)
        window.tabifyDockWidget(self._history, self._log)
        window.tabifyDockWidget(self._log, self._detail)
        for dock in self.docks:
            dock.show()
        self._history.raise_()
        width = max(54 * GRID, 72 * window.fontMetrics().averageCharWidth())
        window.resizeDocks([self._setup], [width], Qt.Orientation.Horizontal)
        window.resizeDocks([self._history], [27 * GRID], Qt.Orientation.Vertical)

    def restore(self, settings: Settings) -> None:
        """As it was when the window was last closed."""
        window = self._window
        if not settings.geometry or not window.restoreGeometry(QByteArray(settings.geometry)):
            window.resize(_SIZE)
        if settings.window_state:
            window.restoreState(QByteArray(settings.window_state), _VERSION)

    def save(self, settings: Settings) -> None:
        settings.geometry = bytes(self._window.saveGeometry().data())
        settings.window_state = bytes(self._window.saveState(_VERSION).data())

    def show_setup(self) -> None:
        self._setup.show()
        self._setup.raise_()

    @Slot()
    def show_detail(self) -> None:
        """Bring the detail to the front, where it was not closed."""
        if not self._detail.isHidden():
            self._detail.raise_()


def _dock(window: QMainWindow, title: str, widget: QWidget) -> QDockWidget:
    dock = QDockWidget(title, window)
    dock.setObjectName(title.lower())
    dock.setWidget(widget)
    return dock


def _left_column(models: QWidget, recipe: RecipePanel, preflight: QWidget) -> QWidget:
    """The order of work, from top to bottom; the last step is always visible."""
    scrolled = QScrollArea()
    scrolled.setWidget(recipe)
    scrolled.setWidgetResizable(True)
    scrolled.setFrameShape(QFrame.Shape.NoFrame)
    scrolled.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    recipe.unfolded.connect(lambda part: scrolled.ensureWidgetVisible(part))
    splitter = QSplitter(Qt.Orientation.Vertical)
    splitter.setChildrenCollapsible(False)
    splitter.setHandleWidth(2 * GRID)
    splitter.addWidget(models)
    splitter.addWidget(scrolled)
    splitter.setSizes([300, 260])
    splitter.setStretchFactor(0, 2)
    splitter.setStretchFactor(1, 1)
    left = QWidget()
    column = QVBoxLayout(left)
    column.setContentsMargins(2 * GRID, GRID, GRID, 2 * GRID)
    column.setSpacing(2 * GRID)
    column.addWidget(splitter, 1)
    column.addWidget(preflight)
    return left


def _centre(pictures: QWidget, run: QWidget) -> QWidget:
    centre = QWidget()
    column = QVBoxLayout(centre)
    column.setContentsMargins(GRID, GRID, 2 * GRID, GRID)
    column.setSpacing(0)
    column.addWidget(pictures, 1)
    column.addWidget(run)
    return centre
