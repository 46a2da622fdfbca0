"""Two runs and what differs between them, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.runs.difference import RunDifference
from core.runs.history import HistoryEntry
from core.text import one_line
from core.units import share_text
from gui.widgets.paths import short_paths
from gui.widgets.plain import tool_tip
from gui.words import grouped

__all__ = [
    "nothing_text",
    "of_text",
    "only_elements",
    "run_text",
    "run_tip",
    "short_names",
    "total_text",
]

_UNLIKE = {
    "names": "{one} and {other} have no tensor in common: they are of models that are built differently. "
    "Choose two runs of the same models.",
    "shapes": "No tensor has the same shape in {one} and {other}: they are of models of different sizes. "
    "Choose two runs of the same models.",
}
_NO_ELEMENTS = "Of no tensor could the elements be compared: {why}."


def run_text(entry: HistoryEntry, name: str) -> str:
    return f"{one_line(name)}  ·  {_what_text(entry)}  ·  {entry.local_date}"


def run_tip(entry: HistoryEntry) -> str:
    """All that a field or its list may have no room for."""
    return tool_tip(f"{entry.out}\n{entry.title} of {', '.join(entry.models)}\n{_what_text(entry)}")


def _what_text(entry: HistoryEntry) -> str:
    if not entry.draws:
        return entry.title
    if entry.n is None and not entry.n_differs:
        return f"{entry.title}, seed {entry.seed}"
    return f"{'several n' if entry.n is None else f'n = {entry.n}'}, seed {entry.seed}"


def short_names(left: HistoryEntry, right: HistoryEntry, names: Mapping[Path, str]) -> tuple[str, str]:
    """What to call two runs; `names` is what their folders are called among others."""
    if left.out != right.out:
        own = short_paths((left.out, right.out))
        one, other = (one_line(names.get(run.out, own[run.out])) for run in (left, right))
        return one, other
    one, other = (
        f"{one_line(run.out.name)} of {run.when.astimezone():%Y-%m-%d %H:%M:%S}" for run in (left, right)
    )
    return one, other


def only_elements(left: HistoryEntry, right: HistoryEntry) -> str:
    """Why there is no more to be compared; "" where there is."""
    titles = dict.fromkeys(entry.title for entry in (left, right) if not entry.draws)
    return f" {' and '.join(titles)} counts nothing else that could be compared." if titles else ""


def of_text(part: int, whole: int) -> str:
    share = share_text(part / whole) if whole else "none"
    return f"{grouped(part)} of {grouped(whole)} ({share})"


def total_text(difference: RunDifference) -> str:
    if difference.elements is None or difference.differ is None:
        return ""
    text = f"{of_text(int(difference.differ.sum()), int(difference.elements.sum()))} elements differ"
    if difference.not_compared:
        first = difference.not_compared[0]
        more = f" and {len(difference.not_compared) - 1} more" if len(difference.not_compared) > 1 else ""
        text += f"; not compared: {first.name} ({first.why}){more}"
    return text


def nothing_text(
    difference: RunDifference, left: HistoryEntry, right: HistoryEntry, names: Mapping[Path, str]
) -> str:
    """Why nothing of two runs could be compared; `names` as in short_names."""
    if difference.unlike:
        one, other = short_names(left, right, names)
        return _UNLIKE[difference.unlike].format(one=one, other=other)
    first = next((tensor.why for tensor in difference.not_compared), "the runs have no values")
    return _NO_ELEMENTS.format(why=first)
