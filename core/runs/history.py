"""The history of runs on this machine: one small file a run, in the user's application data, and one for the
note beside it, so that neither the end of a run nor a note is ever written over the other.

Unlike the run record it keeps absolute paths, and it never leaves the machine. An entry is written when
a merge begins and again when it ends, so that what a crash cut off can be told from what went well.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from core.checkpoint.model import model_names
from core.checkpoint.ownership import is_alive
from core.disk import replace_file
from core.errors import MergeError, OutputError, merge_errors_only, os_error_text
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.writing import folders_of, recipe_as_dict
from core.run.record import RunRecord
from core.run.record_values import texts
from core.small_files import parse_json, read_if_there
from core.text import is_text

__all__ = ["MOST_NOTE", "History", "HistoryContents", "HistoryEntry", "default_history_folder"]

SCHEMA_VERSION = 1

_KIND = "paramosaic run"
_NOTE = ".note.txt"
"""Behind an entry's id, the name of the file of its note: UTF-8, as it was written down."""
_STATUSES = ("running", "done", "cancelled", "failed", "interrupted")
_MAX_ENTRY_BYTES = 4 * 1024**2
_MAX_ENTRY_PARTS = 200_000
_MAX_COUNT = 2**64
MOST_NOTE = 4_000
"""Characters of a note. Far fewer than an entry may have: a note never makes one unreadable."""
_MAX_PID = 2**31
_PROGRAM_BEGAN = datetime.now(UTC)


