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

_LEGEND_SHARE = 0.12
"""Of the height of a picture that a legend may take on the screen."""


class Legend(QLabel):
    """The sub-models with their colours. Where they would take too much of the room they are there only on
    paper: the list of models has the same colours."""

    def __init__(self) -> None:
        super().__init__()
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
        shown = []
        for number, (sign, name, colour) in enumerate(entries[:_MOST_IN_LEGEND]):
            short = _escaped(_shortened(name))
            text = f"<b>{short}{mark}</b>" if number in marked else short
            shown.append(f'<span style="color:{colour.name()}">{sign}</span>&nbsp;{text}')
        if len(entries) > _MOST_IN_LEGEND:
            shown.append(f"and {len(entries) - _MOST_IN_LEGEND} more")
        self.setText("&ensp; ".join(shown))
        cut = [name for _, name, _ in entries[:_MOST_IN_LEGEND] if _shortened(name) != name]
        self.setToolTip(tool_tip("\n".join(cut)))
        self.fit()

    def fit(self) -> None:
        """Show it where it leaves the plots enough room."""
        above = self.parentWidget()
        if above is not None:
            self.setVisible(self.heightForWidth(above.width()) <= _LEGEND_SHARE * above.height())

    def set_printing(self, printing: bool) -> None:
        if printing:
            self.show()
        else:
            self.fit()


def _shortened(name: str) -> str:
    """Without its middle where it is long."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _escaped(name: str) -> str:
    """For rich text, on one line."""
    name = one_line(name)
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (" ", "&nbsp;"), ("-", "&#8209;")):
        name = name.replace(plain, entity)
    return name
