"""What the merges before the last one of a recipe make: models in a folder beside the output.

`<out>.stages/<name>` is the output of one, `<out>.stages/<name>.partial` the work of one that was cut off.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core import disk
from core.checkpoint.contents import read_listing
from core.checkpoint.ownership import is_locked
from core.checkpoint.removal import remove_output
from core.checkpoint.staging import staging_path
from core.errors import OutputError, os_error_text
from core.text import shown

__all__ = [
    "STAGES_END",
    "FoundStages",
    "find_stages",
    "remove_stages",
    "stage_places",
    "stages_bytes",
    "stages_path",
]

STAGES_END = ".stages"
_WORK_END = ".partial"


def stages_path(out: Path) -> Path:
    """The folder of what the stages of a merge into `out` make until the result is finished."""
    return out.with_name(f"{out.name}{STAGES_END}")


def stage_places(out: Path) -> list[Path]:
    """The folders in it, finished or not; none where there is no such folder."""
    place = stages_path(out)
    try:
        return [] if place.is_symlink() else [place / name for name in sorted(os.listdir(place))]
    except OSError:
        return []


@dataclass(frozen=True)
class FoundStages:
    """What stages left.

    Attributes:
        path: the folder.
        finished: how many are whole.
        begun: how many are not.
        runs: whether a process works on one now.
    """

    path: Path
    finished: int
    begun: int
    runs: bool


def find_stages(out: Path) -> FoundStages | None:
    """What the stages of a merge into `out` left; None where there is no such folder, or it is no merge's."""
    places = stage_places(out)
    finished = begun = 0
    runs = False
    for folder in places:
        if folder.name.endswith(_WORK_END):
            begun += 1
            with contextlib.suppress(OutputError, OSError):
                runs = runs or is_locked(folder)
        else:
            try:
                read_listing(folder)
            except OutputError:
                return None
            finished += 1
    return FoundStages(stages_path(out), finished, begun, runs) if places else None


def stages_bytes(out: Path) -> int:
    """Disk space that what the stages of a merge into `out` made takes already."""
    total = 0
    with contextlib.suppress(OSError):
        for folder in os.scandir(stages_path(out)):
            with contextlib.suppress(OSError):
                total += sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())
    return total


def remove_stages(out: Path, discard: Callable[[Path], object]) -> list[str]:
    """Remove what the stages of a merge into `out` made, by what their records and journals list.

    Args:
        out: the output.
        discard: removes a staging folder.

    Returns what is left in the folder, which stays then.

    Raises:
        OutputError: something cannot be removed, or a process works on it.
    """
    place = stages_path(out)
    if place.is_symlink() or not place.is_dir():
        return []
    try:
        for name in sorted(os.listdir(place)):
            folder = place / name
            if name.endswith(_WORK_END):
                discard(folder)
            elif folder.is_dir() and not staging_path(folder).exists():
                with contextlib.suppress(OutputError):  # it is no output, and stays
                    remove_output(folder, sorted(read_listing(folder).files))
        left = os.listdir(place)
        if not left:
            disk.system.remove_folder(place)
    except OSError as error:
        raise OutputError(f"cannot remove {place}: {os_error_text(error)}", path=place) from error
    return [shown(name) for name in left]
