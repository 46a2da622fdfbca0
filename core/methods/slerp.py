"""Spherical linear interpolation of two models: along the arc between them, not along the line.

Source: Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985; parameters and thresholds are
mergekit's. Deviations: the angle is found from ordered float64 sums, where mergekit sums in float32; where it
is no number, because an input holds NaN or infinite values, or sums overflow, the models are interpolated
along the line, so that the elements that are sound stay so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.kernels.interface import Counts, MapJob, ParameterValue
from core.methods.folds import gram, gram_index
from core.methods.spans import combination, vectors
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "interpolate", "shares_of_arc"]

_STRAIGHT = 0.9995
"""Above this cosine, of either sign, the arc is taken for the line."""

_NO_LENGTH = 1e-8
"""A vector that is no longer than this has no direction."""


def interpolate(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The point between the base and the one sub-model, of one chunk.

    a * theta_pre + b * theta_1 with the shares a and b that the fold found; products and sum are rounded to
    the computing type, and the sum once to the output's.

    Args:
        job: what is asked; `found` holds "of_base" and "of_model".
        first_element: not used, the shares are the same everywhere.
        models: one tensor [elements] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    if base is None:
        raise ValueError("slerp needs a base")
    (model,) = models
    ends = vectors(job, [base, model], None)
    point = combination(job, (job.found["of_base"], job.found["of_model"]), ends)
    return arithmetic.from_computing(point, job), Counts.zeros(job)


def shares_of_arc(t: float, base: float, model: float, dot: float) -> tuple[float, float]:
    """The factors of the base and of the model at `t` of the way; float64.

    Args:
        t: 0 for the base, 1 for the model; not clamped.
        base, model: the sums of their squares.
        dot: the sum of their products.
    """
    base_norm, model_norm = (
        1.0 if math.sqrt(squares) <= _NO_LENGTH else math.sqrt(squares) for squares in (base, model)
    )
    cosine = dot / base_norm / model_norm
    if not all(map(math.isfinite, (base, model, dot))) or abs(cosine) > _STRAIGHT:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def _shares(job: MapJob, products: Any) -> Mapping[str, ParameterValue]:
    model, dot, base = (float(products[gram_index(2, *pair)]) for pair in ((0, 0), (0, 1), (1, 1)))
    of_base, of_model = shares_of_arc(job.parameters["t"], base, model, dot)
    return {"of_base": of_base, "of_model": of_model}


def _load_arithmetic() -> Arithmetic:
    return interpolate


SPEC = MethodSpec(
    name="slerp",
    title="Spherical interpolation",
    help="Goes from the base to one sub-model along the arc between them, and so keeps their length.",
    source="Shoemake 1985",
    parameters=(
        ParameterSpec(
            "t",
            "float",
            "merge",
            0.5,
            "t",
            "How far from the base (0) to the sub-model (1); numbers outside lie beyond them.",
            minimum=-1000.0,
            maximum=1000.0,
        ),
    ),
    base="needed",
    most_models=1,
    folds=(gram(_shares, finds=("of_base", "of_model")),),
    same_everywhere=False,
    load_arithmetic=_load_arithmetic,
    group="geometry",
)
