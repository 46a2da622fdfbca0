"""Sentences above and below pictures, in room of their own: what is said never moves what is shown."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent, QTextLayout, QTextOption
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.widgets.plain import PlainLabel, tool_tip
from gui.widgets.theme import GRID

__all__ = ["WrappedLabel", "fitting_lines", "lines_of"]

_LINE_OF_CHARACTERS = 190
"""A label as wide as that has one line, a narrower one two: nearly all sentences fit."""

_MOST_RESERVED = 4
"""Lines that are kept for what must be read whole."""


class WrappedLabel(PlainLabel):
    """Text in one line or two, whose height depends on the width only and not on the text.

    One that grows has one line until what it says takes more, and has those from then on, until its width is
    another; that is for what does not change under the pointer. A number and its unit stay on one line.

    What does not fit ends in "…", and the tool tip has all of it.
    """

    _lines: int | None = None
    _whole = _grows = False
    _grown, _most = 1, 2
    _reserved = _tip = ""
    """All are asked for in the middle of the constructor."""

    def __init__(self, parent: QWidget | None = None, *, lines: int | None = None) -> None:
        """`lines` are there at every width; None for as many as the width asks for."""
        super().__init__("", parent)
        self._lines = lines
        self.setMinimumWidth(8 * GRID)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._reserve()

    def set_lines(self, lines: int | None) -> None:
        """Have another number of lines."""
        if lines != self._lines:
            self._lines = lines
            self._reserve()
            self._say_all()

    def set_growing(self, grows: bool, most: int = 2) -> None:
        """Whether there are more lines than one, and at most `most`, only when they are needed."""
        if (grows, most) != (self._grows, self._most):
            self._grows, self._most, self._grown = grows, most, 1
            self._grow()
            self._reserve()
            self._say_all()

    def reserve_for(self, text: str) -> None:
        """Have room for `text`, up to _MOST_RESERVED lines, whatever is said meanwhile."""
        if text != self._reserved:
            self._reserved = text
            self._reserve()
            self._say_all()

    def show_whole(self, whole: bool) -> None:
        """Take as many lines as the text needs, as on paper, which has no tool tips."""
        self._whole = whole
        self._reserve()

    def setText(self, text: str) -> None:
        super().setText(text.replace("\n", " "))
        self._grow()
        self._say_all()

    def set_full_text(self, text: str, tip: str = "") -> None:
        """Show `text`; `tip` is what the tool tip says besides what is not in sight."""
        self._tip = tip
        self.setAccessibleName(text)
        self.setText(text)

    def sizeHint(self) -> QSize:
        return QSize(self.minimumWidth(), self.minimumHeight())

    @property
    def shown_lines(self) -> list[str]:
        """What can be read, line by line."""
        return fitting_lines(self.text(), self, self.lines)

    @property
    def _all_lines(self) -> list[str]:
        """The text, broken into as many lines as it takes."""
        return lines_of(self.text(), self)

    @property
    def lines(self) -> int:
        """For how many there is room."""
        if self._whole:
            return max(1, len(self._all_lines))
        if self._lines is not None:
            return self._lines
        if self._grows:
            return self._grown
        reserved = min(len(lines_of(self._reserved, self)), _MOST_RESERVED)
        return max(self._most_lines, reserved)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._grown = 1
        self._reserve()
        self._grow()
        self._say_all()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._reserve()
            self._say_all()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        measure = self.fontMetrics()
        lines = self.shown_lines
        centred = bool(self.alignment() & Qt.AlignmentFlag.AlignVCenter)
        top = (self.height() - len(lines) * measure.lineSpacing()) // 2 if centred else 0
        for number, line in enumerate(lines):
            painter.drawText(QPoint(0, top + number * measure.lineSpacing() + measure.ascent()), line)

    def _grow(self) -> None:
        needed = min(len(self._all_lines), self._most_lines) if self._grows else 1
        if needed > self._grown:
            self._grown = needed
            self._reserve()

    @property
    def _most_lines(self) -> int:
        wide = self.width() >= _LINE_OF_CHARACTERS * self.fontMetrics().averageCharWidth()
        return 1 if wide else self._most

    def _reserve(self) -> None:
        self.setFixedHeight(self.lines * self.fontMetrics().lineSpacing())

    def _say_all(self) -> None:
        cut = any(line.endswith("…") for line in self.shown_lines) and not self.text().endswith("…")
        self.setToolTip(tool_tip("\n".join(filter(None, (self.text() if cut else "", self._tip)))))


def fitting_lines(text: str, label: QWidget, most: int) -> list[str]:
    """`text` in at most so many lines of the width of `label`; what is cut off ends in "…"."""
    shown = lines_of(text, label)
    if len(shown) <= most:
        return [line.strip() for line in shown]
    shown = shown[: most - 1]
    rest = text[sum(map(len, shown)) :].strip()
    end = label.fontMetrics().elidedText(rest, Qt.TextElideMode.ElideRight, label.width())
    return [*(line.strip() for line in shown), end]


def lines_of(text: str, label: QWidget) -> list[str]:
    """`text`, broken into as many lines of the width of `label` as it takes."""
    lines: list[str] = []
    while text:
        lines.append(_first_line(text, label))
        text = text[len(lines[-1]) :]
    return lines


def _first_line(text: str, label: QWidget) -> str:
    """As much of `text` as goes into one line, up to the end of a word where there is one."""
    layout = QTextLayout(text.replace(" %", "\N{NO-BREAK SPACE}%"), label.font())
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout.setTextOption(option)
    layout.beginLayout()
    line = layout.createLine()
    line.setLineWidth(label.width())
    layout.endLayout()
    fitting = text.encode("utf-16-le", "surrogatepass")[: 2 * line.textLength()]  # Qt's unit of length
    return fitting.decode("utf-16-le", "surrogatepass") or text[:1]
