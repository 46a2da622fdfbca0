"""Methods that add task vectors to the base: sparsify each, elect a sign, combine.

tau_i = theta_i - theta_pre. Each is sparsified (core.methods.sparsify); where the method elects, only the
elements of one sign are left of every parameter's; what is left is combined, multiplied by lambda, and added
to the base. The named methods are presets of the three choices (core.methods.presets); `task_vectors` has
them as parameters.

Sources: arXiv:2212.04089 (the sum), arXiv:2306.01708 (the election and the mean of what is left),
arXiv:2410.03743 (the selection with resampling, here of sparsified task vectors). Deviations from mergekit:
it computes in the models' own type, in bfloat16 for most; here every step is rounded to float32 (float64 for
F32 and F64), and the result once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import fsum, inf
from typing import TYPE_CHECKING, Any

from core.draws import SELECTION_STREAM, selection_thresholds
from core.dtypes import DType
from core.errors import RecipeError
from core.kernels.interface import Counts, MapJob
from core.methods.folds import Fold
from core.methods.parameter_selection import check_shares
from core.methods.sparsify import Kept, keep, keeping_of, sparsify_folds, task_vectors_of
from core.methods.spec import Arithmetic
from core.weights import in_computing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "COMBINATIONS",
    "ELECTIONS",
    "Choices",
    "ChoicesOf",
    "check_values",
    "counts_of",
    "folds_of",
    "load_map",
]

ELECTIONS = ("none", "mass", "count")
COMBINATIONS = ("sum", "mean", "selection")

_NO_SUM = 1e-8
"""A sum of weights below this is not divided by."""


@dataclass(frozen=True)
class Choices:
    """What is done with task vectors.

    Attributes:
        sparsify: one of core.methods.sparsify.SPARSIFIERS.
        elect: "none"; "mass", the sign of the weighted sum; "count", the sign of most.
        combine: "sum" of the weighted task vectors; their "mean" over those that are left; or "selection" of
            one of them, drawn again while it is zero.
    """

    sparsify: str = "none"
    elect: str = "none"
    combine: str = "sum"


ChoicesOf = Callable[[Mapping[str, Any]], Choices]


def load_map(choices_of: ChoicesOf) -> Arithmetic:
    """The map of a method of this family."""
    return partial(_merge, choices_of)


def folds_of(choices_of: ChoicesOf, job: MapJob) -> tuple[Fold, ...]:
    """The folds of a method of this family."""
    return sparsify_folds(job, choices_of(job.parameters).sparsify)


def counts_of(choices_of: ChoicesOf, values: Mapping[str, Any]) -> tuple[str, ...]:
    """What a method of this family counts."""
    choices = choices_of(values)
    found: tuple[str, ...] = ()
    if choices.combine == "selection":
        found = ("zero_delta", "changed_by", "zero_after_draw", "selected")
    found += ("dropped",) if choices.sparsify != "none" else ()
    return found + (("elected_against",) if choices.elect != "none" else ())


def check_values(choices_of: ChoicesOf, values: Mapping[str, Any], computing: DType | None) -> None:
    """Raises RecipeError where values make no sense together."""
    choices = choices_of(values)
    if choices.combine == "selection":
        check_shares(values["weight"])
    for weight in values["weight"]:
        in_computing(weight, computing, "weight")
    in_computing(values["lambda"], computing, "lambda")
    if choices.combine == "mean" and choices.elect == "none":
        in_computing(weights_sum(values["weight"]), computing, "the sum of the weights,", field="weight")
    if choices.sparsify != "none" and values["rescale"] and values["rescale_by"] == "density":
        for density in values["density"]:
            in_computing(density, computing, "density")
    if choices.sparsify == "ranked":
        for density, epsilon in zip(values["density"], values["epsilon"], strict=True):
            _check_chances(density, epsilon)


def weights_sum(weights: Sequence[float]) -> float:
    """The sum of the weights in float64; 1 where it is nearly 0."""
    try:
        total = fsum(weights)
    except OverflowError:
        total = inf
    return 1.0 if abs(total) < _NO_SUM else total


def _check_chances(density: float, epsilon: float) -> None:
    if not 0 < density < 1 or (density - epsilon > 0 and density + epsilon < 1):
        return
    raise RecipeError(
        f"density {density:g} with epsilon {epsilon:g}: elements would be kept with chances from "
        f"{density - epsilon:g} to {density + epsilon:g}, and these must lie between 0 and 1",
        hint=f"give an epsilon below {min(density, 1 - density):g}, or another density",
        field="epsilon",
    )


def _merge(
    choices_of: ChoicesOf, job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The base and what comes of the task vectors, of one chunk.

    Every difference, product, sum and quotient is rounded to the computing type.

    Args:
        choices_of: from the method's parameters to its choices.
        job: what is asked; `found` has what `folds_of` find.
        first_element: the chunk's first element, counted in the whole tensor.
        models: K tensors [elements] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and the counts.
    """
    from core.methods import arithmetic

    if base is None:
        raise ValueError(f"{job.method} needs a base")
    choices, counts = choices_of(job.parameters), Counts.zeros(job)
    keepings = keeping_of(job, choices.sparsify)
    task_vectors = task_vectors_of(job, models, base)
    kept = [keep(job, first_element, one, at, keepings[at]) for at, one in enumerate(task_vectors)]
    if counts.dropped is not None:
        for at, one in enumerate(kept):
            if one.mask is not None:
                counts.dropped[at] = _count(job, ~one.mask & (task_vectors[at] != 0))
    if choices.combine == "selection":
        terms = [one.values for one in kept]
    else:
        terms = [
            arithmetic.scalar(weight, job, one.values) * one.values
            for weight, one in zip(job.parameters["weight"], kept, strict=True)
        ]
    elected = None if choices.elect == "none" else _elect(terms, choices.elect == "mass")
    if counts.elected_against is not None and elected is not None:
        for at, one in enumerate(kept):
            left = one.values != 0 if one.mask is None else one.mask & (one.values != 0)
            counts.elected_against[at] = _count(job, left & ~elected[at])
    if choices.combine == "selection":
        nothing = elected is None and all(keeping.kind == "all" for keeping in keepings)
        return _select(job, first_element, models, base, kept, elected, nothing, counts), counts
    mix = terms[0].new_zeros(terms[0].shape)
    for at, term in enumerate(terms):
        mix = mix + (term if elected is None else term.where(elected[at], term.new_zeros(())))
    if choices.combine == "mean":
        mix = mix / _divisor(job, mix, elected)
    if job.parameters["lambda"] != 1:
        mix = arithmetic.scalar(job.parameters["lambda"], job, mix) * mix
    return arithmetic.from_computing(arithmetic.to_computing(base, job) + mix, job), counts


