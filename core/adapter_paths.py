"""A model with adapters on it, as one path: the model's and those of the adapters, with a plus between them.

So mergekit writes it: `base+adapter`, `base+adapter-1+adapter-2`. A folder that is there is a folder,
whatever signs its name has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ["grouped", "join_adapters", "split_adapters"]

_MOST = 32
"""Plus signs in one path."""

_Found = TypeVar("_Found")


def join_adapters(model: Path, adapters: Sequence[Path]) -> Path:
    """The path of `model` with `adapters` put on it in their order."""
    return Path("+".join(map(str, (model, *adapters))))


def split_adapters(place: Path) -> tuple[Path, ...]:
    """The model and the adapters on it that `place` names; the place alone where it is one folder or file.

    Where a part is not there, the path is cut at each plus that begins a whole path.
    """
    text = str(place)
    if "+" not in text or os.path.lexists(place):
        return (place,)
    parts = grouped(text, lambda part: Path(part) if os.path.lexists(part) else None)
    if parts is None:
        parts = grouped(text, lambda part: Path(part) if os.path.isabs(part) and "+/" not in part else None)
    return tuple(parts) if parts else (place,)


def grouped(text: str, found: Callable[[str], _Found | None]) -> list[_Found] | None:
    """What is found of the parts of `text`, cut at some of its plus signs so that each is found.

    Of several ways the one with the longest first parts; None where there is none.
    """
    pieces = text.split("+")
    if len(pieces) > _MOST:
        return None
    known: dict[int, list[_Found] | None] = {len(pieces): []}
    for start in reversed(range(len(pieces))):
        known[start] = None
        for stop in range(len(pieces), start, -1):
            rest = known[stop]
            if rest is None:
                continue
            one = found("+".join(pieces[start:stop]))
            if one is not None:
                known[start] = [one, *rest]
                break
    return known[0]
