"""The rows of a study: which models they are of, and how the chosen ones are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.dtypes import DTYPES
from core.errors import Cancelled, DataError, IncompatibleError, MergeError, RecipeError
from core.evaluate.statistics.resampling import groups_as_numbers, halves
from core.recipe.recipe import Recipe
from core.study.cross_fitting import Halves, chosen_by_halves, greedy_soup
from core.study.family import Family, StudyModel, float32_family, recipe_models, seeds_of
from core.study.measuring import Measuring
from core.study.rows import MeasuredModel, MeasuredRow, median_of, of_halves, of_models, of_rows
from core.study.table import Options, Table, alike, merges_of

__all__ = ["table_of"]

_FLOAT32 = DTYPES["F32"]


def table_of(
    family: Family,
    recipe: Recipe,
    options: Options,
    measuring: Measuring,
    *,
    digest: str,
    groups: Sequence[str] | None,
) -> Table:
    """Measure everything, and choose.

    Args:
        family: of `recipe`.
        digest: of the validation data, by which its halves are drawn.
        groups: of the validation rows, all of them; None where each stands for itself.

    Raises:
        MergeError: a sub-model cannot be measured.
        Cancelled: as the measuring raises it.
    """
    return _Making(family, recipe, options, measuring, digest, groups).table()


class _Making:
    """One call of `table_of`."""

    def __init__(
        self,
        family: Family,
        recipe: Recipe,
        options: Options,
        measuring: Measuring,
        digest: str,
        groups: Sequence[str] | None,
    ) -> None:
        self._family, self._recipe, self._options = family, recipe, options
        self._measuring, self._digest, self._groups = measuring, digest, groups
        self._seeds = seeds_of(recipe, options.seeds)
        self._rows: list[MeasuredRow] = []
        self._lambdas: dict[str, tuple[float, float]] = {}

    def table(self) -> Table:
        family, several = self._family, len(self._family.models) > 1
        singles = self._singles(family)
        self._rows.append(of_models("single", f"single (K = {len(singles)})", "single", singles))
        self._halves = self._halved(len(singles[0].scores.loss))
        base = self._base()
        if base is not None:
            self._rows.insert(0, base)
        losses = [one.scores.mean_loss for one in singles]
        median = median_of(losses)
        average = None
        ns: dict[int, MeasuredRow] = {}
        if several:
            average = self._merged("average", "average", "merge", [family.average])
            ns = self._selections(family)
        self._own()
        if several and self._options.soup:
            self._soup(singles, average)
        self._chosen(singles)
        if several:
            self._best_single(singles)
        if average is not None:
            self._scaled("average-scaled", "average × λ", average.members[0], family.scaled_average)
        self._scaled(
            "single-scaled",
            "median single × λ",
            singles[median],
            lambda factor: family.scaled_single(median, factor),
        )
        if several:
            self._merged(
                "average-float32",
                "average in float32",
                "control",
                [lambda: family.average(out_dtype=_FLOAT32)],
            )
        if self._options.float32:
            self._float32()
        return Table(tuple(self._rows), tuple(singles), median, self._halves, ns, self._lambdas)

    # -- rows

    def _singles(self, family: Family) -> list[MeasuredModel]:
        found = []
        for model in family.singles():
            one = self._measuring.measured(model)
            if one is None:
                raise MergeError(
                    f"{model.name} cannot be compared with anything: {self._measuring.notes[-1]}",
                    hint="leave it out of the recipe, or train it again",
                    field="models",
                )
            found.append(one)
        return found

    def _base(self) -> MeasuredRow | None:
        """A base may lack what its sub-models were given, as a classifier's head."""
        try:
            base = self._measuring.measured(self._family.base_model())
        except Cancelled:
            raise
        except MergeError as error:
            self._measuring.note(f"the base is left out of the table: {error.message}")
            return None
        return None if base is None else of_models("base", "base", "base", [base])

    def _merged(
        self, key: str, title: str, kind: str, asks: Sequence[Callable[[], StudyModel]], note: str = ""
    ) -> MeasuredRow | None:
        """A row of one merge, or of one for each seed; None where one of them cannot be."""
        members = []
        for ask in asks:
            one = self._measuring.if_possible(ask, title)
            if one is None:
                return None
            members.append(one)
        self._rows.append(of_models(key, title, kind, members, note))
        return self._rows[-1]

    def _selections(self, family: Family) -> dict[int, MeasuredRow]:
        found = {}
        for n in self._options.ns:
            row = self._merged(f"selection-n{n}", _selection_title(n), "merge", self._drawn(family, n))
            if row is not None:
                found[n] = row
        return found

    def _drawn(self, family: Family, n: int) -> list[Callable[[], StudyModel]]:
        return [lambda seed=seed: family.selection(n, seed) for seed in self._seeds]  # type: ignore[misc]

    def _own(self) -> None:
        models = recipe_models(self._recipe, self._options.ns, self._seeds)
        if models:
            n = self._recipe.resamples
            title = f"the recipe: {self._recipe.method.title}{'' if n is None else f', n = {n}'}"
            self._merged("recipe", title, "merge", [lambda one=one: one for one in models])  # type: ignore[misc]

    def _soup(self, singles: Sequence[MeasuredModel], average: MeasuredRow | None) -> None:
        names = self._family.names
        known: dict[tuple[int, ...], MeasuredModel] = {(one,): single for one, single in enumerate(singles)}
        if average is not None:
            known[tuple(range(len(singles)))] = average.members[0]

        def loss_of(members: tuple[int, ...]) -> np.ndarray:
            if members not in known:
                found = self._measuring.measured(self._family.average(members))
                if found is None:
                    return np.full(len(singles[0].scores.loss), np.inf)
                known[members] = found
            return known[members].scores.loss

        losses = [single.scores.loss for single in singles]
        try:
            first, second = (greedy_soup(losses, loss_of, half) for half in self._halves)
        except (RecipeError, IncompatibleError) as error:
            self._measuring.note(f"the greedy soup is left out: {error.message}")
            return
        said = [
            f"{len(soup)} of {len(names)}: {', '.join(names[one] for one in soup)}"
            for soup in (first, second)
        ]
        note = said[0] if first == second else f"{said[0]}; by the other half {said[1]}"
        self._rows.append(
            of_halves("soup", "greedy soup", "soup", (known[first], known[second]), self._halves, note)
        )

    def _chosen(self, singles: Sequence[MeasuredModel]) -> None:
        """What halves choose among the merges, where they do not choose the same.

        A soup is chosen by halves itself: on the half that chooses, it is the one that the other has made.
        """
        merges = {row.key: row for row in merges_of(self._rows, singles)}
        if len(merges) < 2 or not alike(self._rows):
            return
        losses = {key: row.scores.loss for key, row in merges.items()}
        first, second = chosen_by_halves(losses, self._halves)
        if first != second:
            chosen = merges[first], merges[second]
            self._rows.append(of_rows("chosen", "merge", chosen, self._halves))

    def _best_single(self, singles: Sequence[MeasuredModel]) -> None:
        """What whoever merges nothing would take: the single model that each half chooses for the other."""
        scores = [single.scores for single in singles]
        if scores[0].task == "causal" and len({one.tokenizer_digest for one in scores}) > 1:
            self._measuring.note(
                "the best single model is left out: the sub-models have different tokenizers"
            )
            return
        losses = {number: single.scores.loss for number, single in enumerate(singles)}
        first, second = (singles[number] for number in chosen_by_halves(losses, self._halves))
        note = first.model.name
        if first is not second:
            note += f", by the other half {second.model.name}"
        self._rows.append(
            of_halves(
                "best-single", "best single (by halves)", "control", (first, second), self._halves, note
            )
        )

    def _scaled(
        self, key: str, title: str, plain: MeasuredModel, scaled: Callable[[float], StudyModel]
    ) -> None:
        """A control whose λ each half chooses for the other."""
        known: dict[float, MeasuredModel] = {self._options.lambdas[0]: plain}
        for factor in self._options.lambdas[1:]:
            one = self._measuring.if_possible(lambda factor=factor: scaled(factor), f"{title} of {factor:g}")  # type: ignore[misc]
            if one is not None:
                known[factor] = one
        first, second = chosen_by_halves(
            {factor: one.scores.loss for factor, one in known.items()}, self._halves
        )
        self._lambdas[key] = first, second
        said = f"λ = {first:g}" if first == second else f"λ = {first:g}, by the other half {second:g}"
        if max(first, second) == max(known) and len(known) > 1:
            said += ", the largest that was tried"
        losses = ", ".join(f"{factor:g}: {one.scores.mean_loss:.4f}" for factor, one in known.items())
        said += f" (loss on all rows by λ: {losses})"
        self._rows.append(of_halves(key, title, "control", (known[first], known[second]), self._halves, said))

    def _float32(self) -> None:
        """Sub-models without rounding have hardly a zero delta, and resampling has nothing to do."""
        family = float32_family(self._family, self._options.float32)
        singles = [self._measuring.measured(one) for one in family.singles()]
        there = [one for one in singles if one is not None]
        if there:
            title = f"single in float32 (K = {len(there)})"
            self._rows.append(of_models("float32-single", title, "control", there))
        if len(family.models) > 1:
            self._merged("float32-average", "average of float32", "control", [family.average])
            for n in dict.fromkeys((0, max(self._options.ns))):
                title = f"{_selection_title(n)} of float32"
                self._merged(f"float32-selection-n{n}", title, "control", self._drawn(family, n))

    def _halved(self, count: int) -> Halves:
        """The halves of the samples that count; what belongs together stays together."""
        kept = np.flatnonzero(self._measuring.kept)
        groups = None
        if self._groups is not None and len(self._groups) == len(self._measuring.kept):
            groups = [self._groups[row] for row in kept.tolist()]
        units = groups_as_numbers(groups, count)
        first, _ = halves(self._digest, int(units.max()) + 1)
        if not len(first):
            raise DataError(
                "the validation data have too few rows: half of them are chosen on, and half measured on",
                hint="give 2 rows or more; below 20 nothing can be said of any merge",
                field="validation",
            )
        inside = np.isin(units, first)
        return inside, ~inside


def _selection_title(n: int) -> str:
    return f"selection + n = {n}" if n else "selection"
