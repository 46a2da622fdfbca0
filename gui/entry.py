"""The console script: the engine's commands, with the window at hand. Qt is imported when it is needed."""

from __future__ import annotations

import sys
from pathlib import Path

from core.cli.commands import Desktop
from core.cli.commands import main as run_command
from core.run.record import RunRecord
from gui.display import has_display

__all__ = ["desktop", "main"]


def main() -> int:
    """Run the command line of this process and return its exit status."""
    return run_command(desktop())


def desktop() -> Desktop:
    """The window as the commands know it."""
    return Desktop(has_display, _open_window, _write_pictures)


def _open_window(demo: bool) -> int:
    from gui.app import run_window

    return run_window(demo)


def _write_pictures(record: RunRecord, folder: Path) -> list[Path]:
    from core.deltas.findings import findings_of_record
    from gui.pictures.headless import write_pictures

    findings = findings_of_record(record)
    return write_pictures(findings, folder) if findings is not None else []


if __name__ == "__main__":
    sys.exit(main())
