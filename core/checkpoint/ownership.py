"""Who works in a staging folder: a lock that the system drops when its process ends, and a note of who it is.

Where the file system has no locks, the note alone has to do: its process is looked for on this machine, and
one of another machine is never taken for dead.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
import secrets
import sys
import time
import weakref
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import disk
from core.disk import OpenFolder, write_error, write_new_file
from core.errors import MergeError, OutputError, RunningError, os_error_text
from core.small_files import open_regular, read_if_there

__all__ = [
    "OWN_FOLDER",
    "Owner",
    "Ownership",
    "is_alive",
    "is_locked",
    "is_run_id",
    "new_run_id",
    "process_began",
    "read_owner",
    "running",
]

OWN_FOLDER = ".paramosaic"
"""In a staging folder: what is the program's and not the output's."""

_LOCK, _OWNER = f"{OWN_FOLDER}/lock", f"{OWN_FOLDER}/owner.json"
_MOST_OWNER_BYTES = 65_536
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_TRIES, _LOOK_S = 4, 0.02
_PROGRAM_BEGAN = datetime.now(UTC)


@dataclass(frozen=True)
class Owner:
    """Whose a staging folder is.

    Attributes:
        pid, host: the process.
        process_began: when it began, as its system counts; "" where that is not known. Another process may
            get its number later.
        since: when it took the folder, UTC, ISO 8601.
        run_id: of the merge, the same for all processes that go on with it.
        token: of this process's turn alone.
    """

    pid: int
    host: str
    process_began: str
    since: str
    run_id: str
    token: str

    @classmethod
    def me(cls, run_id: str) -> Owner:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pid = os.getpid()
        return cls(pid, platform.node(), process_began(pid), now, run_id, secrets.token_hex(8))

    def __str__(self) -> str:
        """ "pid 4711 on atlas since 2025-01-31 14:03"."""
        when = self.since
        with contextlib.suppress(ValueError, OverflowError, OSError):
            when = f"{datetime.fromisoformat(self.since).astimezone():%Y-%m-%d %H:%M}"
        return f"pid {self.pid} on {self.host} since {when}"


class Ownership:
    """That this process alone works in a staging folder, until `release` or its end.

    Attributes:
        owner: the note that says so.
    """

    def __init__(self, folder: OpenFolder, run_id: str, *, take_over: bool = False) -> None:
        """Take the folder.

        Args:
            folder: in which there is OWN_FOLDER.
            run_id: of the merge.
            take_over: whether to take it from a process of another machine of which nothing can be known.

        Raises:
            RunningError: another process works in it, or may.
            OutputError: the lock or the note cannot be written.
        """
        self._folder = folder
        self._lock = -1
        self._locks = True
        before = read_owner(folder.path)
        try:
            self._lock = _open_lock(folder)
            self._locks = _lock_after_a_look(self._lock)
        except BlockingIOError as error:
            self._close()
            raise running(folder.path, before) from error
        except OSError as error:
            self._close()
            failed = write_error(error, folder.path / _LOCK)
            if isinstance(error, PermissionError):
                failed.hint = (
                    "that is another user's: ask for the right to write there, or choose another folder"
                )
            raise failed from error
        try:
            if not self._locks and before is not None:
                _refuse_unless_dead(folder.path, before, take_over)
            self.owner = Owner.me(run_id)
            self._write_note(self._locks or take_over or before is not None)
        except BaseException:
            self._close()
            raise
        _HELD_HERE.add(self)

    def named(self, run_id: str) -> None:
        """Say which merge it is, once that is known. Raises OutputError."""
        self.owner = replace(self.owner, run_id=run_id)
        self._write_note(True)

    def is_lost(self) -> bool:
        """Whether the note says by now that the folder is another process's."""
        try:
            found = _read_note(self._folder.path / _OWNER)
        except MergeError:
            return True
        return found is None or found.token != self.owner.token

    def release(self) -> None:
        """Let others take the folder. The files of the lock stay: another process may wait for them.

        Where there are no locks the note goes, which says that this process has it for as long as it lives.
        """
        if self in _HELD_HERE and not self._locks and not self.is_lost():
            with contextlib.suppress(OSError):
                disk.system.remove(self._folder.name(*_OWNER.split("/")), within=self._folder.descriptor)
        self.forget()

    def forget(self) -> None:
        """Close the lock, and leave everything to another process that has it too."""
        _HELD_HERE.discard(self)
        self._close()

    def _close(self) -> None:
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = -1

    def _write_note(self, replaces: bool) -> None:
        data = json.dumps(asdict(self.owner)).encode()
        if replaces:
            temporary = f"{_OWNER}.{secrets.token_hex(4)}"
            write_new_file(Path(temporary), data, within=self._folder)
            try:
                disk.system.rename(
                    self._folder.name(*temporary.split("/")),
                    self._folder.name(*_OWNER.split("/")),
                    within=self._folder.descriptor,
                    replace=True,
                )
            except OSError as error:
                with contextlib.suppress(OSError):
                    disk.system.remove(
                        self._folder.name(*temporary.split("/")), within=self._folder.descriptor
                    )
                raise write_error(error, self._folder.path / _OWNER) from error
        else:  # of two that come at the same time, and have no locks, one fails here
            write_new_file(Path(_OWNER), data, within=self._folder)


