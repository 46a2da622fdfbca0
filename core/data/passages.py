"""Plain text as passages: rows that are the same for every model, whatever its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MOST_CHARACTERS", "passages"]

MOST_CHARACTERS = 2000
"""Of a passage: about 500 tokens of English."""

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")


def passages(text: str) -> Iterator[tuple[int, str]]:
    """The passages of `text`, each with the line that it begins in.

    A passage is as many whole paragraphs as MOST_CHARACTERS hold. A paragraph that is longer is cut at the
    last end of a line before that, else at the last blank, else anywhere. Blanks around a passage are left
    out, and line ends are \\n. Passages are cut by characters and not by tokens, so that two models with
    different tokenizers are compared on the same rows.
    """
    text = text.replace("\r\n", "\n")
    start = len(text) - len(text.lstrip())
    line = 1 + text.count("\n", 0, start)
    end = len(text.rstrip())
    while start < end:
        stop = _stop(text, start, end)
        yield line, text[start:stop].rstrip()
        begins = stop
        while begins < end and text[begins].isspace():
            begins += 1
        line += text.count("\n", start, begins)
        start = begins


def _stop(text: str, start: int, end: int) -> int:
    most = start + MOST_CHARACTERS
    if end <= most:
        return end
    stop = -1
    for found in _PARAGRAPHS.finditer(text, start, min(end, most + 1)):
        stop = found.start()
    if stop > start:
        return stop
    for cut in (text.rfind("\n", start, most + 1), text.rfind(" ", start, most + 1)):
        if cut > start:
            return cut
    return most
