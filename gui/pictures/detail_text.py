"""What the detail says in words and tables. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.deltas.findings import Part
from core.deltas.tensor_view import TensorView
from core.units import share_text
from gui.pictures.table import Table
from gui.text import grouped

__all__ = ["summary_of", "tiles_table"]


def summary_of(part: Part, view: TensorView | None) -> str:
    """What is known of some cells, or of one tensor that was viewed, on one line."""
    texts = []
    if len(part.tensors) == 1:
        texts.append(part.tensors[0])
    else:
        texts.append(f"{grouped(len(part.tensors))} tensors")
    if view is not None:
        texts.append(" × ".join(grouped(size) for size in view.shape) or "one number")
    if part.counts is not None:
        texts.append(f"{grouped(part.counts.parameters)} parameters")
        texts.append(f"{share_text(float(part.counts.mean_zero_delta.value))} zero deltas")
    if part.drawn is not None and part.drawn.elements:
        texts.append(f"{share_text(float(part.drawn.left[-1]))} of the result as in the base")
    details = part.details
    if details is not None and details.models > 1:
        cosines = details.cosine.value[np.triu_indices(details.models, 1)]
        known = cosines[np.isfinite(cosines)]
        if known.size:
            texts.append(f"cosines {known.min():.2f} to {known.max():.2f}".replace("-", "−"))
        both = float(np.triu(details.total("both_changed"), 1).sum())
        if both:
            differ = float(np.triu(details.total("signs_differ"), 1).sum())
            texts.append(f"signs differ in {share_text(differ / both)}")
    return " · ".join(texts)


def tiles_table(name: str, view: TensorView, models: Sequence[str]) -> Table:
    """The share of zero deltas in each tile, of each sub-model."""
    share = view.share
    rows = [
        [view.name, int(view.rows[r]), int(view.columns[c]), *(1 - share[:, r, c])]
        for r in range(share.shape[1])
        for c in range(share.shape[2])
    ]
    return Table(name, ["tensor", "first row", "first column", *models], rows)
