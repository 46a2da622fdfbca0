"""Parts of a large JSON file, without parsing the rest: a tokenizer's merges are most of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["parts_of"]

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+"
_ONE_DEEP = rb'(?:[^"\[\]{}]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})*+"
_INSIDE = re.compile(_ONE_DEEP, re.DOTALL)
_SKIPPED = (b"merges",)
_MOST_FOUND = 100


def parts_of(data: bytes, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each list or object in `data` that one of `keys` holds, at any depth, with its key.

    Lists and objects in it have only plain values in them. What looks like a key within such a part, or in
    the merges, is text of the tokenizer's. Nothing is looked for behind the first part of each key.

    Raises:
        ValueError: such a part does not end or is nested more deeply, or there are too many.
    """
    names = b"|".join([*(key.encode() for key in keys), *_SKIPPED])
    bulk = re.compile(rb'"(' + names + rb')"\s*+:\s*+(?=[\[{])')
    at, count, left = 0, 0, set(keys)
    while left and (found := bulk.search(data, at)):
        count += 1
        if count > _MOST_FOUND:
            raise ValueError("has too many parts of one name")
        inside = _INSIDE.match(data, found.end() + 1)
        end = len(data) if inside is None else inside.end() + 1
        if end > len(data) or data[end - 1 : end] not in (b"]", b"}"):
            raise ValueError("is not valid JSON")
        if found[1] not in _SKIPPED:
            yield found[1].decode(), data[found.end() : end]
            left.discard(found[1].decode())
        at = end
