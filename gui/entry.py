"""The console script: the engine's commands, with the window at hand. Qt is imported when it is needed.

The engine is imported when signals are answered: until a command takes over, one ends the process at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from core.cli.desktop import Desktop
    from core.run.record import RunRecord
    from core.study.values import Study

__all__ = ["desktop", "main"]


def main() -> int:
    """Run the command line of this process and return its exit status."""
    _answer_signals()
    _open_standard_files()
    from core.cli.commands import main as run_command

    return run_command(desktop(), last=True)


def desktop() -> Desktop:
    """The window as the commands know it."""
    from core.cli.desktop import Desktop
    from gui.display import has_display

    return Desktop(has_display, _open_window, _write_pictures, _write_study_pictures)


def _answer_signals() -> None:
    """End at once on a signal that would end the process, with the status and the word of a command."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and not (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"cancelled\n")
    os._exit(130)  # an exception might be lost in whatever is being imported


def _open_standard_files() -> None:
    """Have 0, 1 and 2 open: a file of ours with such a number would get what libraries say to stderr."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _open_window(demo: bool) -> int:
    from gui.display import why_no_window

    if (why := why_no_window()) is not None:
        print(f"error: {why[0]}\nhint: {why[1]}", file=sys.stderr)
        return 1
    from gui.app import run_window

    return run_window(demo)


def _write_pictures(record: RunRecord, folder: Path) -> list[Path]:
    from core.deltas.findings import findings_of_record
    from gui.pictures.headless import write_pictures

    findings = findings_of_record(record)
    return write_pictures(findings, folder) if findings is not None else []


def _write_study_pictures(study: Study, folder: Path) -> list[Path]:
    from gui.pictures.headless import write_study_pictures

    return write_study_pictures(study, folder)


if __name__ == "__main__":
    sys.exit(main())
