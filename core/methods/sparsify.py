"""Which elements of a task vector are kept, and by what the kept ones are multiplied.

Sources: magnitude, Yadav et al., "TIES-merging", arXiv:2306.01708; random, Yu et al., "Language models are
super Mario" (DARE), arXiv:2311.03099; ranked, Deep et al., "DELLA-Merging", arXiv:2406.11617; outliers,
Davari and Belilovsky, "Model breadcrumbs", arXiv:2312.06795. Parameters and defaults are mergekit's.

Deviations from mergekit: of equal magnitudes at a border the first in element order are kept, where
mergekit's sort leaves it open; random choices are the draw contract's, the same on every device; ranks run
along the last dimension, a vector and a single number are one row, and a row of one has the lowest chance;
ranks and chances are float64. `rescale_by: density` gives DARE's and DELLA's own factors, which mergekit does
not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.draws import DROPPING_STREAM
from core.kernels.interface import MapJob
from core.methods.folds import Fold, Found, Reading
from core.methods.order import Target, codes_of, kept_mask, order_folds

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPARSIFIERS", "Keeping", "Kept", "keep", "keeping_of", "sparsify_folds", "task_vectors_of"]

Array = NDArray[Any]

SPARSIFIERS = ("none", "magnitude", "random", "ranked", "outliers")

_NO_NORM = 1e-7
"""A sum of magnitudes below this is not matched."""


@dataclass(frozen=True)
class Keeping:
    """What is kept of one sub-model's task vector.

    Attributes:
        kind: "all", "none", "magnitude", "random", "ranked" or "outliers".
        density: the share that is kept, where `kind` is not "all" or "none".
        epsilon: of "ranked": how far the chances of a row go below and above the density.
        targets: of "magnitude" and "outliers": the numbers of its targets, from and up to which is kept;
            None for no bound on that side.
        drop_below: of "random": words below this drop, 33 bits.
        factor: what the kept elements are multiplied by; None for nothing, and where `divisor` says it.
        divisor: what they are divided by; None for nothing. Of "ranked", where it is not None, each element
            is divided by its own chance.
    """

    kind: str
    density: float = 1.0
    epsilon: float = 0.0
    targets: tuple[int | None, int | None] = (None, None)
    drop_below: int = 0
    factor: float | None = None
    divisor: float | None = None


@dataclass(frozen=True)
class Kept:
    """What is left of one task vector in a chunk.

    Attributes:
        values: [elements] of the computing type; 0 where it was dropped.
        mask: [elements] whether it was kept; None for all.
    """

    values: Tensor
    mask: Tensor | None


def keeping_of(job: MapJob, sparsify: str) -> list[Keeping]:
    """What is kept of each sub-model's task vector, with what the folds have found until now."""
    targets = _numbered_targets(job, sparsify)
    rescales = bool(job.parameters.get("rescale")) and sparsify != "none"
    by_density = rescales and job.parameters.get("rescale_by") == "density"
    norms = job.found.get("norms_before"), job.found.get("norms_after")
    result = []
    for at in range(job.models):
        density = _density(job, at)
        if sparsify == "none" or density >= 1:
            result.append(Keeping("all"))
            continue
        kind = sparsify if density > 0 and targets[at] is not None else "none"
        factor = None
        if rescales and not by_density and norms[0] and norms[1]:
            factor = _norm_factor(norms[0][at], norms[1][at])
        result.append(
            Keeping(
                kind,
                density,
                float(job.parameters["epsilon"][at]) if sparsify == "ranked" else 0.0,
                targets[at] or (None, None),
                ceil(2**32 * (1 - Fraction(density))) if sparsify == "random" else 0,
                factor,
                density if by_density and kind != "none" else None,
            )
        )
    return result


def task_vectors_of(job: MapJob, models: Sequence[Tensor], base: Tensor | None) -> list[Tensor]:
    """theta_i - base of each sub-model, rounded to the computing type. [K][elements]"""
    from core.methods import arithmetic

    if base is None:
        raise ValueError(f"{job.method} needs a base")
    origin = arithmetic.to_computing(base, job)
    return [arithmetic.to_computing(model, job) - origin for model in models]


def keep(job: MapJob, first_element: int, task_vector: Tensor, at: int, keeping: Keeping) -> Kept:
    """What is left of one task vector in a chunk.

    Args:
        job: what is asked.
        first_element: of the chunk.
        task_vector: [elements] of the computing type; whole rows where the kind is "ranked".
        at: the sub-model's number.
        keeping: what is kept of it.
    """
    import torch

    from core.methods import arithmetic

    if keeping.kind == "all":
        return Kept(task_vector, None)
    if keeping.kind == "none":
        return Kept(torch.zeros_like(task_vector), torch.zeros_like(task_vector, dtype=torch.bool))
    elements, device = task_vector.numel(), task_vector.device
    chances = None
    if keeping.kind == "ranked":
        chances = _chances(task_vector, job.row, keeping)
        words = arithmetic.draw_words(first_element, elements, at, job.key, DROPPING_STREAM, device)
        mask = words >= torch.ceil((1.0 - chances) * 2.0**32).to(torch.int64)
    elif keeping.kind == "random":
        words = arithmetic.draw_words(first_element, elements, at, job.key, DROPPING_STREAM, device)
        mask = words >= keeping.drop_below
    else:
        codes = codes_of(task_vector.abs())
        low, high = keeping.targets
        mask = torch.ones(elements, dtype=torch.bool, device=device)
        if low is not None:
            mask &= kept_mask(job, first_element, codes, low, "from")
        if high is not None:
            mask &= kept_mask(job, first_element, codes, high, "up to")
    values = task_vector
    if keeping.factor is not None:
        values = arithmetic.scalar(keeping.factor, job, values) * values
    elif keeping.divisor is not None:
        chance = (
            arithmetic.scalar(keeping.divisor, job, values) if chances is None else chances.to(values.dtype)
        )
        values = values / chance
    return Kept(torch.where(mask, values, torch.zeros_like(values)), mask)


