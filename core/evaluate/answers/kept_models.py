"""Models that stay in memory between two prompts, as far as they fit."""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from core.adapter_paths import split_adapters
from core.cancel import CancelToken
from core.checkpoint.finding import resolve_folder
from core.checkpoint.model import open_checkpoint
from core.errors import MergeError
from core.evaluate.models.digests import is_recipe
from core.memory import available_bytes
from core.recipe.file import load_recipe
from core.recipe.writing import folders_of

__all__ = ["KeptModels", "Loader"]

Loader = Callable[[str, CancelToken], AbstractContextManager[Any]]
"""Opens the model that a reference names, as core.evaluate.models.loading.load_model does."""

_SHARE = 0.9
"""Of the memory that is left, at the most: others live there too."""

_WORK_BYTES = 2_000_000_000
"""Beside the weights: with less, a model is loaded in a way that is slower."""

_WIDE = 4
"""Bytes of a weight in memory."""

_WIDENED = 2
"""The same for a byte on the disk, where no headers say how many weights those are: most are stored in 16
bits."""


@dataclass(frozen=True, eq=False)
class _Kept:
    model: Any
    files: tuple[tuple[str, int, int], ...]
    stack: ExitStack


class KeptModels:
    """The models that were used last. One that does not fit beside the others takes their place.

    A model is loaded again whose folder has changed since, or a recipe of which a model has. Not for several
    threads.
    """

    def __init__(
        self,
        load: Loader,
        *,
        available: Callable[[], int | None] = available_bytes,
        work_bytes: int = _WORK_BYTES,
    ) -> None:
        """Args:
        load: opens a model.
        available: bytes that are left where models are loaded; None where that is not known: one model is
            kept then.
        work_bytes: that are to be left beside the weights.
        """
        self._load, self._available, self._work_bytes = load, available, work_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __enter__(self) -> KeptModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.forget()

    def has(self, reference: str) -> bool:
        """Whether it is in memory, as it is on the disk now."""
        kept = self._kept.get(reference)
        return kept is not None and kept.files == _files_of(reference)

    def get(self, reference: str, *, cancel: CancelToken, wanted: Collection[str] = ()) -> Any:
        """The model, loaded if need be, until another one needs its place.

        Args:
            reference: a folder, with adapters or without, or a recipe.
            cancel: stops the loading.
            wanted: references that will be asked for next: others go first.

        Raises:
            MergeError: it cannot be loaded.
        """
        if self.has(reference):
            self._kept.move_to_end(reference)
            return self._kept[reference].model
        self._drop(reference)
        files = _files_of(reference)
        self._make_room(_bytes_of(reference, files), wanted)
        stack = ExitStack()
        model = stack.enter_context(self._load(reference, cancel))
        self._kept[reference] = _Kept(model, files, stack)
        return model

    def forget(self) -> None:
        """Close all."""
        for reference in list(self._kept):
            self._drop(reference)

    def _make_room(self, needed: int, wanted: Collection[str]) -> None:
        """Drop models until there is room for weights of `needed` bytes; all of them where that cannot be
        told."""
        while self._kept:
            left = self._available()
            if left is not None and needed and needed + self._work_bytes <= _SHARE * left:
                return
            others = [reference for reference in self._kept if reference not in wanted]
            self._drop(next(iter(others or self._kept)))

    def _drop(self, reference: str) -> None:
        kept = self._kept.pop(reference, None)
        if kept is not None:
            kept.stack.close()


def _folders_of(reference: str) -> tuple[Path, ...]:
    """What a model is read from: its folder, with those of its adapters; all that a recipe names."""
    place = Path(reference).expanduser()
    found: list[Path] = []
    try:
        for model in folders_of(load_recipe(place)) if is_recipe(place) else (place,):
            found += split_adapters(model)
    except MergeError:  # said where it is loaded
        return ()
    return tuple(found)


def _files_of(reference: str) -> tuple[tuple[str, int, int], ...]:
    """Name, bytes and time of the files in its folders: what tells whether it is another model by now.

    Of a recipe its own file is one, and those of every model that it names; () where nothing is found, as of
    what only loading can name.
    """
    places = [Path(reference).expanduser()] if is_recipe(Path(reference).expanduser()) else []
    found: list[tuple[str, int, int]] = []
    for path in [*places, *_folders_of(reference)]:
        with contextlib.suppress(MergeError):
            path = path if path.is_file() else resolve_folder(path)
        try:
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                about = file.stat()
                found.append((str(file), about.st_size, about.st_mtime_ns))
        except OSError:
            continue
    return tuple(found)


def _bytes_of(reference: str, files: tuple[tuple[str, int, int], ...]) -> int:
    """Of its weights in memory, widened. A merge is as large as the largest model that it is made from; one
    of slices is taken for all of them, which it may be."""
    sizes = []
    try:
        for path in _folders_of(reference):
            tensors = open_checkpoint(path).tensors.values()
            sizes.append(_WIDE * sum(math.prod(tensor.shape) for tensor in tensors))
        place = Path(reference).expanduser()
        whole = sum if is_recipe(place) and load_recipe(place).slices else max
        return whole(sizes)
    except (MergeError, ValueError):
        return _WIDENED * sum(size for _, size, _ in files)
