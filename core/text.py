"""Names and values as messages show them: short, on one line, and never an error themselves."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import Any

__all__ = ["is_text", "nearest", "one_line", "shown"]

_LONGEST_NAME = 100
"""That a known name is looked for for: of one that fills a file that would take seconds."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_text(name: str) -> bool:
    """Whether `name` can be written as UTF-8; half a surrogate pair or an undecodable file name cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: str) -> str:
    """`text` with its line ends, control characters and undecodable bytes written as escapes."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def nearest(name: Any, known: Iterable[str]) -> str | None:
    """The question whether the known name most like `name` was meant; None where there is none like it."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return None
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else None


def shown(value: Any) -> str:
    """`value` as a recipe has it, cut to what a sentence can hold."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        return _SHORT.repr(value)
    except ValueError:  # an int of more digits than Python will print
        return "a number of thousands of digits"


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlong = 40
