"""What a disk may hold when the power goes: what was synced, and of the rest anything.

A `Recorder` in the place of core.disk.system keeps every change of a merge. `Disk` says what the disk may
hold after the first so many of them:

- What a file had when it was last synced is there. Of what was written to it later, each page of 4 KiB may be
  there as of any moment since, its size may be any that it had since, and what is missing is zeros.
- The names in a folder as of when it was last synced are there. Of the changes since, in their order, the
  first so many are, as the journals of ext4 and xfs keep it. A rename from folder to folder is in both or in
  neither.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from disk_faults import Watched

__all__ = ["Disk", "Recorder"]

_PAGE = 4096


@dataclass(frozen=True)
class _Names:
    """Names of folders that lead to something else since, at once: (folder, name, node or None)."""

    changes: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True)
class _Written:
    """Bytes of a file, or its size where `data` is None."""

    node: int
    at: int
    data: bytes | None


@dataclass(frozen=True)
class _Synced:
    node: int


class Recorder(Watched):
    """Keeps what every call changed in and under a folder.

    Attributes:
        calls: the names of the calls that changed something, in their order.
    """

    def __init__(self, root: Path) -> None:
        """What is in `root` by now is on the disk."""
        self._changes: list[_Names | _Written | _Synced] = []
        self._before: dict[int, bytes | dict[str, int]] = {}
        self._nodes: dict[tuple[int, int], int] = {}
        self._folders: set[int] = set()
        self._count = 0
        self.calls: list[str] = []
        self._root = self._known(root)

    def disk(self, changes: int) -> Disk:
        """After the first so many changes."""
        return Disk(self._root, self._before, self._folders, self._changes[:changes])

    def _known(self, path: Path) -> int:
        node = self._new(os.stat(path), path.is_dir())
        if path.is_dir():
            self._before[node] = {inner.name: self._known(inner) for inner in sorted(path.iterdir())}
        else:
            self._before[node] = path.read_bytes()
        return node

    def _new(self, status: os.stat_result, is_folder: bool) -> int:
        """A number is used again when its file is gone: the newest counts."""
        self._count += 1
        self._nodes[status.st_dev, status.st_ino] = self._count
        if is_folder:
            self._folders.add(self._count)
        return self._count

    def _node(self, status: os.stat_result) -> int:
        return self._nodes[status.st_dev, status.st_ino]

    def _place(self, name: str | Path, within: int | None) -> tuple[int, str]:
        folder, last = os.path.split(os.fspath(name))
        status = os.stat(folder or ".", dir_fd=within) if folder or within is None else os.fstat(within)
        return self._node(status), last

    def around(
        self, name: str, do: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        record = getattr(self, f"_{name}", None)
        if record is None:
            return do(*given, **named)
        result, change = record(do, *given, **named)
        self.calls.append(name)
        self._changes.append(change)
        return result

    def _make_folder(self, do: Callable[..., Any], name: str | Path, *, within: int | None = None) -> Any:
        folder, last = self._place(name, within)
        do(name, within=within)
        node = self._new(os.stat(name, dir_fd=within), True)
        return None, _Names(((folder, last, node),))

    def _create(self, do: Callable[..., Any], name: str | Path, *, within: int | None = None) -> Any:
        folder, last = self._place(name, within)
        descriptor = do(name, within=within)
        return descriptor, _Names(((folder, last, self._new(os.fstat(descriptor), False)),))

    def _write(self, do: Callable[..., Any], descriptor: int, data: Any) -> Any:
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        count = do(descriptor, data)
        return count, _Written(self._node(os.fstat(descriptor)), at, bytes(data[:count]))

    def _write_at(self, do: Callable[..., Any], descriptor: int, data: Any, offset: int) -> Any:
        count = do(descriptor, data, offset)
        return count, _Written(self._node(os.fstat(descriptor)), offset, bytes(data[:count]))

    def _set_size(self, do: Callable[..., Any], descriptor: int, size_bytes: int) -> Any:
        do(descriptor, size_bytes)
        return None, _Written(self._node(os.fstat(descriptor)), size_bytes, None)

    def _reserve(self, do: Callable[..., Any], descriptor: int, size_bytes: int) -> Any:
        do(descriptor, size_bytes)
        status = os.fstat(descriptor)
        return None, _Written(self._node(status), status.st_size, None)

    def _sync(self, do: Callable[..., Any], descriptor: int) -> Any:
        do(descriptor)
        return None, _Synced(self._node(os.fstat(descriptor)))

    def _rename(
        self,
        do: Callable[..., Any],
        name: str | Path,
        new: str | Path,
        *,
        within: int | None = None,
        replace: bool = False,
    ) -> Any:
        before, after = self._place(name, within), self._place(new, within)
        node = self._node(os.stat(name, dir_fd=within))
        do(name, new, within=within, replace=replace)
        return None, _Names(((*before, None), (*after, node)))

    def _remove(self, do: Callable[..., Any], name: str | Path, *, within: int | None = None) -> Any:
        folder, last = self._place(name, within)
        do(name, within=within)
        return None, _Names(((folder, last, None),))

    _remove_folder = _remove


@dataclass(frozen=True)
class Disk:
    """What was changed on a disk before the power went."""

    _root: int
    _before: Mapping[int, bytes | dict[str, int]]
    _folders: set[int]
    _changes: list[_Names | _Written | _Synced] = field(repr=False)

    def build(self, target: Path, choose: random.Random | bool) -> None:
        """Make what the disk may hold.

        Args:
            target: the folder that takes the place of the root; it does not exist.
            choose: whether all that was not synced is there, or none of it; or says so for each piece.
        """
        entries = self._names(choose)
        files = self._files(choose)

        def make(node: int, path: Path) -> None:
            if node in self._folders:
                path.mkdir()
                for name, inner in entries[node].items():
                    make(inner, path / name)
            else:
                path.write_bytes(files[node])

        make(self._root, target)

    def _names(self, choose: random.Random | bool) -> dict[int, dict[str, int]]:
        touching: dict[int, list[int]] = {folder: [] for folder in self._folders}
        sure: dict[int, int] = dict.fromkeys(self._folders, 0)
        for at, change in enumerate(self._changes):
            if isinstance(change, _Names):
                for folder in {folder for folder, *_ in change.changes}:
                    touching[folder].append(at)
            elif isinstance(change, _Synced) and change.node in self._folders:
                sure[change.node] = len(touching[change.node])
        between = [at for at, change in enumerate(self._changes) if _is_between_folders(change)]

        def has(cut: Mapping[int, int], at: int) -> dict[int, bool]:
            folders = {folder for folder, *_ in self._changes[at].changes}  # type: ignore[union-attr]
            return {folder: touching[folder].index(at) < cut[folder] for folder in folders}

        for at in reversed(between):
            for folder, there in has(sure, at).items():
                if not there and any(has(sure, at).values()):
                    sure[folder] = touching[folder].index(at) + 1
        cut = {
            folder: len(touching[folder])
            if choose is True
            else sure[folder]
            if choose is False
            else choose.randint(sure[folder], len(touching[folder]))
            for folder in sorted(self._folders)
        }
        settled = False
        while not settled:
            settled = True
            for at in between:
                there = has(cut, at)
                for folder in there if not all(there.values()) else ():
                    place = touching[folder].index(at)
                    settled &= cut[folder] <= place
                    cut[folder] = min(cut[folder], place)
        entries: dict[int, dict[str, int]] = {}
        for folder in self._folders:
            before = self._before.get(folder, {})
            assert isinstance(before, dict)
            entries[folder] = dict(before)
            for at in touching[folder][: cut[folder]]:
                for place, name, node in self._changes[at].changes:  # type: ignore[union-attr]
                    if place == folder:
                        entries[folder].pop(name, None)
                        if node is not None:
                            entries[folder][name] = node
        return entries

    def _files(self, choose: random.Random | bool) -> dict[int, bytes]:
        versions: dict[int, list[bytes]] = {}
        for node, before in self._before.items():
            if isinstance(before, bytes):
                versions[node] = [before]
        for change in self._changes:
            if isinstance(change, _Names):
                for *_, made in change.changes:
                    if made is not None and made not in self._folders:
                        versions.setdefault(made, [b""])
            elif isinstance(change, _Written):
                versions[change.node].append(_changed(versions[change.node][-1], change))
            elif change.node in versions:
                del versions[change.node][:-1]
        return {node: _mixed(since, choose) for node, since in versions.items()}


def _is_between_folders(change: Any) -> bool:
    return isinstance(change, _Names) and len({folder for folder, *_ in change.changes}) > 1


def _changed(data: bytes, change: _Written) -> bytes:
    if change.data is None:
        return data[: change.at].ljust(change.at, b"\0")
    end = change.at + len(change.data)
    return data[: change.at].ljust(change.at, b"\0") + change.data + data[end:]


def _mixed(since: list[bytes], choose: random.Random | bool) -> bytes:
    """A file of which these are all the versions since it was synced."""
    if isinstance(choose, bool) or len(since) == 1:
        return since[-1 if choose is True else 0]
    size = len(choose.choice(since))
    pages = (choose.choice(since)[at : at + _PAGE].ljust(_PAGE, b"\0") for at in range(0, size, _PAGE))
    return b"".join(pages)[:size]
