"""The files that a command writes besides its results' folder: never one that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.adapter_paths import split_adapters
from core.errors import OutputError

__all__ = ["refuse_inputs"]


def refuse_inputs(written: Path | None, inputs: Iterable[str | Path | None], *, option: str) -> None:
    """Refuse to write over what is read, by whichever name, or into a model's folder.

    Args:
        written: the file to be written; None for none.
        inputs: files and folders that are read, BASE+ADAPTER among them.
        option: that names `written`, for the sentence.

    Raises:
        OutputError: it is one of them, or in a folder of them.
    """
    if written is None:
        return
    for place in (part for one in inputs if one is not None for part in split_adapters(Path(one))):
        if _same(written, place):
            raise OutputError(
                f"{option} is {written}, which is read and would be overwritten",
                hint="name another file",
                path=written,
            )
        if place.is_dir() and written.resolve().is_relative_to(place.resolve()):
            raise OutputError(
                f"{option} is {written}, in the folder of a model, {place.name}",
                hint="name a file elsewhere",
                path=written,
            )


def _same(one: Path, other: Path) -> bool:
    """Whether both are one file that is there, by a link too."""
    try:
        return one.is_file() and one.samefile(other)
    except OSError:
        return False
