"""The folder of a study: taken by one process at a time, and never one that holds something else.

study.json              everything; written last, as a whole
table.md, table.csv     the table, for people and for other tools
recipes/                the recipe of each merge, so that any of them can be made
command-scores.json     what an own scoring command said
*.png                   its figures, drawn by the window
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.adapter_paths import split_adapters
from core.checkpoint.owned_folder import owned_folder
from core.checkpoint.ownership import OWN_FOLDER
from core.disk import replace_file
from core.errors import OutputError, os_error_text
from core.study.document import STUDY_NAME, to_csv, to_json, to_markdown
from core.study.values import Study

__all__ = ["study_folder", "write_study"]


@contextlib.contextmanager
def study_folder(out: Path, inputs: Sequence[Path]) -> Iterator[Path]:
    """A folder to work in, for as long as a `with` statement lasts; it is made where it is not there.

    What an earlier study left in it stays, and is gone on from. `inputs` are the models: nothing is written
    into their folders.

    Raises:
        RunningError: another process works in it.
        OutputError: it holds something that no study wrote, or cannot be made.
    """
    out = out.absolute()
    for place in (part for one in inputs for part in split_adapters(one)):
        if place.is_dir() and out.resolve().is_relative_to(place.resolve()):
            raise OutputError(
                f"{out} is in the folder of a model, {place.name}",
                hint="choose a folder elsewhere",
                path=out,
                field="out",
            )
    try:
        names = os.listdir(out)
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise OutputError(f"cannot use {out}: {os_error_text(error)}", path=out, field="out") from error
    if names and not {OWN_FOLDER, STUDY_NAME} & set(names):
        raise OutputError(
            f"{out} holds {names[0]}, which no study wrote",
            hint="choose a folder that is not there yet, or that of an earlier study",
            path=out,
            field="out",
        )
    with owned_folder(out, "study"):
        yield out


def write_study(study: Study, folder: Path) -> None:
    """Write it down; study.json goes last, so that what it says is there.

    Raises:
        OutputError: a file cannot be written; what was there still is.
    """
    replace_file(folder / "table.md", f"{to_markdown(study)}".encode())
    replace_file(folder / "table.csv", to_csv(study).encode())
    replace_file(folder / STUDY_NAME, to_json(study).encode())
