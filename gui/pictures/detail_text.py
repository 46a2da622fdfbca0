"""What the detail says in words and tables. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from core.deltas.findings import MergeName, Part
from core.deltas.statistics import LOWEST_EXPONENT, DeltaStatistics
from core.deltas.tensor_view import TensorView
from core.units import share_text
from gui.pictures.left_out import left_out_shares, left_out_text
from gui.pictures.table import Table
from gui.words import grouped, plural, signed_text

__all__ = ["summary_of", "tables_of"]


def summary_of(part: Part, view: TensorView | None, merge: MergeName | None) -> str:
    """What is known of some cells, or of one tensor that was viewed, on one line; `merge` has counted it."""
    texts = [part.tensors[0] if len(part.tensors) == 1 else plural(len(part.tensors), "tensor")]
    if view is not None:
        texts.append(" × ".join(grouped(size) for size in view.shape) or "one number")
    counts, details = part.counts, part.details
    if counts is not None:
        texts.append(plural(counts.parameters, "parameter"))
        if counts.parameters:
            texts.append(f"{share_text(float(counts.mean_zero_delta.value))} zero deltas")
    merged = [text for text in (left_out_text(part),) if text]
    if part.drawn is not None and part.drawn.elements:
        merged.insert(0, f"{share_text(float(part.drawn.left[-1]))} as in the base")
    if merged:
        texts.append(f"merged with {merge}: {', '.join(merged)}")
    if details is not None and details.parameters:
        texts.append(f"‖base‖ {details.base_norm.value:.3g}")
        texts += _agreement(details)
    if counts is not None and counts.total("nonfinite")[-1]:
        texts.append(f"NaN or Inf in the base: {grouped(round(float(counts.total('nonfinite')[-1])))}")
    return " · ".join(texts)


def tables_of(name: str, part: Part, models: Sequence[str], view: TensorView | None) -> list[Table]:
    """Every number, the first table a row for each sub-model; `name` begins all of their names."""
    tables = [_models_table(name, part, models)]
    if part.counts is not None:
        overlap = zip(part.counts.changed_by.value, part.counts.changed_by.error, strict=True)
        rows: list[Sequence[object]] = [[part.place, m, *numbers] for m, numbers in enumerate(overlap)]
        tables.append(Table(f"{name}-overlap", ["where", "changed by", "share", "error"], rows))
    if part.predicted is not None or part.drawn is not None:
        tables.append(_draws_table(f"{name}-resampling", part))
    if part.details is not None:
        tables.append(_pairs_table(f"{name}-agreement", part, part.details, models))
        filled = np.flatnonzero(part.details.histogram.any(axis=0)).tolist()
        rows = [[part.place, at + LOWEST_EXPONENT, *part.details.histogram[:, at]] for at in filled]
        tables.append(Table(f"{name}-histogram", ["where", "floor(log2 |τ|)", *models], rows))
    if view is not None:
        tables.append(_tiles_table(f"{name}-tiles", view, models))
    return tables


def _agreement(details: DeltaStatistics) -> list[str]:
    """The span of cosines and how often signs differ; nothing where no two changed the same."""
    texts = []
    cosines = details.cosine.value[np.triu_indices(details.models, 1)]
    known = cosines[np.isfinite(cosines)]
    if known.size:
        low, high = (signed_text(cosine, 2) for cosine in (known.min(), known.max()))
        texts.append(f"cosine {low}" if low == high else f"cosines {low} to {high}")
    both = float(np.triu(details.total("both_changed"), 1).sum())
    if both:
        differ = float(np.triu(details.total("signs_differ"), 1).sum())
        texts.append(f"signs differ in {share_text(differ / both)}")
    return texts


def _models_table(name: str, part: Part, models: Sequence[str]) -> Table:
    counts, details, drawn = part.counts, part.details, part.drawn
    nothing = np.full(len(models), np.nan)
    columns: dict[str, Sequence[object] | np.ndarray] = {}
    columns["zero deltas"] = nothing if counts is None else counts.zero_delta.value
    columns["zero deltas error"] = nothing if counts is None else counts.zero_delta.error
    columns["taken"] = nothing if drawn is None else drawn.provenance
    columns["dropped"], columns["elected against"] = left_out_shares(part, len(models))
    for title, what in (("relative norm", "relative_norm"), ("norm", "norm"), ("mean |τ|", "mean_magnitude")):
        estimate = None if details is None else getattr(details, what)
        columns[title] = nothing if estimate is None else estimate.value
        columns[f"{title} error"] = nothing if estimate is None else estimate.error
    columns["largest |τ| seen"] = nothing if details is None else details.largest
    columns["not finite"] = nothing if counts is None else counts.total("nonfinite")[: len(models)]
    rows = [
        [part.place, model, *(values[at] for values in columns.values())] for at, model in enumerate(models)
    ]
    return Table(name, ["where", "sub-model", *columns], rows)


def _draws_table(name: str, part: Part) -> Table:
    predicted, drawn = part.predicted, part.drawn
    size = max(0 if predicted is None else len(predicted.value), 0 if drawn is None else len(drawn.left))
    columns = [np.full(size, np.nan) for _ in range(3)]
    if predicted is not None:
        columns[0][: len(predicted.value)] = predicted.value
        columns[1][: len(predicted.error)] = predicted.error
    if drawn is not None:
        columns[2][: len(drawn.left)] = drawn.left
    rows = [[part.place, n, *(column[n] for column in columns)] for n in range(size)]
    return Table(name, ["where", "n", "expected", "expected error", "counted"], rows)


def _pairs_table(name: str, part: Part, details: DeltaStatistics, models: Sequence[str]) -> Table:
    cosine, signs, both = details.cosine, details.sign_disagreement, details.total("both_changed")
    values = cosine.value, cosine.error, signs.value, signs.error, both
    pairs = combinations(range(len(models)), 2)
    rows = [[part.place, models[i], models[j], *(value[i, j] for value in values)] for i, j in pairs]
    headings = ["cosine", "cosine error", "signs differ", "signs differ error", "changed by both"]
    return Table(name, ["where", "sub-model", "other", *headings], rows)


def _tiles_table(name: str, view: TensorView, models: Sequence[str]) -> Table:
    """The share of zero deltas in each tile, of each sub-model."""
    share = view.share
    rows = [
        [view.name, int(view.rows[r]), int(view.columns[c]), *(1 - share[:, r, c])]
        for r in range(share.shape[1])
        for c in range(share.shape[2])
    ]
    return Table(name, ["tensor", "first row", "first column", *models], rows)
