"""Whether the rows of the inputs are the same tokens, and what becomes of them where they are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.checkpoint.model import Checkpoint
from core.errors import IncompatibleError, RecipeError
from core.plan.adapting import adapted_tensors
from core.plan.lent_rows import Lender, lend
from core.plan.token_ids import tokenizer_folder
from core.plan.token_rows import RowMap, TokenRows, are_telling, vocabulary_rows
from core.plan.vocabulary_plan import VocabularyPlan
from core.recipe.recipe import Recipe
from core.recipe.references import same_folder
from core.recipe.tokenizer_section import TokenRow
from core.sources.factor_cache import FactorCache
from core.text import one_line
from core.tokenizer.union import NO_ROW, Holder, TokenTable, row_by_row, unite
from core.tokenizer.vocabulary import Vocabulary, read_vocabulary, vocabulary_digest

__all__ = ["plan_vocabulary"]

_MOST_NAMED = 4


def plan_vocabulary(
    recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None, names: Mapping[Path, str]
) -> VocabularyPlan | None:
    """How rows are matched; None where they are the same in all inputs, or are merged as they are.

    Args:
        recipe: what is asked.
        models, base: the inputs.
        names: how their folders are called.

    Raises:
        IncompatibleError: the vocabularies differ in a way that the recipe has to decide.
        RecipeError: it asks for a row that is not there.
        CheckpointError: a tokenizer's file cannot be read.
    """
    return _Planning(recipe, models, base, names).done()


class _Planning:
    def __init__(
        self, recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None, names: Mapping[Path, str]
    ) -> None:
        self._recipe, self._base = recipe, base
        self._inputs = [*models, *([base] if base else [])]
        self._names = tuple(model.name for model in self._inputs)
        self._name_of = names
        self._first = len(self._inputs) - 1 if base else 0
        self._section = recipe.tokenizer
        self._is_asked = recipe.unites or recipe.tokenizer_source is not None
        self._is_telling = False
        self._notes: list[str] = []
        self._unread = ""
        self._folders = list(map(tokenizer_folder, self._inputs))

    def done(self) -> VocabularyPlan | None:
        shapes = list(map(_shapes, self._inputs))
        sizes = [
            vocabulary_rows(of_model, model.config)
            for of_model, model in zip(shapes, self._inputs, strict=True)
        ]
        known = [size for size in sizes if size is not None]
        source = self._recipe.tokenizer_source
        folders = self._folders
        every = [*folders, *([source] if source is not None and source not in folders else [])]
        full = self._is_asked or len(set(known)) > 1
        digests = {folder: vocabulary_digest(folder, full=full) for folder in dict.fromkeys(every)}
        same_rows = len(set(known)) == 1
        plain = self._section is None or not (self._section.tokens or self._section.pad_to_multiple_of)
        if same_rows and plain and len(set(digests.values())) == 1:
            return None
        if len(known) < len(sizes):
            self._refuse_unknown(sizes, digests.values())
            return None
        self._is_telling = all(map(are_telling, shapes, known))
        vocabularies = self._read(every)
        if vocabularies is None:
            return self._by_number(known, same_rows, plain)
        own = vocabularies[: len(folders)]
        if source is not None:
            at = folders.index(source) if source in folders else None
            first = vocabularies[at if at is not None else -1]
            # Rows that others have for no token of it would be zeros, which a head makes likely tokens of.
            is_less = at is None and first.size < own[self._first].size
            least = 0 if is_less else known[self._first if at is None else at]
            return self._plan(own, known, first, at, least, adds=False)
        if not self._is_asked:
            unlike = self._unlike(own, known)
            if unlike is not None and same_rows:
                return None
            if unlike is not None:
                raise unlike
        return self._plan(own, known, own[self._first], self._first, max(known), adds=True)

    def _refuse_unknown(self, sizes: Sequence[int | None], digests: Iterable[object]) -> None:
        """Refuse what is asked of rows that are not found, where they are not the same in all inputs."""
        if not self._is_asked or len({digest for digest in digests if digest is not None}) < 2:
            return
        at = sizes.index(None)
        key = self._recipe.tokens_key
        raise IncompatibleError(
            f"{key} asks to match the rows of tokens, and the embedding of {self._names[at]} is not found: "
            "no tensor has the name of one, or as many rows as config.json says under vocab_size",
            hint=f"write vocab_size into that config.json, or leave {key} out where the same rows are the "
            "same tokens",
            path=self._inputs[at].folder,
            field=key,
        )

    # -- reading

    def _read(self, folders: Sequence[Path]) -> list[Vocabulary] | None:
        """The tokens of each folder; None where those of one cannot be told."""
        found: list[Vocabulary | None] = []
        distinct: list[Vocabulary] = []
        of_digest: dict[object, Path] = {}
        for folder in folders:
            digest = vocabulary_digest(folder, full=True)
            one = None if digest is None else _tokens(of_digest.setdefault(digest, folder), digest)
            if digest is not None and one is None:
                self._unread = self._called(folder)
                return None
            if one is not None:
                same = next((other for other in distinct if other.tokens == one.tokens), None)
                if same is None:
                    distinct.append(one)
                one = same or one
            found.append(one)
        lacking = [folder for folder, one in zip(folders, found, strict=True) if one is None]
        order = [self._first, *range(len(found))]
        stand_in = next((at for at in order if found[at] is not None), None)
        if stand_in is None:
            self._unread = self._called(folders[0])
            return None
        for folder in lacking:
            self._notes.append(
                f"{self._called(folder)} has no tokenizer: its rows are taken for the tokens of "
                f"{self._called(folders[stand_in])}"
            )
        instead = found[stand_in]
        assert instead is not None
        return [one or instead for one in found]

    def _called(self, folder: Path) -> str:
        at = next((at for at, own in enumerate(self._folders) if own == folder), None)
        return self._names[at] if at is not None else self._name_of.get(folder, folder.name)

    # -- deciding

    def _by_number(self, sizes: list[int], same_rows: bool, plain: bool) -> VocabularyPlan | None:
        """Where tokens are not known."""
        if not self._is_asked or (same_rows and plain):
            return None
        if self._section is not None and self._section.tokens:
            raise RecipeError(
                "tokenizer.tokens names tokens, and those of the models cannot be read",
                hint="put the tokenizer.json of each model into its folder",
                field="tokenizer",
            )
        source = self._recipe.tokenizer_source
        folders = self._folders
        at = folders.index(source) if source is not None and source in folders else None
        rows = sizes[at] if at is not None else sizes[self._first] if source is not None else max(sizes)
        table = row_by_row(sizes, rows, self._section.pad_to_multiple_of if self._section else None)
        self._notes.append(
            f"the tokens of {self._unread} cannot be read from its files, so embeddings are "
            "merged row by row: see that the same rows mean the same tokens"
        )
        return self._made(table, sizes, None, at)

    def _unlike(self, vocabularies: Sequence[Vocabulary], sizes: Sequence[int]) -> IncompatibleError | None:
        """What is in the way of a union that nobody asked for: a tokenizer that is not the base's and own."""
        reference = vocabularies[self._first]
        for at, one in enumerate(vocabularies):
            if one is reference:
                continue
            unlike = (n for n in sorted(reference.tokens) if one.tokens.get(n) != reference.tokens[n])
            differing = next(unlike, None)
            if differing is None:
                continue
            name, first = self._names[at], self._names[self._first]
            theirs = one.tokens.get(differing)
            is_base = self._base is not None and at == self._first
            told = "no token" if theirs is None else _token(theirs)
            return IncompatibleError(
                f"{name} has {sizes[at]:,} rows and {first} {sizes[self._first]:,}, and the tokenizer of "
                f"{name} is not that of {first} with tokens of its own: id {differing:,} is "
                f"{_token(reference.tokens[differing])} in {first} and {told} in {name}",
                hint="write `vocab: union` to keep the tokens of all models, or `vocab: base` to keep the "
                "base's alone: rows of the same tokens are merged then (`tokenizer: {source: …}` says more)",
                path=self._inputs[at].folder,
                field="base_model" if is_base else "models",
                entry=None if is_base else at,
            )
        return None

    def _plan(
        self,
        vocabularies: Sequence[Vocabulary],
        sizes: Sequence[int],
        first: Vocabulary,
        at: int | None,
        least: int,
        *,
        adds: bool,
    ) -> VocabularyPlan | None:
        order = [self._first, *(n for n in range(len(sizes)) if n != self._first)]
        holders = [Holder(vocabularies[n], sizes[n]) for n in order]
        multiple = self._section.pad_to_multiple_of if self._section else None
        in_order = unite(holders, first, adds=adds, rows=least, multiple=multiple)
        maps = tuple(in_order.maps[order.index(n)] for n in range(len(sizes)))
        table = TokenTable(in_order.tokens, in_order.rows, maps)
        return self._made(table, sizes, tuple(vocabularies), at)

    def _made(
        self,
        table: TokenTable,
        sizes: Sequence[int],
        vocabularies: tuple[Vocabulary, ...] | None,
        first: int | None,
    ) -> VocabularyPlan | None:
        maps = [
            RowMap(number, np.full(table.rows, number, np.int64), rows.copy())
            for number, rows in enumerate(table.maps)
        ]
        rows = self._section.tokens if self._section else ()
        for row in rows:
            lend(row, self._lender(row, vocabularies or (), sizes), table, maps)
        if table.is_plain and not rows and set(sizes) == {table.rows}:
            return None
        plan = VocabularyPlan(
            table,
            TokenRows(table.rows, tuple(sizes), tuple(maps), self._is_telling),
            self._names,
            tuple(self._folders),
            vocabularies,
            self._recipe.tokenizer_source,
            first if first is not None or self._recipe.tokenizer_source is not None else self._first,
            self._base is not None,
        )
        self._say(plan)
        return replace(plan, notes=tuple(self._notes))

    def _lender(
        self, row: TokenRow, vocabularies: Sequence[Vocabulary], sizes: Sequence[int]
    ) -> Lender | None:
        """The model whose row it is; None for zeros."""
        if row.model is None:
            return None
        named = [*(entry.path for entry in self._recipe.models), *filter(None, [self._recipe.base])]
        at = next(at for at, path in enumerate(named) if same_folder(row.model, path))
        return Lender(at, self._names[at], vocabularies[at], sizes[at])

    def _say(self, plan: VocabularyPlan) -> None:
        if plan.vocabularies is None:
            return
        for name, size, one in zip(plan.names, plan.rows.sizes, plan.vocabularies, strict=True):
            beyond = [text for number, text in one.tokens.items() if number >= size]
            if beyond:
                self._notes.append(
                    f"{name} has no row for {_listed(map(_token, beyond))}: its embedding has {size:,} rows, "
                    "and the tokenizer gives later ones"
                )
        if not self._is_asked:
            self._notes.append(
                f"the vocabularies differ and are united, as `vocab: union` says: the result has "
                f"{plan.rows.rows:,} rows, each merged from the models that have its token"
            )
        empty = np.all([one.rows == NO_ROW for one in plan.rows.maps], axis=0)
        nobody = [plan.table.tokens[at][0] for at in np.nonzero(empty)[0].tolist() if at in plan.table.tokens]
        if nobody:
            what = "its row in the result is" if len(nobody) == 1 else "their rows in the result are"
            self._notes.append(f"no model has a row for {_listed(map(_token, nobody))}: {what} zero")
        left = [change.token for change in plan.changes if change.what == "left out"]
        if left:
            self._notes.append(
                f"the result leaves out {_listed(map(_token, left))}, as its vocabulary lacks them"
            )


def _shapes(model: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Of the tensors of a model; an adapter may bring an embedding with more rows than its model's."""
    shapes = {name: one.shape for name, one in model.tensors.items()}
    if model.under is not None and any(adapter.whole for adapter in model.adapters):
        changed = adapted_tensors(model, model.tensors, {}, FactorCache())
        shapes |= {name: one.stored.shape for name, one in changed.items()}
    return shapes


@lru_cache(maxsize=64)
def _tokens(folder: Path, digest: object) -> Vocabulary | None:
    """The tokens in the files of that digest, which are not parsed twice."""
    return read_vocabulary(folder)


def _token(text: str) -> str:
    return f'"{one_line(text[:80])}"'


def _listed(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    if len(every) <= _MOST_NAMED + 1:
        return ", ".join(every)
    return f"{', '.join(every[:_MOST_NAMED])} and {len(every) - _MOST_NAMED:,} others"
