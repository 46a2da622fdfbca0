"""What a merge dropped of the task vectors and elected against, in words and tables. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.deltas.findings import Findings, Part
from core.units import share_text
from gui.pictures.table import Table
from gui.pictures.texts import capital, parameters_text

__all__ = [
    "LEFT_OUT",
    "ZERO_DELTAS",
    "What",
    "left_out_shares",
    "left_out_table",
    "left_out_text",
    "text_of_left_out",
]


@dataclass(frozen=True)
class What:
    """What the map can show.

    Attributes:
        name: of what a merge left out of the task vectors, as Findings calls it; "" for zero deltas.
        label: in the field. title: of the picture. unit: of its scale.
        sentence: what is shown, and of whom. bright: where it is bright.
    """

    name: str
    label: str
    title: str
    unit: str
    sentence: str
    bright: str


ZERO_DELTAS = What(
    "",
    "Zero deltas",
    "What fine-tuning left as it was",
    "% zero deltas",
    "Share of zero deltas",
    "Bright is where training changed most.",
)
LEFT_OUT = (
    What(
        "dropped",
        "Dropped",
        "What the merge dropped of the changes",
        "% dropped",
        "Share of parameters whose change the merge with {} dropped",
        "Bright: few.",
    ),
    What(
        "elected_against",
        "Elected against",
        "What has another sign than the elected one",
        "% elected against",
        "Share of parameters whose change the merge with {} left out for its sign",
        "Bright: few.",
    ),
)


def left_out_shares(part: Part, models: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shares of each sub-model that were dropped and elected against, NaN where none were. [K] each"""
    nothing = np.full(models, np.nan)
    if part.left_out is None:
        return nothing, nothing
    dropped, against = part.left_out.dropped_share, part.left_out.elected_against_share
    return nothing if dropped is None else dropped, nothing if against is None else against


def left_out_text(part: Part) -> str:
    """ "79.9 % dropped, 3.1 % elected against", means over the sub-models; "" where nothing was left out."""
    if part.left_out is None or not part.left_out.elements:
        return ""
    shares = (part.left_out.dropped_share, part.left_out.elected_against_share)
    named = zip(shares, ("dropped", "elected against"), strict=True)
    return ", ".join(
        f"{share_text(float(share.mean()))} {what}" for share, what in named if share is not None
    )


def text_of_left_out(what: What, part: Part, models: Sequence[str], model: int | None) -> str:
    """How much of some tensors was left out, of all sub-models and of the one that is selected."""
    assert part.left_out is not None
    share, words = getattr(part.left_out, f"{what.name}_share"), what.label.lower()
    text = f"{capital(part.place)}: {share_text(float(share.mean()))} {words}"
    if model is not None:
        text += f", {share_text(float(share[model]))} in {models[model]}"
    if len(share) > 1:
        text += f", {share_text(float(share.min()))} to {share_text(float(share.max()))} in the sub-models"
    return f"{text}; {parameters_text(part.left_out.elements)}"


def left_out_table(name: str, findings: Findings) -> Table:
    """The shares of every cell and sub-model."""
    shares = {what.label.lower(): findings.left_out_share(what.name) for what in LEFT_OUT}
    headings = [f"{model} {label}" for label in shares for model in findings.models]
    rows = [
        [
            findings.grid.columns[column].label,
            findings.grid.kinds[kind],
            findings.left_out[column, kind].elements,
            *(share for each in shares.values() for share in each[column, kind]),
        ]
        for column, kind in sorted(findings.left_out)
    ]
    return Table(name, ["layer", "kind", "parameters merged", *headings], rows)
