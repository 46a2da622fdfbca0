"""Where the panels are in the window: docks that can be moved, and whose places are remembered."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QByteArray, QSize, Qt, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabBar, QTabWidget, QVBoxLayout, QWidget

from gui.settings import Settings
from gui.widgets.theme import GRID
from gui.window.focus import Regions, keep_together
from gui.window.geometry import available_size, first_size, keep_on_screen
from gui.window.panels import Panels
from gui.window.setup_column import SetupColumn
from gui.window.widths import Widths

__all__ = ["WindowLayout"]

_VERSION = 4
"""Of the docks: a state that was saved with others is not restored."""

_WIDE = 220 * GRID
"""From this width on the detail stands beside the pictures, and not in a tab below them."""

_BELOW = 0.28
"""Of the height of a low window, for what is below the pictures, which need the rest."""


_TALL = 0.45
"""Of the height of the window, for tables and answers that are to be read."""


class WindowLayout:
    """Places the panels of a window: the set-up on the left, the log below, the pictures in the middle.

    Attributes:
        docks: the docks, in the order of the View menu.
    """

    def __init__(self, window: QMainWindow, panels: Panels) -> None:
        self._window, self._panels = window, panels
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self._column = SetupColumn(panels.models, panels.recipe, panels.preflight)
        self._setup = _dock(window, "Set-up", self._column)
        # Tab goes through them in the order in which they come into the window.
        window.setCentralWidget(_centre(panels.pictures, panels.run))
        self._detail = _dock(window, "Detail", panels.pictures.detail)
        self._history = _dock(window, "History", panels.history)
        self._log = _dock(window, "Log", panels.log)
        self._evaluate = _dock(window, "Evaluate", panels.evaluation)
        self._training = _dock(window, "Sub-models", panels.training)
        self._trying = _dock(window, "Try it", panels.trying)
        self._pictures = panels.pictures
        self._placed = QSize()
        self._heights: tuple[int, int] | None = None  # of the window and of the docks below, once restored
        panels.pictures.built.connect(self._on_built)
        self._detail.visibilityChanged.connect(panels.pictures.detail.set_in_front)
        for tall in (self._evaluate, self._trying, self._training):
            tall.visibilityChanged.connect(partial(self._make_room, tall))
        self.docks = (
            self._setup,
            self._history,
            self._log,
            self._detail,
            self._evaluate,
            self._trying,
            self._training,
        )
        self._widths = Widths(window, (self._setup, self._detail))
        self._regions = Regions(
            (
                (self._column,),
                (panels.pictures.tabs.tabBar(), panels.pictures, panels.run),
                (
                    self._history,
                    self._log,
                    self._evaluate,
                    self._trying,
                    self._training,
                    self._detail,
                ),
            )
        )
        self._next, self._previous = (
            QAction("Go to the &next part", window),
            QAction("Go &back a part", window),
        )
        for action, keys, forward in ((self._next, "F6", True), (self._previous, "Shift+F6", False)):
            action.setShortcut(keys)
            action.triggered.connect(partial(self._go, forward))
        self.reset()

    def actions(self) -> list[QAction]:
        """Show and hide each dock, and go from one part of the window to the next."""
        actions = [dock.toggleViewAction() for dock in self.docks]
        for number, action in enumerate(actions, start=1):
            action.setShortcut(f"Ctrl+{number}")
        return [*actions, self._next, self._previous]

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
        window.tabifyDockWidget(self._log, self._evaluate)
        window.tabifyDockWidget(self._evaluate, self._trying)
        window.tabifyDockWidget(self._trying, self._training)
        wide = window.width() >= _WIDE
        if wide:
            window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._detail)
        else:
            window.tabifyDockWidget(self._training, self._detail)
        for dock in self.docks:
            dock.show()
        self._history.raise_()
        self._column.share_anew()
        characters = window.fontMetrics().averageCharWidth()
        width = max(54 * GRID, 72 * characters, min(window.width() // 4, 90 * characters))
        window.resizeDocks([self._setup], [width], Qt.Orientation.Horizontal)
        if wide:
            window.resizeDocks([self._detail], [width], Qt.Orientation.Horizontal)
        height = min(27 * GRID, int(_BELOW * window.height()))
        window.resizeDocks([self._history], [height], Qt.Orientation.Vertical)

    def restore(self, settings: Settings) -> None:
        """As it was when the window was last closed."""
        window = self._window
        if not settings.geometry or not window.restoreGeometry(QByteArray(settings.geometry)):
            window.resize(first_size(available_size(window)))
            window.move(window.screen().availableGeometry().center() - window.rect().center())
            self.reset()
        keep_on_screen(window)
        self._placed = window.size()
        if settings.window_state:
            window.restoreState(QByteArray(settings.window_state), _VERSION)
            if window.minimumSizeHint().width() > available_size(window).width():
                self.reset()  # they stood side by side on a larger screen
            else:
                self._heights = settings.window_heights
                self._fit_below()
        for bar in window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            if not bar.count():  # Qt leaves those that it has no use for any more over the first dock
                bar.move(-bar.width(), -bar.height())

    @Slot()
    def settle(self) -> None:
        """To be called once the window manager has put its frame around the window as it was restored."""
        if self._window.size() == self._placed:
            keep_on_screen(self._window)
        self._fit_below()

    def _fit_below(self) -> None:
        """Give the docks below the pictures their share of the height again where the window is lower than
        it was left: Qt would keep their height, and take all of it from the pictures."""
        height = self._window.height()
        if self._heights is None or height >= self._heights[0]:
            return
        below = self._heights[1] * height // self._heights[0]
        self._heights = height, below
        if docks := self._docks_below():
            self._window.resizeDocks(docks[:1], [below], Qt.Orientation.Vertical)

    def _docks_below(self) -> list[QDockWidget]:
        area = Qt.DockWidgetArea.BottomDockWidgetArea
        return [
            dock
            for dock in self.docks
            if self._window.dockWidgetArea(dock) == area and not dock.isHidden() and not dock.isFloating()
        ]

    def save(self, settings: Settings) -> None:
        settings.geometry = bytes(self._window.saveGeometry().data())
        settings.window_state = bytes(self._window.saveState(_VERSION).data())
        in_front = (dock for dock in self._docks_below() if not dock.visibleRegion().isEmpty())
        dock = next(in_front, None)
        settings.window_heights = (self._window.height(), dock.height()) if dock is not None else None

    @Slot()
    def _on_built(self) -> None:
        """The plots have come into the window last."""
        tabs = self._pictures.tabs
        corner = tabs.cornerWidget()
        assert corner is not None
        keep_together(tabs.tabBar(), corner, *self._pictures.pictures)

    def _make_room(self, dock: QDockWidget, in_front: bool) -> None:
        """Raise the docks below where one that needs it comes to the front; lower than that, by hand."""
        least = int(_TALL * self._window.height())
        if in_front and self._window.isVisible() and not dock.isFloating() and dock.height() < least:
            self._window.resizeDocks([dock], [least], Qt.Orientation.Vertical)

    def _go(self, forward: bool) -> None:
        self._regions.go(forward=forward)

    def show_setup(self) -> None:
        self._setup.show()
        self._setup.raise_()

    def show_evaluation(self) -> None:
        """Bring the evaluation to the front."""
        self._evaluate.show()
        self._evaluate.raise_()

    @Slot()
    def show_trying(self) -> None:
        """Open the panel in which models are tried, and put the focus on its prompt."""
        self._trying.show()
        self._trying.raise_()
        self._panels.trying.prompt.setFocus(Qt.FocusReason.ShortcutFocusReason)

    @Slot()
    def show_detail(self) -> None:
        """Bring the detail to the front, where it was not closed."""
        if not self._detail.isHidden():
            self._detail.raise_()

    @Slot()
    def show_training(self) -> None:
        """Bring the making of sub-models to the front."""
        self._training.show()
        self._training.raise_()


def _dock(window: QMainWindow, title: str, widget: QWidget) -> QDockWidget:
    dock = QDockWidget(title, window)
    dock.setObjectName(title.lower())
    dock.setWidget(widget)
    return dock


def _centre(pictures: QWidget, run: QWidget) -> QWidget:
    centre = QWidget()
    column = QVBoxLayout(centre)
    column.setContentsMargins(GRID, GRID, 2 * GRID, GRID)
    column.setSpacing(0)
    column.addWidget(pictures, 1)
    column.addWidget(run)
    return centre
