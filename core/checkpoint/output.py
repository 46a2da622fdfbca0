"""The output folder: nothing half-written ever stands under its name.

All work happens in `<out>.partial/` beside it, on the same volume. Shard files stand there under
their final names, laid out to their full size, so that which chunks are done is all that one would
have to know to go on with a merge that was cut off.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from core.checkpoint.files import sync_folder, write_small_file
from core.errors import OutputError, os_error_text
from core.text import is_text

__all__ = ["RECORD_NAME", "Staging", "check_output", "free_disk_bytes", "restore_interrupted"]

RECORD_NAME = "paramosaic.json"


def staging_path(out: Path) -> Path:
    """The folder in which the work for `out` happens."""
    return out.with_name(f"{out.name}.partial")


def restore_interrupted(out: Path) -> Path | None:
    """Put back an old output that an interrupted overwrite had set aside.

    Returns what was put back, or None where `out` exists or there is nothing.
    """
    if os.path.lexists(out) or not out.name:
        return None
    beginning = f"{out.name}.old-"
    try:
        aside = [path for path in out.parent.iterdir() if path.name.startswith(beginning) and path.is_dir()]
        newest = max(aside, key=lambda path: path.stat().st_mtime_ns, default=None)
    except OSError:  # check_output says what is wrong with the parent
        return None
    if newest is None:
        return None
    try:
        newest.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise OutputError(
            f"cannot put back {out}, which an interrupted overwrite set aside: {os_error_text(error)}",
            path=out,
        ) from error
    return newest


def check_output(out: Path, inputs: Iterable[Path], *, overwrite: bool) -> None:
    """Refuse an output folder that exists, that another merge left unfinished, or that is an input.

    Raises:
        OutputError: with what to do.
    """
    if out.name in {"", ".."}:
        raise OutputError(f"the output folder {out} has no name", hint="name a new folder", path=out)
    if not is_text(out.name):
        raise OutputError(
            f"the name of the output folder {out} is not valid text", hint="choose another name", path=out
        )
    _refuse_input_folders(out, inputs)
    staging = staging_path(out)
    if os.path.lexists(staging):
        raise OutputError(
            f"{staging} is in the way: another merge is writing it, or was cut off",
            hint="if no merge is running, delete that folder, or choose another output folder",
            path=staging,
        )
    if os.path.lexists(out):
        if not overwrite:
            raise OutputError(
                f"the output folder {out} exists already",
                hint="choose another name, or ask for it to be overwritten",
                path=out,
            )
        if not _is_an_output(out):
            raise OutputError(
                f"{out} is not a model folder, and will not be overwritten",
                hint="choose another output folder, or move that one away yourself",
                path=out,
            )
    parent = _existing_parent(out)
    if not parent.is_dir():
        raise OutputError(f"{parent} is not a folder, so {out} cannot be made in it", path=parent)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"the output folder {out} cannot be made: {parent} is not writable",
            hint="choose an output folder elsewhere",
            path=parent,
        )


def free_disk_bytes(out: Path) -> int:
    """Free space where `out` is to be."""
    parent = _existing_parent(out)
    try:
        return shutil.disk_usage(parent).free
    except OSError as error:
        raise OutputError(
            f"cannot look at the disk of {parent}: {os_error_text(error)}", path=parent
        ) from error


class Staging:
    """The staging folder of one run, from its creation to its final name.

    Attributes:
        out: the final name.
        folder: where the files are meanwhile.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.absolute()
        self.folder = staging_path(self.out)
        parents = [self.out.parent, *self.out.parent.parents]
        self._new_parents = [parent for parent in parents if not os.path.lexists(parent)]
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir()
        except OSError as error:
            self._remove_new_parents()
            raise OutputError(
                f"cannot make the folder {self.folder}: {os_error_text(error)}", path=self.folder
            ) from error

    def add_file(self, name: str, data: bytes) -> None:
        """Write a small file, with folders for the slashes in `name`; on disk when this returns."""
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {path.parent}: {os_error_text(error)}", path=path) from error
        write_small_file(path, data)

    def finish(self, *, overwrite: bool) -> None:
        """Give the folder its final name; shards and small files have been synced before.

        An old output is set aside first and deleted last, so that at every moment either it or the
        new one is whole.
        """
        for folder in sorted({path.parent for path in self.folder.rglob("*")}):
            sync_folder(folder)
        sync_folder(self.folder)
        aside: Path | None = None
        try:
            if os.path.lexists(self.out):
                if not overwrite:
                    raise OutputError(
                        f"the output folder {self.out} appeared while the merge ran",
                        hint="choose another output folder",
                        path=self.out,
                    )
                aside = self.out.with_name(f"{self.out.name}.old-{secrets.token_hex(4)}")
                self.out.rename(aside)
            self.folder.rename(self.out)
        except OSError as error:
            if aside is not None and not os.path.lexists(self.out):
                with contextlib.suppress(OSError):
                    aside.rename(self.out)
            raise OutputError(
                f"cannot rename {self.folder} to {self.out}: {os_error_text(error)}", path=self.out
            ) from error
        sync_folder(self.out.parent)
        if aside is not None:
            _delete(aside)

    def abandon(self) -> None:
        """Delete the staging folder, and the parents made for it, after a failure or a cancellation."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._remove_new_parents()

    def _remove_new_parents(self) -> None:
        for parent in self._new_parents:
            with contextlib.suppress(OSError):  # something else is in it by now
                parent.rmdir()


def _refuse_input_folders(out: Path, inputs: Iterable[Path]) -> None:
    target = _followed(out)
    for folder in inputs:
        source = _followed(folder)
        if target == source or source in target.parents:
            raise OutputError(
                f"the output folder {out} is {'' if target == source else 'inside '}the input {folder}, "
                "and inputs are never written to",
                hint="choose an output folder elsewhere",
                path=out,
            )
        if target in source.parents:
            raise OutputError(
                f"the output folder {out} holds the input {folder}",
                hint="choose an output folder elsewhere",
                path=out,
            )


def _is_an_output(out: Path) -> bool:
    """Whether overwriting `out` replaces a model, or nothing at all, and no other data.

    A config.json alone is no sign of a model: many programs keep one beside a user's work.
    """
    if not out.is_dir():
        return False
    names = {path.name for path in out.iterdir()}
    return not names or RECORD_NAME in names or any(name.endswith(".safetensors") for name in names)


def _followed(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
        raise OutputError(
            f"the links of {path} cannot be followed", hint="choose a folder without such links", path=path
        ) from error


def _existing_parent(out: Path) -> Path:
    parent = out.absolute().parent
    while not os.path.lexists(parent) and parent != parent.parent:
        parent = parent.parent
    return parent


def _delete(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
