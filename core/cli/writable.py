"""Whether a file can be written once there is something to write."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from core import disk
from core.disk import write_error
from core.errors import OutputError

__all__ = ["check_new_file", "check_writable"]


def check_writable(path: Path, *, field: str = "out") -> None:
    """Refuse before the work a file that core.disk.replace_file could not write after it.

    Args:
        path: the file. One that is there stays as it is.
        field: the option that names its place.

    Raises:
        OutputError: its folder does not take a new file.
    """
    probe = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        os.close(disk.system.create(probe))
        disk.system.remove(probe)
    except OSError as error:
        refused = write_error(error, path, field)
        refused.__cause__ = error  # from which its hint comes, where it has none
        refused.hint = refused.hint or f"choose a place that can be written (--{field})"
        raise refused from error


def check_new_file(path: Path | None, *, example: str) -> None:
    """Refuse before the work a place where no file can be written after it; see check_writable.

    Args:
        path: the file; None for none.
        example: a name for such a file.

    Raises:
        OutputError: it is a folder, a device, a pipe, or a link to one, or its folder takes no new file.
    """
    if path is None:
        return
    if path.is_dir():
        raise OutputError(f"{path} is a folder", hint=f"name a file, such as {example}", path=path)
    if os.path.lexists(path) and not path.is_file():  # whose place the new file would take
        raise OutputError(f"{path} is not a file", hint=f"name a file, such as {example}", path=path)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(
            f"cannot write {path}: there is no folder {folder}", hint="make it first", path=path
        )
    check_writable(path)
