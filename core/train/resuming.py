"""What an unfinished run goes on from: weights in float32, the optimizer's state, random numbers, the place.

The trainer writes a checkpoint into `resume/writing`; when it is complete it is listed with the digest of
every file, synced, and renamed to `resume/step-<number>`. Of a checkpoint that was cut short or damaged later
nothing is used: the run goes on from the one before. The two newest are kept; the older one goes before
another is written, so that there is never room needed for three.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from pathlib import Path

import xxhash

from core import disk
from core.disk import sync_folder, write_error, write_new_file
from core.errors import OutputError, TrainingError, os_error_text
from core.small_files import parse_json, read_if_there

__all__ = ["ResumePoints", "remove_folder", "sync_files"]

_MANIFEST = "whole.json"
_MOST_BYTES, _MOST_PARTS = 4_000_000, 100_000
_PIECE_BYTES = 1 << 22
_KEPT = 2

_log = logging.getLogger(__name__)


class ResumePoints:
    """The checkpoints of one run.

    Attributes:
        folder: of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def writing(self) -> Path:
        """Where the trainer writes; what it calls `checkpoint-<step>` is in it."""
        return self.folder / "writing"

    def make_room(self) -> None:
        """Before one is written: all but the newest go, and what was left of an attempt.

        Raises:
            OutputError: something cannot be removed, or made.
        """
        remove_folder(self.writing)
        for step in self.steps()[: -(_KEPT - 1)]:
            remove_folder(self._at(step))
        try:
            os.makedirs(self.writing, exist_ok=True)
        except OSError as error:
            raise write_error(error, self.writing) from error

    def seal(self, step: int) -> Path:
        """Say that what the trainer wrote after `step` is complete; on the disk when this returns.

        Raises:
            OutputError: it cannot be written.
        """
        work = self.writing / f"checkpoint-{step}"
        listed = {
            name: [(work / name).stat().st_size, _digest(work / name)] for name in sorted(os.listdir(work))
        }
        sync_files(work)
        write_new_file(work / _MANIFEST, json.dumps({"step": step, "files": listed}).encode())
        sync_folder(work)
        final = self._at(step)
        remove_folder(final)  # one of that step that was damaged
        try:
            disk.system.rename(work, final)
        except OSError as error:
            raise write_error(error, final) from error
        sync_folder(self.folder)
        return final

    def newest(self) -> tuple[int, Path] | None:
        """The step and the folder of the newest that is whole; None where there is none."""
        for step in reversed(self.steps()):
            if _is_whole(self._at(step), step):
                return step, self._at(step)
            _log.warning("%s is damaged and not gone on from", self._at(step))
        return None

    def steps(self) -> list[int]:
        """Of those that are there, damaged or not, ascending."""
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        return sorted(int(name[5:]) for name in names if re.fullmatch(r"step-\d{1,18}", name))

    def _at(self, step: int) -> Path:
        return self.folder / f"step-{step}"


def _is_whole(folder: Path, step: int) -> bool:
    try:
        data = read_if_there(folder / _MANIFEST, _MOST_BYTES, TrainingError)
        listed = None if data is None else parse_json(data, _MOST_PARTS)
        if listed is None or listed["step"] != step or not listed["files"]:
            return False
        return all(
            (folder / name).stat().st_size == size and _digest(folder / name) == digest
            for name, (size, digest) in listed["files"].items()
        )
    except (TrainingError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def sync_files(folder: Path) -> None:
    """Return when every file of `folder` is on the disk, and their names. Raises OutputError."""
    for name in sorted(os.listdir(folder)):
        path = folder / name
        try:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                disk.system.sync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise write_error(error, path) from error
    sync_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours with all that is in it, if it is there. A link is removed, not followed.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        if folder.is_symlink():
            disk.system.remove(folder)
        elif folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"cannot remove {folder}: {os_error_text(error)}", path=folder) from error
