"""What all pictures share: a heading, controls, a sentence that says how to read it, and a line below."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QPalette, QRegion, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSplitter,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from core.deltas.findings import Findings
from gui.pictures.legend import Legend
from gui.pictures.selection import Selection
from gui.pictures.shown import Shown
from gui.pictures.table import Table
from gui.widgets.fields import defer_to_window
from gui.widgets.plain import PlainLabel, tool_tip
from gui.widgets.theme import GRID, heading, secondary
from gui.widgets.wrapped import WrappedLabel

__all__ = ["Picture", "choice"]

_LOW = 32 * GRID
"""Of less height, the heading gives its line to the plots: the tab has a name, and the sentence says it."""

_MOST_BESIDE = 3
"""Lines of a sentence beside the controls."""

_BESIDE_CONTROLS = 0.6
"""Of the width, without the controls: the least that a sentence takes beside them."""


class Picture(QWidget):
    """One picture of what is known, and of what is selected in it.

    A subclass fills `body` in `build`, which takes a while and so waits until there is something to be seen,
    and implements `draw`, `tables` and `reset_view`.

    Attributes:
        file_name: what it is called when it is saved, without a suffix.
        needs_models: whether it shows numbers of the models that are open; one that does not says itself
            where its numbers come from.
        selection: what is selected in all pictures.
        shown: what is shown, and where it comes from.
        controls: the layout to the right of the heading.
        body: where the plots are.
        built: whether they were made.
        read_out: the words below them, for what is pointed at or selected.
    """

    file_name = ""
    title = ""
    needs_models = True

    def __init__(self, selection: Selection, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.selection = selection
        self.shown = Shown()
        self._stale, self.built = True, False
        self._printing = False
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAccessibleName(self.title)
        self._heading = heading(self.title)
        self._heading.setMinimumWidth(8 * GRID)
        self._controls = QWidget()
        self.controls = QHBoxLayout(self._controls)
        self.controls.setContentsMargins(0, 0, 0, 0)
        self.controls.setSpacing(GRID)
        self.explanation = WrappedLabel()
        self.explanation.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.explanation.set_growing(True)
        secondary(self.explanation)
        self.body = _Body()
        self._sentence = _line("")
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignCenter)
        secondary(self._sentence)
        self._stack = QStackedLayout()
        self._stack.addWidget(self.body)
        self._stack.addWidget(self._sentence)
        self.read_out = WrappedLabel()
        self.read_out.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._source = _line("")
        secondary(self._source)
        self._source.hide()
        self._top = QHBoxLayout()
        self._top.setSpacing(GRID)
        self._top.addWidget(self._heading, 1)
        self._top.addWidget(self._controls, 0, Qt.AlignmentFlag.AlignRight)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        layout.setSpacing(GRID // 2)
        layout.addLayout(self._top)
        layout.addWidget(self.explanation)
        layout.addLayout(self._stack, 1)
        layout.addWidget(self.read_out)
        layout.addWidget(self._source)
        selection.changed.connect(self.refresh)

    # -- what a subclass does

    def build(self) -> None:
        """Make the plots and put them into `body`; called once, before they are shown."""
        raise NotImplementedError

    def draw(self) -> None:
        """Show `findings` and the selection; called when either has changed and the picture can be seen."""
        raise NotImplementedError

    def tables(self) -> Sequence[Table]:
        """The numbers that are shown; none where there are none."""
        raise NotImplementedError

    def reset_view(self) -> None:
        """Undo zooming and moving."""
        raise NotImplementedError

    def recolour(self) -> None:
        """Take the colours of the palette; called again whenever it changes."""

    # -- what the window does

    @property
    def findings(self) -> Findings | None:
        """What there is to be shown; None for nothing yet."""
        return self.shown.findings

    def show_numbers(self, shown: Shown) -> None:
        """Show something else, at once or as soon as the picture can be seen."""
        before, self.shown = self.shown, shown
        self._source.setText(self.source)
        if (
            shown.findings is None
            or shown.findings is not before.findings
            or shown.activity != before.activity
        ):
            self.refresh()

    def refresh(self) -> None:
        self._stale = True
        if self.can_be_seen:
            self.draw_now()

    def build_now(self) -> None:
        """Make the plots, unless that was done."""
        if not self.built:
            self.built = True
            self.build()
            self.recolour()

    @property
    def can_be_seen(self) -> bool:
        return self.isVisible()

    def draw_now(self) -> None:
        """Draw, seen or not."""
        self.ensurePolished()
        if self._stale:
            self._stale = False
            self.draw()

    @property
    def sentence(self) -> str:
        """What is said in the place of the plots; "" while they are there."""
        return self._sentence.text() if self._stack.currentWidget() is self._sentence else ""

    def set_printing(self, printing: bool) -> None:
        """Leave out what only makes sense on a screen, and put in what only does on paper."""
        from gui.pictures.plot import Plot

        self._printing = printing
        self._place_controls()
        self._controls.setVisible(not printing)
        self._source.setVisible(printing and bool(self._source.text()))
        for label in (self.explanation, self.read_out):
            label.show_whole(printing)
        for part in self.findChildren(Legend):
            part.set_printing(printing)
        for plot in self.findChildren(Plot):
            plot.show_focus(not printing)
            plot.set_printing(printing)
        for splitter in self.findChildren(QSplitter):
            for number in range(1, splitter.count()):
                handle = splitter.handle(number)  # which is of use on a screen only
                handle.setMask(QRegion(-1, -1, 1, 1)) if printing else handle.clearMask()
        layout = self.layout()
        if layout is not None:
            layout.activate()

    def to_print(self) -> Picture:
        """What to print in its place: itself, or a copy that has room for everything."""
        return self

    def least_printed_height(self, width: int) -> int:
        """Of which everything has room on paper of this width, in pixels, while it is printing."""
        layout, body = self.layout(), self.body.layout()
        if layout is None or body is None:
            return 0
        layout.activate()
        inner = width - layout.contentsMargins().left() - layout.contentsMargins().right()
        around = layout.minimumHeightForWidth(width) if layout.hasHeightForWidth() else 0
        around = max(around, layout.minimumSize().height()) - self._height_of_stack(inner)
        least = body.minimumHeightForWidth(inner) if body.hasHeightForWidth() else 0
        return around + max(least, body.minimumSize().height())

    def _height_of_stack(self, width: int) -> int:
        """What the layout counts for plots or sentence: of what grows with its width not the least."""
        grows = self._stack.hasHeightForWidth()
        return max(self._stack.heightForWidth(width) if grows else 0, self._stack.minimumSize().height())

    @property
    def in_use(self) -> bool:
        """Whether it shows something that needs no models."""
        return False

    @property
    def source(self) -> str:
        """Where the numbers come from; said on paper, where the window does not say it."""
        return self.shown.source

    # -- what subclasses use

    def fill(self, main: QWidget, *below: QWidget) -> None:
        """Put `main` into `body`, and what takes the room it needs below it."""
        column = QVBoxLayout(self.body)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(main, 1)
        for widget in below:
            column.addWidget(widget)

    @property
    def controls_below(self) -> bool:
        """Whether the heading has no room beside the controls."""
        margins = 4 * GRID + self._top.spacing()
        return self._heading.sizeHint().width() + self._controls.sizeHint().width() + margins > self.width()

    @property
    def is_low(self) -> bool:
        """Whether the sentence stands in the place of the heading."""
        return not self._printing and not self.sentence and self.height() < _LOW

    def _place_controls(self) -> None:
        """Below the heading, or beside it where both have room; in a low picture beside or above the text."""
        low = self.is_low
        room = self.width() - self._controls.sizeHint().width() - 4 * GRID - self._top.spacing()
        beside = low and room >= _BESIDE_CONTROLS * self.width()
        self._heading.setVisible(not low)
        if beside != (self._top.indexOf(self.explanation) >= 0):
            layout = self.layout()
            assert isinstance(layout, QVBoxLayout)
            if beside:
                self._top.insertWidget(0, self.explanation, 1, Qt.AlignmentFlag.AlignTop)
            else:
                layout.insertWidget(layout.indexOf(self._top) + 1, self.explanation)
            self.explanation.set_growing(True, _MOST_BESIDE if beside else 2)
        directions = QHBoxLayout.Direction
        below = self.controls_below and not low
        self._top.setDirection(directions.TopToBottom if below else directions.LeftToRight)

    def read(self, text: str) -> None:
        """Say what is pointed at or selected, also to those who do not see it."""
        self.read_out.setText(text)
        self.setAccessibleDescription(text)

    def set_title(self, title: str) -> None:
        """Another heading."""
        self._heading.setText(title)
        self._heading.setToolTip(tool_tip(title))
        self.setAccessibleName(title)

    def say(self, text: str) -> None:
        """Show a sentence in the place of the plots; "" for the plots, which there are from then on."""
        if not text:
            self.build_now()
        self._sentence.setText(text)
        self._stack.setCurrentWidget(self._sentence if text else self.body)
        self._place_controls()
        if text:
            self.explanation.setText("")
            self.read("")

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_controls()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.can_be_seen:
            self.draw_now()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.built:
            self.recolour()
            self.refresh()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Polish and self.built:
            self.recolour()
        return super().event(event)


def choice(name: str, texts: Sequence[str]) -> QComboBox:
    """A field to choose one of a few things with."""
    field = QComboBox()
    field.addItems(list(texts))
    field.setAccessibleName(name)
    field.setToolTip(name)
    field.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    defer_to_window(field)
    return field


class _Body(QWidget):
    """Where the plots are, with legends that come and go with the room for them."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for legend in self.findChildren(Legend):
            legend.fit()


def _line(text: str) -> QLabel:
    label = PlainLabel(text)
    label.setWordWrap(True)
    return label
