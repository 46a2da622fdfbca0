"""The table of a study: what it is asked to look at, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.recipe.recipe import Recipe
from core.study.cross_fitting import Halves
from core.study.family import LAMBDAS, Family, recipe_models, seeds_of
from core.study.rows import MeasuredModel, MeasuredRow, median_of

__all__ = ["Options", "Table", "alike", "merges_of", "models_of"]


@dataclass(frozen=True)
class Options:
    """What a study looks at.

    Attributes:
        ns: numbers of resamples, ascending; 0 is the plain selection.
        seeds: how many draws of each merge that draws.
        float32: folders of the sub-models as they were before they were rounded; () where there are none.
        soup: whether to make a greedy soup, of at most 2 (K − 1) merges.
        lambdas: by which the controls multiply task vectors; the first is 1.
        higher_is_better: of the user's own scores.
        changed: of so many samples that changed most the text is kept.
    """

    ns: tuple[int, ...] = (0, 1, 2, 4)
    seeds: int = 5
    float32: tuple[Path, ...] = ()
    soup: bool = True
    lambdas: tuple[float, ...] = LAMBDAS
    higher_is_better: bool = True
    changed: int = 20


@dataclass(frozen=True)
class Table:
    """What was measured.

    Attributes:
        rows: in the order in which they are shown; that of the single models first, after the base.
        singles: the sub-models. [K]
        median: which of them is the reference, from 0.
        halves: of the samples, for what was chosen. [N] each
        ns: the row of each n.
        lambdas: what each half chose, by the control's key.
    """

    rows: tuple[MeasuredRow, ...]
    singles: tuple[MeasuredModel, ...]
    median: int
    halves: Halves
    ns: dict[int, MeasuredRow]
    lambdas: dict[str, tuple[float, float]]

    @property
    def reference(self) -> MeasuredModel:
        return self.singles[self.median]

    @property
    def reference_right(self) -> MeasuredModel | None:
        """The single model with the median of right answers; None where answers are neither right nor wrong.

        That of the median loss may have many or few of them by chance: every merge would hurt or help then.
        """
        right = [one.scores.correct for one in self.singles]
        shares = [float(one.mean()) for one in right if one is not None]
        if len(shares) < len(right):
            return None
        return self.singles[median_of([-share for share in shares])]

    @property
    def best_merge(self) -> MeasuredRow | None:
        """The merge that the study speaks of; None where there is none.

        It is chosen as the controls' λ are, on one half of the samples for the other, so that choosing among
        merges brings it no luck that its controls do not have. Where both halves choose the same, it is that
        row, which then has the least loss of all on all samples too.
        """
        chosen = next((row for row in self.rows if row.chosen_rows), None)
        return chosen or min(merges_of(self.rows, self.singles), key=self.cost, default=None)

    @property
    def best_of_one_recipe(self) -> MeasuredRow | None:
        """The merge of least loss on all samples whose models are of one recipe: what figures can show."""
        merges = [row for row in merges_of(self.rows, self.singles) if not row.by_halves]
        return min(merges, key=self.cost, default=None)

    @property
    def best_average_or_selection(self) -> MeasuredRow | None:
        """The same of the average and the selections, which can be made of other sub-models as well."""
        merges = [row for row in self.rows if row.key == "average" or row in self.ns.values()]
        return min(merges, key=self.cost, default=None)

    def cost(self, row: MeasuredRow) -> float:
        """What merges are ranked by: the mean loss, or bits a byte where tokenizers differ."""
        return row.scores.mean_loss if alike(self.rows) else row.scores.mean_bits_per_byte


def merges_of(rows: Sequence[MeasuredRow], singles: Sequence[MeasuredModel]) -> list[MeasuredRow]:
    """Of which one may be the best. A soup of one model is none, and what was chosen of them neither."""
    alone = {single.model.key for single in singles}
    return [
        row
        for row in rows
        if row.kind in ("merge", "soup")
        and not row.chosen_rows
        and not {one.model.key for one in row.members} <= alone
    ]


def alike(rows: Sequence[MeasuredRow]) -> bool:
    """Whether losses can be compared: of language models those of one tokenizer alone can."""
    tokenizers = {one.scores.tokenizer_digest for one in rows if one.kind != "base"}
    return len(tokenizers) == 1 or all(row.scores.task != "causal" for row in rows)


def models_of(family: Family, recipe: Recipe, options: Options) -> int:
    """About how many models the table will have to measure."""
    count, seeds = len(family.models), options.seeds
    own = len(recipe_models(recipe, options.ns, seeds_of(recipe, seeds)))
    scaled = len(options.lambdas) - 1
    merges = 2 + len(options.ns) * seeds + scaled + (count - 1 if options.soup else 0) if count > 1 else 0
    float32 = len(options.float32) + 1 + 2 * seeds if options.float32 else 0
    return 1 + count + merges + scaled + own + float32