def _count(job: MapJob, mask: Tensor) -> int:
    begin, end = job.inner or (0, mask.numel())
    return int(mask[begin:end].sum())


def _elect(terms: Sequence[Tensor], by_mass: bool) -> list[Tensor]:
    """Which elements of each term have the sign that was elected; zeros and NaNs have none."""
    total = terms[0].new_zeros(terms[0].shape)
    for term in terms:
        total = total + (term if by_mass else (term > 0).to(term.dtype) - (term < 0).to(term.dtype))
    positive = total >= 0
    return [(positive & (term > 0)) | (~positive & (term < 0)) for term in terms]


def _divisor(job: MapJob, mix: Tensor, elected: Sequence[Tensor] | None) -> Tensor:
    """What the sum is divided by for the mean: the weights of those that are left, 1 where they come to 0."""
    from core.methods import arithmetic

    weights = job.parameters["weight"]
    if elected is None:
        return arithmetic.scalar(weights_sum(weights), job, mix)
    total = mix.new_zeros(mix.shape)
    for weight, mask in zip(weights, elected, strict=True):
        total = total + arithmetic.scalar(weight, job, mix).where(mask, mix.new_zeros(()))
    return total.masked_fill(total == 0, 1.0)


def _select(
    job: MapJob,
    first_element: int,
    models: Sequence[Tensor],
    base: Tensor,
    kept: Sequence[Kept],
    elected: Sequence[Tensor] | None,
    nothing: bool,
    counts: Counts,
) -> Tensor:
    """One task vector's value for each element, drawn again while it is zero; added to the base.

    Args:
        job, first_element, models, base: see `_merge`.
        kept: what sparsifying left.
        elected: what the election left of each; None without one.
        nothing: whether nothing was sparsified and nothing elected: values are copied then, not computed.
        counts: are added to.

    Returns:
        [elements] of the output dtype.
    """
    import torch

    from core import torch_values
    from core.methods import arithmetic

    assert counts.zero_delta is not None and counts.changed_by is not None
    assert counts.zero_after_draw is not None and counts.selected is not None
    begin, end = job.inner or (0, base.numel())
    changed = torch.stack([torch_values.changed(model, base, job.zero_tolerance) for model in models])
    counts.zero_delta[:] = (~changed[:, begin:end]).sum(dim=1).cpu().numpy()
    by = changed[:, begin:end].sum(dim=0)
    counts.changed_by[:] = torch.bincount(by, minlength=job.models + 1).cpu().numpy()
    live = changed.clone()
    for at, one in enumerate(kept):
        live[at] &= True if one.mask is None else one.mask
        live[at] &= True if elected is None else elected[at]
    elements, device = base.numel(), base.device
    thresholds = selection_thresholds(job.parameters["weight"])
    chosen = torch.zeros(elements, dtype=torch.int64, device=device)
    is_zero = torch.ones(elements, dtype=torch.bool, device=device)
    for draw in range(job.draws):
        words = arithmetic.draw_words(first_element, elements, draw, job.key, SELECTION_STREAM, device)
        chosen = torch.where(is_zero, arithmetic.pick_models(words, thresholds), chosen)
        is_zero = ~live.gather(0, chosen.unsqueeze(0)).squeeze(0)
        counts.zero_after_draw[draw] = _count(job, is_zero)
    counts.selected[:] = torch.bincount(chosen[begin:end], minlength=job.models).cpu().numpy()
    stacked = torch.stack([torch_values.words_of(model) for model in models])
    values = stacked.gather(0, chosen.unsqueeze(0)).squeeze(0).view(base.dtype)
    copied = torch_values.convert(values if nothing else base, job.out_dtype)
    scale = job.parameters["lambda"]
    if nothing and scale == 1:
        return copied
    step = torch.stack([one.values for one in kept]).gather(0, chosen.unsqueeze(0)).squeeze(0)
    if scale != 1:
        step = arithmetic.scalar(scale, job, step) * step
    moved = arithmetic.from_computing(arithmetic.to_computing(base, job) + step, job)
    words_of = torch_values.words_of
    return torch.where(is_zero, words_of(copied), words_of(moved)).view(copied.dtype)
