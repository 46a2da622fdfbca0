"""The patterns of module names in an adapter's rank_pattern and alpha_pattern.

peft takes each as a regular expression for the end of a module's name, after a dot or at its beginning
(`utils/other.py`, get_pattern_key). They come with a file from anywhere: what could take for ever is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BadPatternError", "Pattern", "read_patterns"]

_MOST_CHARACTERS = 500
_MOST_PATTERNS = 20_000
_MOST_REPEATS = 2
"""That may try every place of a name, one within the other."""

_PLAIN = re.compile(r"[\w.\-/]+", re.ASCII)
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


@dataclass(frozen=True)
class Pattern:
    """One pattern.

    Attributes:
        text: as it was written.
        regex: what is looked for.
    """

    text: str
    regex: re.Pattern[str]

    def matches(self, module: str) -> bool:
        """Whether it means the module of this name."""
        return self.regex.fullmatch(module) is not None


def read_patterns(given: Mapping[Any, Any]) -> Iterator[tuple[Pattern, Any]]:
    """Each pattern and its value, in their order. Raises BadPatternError."""
    if len(given) > _MOST_PATTERNS:
        raise BadPatternError(f"… and {len(given):,} more")
    for text, value in given.items():
        if not isinstance(text, str) or not 0 < len(text) <= _MOST_CHARACTERS:
            raise BadPatternError(text)
        if not _PLAIN.fullmatch(text) and (
            len(_REPEATS.findall(text)) > _MOST_REPEATS or _REPEATED_GROUP.search(text)
        ):
            raise BadPatternError(text)
        try:
            yield Pattern(text, re.compile(rf"(?:.*\.)?(?:{text})")), value
        except re.error as error:
            raise BadPatternError(text) from error
