"""Reinforced agent merging: what one sub-model alone changed is added whole, what several did is averaged.

Two methods: `ram`, and `ramplus_tl`, which makes more of what a sub-model alone changed, the more of its
other changes in the tensor are shared.

Source: arXiv:2601.13572, section 3, as mergekit has it ("tensor-local": the counts are those of one tensor).
Parameters are mergekit's. Deviations from mergekit 0.1.5:

- `epsilon` is 0 unless the recipe says otherwise: what differs is a change. mergekit's 1e-5 loses most of
  what bfloat16 fine-tunes change in small weights; `epsilon: 1e-5` gives it.
- A NaN delta is no change, so that the element is merged from the others; an infinite one is as any other
  change. In mergekit the element becomes NaN for either.
- Where a sub-model shares all of its changes and `epsilon` is 0, the share of them is infinite and so counts
  as `alpha`; mergekit divides by `epsilon`, which gives `alpha` too where it is small.
- Every step is rounded to float32 (float64 for F64), and the result once to the output's type. mergekit
  computes in the models' own type, and writes float32 for `ramplus_tl` unless `out_dtype` is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.interface import Counts, MapJob, ParameterValue
from core.methods.folds import Fold, Reading
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec
from core.weights import in_computing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PLUS", "SPEC", "add_changes", "factor_of_unique"]


def add_changes(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The base, and the mean of the deltas that change it, of one chunk.

    tau_i = theta_i - theta_pre is a change where |tau_i| > epsilon, and c is the number of changes of an
    element. mix = tau where c = 1, for `ramplus_tl` tau * lambda_i; elsewhere mix = +0, and
    mix = mix + tau_i / c over the changes in the recipe's order; then theta_pre + mix. Every difference,
    product, sum and quotient is rounded to the computing type, and so are epsilon and lambda_i.

    Args:
        job: what is asked; `found` holds "factors", lambda_i of each sub-model, for `ramplus_tl`.
        first_element: not used, each element goes by itself.
        models: K tensors [elements] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    import torch

    from core.methods import arithmetic

    if base is None:
        raise ValueError("ram needs a base")
    origin = arithmetic.to_computing(base, job)
    factors = job.found.get("factors")
    number = _changes(job, models, base).to(origin.dtype)
    mix = origin.new_zeros(origin.shape)
    for at, model in enumerate(models):
        task_vector = arithmetic.to_computing(model, job) - origin
        changes = _is_change(job, task_vector)
        mix = torch.where(changes, mix + task_vector / number, mix)
        if factors is not None:
            raised = task_vector * arithmetic.scalar(factors[at], job, origin)
            mix = torch.where(changes & (number == 1), raised, mix)
    return arithmetic.from_computing(origin + mix, job), Counts.zeros(job)


def factor_of_unique(shared: int, unique: int, epsilon: float, r: float, alpha: float) -> float:
    """lambda_i, by which what sub-model i alone changed is multiplied: 1 + r * min(rho, alpha), float64.

    rho = shared / max(unique, epsilon); infinite where that divides by 0, but 0 where nothing is shared.

    Args:
        shared: elements of the tensor that it and others changed.
        unique: elements that it alone changed.
        epsilon, r, alpha: the parameters.
    """
    least = max(float(unique), epsilon)
    rho = shared / least if least else inf if shared else 0.0
    return 1.0 + r * min(rho, alpha)


def _is_change(job: MapJob, task_vector: Tensor) -> Tensor:
    """Where |tau| > epsilon; a NaN is not."""
    from core.methods import arithmetic

    return task_vector.abs() > arithmetic.scalar(job.parameters["epsilon"], job, task_vector)


def _changes(job: MapJob, models: list[Tensor], base: Tensor) -> Tensor:
    """How many sub-models change each element. [elements] int64"""
    import torch

    from core.methods import arithmetic

    origin = arithmetic.to_computing(base, job)
    number = torch.zeros(origin.shape, dtype=torch.int64, device=origin.device)
    for model in models:
        number += _is_change(job, arithmetic.to_computing(model, job) - origin)
    return number


def _load_counting() -> Reading:
    from core.methods import arithmetic

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> NDArray[np.int64]:
        """[1, 2, K]: the elements that each sub-model shares with others, and those that it alone changed."""
        if base is None:
            raise ValueError("ramplus_tl needs a base")
        number = _changes(job, models, base)
        origin = arithmetic.to_computing(base, job)
        rows: list[list[int]] = [[], []]
        for model in models:
            changes = _is_change(job, arithmetic.to_computing(model, job) - origin)
            unique = int((changes & (number == 1)).sum())
            rows[0].append(int(changes.sum()) - unique)
            rows[1].append(unique)
        return np.array([rows], np.int64)

    return read


def _factors(job: MapJob, counted: Any) -> Mapping[str, ParameterValue | tuple[ParameterValue, ...]]:
    values = job.parameters
    return {
        "factors": tuple(
            factor_of_unique(int(shared), int(unique), values["epsilon"], values["r"], values["alpha"])
            for shared, unique in zip(*counted, strict=True)
        )
    }


def _check_plus(values: Mapping[str, Any], computing: DType | None) -> None:
    largest = 1.0 + values["r"] * values["alpha"]
    field = "alpha" if values["alpha"] > values["r"] else "r"
    in_computing(largest, computing, "the largest factor, 1 + r * alpha,", field=field)


def _load_arithmetic() -> Arithmetic:
    return add_changes


_EPSILON = ParameterSpec(
    "epsilon",
    "float",
    "merge",
    0.0,
    "ε, threshold",
    "Deltas up to this magnitude are no changes; 1e-5 is mergekit's.",
    symbol="ε",
    minimum=0.0,
)

SPEC = MethodSpec(
    name="ram",
    title="Reinforced agent merging",
    help="Adds to the base what one sub-model alone changed, and the mean of what several changed.",
    source="arXiv:2601.13572",
    parameters=(_EPSILON,),
    base="needed",
    load_arithmetic=_load_arithmetic,
    group="task_vectors",
)

PLUS = MethodSpec(
    name="ramplus_tl",
    title="Reinforced agent merging plus",
    help="As reinforced agent merging, but strengthens what a sub-model alone changed where it shares much.",
    source="arXiv:2601.13572",
    parameters=(
        _EPSILON,
        ParameterSpec(
            "r",
            "float",
            "merge",
            0.1,
            "r, strength",
            "How much what a sub-model alone changed grows with the share of its other changes.",
        ),
        ParameterSpec(
            "alpha",
            "float",
            "merge",
            0.2,
            "α, limit",
            "Shared changes for each of its own that are taken into account, at most.",
            symbol="α",
            minimum=0.0,
        ),
    ),
    base="needed",
    folds=(Fold("changes", _load_counting, _factors, finds=("factors",)),),
    check=_check_plus,
    load_arithmetic=_load_arithmetic,
    group="task_vectors",
)
