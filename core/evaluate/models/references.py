"""What a model is called by, and the folder that transformers can load it from.

A folder is taken as it is. Adapters on a base, quantised weights and recipes are merged first, by the same
engine as any merge and with the same bytes, into a temporary folder that is removed afterwards: beside the
scores, as the system's own place for such files is memory on many machines, and small.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.adapter_paths import split_adapters
from core.cancel import CancelToken
from core.checkpoint.finding import resolve_folder
from core.checkpoint.model import Checkpoint, model_names, open_checkpoint
from core.checkpoint.ownership import is_alive
from core.data_home import data_home
from core.errors import CheckpointError, IncompatibleError, OutputError, RecipeError, os_error_text
from core.evaluate.models.digests import is_recipe
from core.plan.planning import plan_merge
from core.progress import Progress, Share, ShareCallback
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.references import read_path
from core.run.merge import run_merge
from core.text import is_text, shown

__all__ = ["ModelFolder", "check_work_folder", "default_work_folder", "model_folder"]

_PREFIX = "paramosaic-evaluate"
_OWN = re.compile(rf"{_PREFIX}-(?P<host>[0-9a-f]{{8}})-(?P<pid>[0-9]{{1,9}})-.*")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFolder:
    """A model in a folder of its own.

    Attributes:
        reference: as it was given.
        name: what to call it.
        folder: where it is; for a merge the temporary one.
        checkpoint: its headers.
        merged: why it was merged first, as "a recipe"; "" for a folder that is taken as it is.
    """

    reference: str
    name: str
    folder: Path
    checkpoint: Checkpoint
    merged: str = ""


def default_work_folder() -> Path:
    """Where merges are made for the time being: beside the history of runs."""
    return data_home() / "merges"


@contextlib.contextmanager
def model_folder(
    reference: str | Path,
    *,
    work_folder: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    cancel: CancelToken | None = None,
    progress: ShareCallback | None = None,
) -> Iterator[ModelFolder]:
    """The folder of a model, for as long as a `with` statement lasts.

    Args:
        reference: a folder, a model in the Hub's cache, BASE+ADAPTER, or a recipe (.yaml, .yml).
        work_folder: where a merge is made, on whose disk there has to be room for it; None for
            default_work_folder().
        device, threads: of a merge, as run_merge takes them.
        cancel, progress: of a merge.

    Raises:
        RecipeError, CheckpointError, IncompatibleError: there is no such model, or it cannot be merged.
        OutputError: there is no room for the merge.
        Cancelled: after `cancel`; nothing is left.
    """
    text = str(reference)
    place = _place_of(text)
    name = model_names([place])[0]
    recipe, why = _recipe_of(place)
    if recipe is None:
        folder = resolve_folder(place)
        yield ModelFolder(text, name, folder, open_checkpoint(folder, name))
        return
    with _temporary(work_folder) as folder:
        _log.info("merging %s first, as it is %s", name, why)
        out = folder / "model"
        run_merge(
            plan_merge(recipe),
            out,
            device=device if device == "auto" or device.startswith("cuda") else "cpu",
            threads=threads,
            progress=_told(progress, f"{name}: merging {why}"),
            cancel=cancel,
        )
        yield ModelFolder(text, name, out, open_checkpoint(out, name), why)


def check_work_folder(references: Iterable[str | Path], work_folder: str | Path | None) -> None:
    """Refuse a place for merges before the work, where one of the models has to be merged first.

    Of a model that cannot be opened nothing is said here, but where it is its turn.

    Raises:
        OutputError: no merge can be made there.
    """
    for reference in references:
        with contextlib.suppress(RecipeError, CheckpointError, IncompatibleError):
            if _recipe_of(_place_of(str(reference)))[0] is not None:
                with _temporary(work_folder):
                    return


def _place_of(text: str) -> Path:
    if not is_text(text) or "\0" in text or not text:
        raise CheckpointError(f"{shown(text)} is not the path of a model", hint="name a folder")
    return read_path(text, Path(os.getcwd()), "the model")


def _recipe_of(place: Path) -> tuple[Recipe | None, str]:
    """What has to be merged first, and what that is; None for what is whole."""
    if is_recipe(place):
        return load_recipe(place), "a recipe"
    checkpoint = open_checkpoint(place)
    config = checkpoint.config or {}
    if checkpoint.adapters or len(split_adapters(place)) > 1:
        return _one_model(place), "an adapter on a model"
    if config.get("quantization_config") or config.get("compression_config"):
        return _one_model(place), "a quantised model"
    return None, ""


def _one_model(place: Path) -> Recipe:
    return parse_recipe(
        {"merge_method": "passthrough", "models": [{"model": str(place.absolute())}]}, place.parent
    )


def _told(progress: ShareCallback | None, text: str) -> Callable[[Progress], Any] | None:
    if progress is None:
        return None
    return lambda step: progress(Share(step.fraction, text, step.remaining_s))


@contextlib.contextmanager
def _temporary(work_folder: str | Path | None) -> Iterator[Path]:
    """A folder that is removed whatever happens; those of processes that were killed are removed too."""
    inside = Path(work_folder or default_work_folder())
    host = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
    try:
        inside.mkdir(parents=True, exist_ok=True)
        _remove_left(inside, host)
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{host}-{os.getpid()}-", dir=inside))
    except OSError as error:
        raise OutputError(
            f"cannot make a temporary folder in {inside}: {os_error_text(error)}",
            hint="choose another place for merges (--work-folder)",
            path=inside,
            field="work_folder",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(inside: Path, host: str) -> None:
    for entry in os.scandir(inside):
        found = _OWN.fullmatch(entry.name)
        if found and found["host"] == host and not is_alive(int(found["pid"])):
            shutil.rmtree(entry.path, ignore_errors=True)
