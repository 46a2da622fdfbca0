"""The staging folder: where an output is made, until it is whole and gets its name.

All work happens in `<out>.partial/` beside the output, on the same volume. One process at a time owns it. Its
journal says what is finished, so that another process can go on. At every moment either an old output
or the new one is whole under the final name.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from core import disk
from core.checkpoint.contents import is_by_product
from core.checkpoint.journal import Journal, JournalEntry
from core.checkpoint.listed_files import is_inside
from core.checkpoint.ownership import OWN_FOLDER, Ownership, is_run_id, new_run_id
from core.checkpoint.record_file import RECORD_NAME
from core.checkpoint.removal import remove_files, remove_output, remove_own_folder, replaceable
from core.disk import OpenFolder, sync_folder, write_error, write_new_file
from core.errors import OutputError, RunningError, addressed, os_error_text
from core.text import shown

__all__ = ["JOURNAL_NAME", "Staging", "WrittenFile", "aside_path", "output_names", "staging_path"]

JOURNAL_NAME = f"{OWN_FOLDER}/journal"
_RESERVE = f"{OWN_FOLDER}/reserve"
_RECORD = f"{OWN_FOLDER}/record"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A small file of the output.

    Attributes:
        name: relative to the output, with slashes.
        size_bytes: its size.
        digest: hex XXH3-128 of its bytes.
    """

    name: str
    size_bytes: int
    digest: str


def staging_path(out: Path) -> Path:
    """The folder in which the work for `out` happens."""
    return out.with_name(f"{out.name}.partial")


def aside_path(out: Path, run_id: str) -> Path:
    """Where the merge `run_id` puts an old `out` while it takes its place."""
    return out.with_name(f"{out.name}.old-{run_id}")


def output_names(entries: Sequence[JournalEntry]) -> list[str]:
    """The files of the output, as the first entry of a journal names them under "names".

    Whoever wrote the journal: none of them is outside of the folder.
    """
    names = entries[0].get("names") if entries else None
    return [name for name in names if is_inside(name)] if isinstance(names, list) else []


