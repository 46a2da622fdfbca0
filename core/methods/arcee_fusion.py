"""Arcee fusion: takes a sub-model's change of the base where it is important, and leaves the base elsewhere.

How important a change is: its magnitude times the Kullback-Leibler divergence of its row, read as a
distribution, from the base's. What is above a threshold that the quartiles of the tensor give is taken.

Source: Arcee, https://arcee.ai, as mergekit has it; no parameters. Deviations from mergekit 0.1.5:

- The quartiles are exact. mergekit draws 1,000,000 elements of a larger tensor, without a seed.
- The divergence is computed in float64 and its sums are ordered; every other step is rounded to float32
  (float64 for F64), and the result once to the output's type. mergekit computes in the models' own type and
  writes float32. Of fine-tunes that change little the divergence is about 1e-7, the sum of terms that nearly
  cancel: in float32 it is made of rounding errors alone, in bfloat16 of worse.
- What is not taken is the base's value. mergekit adds 0 times the change, which is NaN where the sub-model's
  value is NaN or infinite, and makes +0 of -0.
- exp and log are torch's on the CPU, whatever the device, so that the bytes do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.kernels.interface import Counts, MapJob
from core.methods.folds import Fold, Reading
from core.methods.order import Target, order_folds, values_of
from core.methods.spec import Arithmetic, MethodSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "fuse", "importance", "quartile_places", "threshold"]

_LEAST_SHARE = 1e-8
"""Added to every share of a distribution, so that none is 0: mergekit's number."""

_VECTOR = 64
"""Elements that torch's loops take at a time, or a multiple of them."""

_CACHED = 1 << 17
"""Elements of which rows are taken together, so that what is made of them stays in a core's cache."""


def fuse(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> tuple[Tensor, Counts]:
    """The base, with the changes of the sub-model that are important enough, of whole rows of a tensor.

    theta_pre + (theta_1 - theta_pre) where the importance is at least the threshold, theta_pre elsewhere and
    where the importance is NaN. Difference and sum are rounded to the computing type, the result once to the
    output's. It is computed on the host; see `importance`.

    Args:
        job: what is asked; `found` holds the order codes of the three quartiles.
        first_element: not used, rows begin with it.
        models: one tensor [rows * job.row] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [rows * job.row] of the output dtype, on the device of the inputs, and empty counts.
    """
    import torch

    from core.methods import arithmetic

    if base is None:
        raise ValueError("arcee fusion needs a base")
    origin = arithmetic.to_computing(base.cpu(), job)
    task_vector = arithmetic.to_computing(models[0].cpu(), job) - origin
    least = arithmetic.scalar(threshold(job), job, origin)
    taken = importance(job, models, base) >= least
    merged = arithmetic.from_computing(torch.where(taken, origin + task_vector, origin), job)
    return merged.to(base.device), Counts.zeros(job)


def importance(job: MapJob, models: list[Tensor], base: Tensor | None) -> Tensor:
    """|theta_1 - theta_pre| times the divergence of its row, of whole rows of a tensor.

    A row's values v make the distribution p = exp(v - m) / Z + 1e-8, with m the largest of them and Z the sum
    of exp(v - m); the divergence is the sum of p * log(p / q), p the sub-model's and q the base's. All of it
    is float64, whatever the computing type, and both sums are ordered ones (of the row's blocks). Then the
    divergence is rounded to the computing type, and so are the difference and the product. All of a row is
    NaN where it holds a NaN or +infinity.

    Args:
        job: what is asked.
        models: one tensor [rows * job.row] of the merge dtype, on any device.
        base: the base's values, likewise.

    Returns:
        [rows * job.row] of the computing type, on the CPU. Rounding errors may make the divergence of equal
        distributions less than 0.
    """
    import torch

    from core.methods import arithmetic

    if base is None:
        raise ValueError("arcee fusion needs a base")
    model, origin = (values.cpu().view(-1, job.row) for values in (*models, base))
    some = max(1, _CACHED // job.row)
    parts = [slice(start, start + some) for start in range(0, len(model), some)]
    divergence = torch.cat([_divergence(model[part].double(), origin[part].double()) for part in parts])
    distance = (arithmetic.to_computing(model, job) - arithmetic.to_computing(origin, job)).abs()
    return (distance * divergence.to(distance.dtype).unsqueeze(1)).flatten()


def _divergence(model: Tensor, base: Tensor) -> Tensor:
    """The divergence of each row of the sub-model's from the base's; all float64. [rows]"""
    import torch

    from core.methods import arithmetic

    ours, theirs = _distribution(model), _distribution(base)
    return arithmetic.row_sums(ours * _in_vectors(torch.log, ours / theirs))


def _distribution(rows: Tensor) -> Tensor:
    """The softmax of each row, and 1e-8 more; float64."""
    import torch

    from core.methods import arithmetic

    parts = _in_vectors(torch.exp, rows - rows.amax(dim=1, keepdim=True))
    return parts / arithmetic.row_sums(parts).unsqueeze(1) + _LEAST_SHARE


def _in_vectors(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """`function` of each element, as the vectorised loop computes it.

    What is left over behind the last whole vector may be computed by other instructions with other last
    bits, and where that is depends on the chunk: so nothing is left over.
    """
    import torch

    missing = -values.numel() % _VECTOR
    if not missing:
        return function(values)
    padded = torch.nn.functional.pad(values.reshape(-1), (0, missing), value=1.0)
    return function(padded)[:-missing].view(values.shape)


def quartile_places(elements: int) -> tuple[int, int, int]:
    """Where the quartiles are in ascending order, counted from 0: trunc(f * (n - 1)), f = 1/4, 1/2, 3/4."""
    last = elements - 1
    return last // 4, last // 2, 3 * last // 4


def threshold(job: MapJob) -> float:
    """The median + 1.5 * (third quartile - first quartile), every step rounded to the computing type."""
    import numpy as np

    first, median, third = values_of(job, job.found["codes"])
    with np.errstate(all="ignore"):
        return float(median + median.dtype.type(1.5) * (third - first))


def _targets(job: MapJob) -> tuple[Target, ...]:
    return tuple(Target(0, place, "none") for place in quartile_places(job.elements))


def _load_importance() -> Reading:
    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Any:
        return importance(job, models, base).unsqueeze(0)

    return read


def _folds(job: MapJob) -> tuple[Fold, ...]:
    return order_folds("importance", _load_importance, _targets, job)


def _load_arithmetic() -> Arithmetic:
    return fuse


SPEC = MethodSpec(
    name="arcee_fusion",
    title="Arcee fusion",
    help="Takes the sub-model's values where what it changed is important, and the base's elsewhere.",
    source="https://arcee.ai",
    parameters=(),
    base="needed",
    most_models=1,
    by_rows=True,
    folds=_folds,
    same_everywhere=False,
    load_arithmetic=_load_arithmetic,
    group="single",
)
