"""Paths as the window shows them: as short as they can be told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

__all__ = ["short_paths"]


def short_paths(paths: Iterable[Path]) -> dict[Path, str]:
    """The last name of each path, with as many folders before it as tell it from the others."""
    parts = {path: path.parts for path in dict.fromkeys(paths)}
    depth = dict.fromkeys(parts, 1)
    while True:
        shown = {path: "/".join(part[-depth[path] :]).replace("//", "/") for path, part in parts.items()}
        taken = Counter(shown.values())
        alike = [path for path, text in shown.items() if taken[text] > 1 and depth[path] < len(parts[path])]
        if not alike:
            return {path: text or str(path) for path, text in shown.items()}
        for path in alike:
            depth[path] += 1
