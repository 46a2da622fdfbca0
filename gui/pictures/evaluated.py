"""What an evaluation found, as pictures and tables show it. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.evaluate.scores import Scores
from core.evaluate.verdict.comparison import Comparison

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Models on one data set, as far as they are scored.

    Attributes:
        data: the file.
        reference: the path, as it was given, of the model with which the others are compared.
        scores: of each model, in the order of the table; the reference's is among them where there are
            comparisons.
        comparisons: of each other model with the reference, in the order of `scores`. What they call a model
            is `Scores.name`.
        names: of each of `scores`, as short as they can be told apart.
        texts: what each row of the data says, for people to read, in the order of the arrays in `scores`. [N]
    """

    data: Path
    reference: str
    scores: tuple[Scores, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def reference_scores(self) -> Scores | None:
        """Those of the reference; None while it has none."""
        return next((one for one in self.scores if one.path == self.reference), None)
