"""In which words one answer differs from another. No Qt."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

__all__ = ["Difference", "difference"]

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORDS = re.compile(rf"[{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+|[^\w\s]")
"""Words, signs, and what is written without spaces character by character."""

_MOST_WORDS = 3000
"""That are compared: with twice as many it takes four times as long."""


@dataclass(frozen=True)
class Difference:
    """What is not as in the reference.

    Attributes:
        spans: where words begin and end that the reference has not in that place, in order.
        words: how many words are others, more or fewer.
        whole: whether all of both was compared.
    """

    spans: tuple[tuple[int, int], ...]
    words: int
    whole: bool = True


def difference(reference: str, text: str, *, unfinished: bool = False) -> Difference:
    """The words of `text` that are not in `reference`, in difflib's matching of the two.

    Spaces and line breaks do not count.

    Args:
        reference, text: two answers.
        unfinished: whether more of `text` is to come: what it has not said yet is not missing then.
    """
    before = _WORDS.findall(reference)
    found = list(_WORDS.finditer(text))
    whole = max(len(before), len(found)) <= _MOST_WORDS
    before, found = before[:_MOST_WORDS], found[:_MOST_WORDS]
    matcher = difflib.SequenceMatcher(None, before, [word.group() for word in found], autojunk=False)
    spans, words = [], 0
    for kind, begin, end, first, last in matcher.get_opcodes():
        if kind == "equal" or (unfinished and kind == "delete" and last == len(found)):
            continue
        words += max(end - begin, last - first) if not unfinished or last < len(found) else last - first
        if last > first:
            spans.append((found[first].start(), found[last - 1].end()))
    return Difference(tuple(spans), words, whole)
