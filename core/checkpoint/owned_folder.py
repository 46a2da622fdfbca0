"""That one process alone works in a folder that lasts, as that of a training or of a study."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from core.checkpoint.ownership import OWN_FOLDER, Ownership, new_run_id
from core.disk import OpenFolder, write_error
from core.errors import RunningError

__all__ = ["owned_folder"]


@contextlib.contextmanager
def owned_folder(out: Path, work: str) -> Iterator[None]:
    """Make the folder if it is not there, and hold it to the end of the `with` statement or the process.

    Args:
        work: what is done in it, as "training".

    Raises:
        RunningError: another process works in it. OutputError: it cannot be made or locked.
    """
    try:
        (out / OWN_FOLDER).mkdir(parents=True, exist_ok=True)
        folder = OpenFolder(out)
    except OSError as error:
        raise write_error(error, out, "out") from error
    with folder:
        try:
            ownership = Ownership(folder, new_run_id())
        except RunningError as error:
            raise RunningError(
                error.message.replace("another merge", f"another {work}"),
                hint="wait until it is done, or choose another folder",
                path=out,
                field="out",
            ) from error
        try:
            yield
        finally:
            ownership.release()
