"""SCE: select what varies among the task vectors, weigh them by their squares, erase the minority's signs.

Source: Wan et al., "FuseChat", arXiv:2408.07990, section 3.3; parameters are mergekit's. Deviations from
mergekit 0.1.5:

- `epsilon` is 0 unless the recipe says otherwise: the weights are equal only where all task vectors are 0.
  mergekit's 1e-6 makes them equal for most fine-tunes, whose mean squares are smaller; `epsilon: 1e-6` gives
  it.
- Of equal variances at the border of what is selected the first in element order are kept; mergekit's choice
  is not determined.
- One NaN or infinite delta makes mergekit's weights NaN, and so the whole tensor. Here the weights are equal
  then, and a NaN takes no part in its element.
- Mean squares are ordered float64 sums, every other step is rounded to float32 (float64 for F64), and the
  result once. mergekit computes in the models' own type, in bfloat16 for most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from core.kernels.interface import Counts, MapJob, Values
from core.methods.folds import Fold, Found, Reading
from core.methods.order import Target, codes_of, kept_mask, order_folds
from core.methods.sparsify import task_vectors_of
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "select_calculate_erase", "variances", "weights_of"]

Array = NDArray[Any]


def select_calculate_erase(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The base, and the weighted mean of the deltas that have the elected sign, of one chunk.

    tau_i = theta_i - theta_pre, +0 where the element is not selected; S = +0, S = S + tau_i in the recipe's
    order; a delta takes part where it has the sign of S, + where S is 0. num = +0, num = num + W_i * tau_i
    and den = +0, den = den + W_i over these; den = max(den, epsilon), 1 where that is 0; then
    theta_pre + num / den. Every difference, product, sum and quotient is rounded to the computing type, and
    so are W_i and epsilon.

    Args:
        job: what is asked; `found` holds "weights", W_i, and where the variances' border is.
        first_element: of the chunk in its tensor.
        models: K tensors [elements] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and counts: of each sub-model the deltas that were not selected, and
        of the others those without the elected sign.
    """
    import torch

    from core.methods import arithmetic

    if base is None:
        raise ValueError("sce needs a base")
    origin = arithmetic.to_computing(base, job)
    task_vectors = task_vectors_of(job, models, base)
    selected = _selected(job, first_element, task_vectors)
    counts = Counts.zeros(job)
    nothing = origin.new_zeros(origin.shape)
    kept = [torch.where(selected, task_vector, nothing) for task_vector in task_vectors]
    total = nothing
    for task_vector in kept:
        total = total + task_vector
    mix = sum_of_weights = nothing
    for at, (task_vector, whole) in enumerate(zip(kept, task_vectors, strict=True)):
        elected = torch.where(total >= 0, task_vector > 0, task_vector < 0)
        weight = arithmetic.scalar(job.found["weights"][at], job, origin)
        mix = torch.where(elected, mix + weight * task_vector, mix)
        sum_of_weights = torch.where(elected, sum_of_weights + weight, sum_of_weights)
        if counts.dropped is not None and counts.elected_against is not None:
            counts.dropped[at] = int(((whole != 0) & ~selected).sum())
            counts.elected_against[at] = int(((task_vector != 0) & ~elected).sum())
    least = arithmetic.scalar(job.parameters["epsilon"], job, origin)
    divisor = torch.maximum(sum_of_weights, least)
    mix = mix / torch.where(divisor == 0, torch.ones_like(divisor), divisor)
    return arithmetic.from_computing(origin + mix, job), counts


def variances(job: MapJob, task_vectors: Sequence[Tensor]) -> Tensor:
    """The variance of the deltas of each element, each step rounded to the computing type. [elements]

    mean = +0, mean = mean + tau_i in the recipe's order, divided by K; then likewise of (tau_i - mean)^2.
    """
    from core.methods import arithmetic

    mean = squares = task_vectors[0].new_zeros(task_vectors[0].shape)
    number = arithmetic.scalar(len(task_vectors), job, mean)
    for task_vector in task_vectors:
        mean = mean + task_vector
    mean = mean / number
    for task_vector in task_vectors:
        distance = task_vector - mean
        squares = squares + distance * distance
    return squares / number