@dataclass(frozen=True)
class HistoryEntry:
    """One run: what was asked for, and what came of it.

    Attributes:
        id: unique; the name of its file without the suffix.
        date: when it began, UTC, as ISO 8601 writes it.
        method, title: the merge method's name in recipes, and for people.
        models: the names of the sub-models. [K]
        k: how many there are.
        draws: whether the method does, so that the seed means something.
        n: resamples; None where the method does not draw again, and where rules give the tensors different
            ones.
        seed: of the draws.
        out: the output folder, absolute.
        device: what was asked to do the arithmetic; what did it, once it is done.
        recipe_data: as `core.recipe.recipe.recipe_as_dict` writes it, with absolute paths.
        host, pid: where it ran, to tell a run that goes on from one that a crash cut off.
        status: "running", "done", "cancelled", "failed", or "interrupted" for a run whose process is
            no more.
        message: why it failed; "" for any other.
        seconds: from its beginning to its end, 0 while it runs; without `before_s` where it is done.
        bytes_read, bytes_written: of weights, 0 before it is done.
        before_s: seconds of the merges that had to come before; 0 where it is not done.
        n_differs: whether rules give the tensors different n.
        warnings: what it warned of, as the record says it; none before it is done.
        note: what whoever uses it wrote down beside it; at most MOST_NOTE characters.
    """

    id: str
    date: str
    method: str
    title: str
    models: tuple[str, ...]
    k: int
    draws: bool
    n: int | None
    seed: int
    out: Path
    device: str
    recipe_data: Mapping[str, Any]
    host: str
    pid: int
    status: str = "running"
    message: str = ""
    seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    before_s: float = 0.0
    n_differs: bool = False
    warnings: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def begin(cls, recipe: Recipe, out: str | Path, device: str = "auto") -> HistoryEntry:
        """The entry of a run of `recipe` into `out` that begins now, in this process."""
        now = datetime.now(UTC)
        draws = recipe.method.draws
        sub_models = [entry.path for entry in recipe.models]
        return cls(
            id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
            date=now.isoformat(timespec="milliseconds"),
            method=recipe.method.name,
            title=recipe.method.title,
            models=tuple(model_names(sub_models)),
            k=len(sub_models),
            draws=recipe.draws,
            n=recipe.resamples,
            seed=recipe.seed,
            out=Path(out).expanduser().absolute(),
            device=device,
            recipe_data=recipe_as_dict(recipe, {path: str(path.absolute()) for path in folders_of(recipe)}),
            host=platform.node(),
            pid=os.getpid(),
            n_differs=draws is not None and draws.resamples in recipe.ruled,
        )

    # -- how it ends

    def done(self, record: RunRecord, before_s: float = 0.0) -> HistoryEntry:
        """The same run, finished as `record` says, after so many seconds of merges that came before."""
        return replace(
            self,
            status="done",
            device=record.device,
            seconds=record.seconds,
            bytes_read=record.bytes_read,
            bytes_written=record.bytes_written,
            before_s=round(before_s, 3),
            warnings=record.warnings,
        )

    def cancelled(self) -> HistoryEntry:
        """The same run, stopped by the user now."""
        return replace(self, status="cancelled", seconds=self._seconds_so_far())

    def failed(self, message: str) -> HistoryEntry:
        """The same run, failed now; `message` says why."""
        return replace(self, status="failed", message=message, seconds=self._seconds_so_far())

    # -- what it says

    @property
    def all_seconds(self) -> float:
        """Of all merges together; 0 while it runs."""
        return self.before_s + self.seconds

    def wrote(self, record: RunRecord) -> bool:
        """Whether `record` is that of this run, and not of a later one into the same folder."""
        ours = self.seconds, self.bytes_read, self.bytes_written
        theirs = record.seconds, record.bytes_read, record.bytes_written
        return ours == theirs and _choices(self.recipe_data) == _choices(record.recipe)

    def recipe(self) -> Recipe:
        """The recipe, to be opened again. Raises RecipeError where this version cannot read it."""
        return parse_recipe(dict(self.recipe_data), Path.cwd())

    @cached_property
    def when(self) -> datetime:
        """`date` as a value."""
        return datetime.fromisoformat(self.date)

    @cached_property
    def local_date(self) -> str:
        """ "2025-01-31 14:03", in local time."""
        return f"{self.when.astimezone():%Y-%m-%d %H:%M}"

    def matches(self, text: str) -> bool:
        """Whether every word of `text` stands in what was asked for (the method and its parameters, rules,
        the models, the base, types, the seed), the output folder, the device, the local date, the status, the
        note, or what it warned of or failed for."""
        return all(word in self._searched for word in text.casefold().split())

    @cached_property
    def _searched(self) -> str:
        words = [self.method, self.title, *self.models, f"k = {self.k}", self.out, self.local_date]
        words += [
            self.status,
            self.device,
            self.message,
            self.note,
            *self.warnings,
            *_said_in(self.recipe_data),
        ]
        if self.draws:
            words.append(f"seed = {self.seed}" if self.n is None else f"n = {self.n}, seed = {self.seed}")
        if self.warnings:
            words.append("warned")
        if self._has_rules:
            words.append("rules")
        return "\n".join(map(str, words)).casefold()

    @property
    def _has_rules(self) -> bool:
        """Whether a parameter has a gradient or conditions."""
        models = self.recipe_data.get("models")
        of_models = models if isinstance(models, list | tuple) else ()
        given = [one.get("parameters") for one in (self.recipe_data, *of_models) if isinstance(one, Mapping)]
        settings = (value for one in given if isinstance(one, Mapping) for value in one.values())
        return self.n_differs or any(isinstance(value, list | tuple) for value in settings)

    def _seconds_so_far(self) -> float:
        return round(max(0.0, (datetime.now(UTC) - self.when).total_seconds()), 3)


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
        replace_file(self._path(entry.id), _to_json(entry))

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
            content = read_if_there(path, _MAX_ENTRY_BYTES, OutputError)
            if content is None:
                raise OutputError("the entry is no longer in the history", path=path)
            data = _data(content)
            if _is_newer(data):
                raise OutputError("a newer version wrote this entry of the history", path=path)
            entry = replace(_entry(data, path.stem), note=note)
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
                content = read_if_there(path, _MAX_ENTRY_BYTES, MergeError)
                if content is None:  # removed a moment ago
                    continue
                data = _data(content)
                if _is_newer(data):
                    newer += 1
                else:
                    entry = _entry(data, path.stem)
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
    """Where this system keeps such data; $PARAMOSAIC_DATA_DIR/history where that is set."""
    chosen = os.environ.get("PARAMOSAIC_DATA_DIR")
    if chosen:
        return Path(chosen).absolute() / "history"
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local", "Paramosaic", "history")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "Paramosaic" / "history"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))  # to be ignored where it is not absolute
    return (data if data.is_absolute() else home / ".local" / "share") / "paramosaic" / "history"


def _choices(recipe: Mapping[str, Any]) -> str:
    """What a recipe says but for the folders."""
    return json.dumps(_without_folders(recipe), sort_keys=True)


