"""Processes of tasks: starting one that needs no window, whether it still runs, and telling it to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from core.checkpoint.ownership import is_alive, is_locked, process_began, read_owner
from core.errors import MergeError, os_error_text

__all__ = ["environment", "interrupt", "is_running", "program", "start"]

_TOP = Path(__file__).parents[2]
"""Where the packages of the program are."""


def program() -> list[str]:
    """How this very program is run as a command, whether or not it is on the path."""
    if getattr(sys, "frozen", False):  # the program is one file, which is no interpreter
        return [sys.executable]
    return [sys.executable, "-P", "-m", "gui.entry"]  # without what lies in the current folder


def start(command: Sequence[str], *, folder: Path, output: Path, errors: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own: no signal to the window or its terminal reaches it.

    It has nothing open but the two files: no lock of this process lasts any longer for it, and no library of
    this process is at work in it (a fork that is not followed by an exec could not say that).

    Args:
        command: the program and its arguments.
        folder: where it runs.
        output, errors: new files for its stdout and stderr.

    Raises:
        MergeError: it cannot be started.
    """
    try:
        with open(output, "xb") as out, open(errors, "xb") as err:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=environment(),
                close_fds=True,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                | getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError as error:
        raise MergeError(f"cannot start {command[0]}: {os_error_text(error)}", path=folder) from error


def is_running(pid: int, began: str, folder: Path | None = None) -> bool:
    """Whether the process `pid` of this machine, which began at `began`, does something still.

    One that has ended, and whose parent has not asked what came of it, does not.

    Args:
        pid: its number, which may be another process's by now.
        began: when it began, as its system counts; "" where that is not known.
        folder: of its task, which it holds for as long as it lives; None for none. It is asked where the
            system does not say when processes began.
    """
    if pid <= 0 or not is_alive(pid) or _is_zombie(pid):
        return False
    now = process_began(pid)
    if began and now:
        return began == now
    return folder is None or read_owner(folder) is None or is_locked(folder)


def interrupt(pid: int, began: str) -> bool:
    """Tell a process to stop, as Ctrl+C does.

    Returns: whether it was told. It is not where it is not certain whose number that is by now, and not on
    Windows, where no such signal reaches a process that has no console.

    Raises:
        MergeError: it cannot be.
    """
    if sys.platform == "win32" or not began or process_began(pid) != began:
        return False
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise MergeError(f"cannot stop process {pid}: {os_error_text(error)}") from error
    return True


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read(4096).rpartition(b")")[2].split()[0] in (b"Z", b"X")
    return False


def environment() -> dict[str, str]:
    """That of this process, in which the packages are found from everywhere."""
    given = dict(os.environ)
    installed = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    if not getattr(sys, "frozen", False) and _TOP not in installed:
        before = given.get("PYTHONPATH")
        given["PYTHONPATH"] = os.pathsep.join([str(_TOP), *([before] if before else [])])
    return given
