"""The sub-models with their colours, below a picture."""

from __future__ import annotations

from collections.abc import Sequence, Set

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel

from core.text import one_line
from gui.widgets.plain import tool_tip
from gui.widgets.theme import GRID, model_colour, secondary

__all__ = ["Legend"]

_MOST_IN_LEGEND = 60
_LONGEST_NAME = 40
"""Characters of a name in a legend; the tool tip has all of a longer one."""
_SHORTER_NAMES = (_LONGEST_NAME, 24, 14, 8)
"""Characters of names in one that stays: as many as let it have no more than its share."""

_LEAST_LINES = 2
"""That one which stays may have in any case."""

_LEGEND_SHARE = 0.12
"""Of the height of a picture that a legend may take on the screen."""


class Legend(QLabel):
    """The sub-models with their colours. Where they would take too much of the room they are there only on
    paper: the list of models has the same colours. One that `stays` shortens its names instead, and then
    leaves out the last."""

    def __init__(self, *, stays: bool = False) -> None:
        super().__init__()
        self._stays = stays
        self._entries: Sequence[tuple[str, str, QColor]] = ()
        self._marked: Set[int] = frozenset()
        self._mark = ""
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setMinimumWidth(8 * GRID)
        secondary(self)

    def show_models(self, models: Sequence[str], marked: Set[int] = frozenset()) -> None:
        """Name `models`; those that are `marked` stand out."""
        colours = (model_colour(number, self.palette()) for number in range(len(models)))
        self._show(
            [("■", name, colour) for name, colour in zip(models, colours, strict=True)], marked, "&nbsp;!"
        )

    def show_entries(
        self, entries: Sequence[tuple[str, str, QColor]], marked: Set[int] = frozenset()
    ) -> None:
        """Name things that are drawn: a sign for each, its name and its colour; those `marked` stand out."""
        self._show(entries, marked, "")

    def _show(self, entries: Sequence[tuple[str, str, QColor]], marked: Set[int], mark: str) -> None:
        self._entries, self._marked, self._mark = tuple(entries), marked, mark
        self._write()
        self.fit()

    def _write(self, longest: int = _LONGEST_NAME, most: int = _MOST_IN_LEGEND) -> None:
        """With at most so many characters of each name, and at most so many names."""
        shown, entries = [], self._entries
        shorts = _told_apart([name for _, name, _ in entries[:_MOST_IN_LEGEND]], longest)
        for number, (sign, _, colour) in enumerate(entries[:most]):
            short = _escaped(shorts[number])
            text = f"<b>{short}{self._mark}</b>" if number in self._marked else short
            shown.append(f'<span style="color:{colour.name()}">{sign}</span>&nbsp;{text}')
        if len(entries) > most:
            shown.append(f"and {len(entries) - most} more")
        self.setText("&ensp; ".join(shown))
        names = enumerate(name for _, name, _ in entries[:_MOST_IN_LEGEND])
        cut = [name for at, name in names if at >= most or shorts[at] != name]
        self.setToolTip(tool_tip("\n".join(cut)))

    def fit(self) -> None:
        """Show it where it leaves the plots enough room, or as much of it as does."""
        above = self.parentWidget()
        if above is None:
            return
        most = _LEGEND_SHARE * above.height()
        if self._stays:
            self._shorten(above.width(), max(most, _LEAST_LINES * self.fontMetrics().height() + GRID))
        else:
            self.setVisible(self.heightForWidth(above.width()) <= most)

    def _shorten(self, width: int, height: float) -> None:
        """Have no more than `height` pixels, by shorter names first."""
        if not self._entries:
            return
        for longest in _SHORTER_NAMES:
            self._write(longest)
            if self.heightForWidth(width) <= height:
                return
        most = min(len(self._entries), _MOST_IN_LEGEND)
        while most > 1 and self.heightForWidth(width) > height:
            most -= max(1, most // 8)
            self._write(_SHORTER_NAMES[-1], most)

    def set_printing(self, printing: bool) -> None:
        if printing:
            self._write()
            self.show()
        else:
            self.fit()


def _told_apart(names: Sequence[str], longest: int) -> list[str]:
    """Names of no more characters, without their middle where they are longer: or without their end or their
    beginning, where more of them are told apart then."""
    half = longest // 2
    ways: list[list[str]] = [[], [], []]
    for name in names:
        middle = f"{name[: half - 1]}…{name[-half:]}"
        for way, short in zip(
            ways, (middle, f"{name[: longest - 1]}…", f"…{name[1 - longest :]}"), strict=True
        ):
            way.append(name if len(name) <= longest else short)
    return max(ways, key=lambda way: len(set(way)))


def _escaped(name: str) -> str:
    """For rich text, on one line."""
    name = one_line(name)
    for plain, entity in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (" ", "&nbsp;"),
        ("-", "&#8209;"),
        ("/", "/&#8288;"),
    ):
        name = name.replace(plain, entity)
    return name