def weights_of(squares: Sequence[float], elements: int, epsilon: float) -> tuple[float, ...]:
    """The weight of each sub-model: its part of the mean squares of all; float64.

    Args:
        squares: the sums of the squares of each task vector.
        elements: of the tensor; 0 where not one row is in all inputs.
        epsilon: where the mean squares come to no more than this the weights are equal, and so where they
            are not finite.
    """
    means = [float(square) / max(1, elements) for square in squares]
    total = 0.0
    for mean in means:
        total += mean
    if not isfinite(total) or total <= epsilon:
        return (1.0 / len(means),) * len(means)
    return tuple(mean / total for mean in means)


def _selects(job: MapJob) -> bool:
    """Whether some elements are selected and some are not."""
    return 0 < float(job.parameters["select_topk"]) < 1


def _selected(job: MapJob, first_element: int, task_vectors: Sequence[Tensor]) -> Tensor:
    """Which elements of a chunk are selected, with what the folds before the sums found. [elements] bool"""
    import torch

    everything = torch.ones(task_vectors[0].shape, dtype=torch.bool, device=task_vectors[0].device)
    if not _selects(job):
        return everything if job.parameters["select_topk"] >= 1 else ~everything
    if not job.found["selected"]:
        return ~everything
    return kept_mask(job, first_element, codes_of(variances(job, task_vectors)), 0, "from")


def _folds(job: MapJob) -> tuple[Fold, ...]:
    sums = Fold("kept squares", _load_squares, _weights, finds=("weights",))
    if not _selects(job):
        return (sums,)
    first, *others = order_folds("variances", _load_variances, _targets, job)
    return replace(first, finish=partial(_count_selected, first.finish)), *others, sums


def _targets(job: MapJob) -> tuple[Target, ...]:
    """The least variance that is selected. How many are is not known before the first fold has counted."""
    return (Target(0, job.elements - max(1, job.found.get("selected", 1)), "from"),)


def _count_selected(finish: Callable[[MapJob, Array], Found], job: MapJob, counted: Array) -> Found:
    """What the first fold of variances finds, and how many elements are selected: a share of those that vary.

    Args:
        finish: of that fold, which needs the number.
        counted: [entries, 4] class, segment, digit, count: of all elements that vary.
    """
    selected = int(int(counted[:, 3].sum()) * job.parameters["select_topk"])
    job = replace(job, found=Values.from_mapping({**job.found, "selected": selected}))
    return {**finish(job, counted), "selected": selected}


def _load_variances() -> Reading:
    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        return variances(job, task_vectors_of(job, models, base)).unsqueeze(0)  # type: ignore[return-value]

    return read


def _load_squares() -> Reading:
    import torch

    from core.methods import arithmetic

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        """[blocks, K]: the sums of the squares of the selected deltas."""
        task_vectors = task_vectors_of(job, models, base)
        selected = _selected(job, first_element, task_vectors)
        sums = []
        for task_vector in task_vectors:  # one by one, because wide numbers of all at a time are many bytes
            kept = torch.where(selected, task_vector, task_vector.new_zeros(())).double()
            sums.append(arithmetic.ordered_sums(kept * kept))
        result: Array = torch.stack(sums, dim=1).cpu().numpy()
        return result

    return read


def _weights(job: MapJob, squares: Array) -> Found:
    return {"weights": weights_of(squares.tolist(), job.elements, job.parameters["epsilon"])}


def _load_arithmetic() -> Arithmetic:
    return select_calculate_erase


SPEC = MethodSpec(
    name="sce",
    title="SCE: select, calculate, erase",
    help="Adds a mean of the task vectors, weighted by their squares, of those whose sign most of them have.",
    source="arXiv:2408.07990",
    parameters=(
        ParameterSpec(
            "select_topk",
            "float",
            "merge",
            1.0,
            "Top share",
            "Share of the elements that differ among the sub-models that is kept: those that vary most.",
            minimum=0.0,
        ),
        ParameterSpec(
            "epsilon",
            "float",
            "merge",
            0.0,
            "ε, threshold",
            "Mean squares that come to no more than this give equal weights; 1e-6 is mergekit's.",
            symbol="ε",
            minimum=0.0,
        ),
    ),
    base="needed",
    counts=("dropped", "elected_against"),
    folds=_folds,
    load_arithmetic=_load_arithmetic,
    group="task_vectors",
)
