"""How the vocabularies of the inputs become that of the result, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from core.plan.token_rows import TokenRows
from core.tokenizer.union import NO_ROW, TokenTable
from core.tokenizer.vocabulary import Vocabulary

__all__ = ["TokenChange", "VocabularyPlan"]


@dataclass(frozen=True)
class TokenChange:
    """A token that the base lacks, or that is in another row somewhere, or that the result lacks.

    Attributes:
        token: its text.
        row: of the result; None where the result lacks it.
        what: "added", "moved" or "left out".
        rows: (model, its row) of each input that has it and whose row is merged; the base comes last.
    """

    token: str
    row: int | None
    what: str
    rows: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class VocabularyPlan:
    """How the vocabularies of the inputs become that of the result.

    Attributes:
        table: the tokens of the result, and the rows of each input.
        rows: the same for tensors, with rows that are lent.
        names: of the inputs, the sub-models in order and then the base.
        folders: theirs.
        vocabularies: theirs; None where they are not known, and rows are matched by their numbers.
        source: the folder whose tokens these are; None for a union.
        first: the number of the input whose tokens come first; None where that is no input.
        notes: sentences for the user.
    """

    table: TokenTable
    rows: TokenRows
    names: tuple[str, ...]
    folders: tuple[Path, ...]
    vocabularies: tuple[Vocabulary, ...] | None
    source: Path | None
    first: int | None
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def changes(self) -> tuple[TokenChange, ...]:
        """What is not the same in all inputs, by the rows of the result; tokens that it lacks come last."""
        if self.vocabularies is None:
            return ()
        maps = np.stack([one.rows for one in self.rows.maps])
        numbers = np.arange(self.rows.rows)
        moved = ((maps >= 0) & (maps != numbers)).any(axis=0)
        reference = self.first if self.first is not None else len(self.names) - 1
        added = self.table.maps[reference] == NO_ROW
        found = []
        for number in np.nonzero(moved | added)[0].tolist():
            key = self.table.tokens.get(number)
            if key is not None:
                rows = self._origin(number)
                found.append(TokenChange(key[0], number, "added" if added[number] else "moved", rows))
        return (*found, *self._left_out())

    def _origin(self, row: int) -> tuple[tuple[str, int], ...]:
        return tuple(
            (self.names[int(one.inputs[row])], int(one.rows[row]))
            for one in self.rows.maps
            if one.rows[row] >= 0
        )

    def _left_out(self) -> list[TokenChange]:
        kept = {key[0] for key in self.table.tokens.values()}
        left: dict[str, list[tuple[str, int]]] = {}
        for name, size, vocabulary in zip(self.names, self.rows.sizes, self.vocabularies or (), strict=True):
            for number, text in vocabulary.tokens.items():
                if text not in kept and number < size:
                    left.setdefault(text, []).append((name, number))
        return [TokenChange(text, None, "left out", tuple(rows)) for text, rows in left.items()]

    def note_on(self, parts: Sequence[object]) -> str:
        """What the ledger says of a tensor that is cut into so many parts."""
        how = "their tokens" if self.vocabularies is not None else "their numbers"
        return f"{self.rows.rows:,} rows, matched by {how}" + (
            "" if parts else ", all of them in every input"
        )