_HELD_HERE: weakref.WeakSet[Ownership] = weakref.WeakSet()


def _forget_in_child() -> None:
    for held in list(_HELD_HERE):
        held.forget()


if hasattr(os, "register_at_fork"):  # a lock lasts as long as any process has it open
    os.register_at_fork(after_in_child=_forget_in_child)


def new_run_id() -> str:
    """A name for a merge that no other has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def is_run_id(text: str) -> bool:
    """Whether `text` may be one: nothing else goes into the name of a folder."""
    return re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}", text) is not None


def read_owner(folder: Path) -> Owner | None:
    """Whose the staging folder `folder` is, or was; None where no readable note says so."""
    try:
        return _read_note(folder / _OWNER)
    except MergeError:
        return None


def is_locked(folder: Path) -> bool:
    """Whether a process works in the staging folder `folder` now, as far as this machine can tell."""
    try:
        descriptor = _open_to_look(folder / _LOCK)
    except MergeError:
        return False
    if descriptor is None:
        return False
    try:
        if _lock(descriptor):
            return False
    except BlockingIOError:
        return True
    except OSError:  # file systems may want the right to write of whoever locks
        pass
    finally:
        os.close(descriptor)
    owner = read_owner(folder)
    return owner is not None and _may_live(owner)


def is_alive(pid: int) -> bool:
    """Whether this machine has a process of that number."""
    if sys.platform == "win32":  # os.kill would end the process there
        import ctypes

        synchronize, still_there = 0x0010_0000, 0x102
        process = ctypes.windll.kernel32.OpenProcess(synchronize, False, pid)
        if not process:
            return False
        waited = ctypes.windll.kernel32.WaitForSingleObject(process, 0)
        ctypes.windll.kernel32.CloseHandle(process)
        return bool(waited == still_there)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def running(folder: Path, owner: Owner | None) -> RunningError:
    """What to say of a staging folder that another process works in."""
    who = "another process" if owner is None else str(owner)
    return RunningError(
        f"another merge is writing {folder}: it is running as {who}",
        hint="wait until it is done, or choose another output folder",
        path=folder,
    )


def _refuse_unless_dead(folder: Path, owner: Owner, take_over: bool) -> None:
    """For a file system without locks."""
    if take_over or not _may_live(owner):
        return
    if owner.host != platform.node():
        raise RunningError(
            f"{folder} belongs to a merge of another machine, which may still run: {owner}",
            hint="if it does not, ask for the folder to be taken over (--take-over)",
            path=folder,
        )
    raise running(folder, owner)


def _may_live(owner: Owner) -> bool:
    if owner.host != platform.node():
        return True
    if not is_alive(owner.pid):
        return False
    return not owner.process_began or owner.process_began == process_began(owner.pid)


def process_began(pid: int) -> str:
    """When a process of this machine began, as the system counts; "" where it does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            ticks = file.read(4096).rpartition(b")")[2].split()[19]
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return f"{file.read(64).decode().strip()}+{int(ticks)}"
    except (OSError, ValueError, IndexError):
        return _PROGRAM_BEGAN.isoformat() if pid == os.getpid() else ""


def _open_lock(folder: OpenFolder) -> int:
    name = folder.name(*_LOCK.split("/"))
    descriptor = disk.open_to_go_on(name, within=folder.descriptor)
    if descriptor < 0:
        with contextlib.suppress(FileExistsError):
            return disk.system.create(name, within=folder.descriptor)
        descriptor = disk.open_to_go_on(name, within=folder.descriptor)
    return descriptor


def _open_to_look(path: Path) -> int | None:
    """The lock's file, also of another user; None where there is none. Raises OutputError."""
    try:
        descriptor = disk.open_to_go_on(path)
    except OSError:
        return open_regular(path, OutputError)
    return None if descriptor < 0 else descriptor


def _lock_after_a_look(descriptor: int) -> bool:
    """The same as `_lock`, although somebody may just be looking whether it is held."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(BlockingIOError):
            return _lock(descriptor)
        time.sleep(_LOOK_S)
    return _lock(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file; False where the file system has no locks.

    Raises:
        BlockingIOError: another process has it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            disk.system.lock(descriptor)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        if error.errno in _HELD:
            raise BlockingIOError(error.errno, os_error_text(error)) from error
        raise
    return True


def _read_note(path: Path) -> Owner | None:
    content = read_if_there(path, _MOST_OWNER_BYTES, OutputError)
    if content is None:
        return None
    try:
        data: Any = json.loads(content)
        values = {item.name: data[item.name] for item in fields(Owner)}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(f"{path} says not whose its folder is", path=path) from error
    pid = values.pop("pid")
    texts = all(isinstance(value, str) and len(value) < 1000 for value in values.values())
    if type(pid) is not int or not 0 < pid < 2**31 or not texts:
        raise OutputError(f"{path} says not whose its folder is", path=path)
    return Owner(pid=pid, **values)
