"""How the vocabularies of the inputs become that of the result, as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.plan.row_part import RowPart
from core.plan.token_rows import TokenRows
from core.text import one_line
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
        rows: (model, its row) of each sub-model whose row is merged, or of the base where that alone has it.
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
        has_base: whether the last input is a base.
        notes: sentences for the user.
    """

    table: TokenTable
    rows: TokenRows
    names: tuple[str, ...]
    folders: tuple[Path, ...]
    vocabularies: tuple[Vocabulary, ...] | None
    source: Path | None
    first: int | None
    has_base: bool
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def changes(self) -> tuple[TokenChange, ...]:
        """What is not the same in all inputs: added tokens by their rows, those left out, and moved ones."""
        if self.vocabularies is None:
            return ()
        maps = np.stack([one.rows for one in self.rows.maps])
        numbers = np.arange(self.rows.rows)
        moved = ((maps >= 0) & (maps != numbers)).any(axis=0)
        reference = self.first if self.first is not None else len(self.names) - 1
        added = self.table.maps[reference] == NO_ROW
        return (*self._changed(added, "added"), *self._left_out(), *self._changed(moved & ~added, "moved"))

    def _changed(self, which: NDArray[np.bool_], what: str) -> list[TokenChange]:
        numbers = (number for number in np.nonzero(which)[0].tolist() if number in self.table.tokens)
        return [TokenChange(self.table.tokens[n][0], n, what, self._origin(n)) for n in numbers]

    def _origin(self, row: int) -> tuple[tuple[str, int], ...]:
        having = [one for one in self.rows.maps if one.rows[row] >= 0]
        if self.has_base and len(having) > 1 and having[-1] is self.rows.maps[-1]:
            having.pop()
        return tuple((self.names[int(one.inputs[row])], int(one.rows[row])) for one in having)

    def _left_out(self) -> list[TokenChange]:
        kept = {key[0] for key in self.table.tokens.values()}
        complete = {id(one) for one in self.vocabularies or () if kept.issuperset(one.tokens.values())}
        left: dict[str, list[tuple[str, int]]] = {}
        for name, size, vocabulary in zip(self.names, self.rows.sizes, self.vocabularies or (), strict=True):
            for number, text in () if id(vocabulary) in complete else vocabulary.tokens.items():
                if text not in kept and number < size:
                    left.setdefault(text, []).append((name, number))
        return [TokenChange(text, None, "left out", tuple(rows)) for text, rows in left.items()]

    @property
    def counts_text(self) -> str:
        """ "1 token added, 2 moved"."""
        if self.vocabularies is None:
            return "matched by their numbers"
        kinds = [change.what for change in self.changes]
        said = [(kinds.count(what), what) for what in dict.fromkeys(("added", "left out", "moved"))]
        said = [(count, what) for count, what in said if count] or [(0, "added")]
        first, *rest = said
        tokens = f"{first[0]:,} token{'' if first[0] == 1 else 's'} {first[1]}"
        return ", ".join([tokens, *(f"{count:,} {what}" for count, what in rest)])

    @staticmethod
    def origin_text(change: TokenChange, most: int, number: Callable[[int], str] = "{:,}".format) -> str:
        """Whose rows make a token: "from lm 32,000 and math 5"; of at most so many models."""
        if not change.rows:
            return "zeros"
        rows = list(dict.fromkeys(change.rows))  # several models may be given the row of one
        said = [f"{one_line(name)} {number(row)}" for name, row in rows[:most]]
        said += [f"{number(len(rows) - most)} more"] if len(rows) > most else []
        listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
        return f"from {listed}" if change.row is not None else f"in {listed}"

    def note_on(self, parts: Sequence[RowPart], method: str) -> str:
        """What the ledger says of a tensor that is cut into `parts`, and is merged by `method`."""
        how = "their tokens" if self.vocabularies is not None else "their numbers"
        text = f"{self.rows.rows:,} rows, matched by {how}"
        if not parts:
            return f"{text}, all of them in every input"
        if any(part.present and part.job.method != method for part in parts):
            return f"{text}; those that some inputs lack are averaged with equal weights"
        return text
