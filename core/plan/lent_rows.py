"""Rows that a recipe names for tokens, as mergekit's `tokenizer.tokens`: lent by one model to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from core.errors import RecipeError
from core.plan.token_rows import RowMap
from core.recipe.tokenizer_section import TokenRow
from core.text import shown
from core.tokenizer.union import NO_ROW, TokenTable
from core.tokenizer.vocabulary import Vocabulary

__all__ = ["Lender", "lend"]

_ZERO_ROW = -2


class Lender(NamedTuple):
    """A model whose row others get.

    Attributes:
        number: of the input.
        name: how it is called.
        vocabulary: its tokens.
        rows: how many it has.
    """

    number: int
    name: str
    vocabulary: Vocabulary
    rows: int


def lend(row: TokenRow, lender: Lender | None, table: TokenTable, maps: Sequence[RowMap]) -> None:
    """Give the models that lack a token, or all, the row that the recipe names.

    Args:
        row: what the recipe says.
        lender: whose row it is; None for zeros.
        table: the tokens of the result.
        maps: of each input; they are changed.

    Raises:
        RecipeError: the result lacks the token, or the lender the row.
    """
    place = next((at for at, key in table.tokens.items() if key == (row.token, 0)), None)
    if place is None:
        raise RecipeError(
            f"tokenizer.tokens: the result has no token {shown(row.token)}",
            hint="write it as the tokenizers of the models have it",
            field="tokenizer",
        )
    number = _ZERO_ROW if lender is None else _row_of(row, lender)
    for one in maps:
        if row.force or one.rows[place] == NO_ROW:
            one.inputs[place], one.rows[place] = one.own if lender is None else lender.number, number


def _row_of(row: TokenRow, lender: Lender) -> int:
    number = row.id_of_model
    if number is None:
        text = row.token if row.token_of_model is None else row.token_of_model
        number = next((n for n, token in lender.vocabulary.tokens.items() if token == text), None)
    if number is None or number >= lender.rows:
        said = shown(row.token_of_model or row.token)
        what = f"token {said}" if number is None else f"row {number:,}"
        raise RecipeError(
            f"tokenizer.tokens.{shown(row.token)}: {lender.name} has no {what}", field="tokenizer"
        )
    return number
