"""Problems as rows: what is wrong, what to do about it, and a way to get there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QRect, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QRegion, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QToolButton, QVBoxLayout, QWidget

from core.text import cut
from gui.preflight.report import Problem
from gui.widgets.plain import PlainLabel, menu_text, plain_lines, tool_tip
from gui.widgets.theme import ERROR, GRID, accent_of

__all__ = ["ProblemList"]

_LINES = 5
"""Of text that are in sight, as long as nothing else is said; beyond that the list scrolls."""


_LONGEST_NAME = 24
"""Characters of a name on a button."""


class ProblemList(QScrollArea):
    """Rows of problems, errors first, or a quiet note where there are none.

    Its height does not depend on what it shows, so that a problem that comes or goes moves nothing around it.

    Attributes:
        links: the buttons of its rows, from top to bottom.

    Signals:
        show_requested(object): "Show me" of a Problem was pressed.
        resume_requested(): an earlier merge is to be gone on with.
        removal_requested(object): what it left, a core.Leftover, is to be removed.
        free_name_requested(object), overwrite_requested(object): what is to be done about a Taken output.
        base_requested(object): the folder of the model that is to be the base.
    """

    show_requested = Signal(object)
    resume_requested = Signal()
    removal_requested = Signal(object)
    free_name_requested = Signal(object)
    overwrite_requested = Signal(object)
    base_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Problems")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the rows have buttons that take the focus
        self.viewport().setAutoFillBackground(False)
        self._shown: tuple[tuple[Problem, ...], tuple[Problem, ...], str] = ((), (), "")
        self.links: list[QToolButton] = []
        self._rows: list[_Row] = []
        self.verticalScrollBar().valueChanged.connect(self._hide_cut_lines)
        self._content = _Content()
        self._lines = _LINES
        self._show(*self._shown)

    @property
    def texts(self) -> list[str]:
        """What the rows say."""
        return [row.text for row in self._rows]

    def show_problems(self, errors: Sequence[Problem], warnings: Sequence[Problem], note: str) -> None:
        """Show a row for each, or `note` where there are none."""
        shown = (tuple(errors), tuple(warnings), note)
        if shown != self._shown:
            self._shown = shown
            self._show(*shown)

    def set_lines(self, lines: int) -> None:
        """How many lines of text it has room for."""
        if lines != self._lines:
            self._lines = lines
            self._fit()

    def update_colours(self) -> None:
        """To be called when the palette changes."""
        self._show(*self._shown)

    def set_dimmed(self, dimmed: bool) -> None:
        for row in self._rows:
            row.set_dimmed(dimmed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _show(self, errors: Sequence[Problem], warnings: Sequence[Problem], note: str) -> None:
        in_the_way = next((problem.message for problem in errors if problem.left is None), "")
        self._rows = [
            _Row(problem, wrong=not problem.missing and problem.left is None, in_the_way=in_the_way)
            for problem in errors
        ]
        self._rows += [_Row(problem, wrong=False) for problem in warnings]
        self.links = [link for row in self._rows for link in row.links]
        self._content = _Content()
        self._content.laid_out.connect(self._hide_cut_lines)
        self._content.setMinimumSize(1, 1)  # wrapped text does not report its least height
        layout = QVBoxLayout(self._content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID // 2)
        for row in self._rows:
            row.show_requested.connect(self.show_requested)
            row.resume_requested.connect(self.resume_requested)
            row.removal_requested.connect(self.removal_requested)
            row.free_name_requested.connect(self.free_name_requested)
            row.overwrite_requested.connect(self.overwrite_requested)
            row.base_requested.connect(self.base_requested)
            layout.addWidget(row)
        if not self._rows:
            label = PlainLabel(note)
            label.setWordWrap(True)
            label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
            layout.addWidget(label)
        layout.addStretch(1)
        before = self.takeWidget()
        if before is not None:
            before.deleteLater()  # a button of it may have led here
        self.setWidget(self._content)
        self._content.setAutoFillBackground(False)
        self._content.show()
        self._fit()

    def _fit(self) -> None:
        height = self._lines * self.fontMetrics().lineSpacing() + GRID
        # Decided here: a scroll bar makes lines shorter, and so could be the only reason for itself.
        policy = Qt.ScrollBarPolicy
        scrolls = self._content.heightForWidth(self.width()) > height
        self.setVerticalScrollBarPolicy(policy.ScrollBarAlwaysOn if scrolls else policy.ScrollBarAlwaysOff)
        for row in self._rows:
            row.setToolTip(tool_tip(row.text) if scrolls else "")
        self.setFixedHeight(height)
        self._hide_cut_lines()

    @Slot()
    def _hide_cut_lines(self) -> None:
        """Lines at the edges are whole or not there; the marks of the rows show that more follows."""
        top = self.verticalScrollBar().value()
        bottom = top + self.viewport().height()
        region = whole = QRegion(self._content.rect())
        for row in self._rows:
            for line in row.lines():
                box = line.translated(row.pos())
                if any(box.top() < edge <= box.bottom() for edge in (top, bottom)):
                    region = region.subtracted(box)
        if region != whole:
            self._content.setMask(region)
        else:
            self._content.clearMask()


class _Content(QWidget):
    """What scrolls.

    Signals:
        laid_out(): its parts have their places.
    """

    laid_out = Signal()

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest, QEvent.Type.Show):
            self.laid_out.emit()
        return done


class _Row(QFrame):
    """One problem.

    Attributes:
        links: its buttons.

    Signals:
        show_requested(object): its button was pressed; carries the Problem.
        resume_requested(), removal_requested(object): as those of the list.
        free_name_requested(object), overwrite_requested(object): as those of the list.
        base_requested(object): the same.
    """

    show_requested = Signal(object)
    resume_requested = Signal()
    removal_requested = Signal(object)
    free_name_requested = Signal(object)
    overwrite_requested = Signal(object)
    base_requested = Signal(object)

    def __init__(self, problem: Problem, *, wrong: bool, in_the_way: str = "") -> None:
        """Args:
        problem: what is shown.
        wrong: whether it is marked as wrong.
        in_the_way: what else keeps an earlier merge from being gone on with; "" for nothing.
        """
        super().__init__()
        self._wrong = wrong
        self.links: list[QToolButton] = []
        self.text = plain_lines(f"{problem.message} {problem.hint or ''}".strip())
        self._message = _text_label(problem.message)
        self._labels = [self._message]
        texts = QVBoxLayout()
        texts.setSpacing(0)
        texts.addWidget(self._message)
        if problem.hint:
            hint = _text_label(problem.hint)
            hint.setForegroundRole(QPalette.ColorRole.PlaceholderText)
            texts.addWidget(hint)
            self._labels.append(hint)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(GRID + GRID // 2, GRID // 2, 0, GRID // 2)
        layout.setSpacing(GRID)
        layout.addLayout(texts, 1)
        left = problem.left
        if left is not None and not left.runs:
            choices = QHBoxLayout()
            choices.setSpacing(GRID)
            resume = self._add_link("Resume", problem, self.resume_requested.emit)
            resume.setEnabled(not in_the_way)
            resume.setToolTip(in_the_way)
            choices.addWidget(resume)
            choices.addWidget(
                self._add_link("Remove what it left…", problem, lambda: self.removal_requested.emit(left))
            )
            choices.addStretch(1)
            texts.addLayout(choices)
        elif (taken := problem.taken) is not None:
            choices = QHBoxLayout()
            choices.setSpacing(GRID)
            use = f"Use {menu_text(cut(taken.free.name, _LONGEST_NAME))}"
            choices.addWidget(self._add_link(use, problem, lambda: self.free_name_requested.emit(taken)))
            if taken.refusal is None:
                overwrite = self._add_link(
                    "Overwrite…", problem, lambda: self.overwrite_requested.emit(taken)
                )
                choices.addWidget(overwrite)
            choices.addStretch(1)
            texts.addLayout(choices)
        elif (base := problem.base) is not None:
            use = f"Use {menu_text(cut(base.name, _LONGEST_NAME))}"
            link = self._add_link(use, problem, lambda: self.base_requested.emit(base))
            layout.addWidget(link, 0, Qt.AlignmentFlag.AlignTop)
        elif problem.target or problem.failure is not None:
            words = "Details…" if problem.failure is not None else "Show me"
            link = self._add_link(words, problem, lambda: self.show_requested.emit(problem))
            layout.addWidget(link, 0, Qt.AlignmentFlag.AlignTop)

    def _add_link(self, words: str, problem: Problem, then: Callable[[], object]) -> QToolButton:
        link = _Link(words)
        link.setAccessibleName(f"{words}: {problem.message}")
        link.clicked.connect(lambda: then())
        self.links.append(link)
        return link

    def lines(self) -> list[QRect]:
        """Where its lines of text and its buttons are, in whole pixels of the row."""
        spacing = self.fontMetrics().lineSpacing()
        boxes = []
        for label in self._labels:
            count = max(1, label.height() // spacing)
            top = label.y() + (label.height() - count * spacing) // 2
            boxes += [QRect(label.x(), top + at * spacing, label.width(), spacing) for at in range(count)]
        return [*boxes, *(link.geometry() for link in self.links)]

    def set_dimmed(self, dimmed: bool) -> None:
        role = QPalette.ColorRole.PlaceholderText if dimmed else QPalette.ColorRole.WindowText
        self._message.setForegroundRole(role)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        colour = ERROR if self._wrong else accent_of(self.palette())
        painter.fillRect(QRect(0, 0, GRID // 2, self.height()), colour)


def _text_label(text: str) -> QLabel:
    label = QLabel(_breakable(text))
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _breakable(text: str) -> str:
    """`text` with places at which long paths and names can be broken; a number stays with its unit."""
    together = re.sub(r"(\d) (?=%)", "\\1\u00a0", plain_lines(text))
    return re.sub(r"([/\\_]|(?<!\d)\.|\.(?!\d))(?=\S)", "\\1\u200b", together)


class _Link(QToolButton):
    """A button that looks like a link, in whatever theme."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setText(text)
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._take_colour()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._take_colour()

    def _take_colour(self) -> None:
        accent = accent_of(self.palette())
        if self.palette().color(QPalette.ColorGroup.Active, QPalette.ColorRole.ButtonText) == accent:
            return
        colours = QPalette()  # the other colours, and with them the accent, stay those of the theme
        for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Inactive):  # disabled, it is grey
            colours.setColor(group, QPalette.ColorRole.ButtonText, accent)
        self.setPalette(colours)
