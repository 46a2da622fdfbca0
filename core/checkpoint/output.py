"""The output folder: nothing half-written ever stands under its name.

All work happens in `<out>.partial/` beside it, on the same volume. Shard files stand there under
their final names, laid out to their full size, so that which chunks are done is all that one would
have to know to go on with a merge that was cut off.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from core.checkpoint.files import sync_folder, write_small_file
from core.checkpoint.record_file import RECORD_NAME
from core.errors import OutputError, addressed, os_error_text
from core.text import is_text

__all__ = ["RECORD_NAME", "Staging", "check_output", "free_disk_bytes", "restore_interrupted"]

_log = logging.getLogger(__name__)


def staging_path(out: Path) -> Path:
    """The folder in which the work for `out` happens."""
    return out.with_name(f"{out.name}.partial")


@addressed(field="out")
def restore_interrupted(out: Path, inputs: Iterable[Path], *, overwrite: bool) -> None:
    """Put back an old output that an interrupted overwrite had set aside as `<out>.old-<id>`.

    Nothing happens where `out` exists, or where there is no such folder.

    Raises:
        OutputError: it cannot be put back; or it is to be overwritten at once, although it does not
            look like what an overwrite of ours sets aside.
    """
    if os.path.lexists(out) or not out.name:
        return
    beginning = f"{out.name}.old-"
    try:
        aside = [path for path in out.parent.iterdir() if path.name.startswith(beginning) and path.is_dir()]
        newest = max(aside, key=lambda path: path.stat().st_mtime_ns, default=None)
    except OSError:  # check_output says what is wrong with the parent
        return
    if newest is None:
        return
    _refuse_input_folders(newest, inputs)
    ours = re.fullmatch(r"[0-9a-f]{8}", newest.name.removeprefix(beginning)) and _is_an_output(newest)
    try:
        newest.rename(out)
        sync_folder(out.parent)
        _log.info("put back %s, which had been set aside as %s", out, newest.name)
    except OSError as error:
        raise OutputError(
            f"cannot put back {out}, which an interrupted overwrite set aside: {os_error_text(error)}",
            path=out,
        ) from error
    if overwrite and not ours:
        raise OutputError(
            f"{newest} looked like an output that an interrupted overwrite set aside, and is {out} again",
            hint="look at it, and ask once more if it is to be overwritten",
            path=out,
        )


@addressed(field="out")
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
                f"{out} is not the result of a merge, and will not be overwritten",
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


@addressed(field="out")
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

    @addressed(field="out")
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
        _log.info("made the staging folder %s", self.folder)

    @addressed(field="out")
    def add_file(self, name: str, data: bytes) -> None:
        """Write a small file, with folders for the slashes in `name`; on disk when this returns."""
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {path.parent}: {os_error_text(error)}", path=path) from error
        write_small_file(path, data)

    @addressed(field="out")
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
                        f"the merge is done, but the output folder {self.out} appeared while it ran",
                        hint=f"the whole checkpoint is in {self.folder}: rename that folder yourself",
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
                f"the merge is done, but cannot rename {self.folder} to {self.out}: {os_error_text(error)}",
                hint=f"the whole checkpoint is in {self.folder}: rename that folder yourself",
                path=self.out,
            ) from error
        sync_folder(self.out.parent)
        _log.info("%s has its final name%s", self.out, "" if aside is None else " and replaces an older one")
        if aside is not None:
            _delete(aside, self.out.with_name(f"{self.out.name}.deleted-{secrets.token_hex(4)}"))

    def abandon(self) -> None:
        """Delete the staging folder, and the parents made for it, after a failure or a cancellation."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._remove_new_parents()
        _log.info("removed the staging folder %s", self.folder)

    def _remove_new_parents(self) -> None:
        for parent in self._new_parents:
            with contextlib.suppress(OSError):  # something else is in it by now
                parent.rmdir()


def _refuse_input_folders(out: Path, inputs: Iterable[Path]) -> None:
    target = _followed(out)
    for folder in inputs:
        source = _followed(folder)
        if _same(target, source) or any(_same(parent, source) for parent in target.parents):
            raise OutputError(
                f"the output folder {out} is {'' if target == source else 'inside '}the input {folder}, "
                "and inputs are never written to",
                hint="choose an output folder elsewhere",
                path=out,
            )
        if any(_same(parent, target) for parent in source.parents):
            raise OutputError(
                f"the output folder {out} holds the input {folder}",
                hint="choose an output folder elsewhere",
                path=out,
            )


def _is_an_output(out: Path) -> bool:
    """Whether overwriting `out` replaces the result of a merge, or nothing at all, and no other data."""
    if not out.is_dir():
        return False
    return (out / RECORD_NAME).exists() or not any(out.iterdir())


def _same(one: Path, other: Path) -> bool:
    """Whether both are the same folder, whatever the spelling on a disk that ignores case."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


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


def _delete(folder: Path, doomed: Path) -> None:
    """Delete `folder` by way of the name `doomed`, so that half of it is never taken for the whole."""
    if folder.is_symlink():
        folder.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError):
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
