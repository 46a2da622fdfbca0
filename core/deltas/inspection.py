"""What fine-tuning changed, tensor by tensor and without a merge: one streaming read, or one of a sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from core.cancel import CancelToken
from core.compilation import compilation_noted
from core.deltas.sampling import SAMPLE_BLOCK, sampled_blocks
from core.deltas.statistics import DeltaStatistics, total_of
from core.deltas.survey import WHOLE_BLOCK, Survey
from core.errors import MergeError, merge_errors_only
from core.plan.merge_plan import MergePlan
from core.plan.planning import plan_merge
from core.plan.whole_rows import measured_tensors
from core.progress import ProgressCallback
from core.recipe.parsing import parse_recipe

__all__ = ["Inspection", "TensorInspection", "inspect_models", "plan_inspection"]


@dataclass(frozen=True, eq=False)
class TensorInspection:
    """What was counted in one floating-point tensor.

    Attributes:
        name, shape: of the tensor.
        parameters: its elements.
        elements: those that were looked at; all without sampling.
        zero_delta: [K] of them, those of each sub-model with zero delta.
        changed_by: [K+1] elements changed by exactly m sub-models, m = 0..K.
        nonfinite: [K+1] NaN and infinite elements as stored, the base last.
        statistics: what follows for the whole tensor, with standard errors, and the other measures.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    elements: int
    zero_delta: tuple[int, ...]
    changed_by: tuple[int, ...]
    nonfinite: tuple[int, ...]
    statistics: DeltaStatistics


TensorCallback = Callable[[TensorInspection], None]
"""Called in the thread that called the job."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """The statistics of K sub-models beside their base.

    Attributes:
        models: the names of the sub-models. [K]
        base: the name of the base.
        sample: the fraction of the blocks that was asked for.
        seed: of the choice of blocks.
        weights: the sub-models' weights that were given, [K]; None for equal ones.
        details: whether more was measured than counts.
        tensors: the floating-point ones, in the order of the base.
    """

    models: tuple[str, ...]
    base: str
    sample: float
    seed: int
    weights: tuple[float, ...] | None
    details: bool
    tensors: tuple[TensorInspection, ...]

    @property
    def statistics(self) -> DeltaStatistics | None:
        """Of all tensors together; None where there is none."""
        return total_of(tensor.statistics for tensor in self.tensors) if self.tensors else None


@merge_errors_only()
def inspect_models(
    base: str | Path,
    models: Sequence[str | Path],
    *,
    sample: float = 1.0,
    details: bool = False,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    threads: int | None = None,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
    on_tensor: TensorCallback | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Inspection:
    """Measure the deltas of `models` beside `base`, and how they overlap.

    On one machine the result depends on nothing but the models and `sample`, `details`, `weights` and
    `seed`; counts do not depend on the machine either.

    Args:
        base: the base's folder.
        models: the sub-models' folders.
        sample: the fraction of blocks to read, 0 < sample <= 1; the same blocks of every model, and
            at least one of each tensor.
        details: whether to measure magnitudes, norms, dot products and signs too, which takes about nine
            times the arithmetic with 10 sub-models.
        weights: [K] of the sub-models in the draws that `zero_after_draw` predicts; None for equal ones.
        seed: of the choice of blocks.
        threads: workers; None for as many as get the most done, up to one a core.
        cancel: looked at between blocks.
        progress: called about ten times a second in this thread.
        on_tensor: called in this thread with each tensor soon after its last block; in no order.
        on_note: called in any thread with a sentence about what takes a while.

    Raises:
        MergeError: the models cannot be read or do not belong together.
        Cancelled: after `cancel.cancel()`.
    """
    if not 0 < sample <= 1:
        raise MergeError(f"the sample of {sample:g} is not a fraction", hint="give a number above 0, up to 1")
    plan = plan_inspection(base, models, weights)
    measured = measured_tensors(plan)
    survey = Survey(
        plan,
        [[tensor] for tensor in measured],
        details=details,
        threads=threads,
        block=SAMPLE_BLOCK if sample < 1 else WHOLE_BLOCK,
        sampling=sample < 1,
    )
    chosen: list[Sequence[int]] = [range(group.blocks) for group in survey.groups]
    if sample < 1:
        chosen = [
            sampled_blocks(tensor.output.name, tensor.elements, sample, seed=seed) for tensor in measured
        ]
    bytes_total = round(sample * sum(source.bytes_to_read for tensor in measured for source in tensor.inputs))
    started = time.perf_counter()
    found: dict[int, TensorInspection] = {}

    def report() -> None:
        for number in survey.finished():
            found[number] = _inspection_of(survey, number)
            if on_tensor is not None:
                on_tensor(found[number])
        if progress is not None:
            progress(survey.progress(bytes_total, len(found), time.perf_counter() - started))

    with compilation_noted(on_note or (lambda _: None)):
        survey.read(chosen, cancel or CancelToken(), report)
    assert plan.base is not None
    return Inspection(
        models=tuple(model.name for model in plan.models),
        base=plan.base.name,
        sample=sample,
        seed=seed,
        weights=None if weights is None else tuple(float(weight) for weight in weights),
        details=details,
        tensors=tuple(found[number] for number in range(len(measured))),
    )


@merge_errors_only()
def plan_inspection(
    base: str | Path, models: Sequence[str | Path], weights: Sequence[float] | None = None
) -> MergePlan:
    """The plan of a merge whose tensors are to be looked at only.

    Raises:
        MergeError: the models cannot be read or do not belong together.
    """
    values = [1.0] * len(models) if weights is None else _checked(weights, len(models))
    recipe = parse_recipe(
        {
            "merge_method": "parameter_selection",
            "base_model": str(Path(base).absolute()),
            "models": [
                {"model": str(Path(model).absolute()), "parameters": {"weight": weight}}
                for model, weight in zip(models, values, strict=True)
            ],
            "parameters": {"resamples": 0},
        },
        Path(),
    )
    return plan_merge(recipe)


def _inspection_of(survey: Survey, number: int) -> TensorInspection:
    (tensor,), sums = survey.groups[number].tensors, survey.sums(number)
    return TensorInspection(
        name=tensor.output.name,
        shape=tensor.output.shape,
        parameters=tensor.elements,
        elements=sums.elements,
        zero_delta=sums.count("zero_delta"),
        changed_by=sums.count("changed_by"),
        nonfinite=sums.count("nonfinite"),
        statistics=survey.statistics(number),
    )


def _checked(weights: Sequence[float], models: int) -> list[float]:
    try:
        values = [float(weight) for weight in weights]
    except (
        TypeError,
        ValueError,
        OverflowError,
    ) as error:  # of a text, or of an int that is larger than any float
        raise MergeError(f"the weights cannot be used: {error}", hint="give numbers") from error
    if len(values) != models:
        raise MergeError(f"there are {len(values)} weights for {models} sub-models")
    if not all(isfinite(value) and value >= 0 for value in values) or not any(values):
        raise MergeError(
            f"the weights {', '.join(f'{value:g}' for value in values)} are no chances of being drawn",
            hint="give weights that are not negative, and not all zero",
        )
    return values
