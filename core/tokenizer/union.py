"""Vocabularies of several models brought together: which tokens the result has, and whose rows make each.

Rows are matched by the text of their tokens, never by their number: fine-tuning adds tokens in whatever
order, sorts them anew, pads with rows that are no token's, or cuts these off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.tokenizer.vocabulary import Vocabulary

__all__ = ["NO_ROW", "Holder", "TokenKey", "TokenTable", "keys_of", "row_by_row", "unite"]

Rows = NDArray[np.int64]

NO_ROW = -1
"""In the place of a row that an input lacks."""

TokenKey = tuple[str, int]
"""The text of a token, and which one it is of those with that text: one, but for odd vocabularies."""


@dataclass(frozen=True)
class Holder:
    """What one input has.

    Attributes:
        vocabulary: its tokens; a token whose id is not below `rows` has no row.
        rows: of its embedding.
    """

    vocabulary: Vocabulary
    rows: int


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The vocabulary of a result.

    Attributes:
        tokens: each token by its row; rows without one are padding.
        rows: of the embedding that is written.
        maps: of each input, which of its rows is which of the result's; NO_ROW where it lacks it. [rows]
    """

    tokens: Mapping[int, TokenKey]
    rows: int
    maps: tuple[Rows, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """The rows up to the last token."""
        return max(self.tokens, default=-1) + 1

    @property
    def is_plain(self) -> bool:
        """Whether every input has every row, and in the same place."""
        same = np.arange(self.rows)
        return all(np.array_equal(one, same) for one in self.maps)


def keys_of(vocabulary: Vocabulary) -> dict[int, TokenKey]:
    """A key of every token by its id, in the order of the ids."""
    seen: dict[str, int] = {}
    keys = {}
    for number in sorted(vocabulary.tokens):
        text = vocabulary.tokens[number]
        keys[number] = text, seen.get(text, 0)
        seen[text] = keys[number][1] + 1
    return keys


def unite(
    holders: Sequence[Holder], first: Vocabulary, *, adds: bool, rows: int, multiple: int | None = None
) -> TokenTable:
    """The result's vocabulary: the ids of `first` as they are, then what others have beside it.

    A token for which no input has a row is no token of the result. What has no token is padding: it comes
    last, and a padding row of the result is that of the inputs for which the same row is padding too.

    Args:
        holders: the inputs in the order in which their tokens are added.
        first: whose tokens come first, one of the holders' or another's.
        adds: whether tokens that `first` lacks are added.
        rows: the least that the result has, whatever its tokens.
        multiple: of which the rows are one; None for any number.
    """
    known: dict[int, dict[int, TokenKey]] = {}
    for vocabulary in (first, *(holder.vocabulary for holder in holders)):
        if id(vocabulary) not in known:
            known[id(vocabulary)] = keys_of(vocabulary)
    # Most models of a merge have the same tokens, and these are many.
    distinct = {(id(holder.vocabulary), holder.rows): holder for holder in reversed(holders)}
    unlike = [distinct[key] for key in dict.fromkeys((id(one.vocabulary), one.rows) for one in holders)]
    with_row: set[TokenKey] = set()
    for holder in unlike:
        with_row |= {key for n, key in known[id(holder.vocabulary)].items() if n < holder.rows}
    of_first = known[id(first)]
    tokens = {number: key for number, key in of_first.items() if not adds or key in with_row}
    place = {key: number for number, key in tokens.items()}
    at = max(tokens, default=-1) + 1
    for holder in unlike if adds else ():
        for number, key in known[id(holder.vocabulary)].items():
            if number < holder.rows and key not in place:
                tokens[at], place[key] = key, at
                at += 1
    rows = max(rows, at)
    if multiple is not None:
        rows = -(-rows // multiple) * multiple
    made = {
        key: _map(holder, known[id(holder.vocabulary)], tokens, place, rows)
        for key, holder in distinct.items()
    }
    return TokenTable(tokens, rows, tuple(made[id(one.vocabulary), one.rows] for one in holders))


def row_by_row(sizes: Sequence[int], rows: int, multiple: int | None = None) -> TokenTable:
    """Where tokens are not known: row n of every input that has one is row n of the result.

    Args:
        sizes: the rows of each input.
        rows, multiple: as of `unite`.
    """
    if multiple is not None:
        rows = -(-rows // multiple) * multiple
    numbers = np.arange(rows)
    return TokenTable({}, rows, tuple(np.where(numbers < size, numbers, NO_ROW) for size in sizes))


def _map(
    holder: Holder,
    keys: Mapping[int, TokenKey],
    tokens: Mapping[int, TokenKey],
    place: Mapping[TokenKey, int],
    rows: int,
) -> Rows:
    found = np.full(rows, NO_ROW, np.int64)
    padding = np.ones(rows, bool)
    padding[holder.rows :] = False
    padding[[number for number in (*keys, *tokens) if number < rows]] = False
    found[padding] = np.nonzero(padding)[0]
    for number, key in keys.items():
        at = place.get(key)
        if at is not None and number < holder.rows:
            found[at] = number
    return found
