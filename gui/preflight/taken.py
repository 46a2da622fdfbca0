"""An output that exists already: what is there, and whether a merge may replace it. No Qt."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from core import MergeError, MergePlan
from core.plan.planning import check_destination
from core.text import message_text
from core.units import bytes_text
from gui.document.merge_setup import free_name
from gui.failure import Failure
from gui.words import plural

__all__ = ["Taken", "taken_output"]

_MOST_FILES = 10_000
"""Beyond that they are not counted: no merge writes that many."""


@dataclass(frozen=True)
class Taken:
    """What is in the place of an output.

    Attributes:
        out: the place.
        free: a name beside it that is not taken.
        content: what is there, in words: "a finished merge, 9 files, 829 kB".
        refusal: why a merge does not replace it, and what to do instead; None where it would, if asked to.
    """

    out: Path
    free: Path
    content: str
    refusal: Failure | None


def taken_output(plan: MergePlan, out: Path, *, resume: bool = False) -> Taken | None:
    """What is in the place of `out`; None for nothing.

    Args:
        plan: of the merge that is to go there.
        out: the output folder, absolute.
        resume: whether it goes on with what an earlier one left.
    """
    if not os.path.lexists(out):
        return None
    refusal: Failure | None = None
    if not out.is_dir():
        refusal = Failure(
            message_text(f"{out} is a file."), "The output is a new folder: choose a name that is not taken."
        )
    else:
        try:
            check_destination(plan, out, overwrite=True, resume=resume)
        except MergeError as error:
            refusal = Failure.of(error)
    return Taken(out, free_name(out), _content(out, ours=refusal is None), refusal)


def _content(out: Path, *, ours: bool) -> str:
    if out.is_symlink():
        return f"a link to {os.path.realpath(out)}, of which only the link would go"
    if not out.is_dir():
        return "a file"
    files = _files(out)
    if not files:
        return "an empty folder"
    size = bytes_text(sum(place.lstat().st_size for place in files if os.path.lexists(place)))
    size = size.replace(" ", "\u00a0")  # a number stays with its unit
    many = "more than " if len(files) == _MOST_FILES else ""
    return f"{'a finished merge' if ours else 'other files'}, {many}{plural(len(files), 'file')}, {size}"


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, _, names in os.walk(folder):
        found += (Path(place) / name for name in names[: _MOST_FILES - len(found)])
        if len(found) == _MOST_FILES:
            break
    return found