def _without_folders(said: Any) -> Any:
    if isinstance(said, Mapping):
        return {
            key: _without_folders(value)
            for key, value in said.items()
            if key not in ("model", "base_model", "tokenizer_source")
        }
    return [_without_folders(one) for one in said] if isinstance(said, list | tuple) else said


def _said_in(recipe: Any, *, names: bool = False) -> Iterator[str]:
    """Every value in a recipe, and the names of its parameters, for a search."""
    if isinstance(recipe, Mapping):
        for key, value in recipe.items():
            if names:
                yield str(key)
            yield from _said_in(value, names=names or key == "parameters")
    elif isinstance(recipe, list | tuple):
        for value in recipe:
            yield from _said_in(value, names=names)
    else:
        yield str(recipe)


# -- one file


def _to_json(entry: HistoryEntry) -> bytes:
    data: dict[str, Any] = {"kind": _KIND, "schema_version": SCHEMA_VERSION}
    data |= {item.name: getattr(entry, item.name) for item in fields(entry)}
    data["out"] = str(entry.out)
    data["recipe"] = data.pop("recipe_data")
    return json.dumps(data, indent=2).encode() + b"\n"  # ASCII, for folders whose names are no text


def _data(content: bytes) -> dict[str, Any]:
    """What an entry's file holds; raises ValueError, KeyError or TypeError when it is none."""
    data = parse_json(content, _MAX_ENTRY_PARTS)
    if data["kind"] != _KIND:
        raise ValueError("something else")
    return dict(data)


def _is_newer(data: Mapping[str, Any]) -> bool:
    return _whole(data, "schema_version") > SCHEMA_VERSION


def _entry(data: Mapping[str, Any], file_stem: str) -> HistoryEntry:
    """The entry in `data`; raises ValueError, KeyError, TypeError or OverflowError when there is none."""
    out = _text(data, "out")
    if "\0" in out or not Path(out).is_absolute():
        raise ValueError("out is no absolute path")
    entry = HistoryEntry(
        id=_text(data, "id"),
        date=_text(data, "date"),
        method=_text(data, "method"),
        title=_text(data, "title"),
        models=tuple(str(name) for name in data["models"]),
        k=_whole(data, "k"),
        draws=data["draws"] is True,
        n=None if data["n"] is None else _whole(data, "n"),
        seed=_whole(data, "seed"),
        out=Path(out),
        device=_text(data, "device"),
        recipe_data=dict(data["recipe"]),
        host=_text(data, "host"),
        pid=_whole(data, "pid"),
        status=_text(data, "status"),
        message=_text(data, "message"),
        seconds=float(data["seconds"]),
        bytes_read=_whole(data, "bytes_read"),
        bytes_written=_whole(data, "bytes_written"),
        before_s=float(data.get("before_s", 0.0)),  # earlier versions had no merges that come before
        # Version 0.1 had one method that draws, and it has n.
        n_differs=data.get("n_differs", data["draws"] is True and data["n"] is None) is True,
        warnings=texts(data, "warnings"),
        note=_text(data, "note") if "note" in data else "",
    )
    if entry.id != file_stem or entry.status not in _STATUSES or not 0 < entry.pid < _MAX_PID:
        raise ValueError("damaged")
    if entry.when.tzinfo is None or not entry.local_date:  # some dates have no local time
        raise ValueError("damaged")
    if not all(isfinite(seconds) and seconds >= 0 for seconds in (entry.seconds, entry.before_s)):
        raise ValueError("damaged")
    return replace(entry, status="interrupted") if _was_interrupted(entry) else entry


def _text(data: Mapping[str, Any], key: str) -> str:
    if not isinstance(data[key], str):
        raise ValueError(f"{key} is no text")
    return str(data[key])


def _whole(data: Mapping[str, Any], key: str) -> int:
    value = data[key]
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        raise ValueError(f"{key} is no count")
    return value


# -- whether a run goes on


def _was_interrupted(entry: HistoryEntry) -> bool:
    """Whether its process ended before it did; of another machine's processes nothing is known here."""
    if entry.status != "running" or entry.host != platform.node():
        return False
    if entry.pid == os.getpid():  # in a container the number is often the same each time
        return entry.when < _PROGRAM_BEGAN
    return not is_alive(entry.pid)
