"""Models that stay in memory between two prompts, as far as they fit."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from core.cancel import CancelToken
from core.memory import available_bytes

__all__ = ["KeptModels", "Loader"]

Loader = Callable[[str, CancelToken], AbstractContextManager[Any]]
"""Opens the model that a reference names, as core.evaluate.loading.load_model does."""

_SHARE = 0.9
"""Of the memory that is left, at the most: others live there too."""

_WORK_BYTES = 2_000_000_000
"""Beside the weights: with less, a model is loaded in a way that is slower."""

_WIDENED = 2
"""Bytes in memory for one on the disk: most weights are stored in 16 bits and widened."""


@dataclass(frozen=True, eq=False)
class _Kept:
    model: Any
    files: tuple[tuple[str, int, int], ...]
    stack: ExitStack


class KeptModels:
    """The models that were used last. One that does not fit beside the others takes their place.

    A model whose folder has changed since is loaded again. Not for several threads.
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
        self._make_room(_WIDENED * sum(size for _, size, _ in files), wanted)
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


def _files_of(reference: str) -> tuple[tuple[str, int, int], ...]:
    """Name, bytes and time of the files in its folder: what tells whether it is another model by now.

    Of `folder+adapter` those of both; () where nothing is found, as of what only loading can name.
    """
    found: list[tuple[str, int, int]] = []
    for part in [reference] if os.path.lexists(reference) else reference.split("+"):
        path = Path(part).expanduser()
        try:
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                about = file.stat()
                found.append((str(file), about.st_size, about.st_mtime_ns))
        except OSError:
            continue
    return tuple(found)
