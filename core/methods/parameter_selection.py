"""Parameter selection with zero-delta resampling.

For every single parameter the value of one sub-model, picked at random; while the picked value
equals the base's, pick again, up to n times. Source: arXiv:2410.03743, sections 2.2 and 2.3.
Deviation: none; "equals" is defined for floating-point numbers in `core.torch_values.changed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.draws import SELECTION_STREAM, selection_thresholds
from core.dtypes import DType
from core.errors import RecipeError
from core.kernels.interface import Counts, MapJob
from core.methods.spec import Arithmetic, Draws, MethodSpec, ParameterSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MAX_RESAMPLES", "SPEC", "check_shares", "select"]

MAX_RESAMPLES = 100


def select(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """Parameter selection of one chunk.

    Args:
        job: what is asked.
        first_element: the chunk's first element, counted in the whole tensor.
        models: K tensors [elements] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and the counts.
    """
    import torch

    from core import torch_values
    from core.methods import arithmetic

    if base is None:
        raise ValueError("parameter selection needs a base")
    counts = Counts.zeros(job)
    assert counts.zero_delta is not None and counts.changed_by is not None
    assert counts.zero_after_draw is not None and counts.selected is not None
    deltas = torch.stack([torch_values.changed(model, base, job.zero_tolerance) for model in models])
    counts.zero_delta[:] = (~deltas).sum(dim=1).cpu().numpy()
    changed_by = torch.bincount(deltas.sum(dim=0), minlength=job.models + 1)
    counts.changed_by[:] = changed_by.cpu().numpy()
    elements, device = models[0].numel(), models[0].device
    thresholds = selection_thresholds(job.parameters["weight"])
    chosen = torch.zeros(elements, dtype=torch.int64, device=device)
    on_zero_delta = torch.ones(elements, dtype=torch.bool, device=device)
    for draw in range(job.draws):
        words = arithmetic.draw_words(first_element, elements, draw, job.key, SELECTION_STREAM, device)
        picks = arithmetic.pick_models(words, thresholds)
        chosen = torch.where(on_zero_delta, picks, chosen)
        on_zero_delta = ~deltas.gather(0, chosen.unsqueeze(0)).squeeze(0)
        counts.zero_after_draw[draw] = int(on_zero_delta.sum())
    counts.selected[:] = torch.bincount(chosen, minlength=job.models).cpu().numpy()
    stacked = torch.stack([torch_values.words_of(model) for model in models])
    values = stacked.gather(0, chosen.unsqueeze(0)).squeeze(0).view(models[0].dtype)
    return torch_values.convert(values, job.out_dtype), counts


def check_shares(weights: Sequence[float]) -> None:
    """Raises RecipeError where `weights` cannot say how often each sub-model is drawn."""
    if any(weight < 0 for weight in weights):
        raise RecipeError(
            f"weight {min(weights):g} is below zero, and says how often a sub-model is drawn",
            hint="give every sub-model a weight of zero or more",
            field="weight",
        )
    if not any(weight > 0 for weight in weights):
        raise RecipeError(
            "the weights of the sub-models are all zero, so none could ever be selected",
            hint="give at least one sub-model a weight above zero",
            field="weight",
        )


def _check(values: Mapping[str, Any], computing: DType | None) -> None:
    check_shares(values["weight"])


def _load_arithmetic() -> Arithmetic:
    return select


SPEC = MethodSpec(
    name="parameter_selection",
    title="Parameter selection",
    help="Takes every parameter from one sub-model at random; a parameter that fine-tuning left "
    "as it was is drawn again, up to n times.",
    source="arXiv:2410.03743",
    parameters=(
        ParameterSpec(
            "weight",
            "float",
            "model",
            1.0,
            "Weight",
            "How often this sub-model is drawn, relative to the others.",
            minimum=0.0,
        ),
        ParameterSpec(
            "resamples",
            "int",
            "merge",
            1,
            "n, resamples",
            "How many further draws a parameter gets while its drawn delta is zero.",
            symbol="n",
            minimum=0,
            maximum=MAX_RESAMPLES,
        ),
    ),
    base="needed",
    weight="share",
    draws=Draws(resamples="resamples"),
    counts=("zero_delta", "changed_by", "zero_after_draw", "selected"),
    check=_check,
    load_arithmetic=_load_arithmetic,
    group="selection",
)