class Staging:
    """The staging folder of one run, from its creation to its final name. This process owns it.

    Attributes:
        out: the final name.
        folder: where the files are meanwhile, opened.
        run_id: of the merge: another process goes on under the same one.
        entries: of the journal that was found; empty for a merge that begins.
    """

    @addressed(field="out")
    def __init__(self, out: Path, *, go_on: bool = False, take_over: bool = False) -> None:
        """Make the folder, or take the one that is there.

        Args:
            out: the final name.
            go_on: whether to go on with a folder that was left, if there is one.
            take_over: see Ownership.

        Raises:
            RunningError: another process works in it.
            OutputError: it cannot be made or taken.
        """
        self.out = out.absolute()
        self.entries: list[JournalEntry] = []
        self.run_id = new_run_id()
        self._journal: Journal | None = None
        path = staging_path(self.out)
        parents = [self.out.parent, *self.out.parent.parents]
        self._new_parents = [parent for parent in parents if not os.path.lexists(parent)]
        found = go_on and path.is_dir() and not path.is_symlink()
        try:
            for parent in reversed(self._new_parents):
                with contextlib.suppress(FileExistsError):
                    disk.system.make_folder(parent)
            if not found:
                disk.system.make_folder(path)
            self.folder = OpenFolder(path)
        except OSError as error:
            self._remove_new_parents()
            raise OutputError(f"cannot make the folder {path}: {os_error_text(error)}", path=path) from error
        try:
            with contextlib.suppress(FileExistsError):
                disk.system.make_folder(self.folder.name(OWN_FOLDER), within=self.folder.descriptor)
            self._ownership = Ownership(self.folder, self.run_id, take_over=take_over)
        except BaseException as error:
            given_away = isinstance(error, OSError | OutputError) and not self.folder.is_at(path)
            self._undo_new(found or isinstance(error, RunningError))
            if given_away:
                raise self.not_ours() from error
            if isinstance(error, OSError):
                raise write_error(error, path / OWN_FOLDER) from error
            raise
        try:
            if not self.folder.is_at(path):  # removed between the two steps
                raise self.not_ours()
            if found:
                self._read_journal()
        except BaseException:
            self.leave()
            raise
        _log.info("%s the staging folder %s", "took" if found else "made", path)

    # -- the journal

    @addressed(field="out")
    def begin_journal(self, first: JournalEntry, reserve_bytes: int) -> None:
        """Write the first entry, and set aside room for what is written last.

        Args:
            first: what the merge is; its "names" are the files of the output.
            reserve_bytes: for the journal and the record, so that a disk that is full by then costs nothing.
        """
        names = self.folder.names()
        if foreign := [name for name in names if name != OWN_FOLDER and not is_by_product(name)]:
            raise OutputError(
                f"{self.folder.path} holds {shown(foreign[0])}, which is not of a merge that can go on",
                hint="move it away, or choose another output folder",
                path=self.folder.path,
            )
        with contextlib.suppress(OSError):
            disk.system.remove(self._name(JOURNAL_NAME), within=self.folder.descriptor)
        self.entries = [first]
        self._journal = Journal(self.folder, JOURNAL_NAME, self.entries)
        sync_folder(self.folder.path / OWN_FOLDER)
        self.folder.sync()
        for folder in [self.out.parent, *(parent.parent for parent in self._new_parents)]:
            sync_folder(folder)
        self._reserve(reserve_bytes)

    def note(self, entries: Iterable[JournalEntry]) -> None:
        """Add to the journal; the entries are on the disk when this returns. Raises OutputError."""
        if self._journal is None:
            raise OutputError(f"{self.folder.path} has no journal", path=self.folder.path)
        entries = list(entries)
        try:
            self._journal.append(entries)
        except OutputError:
            if not self._spend_reserve():
                raise
            self._journal.append(entries)

    # -- files

    @addressed(field="out")
    def make_folders(self, name: str) -> None:
        """Make the folders for the slashes in `name`. Raises OutputError."""
        try:
            self._make_folders(name)
        except OSError as error:
            raise write_error(error, self.folder.path / name) from error

    def _make_folders(self, name: str) -> None:
        for depth in range(1, name.count("/") + 1):
            folder = "/".join(name.split("/")[:depth])
            with contextlib.suppress(FileExistsError):
                disk.system.make_folder(self._name(folder), within=self.folder.descriptor)
            if not self.folder.has_folder(*folder.split("/")):
                raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")

    @addressed(field="out")
    def add_file(self, name: str, chunks: Iterable[bytes]) -> WrittenFile:
        """Write a small file, with folders for the slashes in `name`; on the disk when this returns.

        One that is there, of a process before, is replaced.
        """
        digest, size = xxhash.xxh3_128(), 0
        try:
            self._make_folders(name)
            with contextlib.suppress(FileNotFoundError):
                disk.system.remove(self._name(name), within=self.folder.descriptor)
            descriptor = disk.system.create(self._name(name), within=self.folder.descriptor)
            try:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    left = memoryview(chunk)
                    while left:
                        left = left[disk.system.write(descriptor, left) :]
                disk.system.sync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise write_error(error, self.folder.path / name) from error
        return WrittenFile(name, size, digest.hexdigest())

    @addressed(field="out")
    def write_record(self, data: bytes) -> None:
        """Write the run record, as a whole, into the room that was set aside for it."""
        self.check_ours()
        self._spend_reserve()
        with contextlib.suppress(OSError):
            disk.system.remove(self._name(_RECORD), within=self.folder.descriptor)
        write_new_file(Path(_RECORD), data, within=self.folder)
        try:
            disk.system.rename(
                self._name(_RECORD), self._name(RECORD_NAME), within=self.folder.descriptor, replace=True
            )
        except OSError as error:
            raise write_error(error, self.folder.path / RECORD_NAME) from error

    # -- how it ends

    @addressed(field="out")
    def check_ours(self) -> None:
        """Raises OutputError where the staging folder's name leads to another folder or owner by now."""
        if not self.is_there() or self._ownership.is_lost():
            raise self.not_ours()

    def is_there(self) -> bool:
        """Whether the staging folder's name still leads to this folder."""
        return self.folder.is_at(staging_path(self.out))

    def not_ours(self) -> OutputError:
        """What to say then."""
        return OutputError(
            f"{self.folder.path} was removed, or taken by another merge, while this one ran in it",
            hint="nothing of the other was touched; begin again, or choose another output folder",
            path=self.folder.path,
        )

    @addressed(field="out")
    def finish(self, *, overwrite: bool, note: Callable[[str], None]) -> None:
        """Give the folder its final name; shards and small files have been synced before.

        An old output is set aside first and deleted last, so that at every moment either it or the
        new one is whole.

        Args:
            overwrite: whether an old output may be replaced.
            note: called with a sentence about what could not be tidied up afterwards.

        Raises:
            OutputError: the folder stays under the name that it has, whole.
        """
        for folder in sorted({path.parent for path in self.folder.path.rglob("*")}):
            sync_folder(folder)
        self.folder.sync()
        self.check_ours()
        aside: Path | None = None
        doomed: list[str] = []
        try:
            if os.path.lexists(self.out):
                if not overwrite:
                    raise OutputError(
                        f"the merge is done, but the output folder {self.out} appeared while it ran",
                        hint="move that folder away, then go on (--resume): only the name is missing",
                        path=self.out,
                    )
                doomed = replaceable(self.out)
                aside = aside_path(self.out, self.run_id)
                disk.system.rename(self.out, aside)
            if os.name == "nt":  # which renames no folder with open files in it
                self._let_go()
            disk.system.rename(self.folder.path, self.out)
            if not self.folder.is_at(self.out):  # it was given away between the check and the rename
                disk.system.rename(self.out, self.folder.path)
                self._put_back(aside)
                raise self.not_ours()
        except OSError as error:
            self._put_back(aside)
            raise OutputError(
                f"the merge is done, but cannot rename {self.folder.path} to {self.out}: "
                f"{os_error_text(error)}",
                hint=f"the whole checkpoint is in {self.folder.path}: go on with it (--resume), or rename "
                "that folder yourself",
                path=self.out,
            ) from error
        self.folder.path = self.out  # by which it is cleared up where there are no descriptors of folders
        _log.info("%s has its final name%s", self.out, "" if aside is None else " and replaces an older one")
        self._tidy_up(aside, doomed, note)

    def abandon(self) -> None:
        """Remove the folder with what this merge made in it, and the parents made for it."""
        with contextlib.suppress(OutputError):
            self.check_ours()
            names = [*output_names(self.entries), RECORD_NAME]
            left = remove_files(self.folder, names, is_work=True)
            self._let_go()
            self._remove_new_parents()
            if left:
                _log.warning("%s holds files of others, and stays", self.folder.path)
            _log.info("removed the staging folder %s", self.folder.path)
        self._let_go()

    def leave(self) -> None:
        """Leave the folder to whoever goes on with it."""
        self._let_go()

    # -- inside

    def _put_back(self, aside: Path | None) -> None:
        if aside is not None and not os.path.lexists(self.out):
            with contextlib.suppress(OSError):
                disk.system.rename(aside, self.out)

    def _tidy_up(self, aside: Path | None, doomed: list[str], note: Callable[[str], None]) -> None:
        """Remove what is not needed any more. The output is whole, whatever happens here."""
        try:
            sync_folder(self.out.parent)
        except OutputError as error:  # whether the new name lasts is not known: the old output stays
            note(f"{error.message}; {self.out} is whole")
            self._let_go()
            return
        try:
            remove_own_folder(self.folder)
            self.folder.sync()
        except OutputError as error:
            note(f"{error.message}; {self.out} is whole")
        self._let_go()
        if aside is None:
            return
        try:
            left = remove_output(aside, doomed)
        except OutputError as error:
            note(f"{aside} holds the output that was replaced, and cannot be removed: {error.message}")
            return
        if left:
            note(f"{aside} holds what is not of the output that was replaced: {', '.join(left[:5])}")

    def _read_journal(self) -> None:
        if not os.path.lexists(self.folder.path / JOURNAL_NAME):
            return
        self._journal, self.entries = Journal.go_on(self.folder, JOURNAL_NAME)
        run_id = self.entries[0].get("run_id") if self.entries else None
        if isinstance(run_id, str) and is_run_id(run_id):
            self.run_id = run_id
            self._ownership.named(run_id)
        else:
            self._journal.close()
            self._journal, self.entries = None, []

    def _reserve(self, size_bytes: int) -> None:
        try:
            with contextlib.suppress(OSError):
                disk.system.remove(self._name(_RESERVE), within=self.folder.descriptor)
            descriptor = disk.system.create(self._name(_RESERVE), within=self.folder.descriptor)
            try:
                if hasattr(os, "posix_fallocate"):
                    disk.system.reserve(descriptor, size_bytes)
                else:  # macOS and Windows give a file room when it is written
                    left = size_bytes
                    while left > 0:
                        left -= disk.system.write(descriptor, bytes(min(left, 1024**2)))
            finally:
                os.close(descriptor)
        except OSError as error:
            if disk.is_full(error):
                raise write_error(error, self.folder.path / _RESERVE) from error

    def _spend_reserve(self) -> bool:
        """Free the room that was set aside; False where there is none any more."""
        try:
            disk.system.remove(self._name(_RESERVE), within=self.folder.descriptor)
        except OSError:
            return False
        return True

    def _name(self, name: str) -> str | Path:
        return self.folder.name(*name.split("/"))

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._ownership.release()
        self.folder.close()

    def _undo_new(self, is_others: bool) -> None:
        if not is_others and self.folder.is_at(self.folder.path):
            with contextlib.suppress(OSError, OutputError):
                remove_own_folder(self.folder)
                disk.system.remove_folder(self.folder.path)
        self.folder.close()
        self._remove_new_parents()

    def _remove_new_parents(self) -> None:
        for parent in self._new_parents:
            with contextlib.suppress(OSError):  # something else is in it by now
                disk.system.remove_folder(parent)
