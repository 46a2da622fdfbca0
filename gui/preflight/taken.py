"""An output that exists already: what is there, and whether a merge may replace it. No Qt."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core import MergeError, MergePlan
from core.plan.planning import check_destination
from core.text import message_text
from core.units import bytes_text
from gui.document.output_names import free_name
from gui.failure import Failure
from gui.words import plural

__all__ = ["Taken", "taken_output"]

_MOST = 10_000
"""Files and folders that are looked at, at each check of the set-up: no merge writes that many."""


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
    found = _look_into(out)
    whose = "a finished merge" if ours else "other files"
    if found is None:
        return f"{whose}, more than {plural(_MOST, 'file')}"
    files, size = found
    if not files:
        return "an empty folder"
    written = bytes_text(size).replace(" ", "\u00a0")  # a number stays with its unit
    return f"{whose}, {plural(files, 'file')}, {written}"


def _look_into(folder: Path) -> tuple[int, int] | None:
    """How many files are in `folder` and in those in it, and their bytes; None for more than are counted.

    What goes while it is looked at is not counted, nor is what may not be read.
    """
    files = size = seen = 0
    ahead = [os.fspath(folder)]
    while ahead:
        try:
            with os.scandir(ahead.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > _MOST:
                        return None
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
                        continue
                    with suppress(OSError):
                        size += entry.stat(follow_symlinks=False).st_size
                        files += 1
        except OSError:
            continue
    return files, size
