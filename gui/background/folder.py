"""The folder of all tasks: what is in it, and what is removed from it. Whatever else lies there stays."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from core.checkpoint.ownership import OWN_FOLDER
from core.progress_file import stop_file
from gui.background.processes import is_running
from gui.background.task import ERRORS, OUTPUT, PROGRESS, SEEN, TASK, is_task_id, read_task

__all__ = ["names_in", "remove_files", "tidy"]

_MOST_ENDED, _KEPT_S = 20, 30 * 24 * 3600.0
"""So many tasks that have ended are kept, for so long, unless they are dismissed."""


_OWN = (f"{OWN_FOLDER}/lock", f"{OWN_FOLDER}/owner.json")
"""By which its process holds it."""


def names_in(folder: Path) -> list[str]:
    """The names that tasks have."""
    try:
        return [name for name in os.listdir(folder) if is_task_id(name)]
    except OSError:  # there is none yet, or it cannot be read: nothing is known then
        return []


def tidy(folder: Path) -> None:
    """Remove what is old, and of what has ended all but the newest."""
    now, ended = time.time(), 0
    for task_id in sorted(names_in(folder), reverse=True):
        task = read_task(folder / task_id)
        if task is None:
            began = _changed_s(folder / task_id)
        elif not task.is_here or is_running(task.pid, task.process_began, task.folder):
            continue
        else:
            began = task.began
            ended += 1
        if ended > _MOST_ENDED or now - began > _KEPT_S:
            remove_files(folder / task_id)


def remove_files(folder: Path) -> None:
    """Remove the files of a task, and its folder where nothing else is in it."""
    stop = stop_file(folder / PROGRESS).name
    for name in (PROGRESS, OUTPUT, ERRORS, SEEN, stop, *_OWN, TASK):  # last what says that it is one
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    for place in (folder / OWN_FOLDER, folder):
        with contextlib.suppress(OSError):
            place.rmdir()


def _changed_s(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()