def sparsify_folds(job: MapJob, sparsify: str) -> tuple[Fold, ...]:
    """What has to be found out of the task vectors before they can be sparsified."""
    folds: tuple[Fold, ...] = ()
    if sparsify in ("magnitude", "outliers"):
        folds = order_folds("magnitudes", _load_magnitudes, partial(_targets, sparsify=sparsify), job)
    matches = job.parameters.get("rescale") and job.parameters.get("rescale_by") == "norm"
    if sparsify != "none" and matches and any(0 < _density(job, at) < 1 for at in range(job.models)):
        names = ("norms_before", "norms_after")
        folds += (
            Fold(
                "kept norms",
                partial(_load_norms, sparsify),
                _norms,
                finds=names,
                asks=partial(keeping_of, sparsify=sparsify),
            ),
        )
    return folds


def _density(job: MapJob, at: int) -> float:
    return float(job.parameters["density"][at]) if "density" in job.parameters else 1.0


def _numbered_targets(job: MapJob, sparsify: str) -> list[tuple[int | None, int | None] | None]:
    """The numbers of each sub-model's targets; (None, None) for no bounds, None where nothing is kept."""
    found: list[tuple[int | None, int | None] | None] = []
    number = 0
    for at in range(job.models):
        bounds = _bounds(job, sparsify, at)
        if bounds is None:
            found.append(None)
            continue
        numbers: list[int | None] = [None, None]
        for side, bound in enumerate(bounds):
            if bound is not None:
                numbers[side], number = number, number + 1
        found.append((numbers[0], numbers[1]))
    return found


def _targets(job: MapJob, sparsify: str) -> list[Target]:
    found = []
    for at in range(job.models):
        low, high = _bounds(job, sparsify, at) or (None, None)
        if low is not None:
            found.append(Target(at, low, "from"))
        if high is not None:
            found.append(Target(at, high, "up to"))
    return found


def _bounds(job: MapJob, sparsify: str, at: int) -> tuple[int | None, int | None] | None:
    """The first and the last place, in ascending order of magnitude, of what is kept of a sub-model.

    None for no bound on that side; None for both where nothing is kept.
    """
    density, n = _density(job, at), job.elements
    if sparsify not in ("magnitude", "outliers") or not 0 < density < 1 or n == 0:
        return None, None
    if sparsify == "magnitude":
        return n - max(1, int(density * n)), None
    kept, top = int(density * n), int(float(job.parameters["gamma"][at]) * n)
    low = max(0, n - kept - top)
    if kept <= 0:
        return None
    return (low if low > 0 else None), (low + kept - 1 if low + kept < n else None)


def _norm_factor(before: float, after: float) -> float | None:
    if before < _NO_NORM or after < _NO_NORM or not (isfinite(before) and isfinite(after)):
        return None
    return before / after


def _chances(task_vector: Tensor, row: int, keeping: Keeping) -> Tensor:
    """How likely each element is kept, by its rank in its row. [elements] float64"""
    import torch

    codes = codes_of(task_vector.abs()).view(-1, row)
    order = torch.argsort(codes, dim=1, stable=True)
    ranks = torch.empty_like(order)
    places = torch.arange(row, device=order.device).expand_as(order)
    ranks.scatter_(1, order, places)
    # A tensor on the device: by a number of Python's CUDA multiplies with its reciprocal.
    last = torch.tensor(max(1, row - 1), dtype=torch.float64, device=order.device)
    share = ranks.to(torch.float64) / last
    return ((keeping.density - keeping.epsilon) + share * (2 * keeping.epsilon)).view(-1)


def _load_magnitudes() -> Reading:
    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Any:
        return [task_vector.abs() for task_vector in task_vectors_of(job, models, base)]

    return read


def _load_norms(sparsify: str) -> Reading:
    import torch

    from core.methods import arithmetic

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        begin, end = job.inner or (0, models[0].numel())
        before, after = [], []
        keepings = keeping_of(job, sparsify)
        for at, task_vector in enumerate(task_vectors_of(job, models, base)):
            kept = keep(job, first_element, task_vector, at, keepings[at])
            before.append(task_vector[begin:end].abs().to(torch.float64))
            if kept.mask is None:
                after.append(before[-1])
                continue
            magnitudes = torch.where(kept.mask, task_vector.abs(), torch.zeros_like(task_vector))
            after.append(magnitudes[begin:end].to(torch.float64))
        sums: Array = arithmetic.ordered_sums(torch.stack([*before, *after])).cpu().numpy()
        return sums

    return read


def _norms(job: MapJob, sums: Array) -> Found:
    totals = np.asarray(sums, np.float64).tolist()
    return {
        "norms_before": tuple(totals[: job.models]),
        "norms_after": tuple(totals[job.models :]),
    }
