"""What `inspect` prints: a short table for people, all numbers for programs."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.deltas.inspection import Inspection
from core.deltas.layer_grid import LayerGrid
from core.deltas.measures import flattens_at
from core.deltas.statistics import LOWEST_EXPONENT, DeltaStatistics, Estimate, roll_up
from core.run.no_ops import out_of_proportion
from core.text import one_line
from core.units import count_text, share_text

__all__ = ["inspection_document", "inspection_summary"]


def inspection_document(inspection: Inspection) -> dict[str, Any]:
    """Every number, null where it is none; standard errors in a sample only."""
    tensors, sampled = inspection.tensors, inspection.sample < 1
    everything = inspection.statistics
    grid = LayerGrid.of(tensor.name for tensor in tensors)
    layers = roll_up(tensors, lambda name: grid.cell_of[name][0])
    modules = roll_up(tensors, lambda name: grid.cell_of[name][1])
    return {
        "models": inspection.models,
        "base": inspection.base,
        "sample": inspection.sample,
        "seed": inspection.seed,
        "weights": inspection.weights,
        "details": inspection.details,
        "histogram_lowest_exponent": LOWEST_EXPONENT,
        "zero_delta_share": None if everything is None else _number(everything.zero_delta.value.mean()),
        "warnings": inspection_warnings(inspection),
        "flattens_at_n": None if everything is None else flattens_at(everything.zero_after_draw.value),
        "all": None if everything is None else _statistics_document(everything, sampled),
        "layers": [
            {"label": column.label, "stack": column.stack, "layer": column.layer}
            | _statistics_document(layers[number], sampled)
            for number, column in enumerate(grid.columns)
        ],
        "modules": [
            {"module": kind} | _statistics_document(modules[number], sampled)
            for number, kind in enumerate(grid.kinds)
        ],
        "tensors": [
            {
                "name": tensor.name,
                "shape": tensor.shape,
                "zero_delta": tensor.zero_delta,
                "changed_by": tensor.changed_by,
                "nonfinite": tensor.nonfinite,
            }
            | _statistics_document(tensor.statistics, sampled)
            for tensor in tensors
        ],
    }


def _statistics_document(statistics: DeltaStatistics, sampled: bool) -> dict[str, Any]:
    estimates = {
        "zero_delta_share": statistics.zero_delta,
        "changed_by_share": statistics.changed_by,
        "zero_after_draw": statistics.zero_after_draw,
    }
    exact: dict[str, Any] = {}
    if statistics.details:
        estimates |= {
            "mean_magnitude": statistics.mean_magnitude,
            "norm": statistics.norm,
            "base_norm": statistics.base_norm,
            "relative_norm": statistics.relative_norm,
            "cosine": statistics.cosine,
            "sign_disagreement": statistics.sign_disagreement,
        }
        exact = {
            "largest_magnitude": statistics.largest,
            "left_out": statistics.left_out,
            "dots": statistics.total("dots"),
            "both_changed": statistics.total("both_changed"),
            "signs_differ": statistics.total("signs_differ"),
            "histogram": statistics.histogram,
        }
    document: dict[str, Any] = {"parameters": statistics.parameters, "elements": statistics.elements}
    for name, estimate in estimates.items():
        document[name] = _numbers(estimate.value)
        if sampled:
            document[f"{name}_error"] = _numbers(estimate.error)
    return document | {name: _numbers(values) for name, values in exact.items()}


def _numbers(values: NDArray[np.float64]) -> Any:
    """As JSON has them: nested lists, whole numbers as such."""
    if values.ndim == 0:
        return _number(float(values))
    return [_numbers(row) for row in values] if values.ndim > 1 else [_number(v) for v in values.tolist()]


def _number(value: float) -> float | int | None:
    if not isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def inspection_summary(inspection: Inspection) -> str:
    statistics = inspection.statistics
    if statistics is None or not statistics.parameters:
        return f"base {one_line(inspection.base)} has no floating-point parameters"
    seen = statistics.elements / statistics.parameters
    lines = [
        f"base {inspection.base}, {count_text(statistics.parameters)} parameters; "
        f"{share_text(seen)} looked at",
        "",
    ]
    width = max(8, *(len(name) for name in inspection.models))
    shares = _shares(statistics.zero_delta)
    column = max(11, *(len(share) for share in shares))
    heading = f"  {'':{width}}  {'zero deltas':>{column}}"
    if inspection.details:
        heading += f"  {'|τ| / |θ|':>10}  {'mean |τ|':>10}  {'largest':>10}"
    lines.append(heading)
    for at, (name, share) in enumerate(zip(inspection.models, shares, strict=True)):
        line = f"  {name:{width}}  {share:>{column}}"
        if inspection.details:
            values = (statistics.relative_norm.value, statistics.mean_magnitude.value, statistics.largest)
            line += "".join(f"  {value[at]:>10.3g}" for value in values)
        lines.append(line)
    agreement = _agreement_lines(statistics) if inspection.details and len(inspection.models) > 1 else []
    if agreement:
        lines += ["", *agreement]
    lines += [f"warning  {warning}" for warning in inspection_warnings(inspection)]
    lines += ["", f"changed by m of {len(inspection.models)} sub-models"]
    lines += [
        f"  {changed:{width}}  {share:>{column}}"
        for changed, share in enumerate(_shares(statistics.changed_by))
    ]
    weights = "equal weights"
    if inspection.weights is not None:
        weights = f"the weights {', '.join(f'{weight:g}' for weight in inspection.weights)}"
    lines += ["", f"share left on a zero delta with n resamples and {weights}"]
    lines += [
        f"  n = {draw:<{width - 4}}  {share:>{column}}"
        for draw, share in enumerate(_shares(statistics.zero_after_draw)[:10])
    ]
    flat = flattens_at(statistics.zero_after_draw.value)
    lines.append(
        "  with n = 20 each further one still moves more than 0.5 % of the parameters"
        if flat is None
        else f"  from n = {flat} on each further one moves less than 0.5 % of the parameters"
    )
    nonfinite = sum(sum(tensor.nonfinite) for tensor in inspection.tensors)
    if nonfinite:
        lines += ["", f"{nonfinite:,} NaN or infinite values"]
    return "\n".join(one_line(line) for line in lines)


def inspection_warnings(inspection: Inspection) -> list[str]:
    """Sub-models whose task vector is not like the others'; nothing where that was not measured."""
    statistics = inspection.statistics
    if statistics is None or not inspection.details or not statistics.parameters:
        return []
    seen = f"{share_text(statistics.elements / statistics.parameters)} of all elements"
    norms, cosines = statistics.norm.value.tolist(), statistics.cosine.value.tolist()
    return out_of_proportion(inspection.models, norms, cosines, seen)


def _shares(estimate: Estimate) -> list[str]:
    """With twice the standard error where there is one; "about" where it is not known."""
    texts = []
    for value, error in zip(estimate.value.tolist(), estimate.error.tolist(), strict=True):
        text = share_text(value if isfinite(value) else 0)
        if isfinite(value) and not isfinite(error):
            text = f"about {text}"
        texts.append(f"{text} ± {share_text(2 * error)}" if error > 0 else text)
    return texts


def _agreement_lines(statistics: DeltaStatistics) -> list[str]:
    pairs = np.triu_indices(statistics.models, 1)
    cosines = statistics.cosine.value[pairs]
    both, differ = (
        statistics.total("both_changed")[pairs].sum(),
        statistics.total("signs_differ")[pairs].sum(),
    )
    lines = []
    if np.isfinite(cosines).any():
        low, high = np.nanmin(cosines), np.nanmax(cosines)
        lines.append(
            f"cosine of two sub-models' deltas: {low:.3f} to {high:.3f}, mean {np.nanmean(cosines):.3f}"
        )
    if both:
        lines.append(
            f"signs differ in {share_text(differ / both)} of the elements that two sub-models changed"
        )
    return lines
