"""The patterns of module names in an adapter's rank_pattern and alpha_pattern.

peft takes each as a regular expression for the end of a module's name, after a dot or at its beginning
(`utils/other.py`, get_pattern_key). They come with a file from anywhere: what could take for ever is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["BadPatternError", "Patterns"]

_MOST_CHARACTERS = 500
_MOST_PATTERNS = 200
"""That are more than names; of these there may be one for each module."""

_MOST_REPEATS = 2
"""That may try every place of a name, one within the other."""

_PLAIN = re.compile(r"[\w.\-/]+", re.ASCII)
"""A name: its dots are taken for nothing but dots."""

_REPEATS = re.compile(r"(?<!\\)[*+{]")
_REPEATED_GROUP = re.compile(r"\)(?:[*+{])")


class BadPatternError(ValueError):
    """A pattern that is not understood.

    Attributes:
        pattern: it.
    """

    def __init__(self, pattern: Any) -> None:
        super().__init__(pattern)
        self.pattern = pattern


class Patterns:
    """Numbers for modules, by patterns of their names."""

    def __init__(self, given: Mapping[Any, float]) -> None:
        """Raises BadPatternError where one is none, or there are too many.

        Args:
            given: the numbers by pattern; the first one that matches counts.
        """
        self._names: dict[str, tuple[int, float]] = {}
        self._others: list[tuple[int, re.Pattern[str], float]] = []
        for place, (text, number) in enumerate(given.items()):
            if not isinstance(text, str) or not 0 < len(text) <= _MOST_CHARACTERS:
                raise BadPatternError(text)
            if _PLAIN.fullmatch(text):
                self._names[text] = place, number
                continue
            repeats = len(_REPEATS.findall(text))
            if repeats > _MOST_REPEATS or _REPEATED_GROUP.search(text) or len(self._others) == _MOST_PATTERNS:
                raise BadPatternError(text)
            try:
                self._others.append((place, re.compile(rf"(?:.*\.)?(?:{text})"), number))
            except re.error as error:
                raise BadPatternError(text) from error

    def find(self, module: str, otherwise: float) -> float:
        """The number of the first pattern that means the module of this name."""
        ends = (module[at:] for at in (0, *(dot.end() for dot in re.finditer(r"\.", module))))
        found = [self._names[end] for end in ends if end in self._names]
        found += [(place, number) for place, regex, number in self._others if regex.fullmatch(module)]
        return min(found)[1] if found else otherwise
