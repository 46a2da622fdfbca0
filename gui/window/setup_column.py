"""The left column: the order of work, from top to bottom, in whatever height there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QSize, Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLayout, QSplitter, QVBoxLayout, QWidget

from gui.models.panel import ModelsPanel
from gui.preflight.panel import PreflightPanel
from gui.recipe.panel import RecipePanel
from gui.widgets.theme import GRID

__all__ = ["SetupColumn"]


@dataclass(frozen=True)
class _Room:
    """What there is room for in a column of at least so many pixels.

    Attributes:
        height: of the column, from which on this holds.
        spacing: between fields.
        headings: whether the parts have theirs.
        help_lines: whether the method is described in the form.
        problem_lines: of text that the list of problems has.
    """

    height: int
    spacing: int
    headings: bool
    help_lines: bool
    problem_lines: int


_ROOMS = (
    _Room(100 * GRID, GRID, headings=True, help_lines=True, problem_lines=5),
    _Room(84 * GRID, GRID // 2, headings=True, help_lines=False, problem_lines=5),
    _Room(72 * GRID, GRID // 2, headings=True, help_lines=False, problem_lines=3),
    _Room(0, GRID // 2, headings=False, help_lines=False, problem_lines=3),
)
"""From the roomiest to the tightest."""


class SetupColumn(QWidget):
    """Models, recipe, and what is to be known before the merge.

    The list of models is what shrinks where there is little room, and what grows; the last step is always
    whole. The handle between models and recipe can be dragged; until then, the recipe has what it needs.
    """

    def __init__(self, models: ModelsPanel, recipe: RecipePanel, preflight: PreflightPanel) -> None:
        super().__init__()
        self._models, self._recipe, self._preflight = models, recipe, preflight
        self._room: _Room | None = None
        self._least_height = 0
        self._dragged = False
        self._parts = _Parts(self._share)
        self._parts.addWidget(models)
        self._parts.addWidget(recipe)
        self._parts.setStretchFactor(0, 1)
        self._parts.setStretchFactor(1, 0)
        self._column = QVBoxLayout(self)
        self._column.addWidget(self._parts, 1)
        self._column.addWidget(preflight)
        self._measure()
        self._parts.splitterMoved.connect(self._on_dragged)
        recipe.refolded.connect(self._share)

    def minimumSizeHint(self) -> QSize:
        """As high as the tightest form, whichever is shown: or else the window could not be made smaller."""
        return QSize(self._column.totalMinimumSize().width(), self._least_height)

    def share_anew(self) -> None:
        """As if the handle had not been dragged."""
        self._dragged = False
        self._share()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        rooms = [room for room in _ROOMS if self.height() >= room.height]
        self._set_room(rooms[0])
        for room in rooms[1:]:  # with a larger font, there may be room for less
            if self._column.totalMinimumSize().height() > self.height():
                self._set_room(room)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._measure()

    def _measure(self) -> None:
        """Find out how small the column can be."""
        before = self._room
        self._set_room(_ROOMS[-1])
        self._least_height = self._column.totalMinimumSize().height()
        if before is not None:
            self._set_room(before)
        self.updateGeometry()

    def _set_room(self, room: _Room) -> None:
        if room == self._room:
            return
        self._room = room
        edge = GRID if room.headings else GRID // 2
        self._column.setContentsMargins(2 * GRID, edge, GRID, edge)
        self._column.setSpacing(2 * edge)
        self._parts.setHandleWidth(2 * edge)
        self._models.set_room(spacing=room.spacing, headings=room.headings)
        self._recipe.set_room(spacing=room.spacing, headings=room.headings, help_lines=room.help_lines)
        self._preflight.set_room(
            spacing=room.spacing, headings=room.headings, problem_lines=room.problem_lines
        )
        # Layouts hear only later of what was hidden in them.
        for widget in self.findChildren(QWidget):
            widget.updateGeometry()
        for layout in self.findChildren(QLayout):
            layout.invalidate()
        self._share()

    @Slot()
    def _share(self) -> None:
        """Give the recipe what it needs, as far as that leaves some models in sight."""
        if self._dragged:
            return
        height = sum(self._parts.sizes())
        most = height - self._models.minimumSizeHint().height()
        least = self._recipe.minimumSizeHint().height()
        below = max(min(self._recipe.sizeHint().height(), most), least)
        self._parts.setSizes([height - below, below])

    @Slot()
    def _on_dragged(self) -> None:
        self._dragged = True


class _Parts(QSplitter):
    """Calls something after it has got another height."""

    def __init__(self, share: Callable[[], None]) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self._share_anew = share
        self.setChildrenCollapsible(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share_anew()
