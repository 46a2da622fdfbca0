"""The history of runs on this machine: one small file a run, in the user's application data, and one for the
note beside it, so that neither the end of a run nor a note is ever written over the other.

Unlike the run record it keeps absolute paths, and it never leaves the machine. An entry is written when
a merge begins and again when it ends, so that what a crash cut off can be told from what went well.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from core.data_home import data_home
from core.disk import replace_file
from core.errors import MergeError, OutputError, merge_errors_only, os_error_text
from core.runs.entry_files import MAX_ENTRY_BYTES, entry_data, entry_of, entry_to_json, is_newer
from core.runs.history_entry import MOST_NOTE, HistoryEntry
from core.small_files import read_if_there
from core.text import is_text

__all__ = ["MOST_NOTE", "History", "HistoryContents", "HistoryEntry", "default_history_folder"]

_NOTE = ".note.txt"
"""Behind an entry's id, the name of the file of its note: UTF-8, as it was written down."""


@dataclass(frozen=True)
class HistoryContents:
    """What a history holds.

    Attributes:
        entries: newest first.
        damaged: files that are no entries; they are left alone.
        newer: entries that a newer version wrote.
    """

    entries: tuple[HistoryEntry, ...] = ()
    damaged: int = 0
    newer: int = 0


class History:
    """The runs whose entries lie in `folder`.

    Any number of processes and threads may read and write it at once: every entry has a file of its
    own, which is replaced as a whole.

    Attributes:
        folder: made when the first entry is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @merge_errors_only()
    def add(self, entry: HistoryEntry) -> None:
        """Write `entry`, in the place of an earlier one with its id; on disk when this returns.

        A note that was set stays: a run ends as its process knows it, and notes have files of their own.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write to the history in {self.folder}: {os_error_text(error)}", path=self.folder
            ) from error
        replace_file(self._path(entry.id), entry_to_json(entry))

    @merge_errors_only()
    def set_note(self, entry_id: str, note: str) -> HistoryEntry:
        """Keep `note` beside a run, in the place of an earlier one; returns the entry with it.

        The entry's file stays as it is, also of a run that goes on or ends meanwhile.

        Raises:
            OutputError: the entry is not there (any more), or cannot be read or written.
            MergeError: the note is too long, or is no text.
        """
        if len(note) > MOST_NOTE:
            raise MergeError(
                f"the note has {len(note):,} characters, and at most {MOST_NOTE:,} are kept",
                hint="shorten it",
                field="note",
            )
        if not is_text(note):
            raise MergeError("the note is not valid text", hint="write it again", field="note")
        path = self._path(entry_id)
        try:
            content = read_if_there(path, MAX_ENTRY_BYTES, OutputError)
            if content is None:
                raise OutputError("the entry is no longer in the history", path=path)
            data = entry_data(content)
            if is_newer(data):
                raise OutputError("a newer version wrote this entry of the history", path=path)
            entry = replace(entry_of(data, path.stem), note=note)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise OutputError("the entry of the history is damaged", path=path) from error
        replace_file(self._note_path(entry_id), note.encode())
        return entry

    @merge_errors_only()
    def remove(self, entry_id: str) -> None:
        """Forget an entry and its note; what its run wrote stays. Raises OutputError."""
        try:
            self._path(entry_id).unlink(missing_ok=True)
            self._note_path(entry_id).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot remove an entry of the history in {self.folder}: {os_error_text(error)}",
                path=self.folder,
            ) from error

    @merge_errors_only()
    def read(self) -> HistoryContents:
        """All that is there. Raises MergeError when the folder cannot be read."""
        entries: list[HistoryEntry] = []
        damaged = newer = 0
        names = self._names()
        for path in [self.folder / name for name in names if name.endswith(".json")]:
            try:
                content = read_if_there(path, MAX_ENTRY_BYTES, MergeError)
                if content is None:  # removed a moment ago
                    continue
                data = entry_data(content)
                if is_newer(data):
                    newer += 1
                else:
                    entry = entry_of(data, path.stem)
                    entries.append(self._with_note(entry) if entry.id + _NOTE in names else entry)
            except (MergeError, ValueError, KeyError, TypeError, OverflowError):
                damaged += 1
        entries.sort(key=lambda entry: (entry.when, entry.id), reverse=True)
        return HistoryContents(tuple(entries), damaged, newer)

    def entries(self) -> tuple[HistoryEntry, ...]:
        """Every entry, newest first. Raises as `read`."""
        return self.read().entries

    def search(self, text: str) -> tuple[HistoryEntry, ...]:
        """The entries that match `text`, newest first. Raises as `read`."""
        return tuple(entry for entry in self.entries() if entry.matches(text))

    def _with_note(self, entry: HistoryEntry) -> HistoryEntry:
        """`entry` with the note that was set, which may be ""; as it is where that cannot be read."""
        try:
            content = read_if_there(self._note_path(entry.id), 4 * MOST_NOTE, MergeError)
            return entry if content is None else replace(entry, note=content.decode())
        except (MergeError, ValueError):
            return entry

    def _names(self) -> frozenset[str]:
        try:
            return frozenset(os.listdir(self.folder))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise MergeError(
                f"cannot read the history in {self.folder}: {os_error_text(error)}", path=self.folder
            ) from error

    def _path(self, entry_id: str) -> Path:
        return self.folder / f"{entry_id}.json"

    def _note_path(self, entry_id: str) -> Path:
        return self.folder / f"{entry_id}{_NOTE}"


def default_history_folder() -> Path:
    """That of this user."""
    return data_home() / "history"
