"""Names and values as messages show them: short, on one line, and never an error themselves."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import Any

__all__ = ["cut", "is_text", "message_text", "natural_key", "nearest", "one_line", "shown"]

_LONGEST_NAME = 100
"""That a known name is looked for for: of one that fills a file that would take seconds."""

_MOST = 2000
"""Characters of one message, which may quote what others wrote."""

_DIGITS = frozenset("0123456789")
_PARTS = re.compile(r"[0-9]+|[^0-9]+")

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
_FORMATS = (
    "\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's format characters (category Cf: direction, joining, tags) but for those that draw something, as
the Arabic signs around numbers do, and the supplementary variation selectors."""
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0"
"""Letters and marks that draw nothing."""

# What some scripts and pictures need stays: a joiner between two characters beyond Latin, which Persian, the
# scripts of India and composed emoji have, and a variation selector after an emoji, a sign or a key cap.
_UNSEEN = re.compile(
    f"(?<=[^{_CONTROLS}{_FORMATS}\x00-\u02ff])(?P<joins>[\u200c\u200d])(?=[^{_CONTROLS}{_FORMATS}\x00-\u02ff])"
    "|(?<=[#*0-9\xa9\xae\u2000-\u329f\U0001f000-\U0001faff])(?P<varies>[\ufe0e\ufe0f])"
    f"|[{_CONTROLS}{_FORMATS}{_BLANKS}]"
)


def is_text(name: str) -> bool:
    """Whether `name` can be written as UTF-8; half a surrogate pair or an undecodable file name cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts names as people count: "model-2" before "model-10", whatever their case."""
    parts = (part.lstrip("0") if part[0] in _DIGITS else part for part in _PARTS.findall(name.casefold()))
    return [(-1 if part[:1] and part[0] not in _DIGITS else len(part), part) for part in parts], name


def one_line(text: str) -> str:
    """`text` with everything in it that is not seen written as escapes.

    These are line ends, control and format characters (the direction of writing, zero width, tags), and
    undecodable bytes: none of them can steer a terminal, or make a name look like another.
    """
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_escaped, text)


def cut(text: str, most: int = _MOST) -> str:
    """`text`, or its beginning and end with an ellipsis between them: at most `most` characters."""
    if len(text) <= most:
        return text
    ahead = most // 2
    return f"{text[:ahead]}…{text[len(text) - (most - ahead - 1) :]}"


def message_text(text: str) -> str:
    """A message as it is shown: on one line, and of a length that can be read."""
    return cut(one_line(cut(text)))


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


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found.lastgroup else found[0].encode("unicode_escape").decode()


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlong = 40
