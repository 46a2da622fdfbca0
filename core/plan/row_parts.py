"""Rows that not all inputs have: a tensor is cut into parts, the rows that the same ones have.

Each part is merged by a job of its own on the inputs that have it, so that no kernel knows of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from core.errors import IncompatibleError, RecipeError
from core.kernels.interface import MapJob, Values
from core.methods import METHODS
from core.plan.adapting import in_merge_dtype
from core.plan.correspond import TensorSources
from core.plan.row_part import RowPart
from core.plan.tensor_jobs import tensor_job
from core.recipe.recipe import Recipe
from core.sources.source import Absent, Source
from core.sources.token_rows import RowPicks, Rows, Zeros

__all__ = ["cut_rows", "with_matched_rows"]


def with_matched_rows(tensor: TensorSources) -> TensorSources:
    """The same with sources that deliver the rows of the result; zeros for those that an input lacks."""
    if not tensor.rows:
        return tensor
    sources = _sources(tensor)
    matched = [_matched(sources, at, tensor) for at in range(len(sources))]
    models = len(tensor.models)
    return replace(
        tensor,
        models=tuple(matched[:models]),
        base=matched[models] if len(matched) > models else tensor.base,
    )


def cut_rows(
    recipe: Recipe, tensor: TensorSources, matched: TensorSources, draw_name: str, values: Values
) -> tuple[RowPart, ...]:
    """The parts of a tensor; none where all inputs have all of its rows.

    Args:
        recipe: what is asked.
        tensor: as it was found, and `matched`: with_matched_rows of it.
        draw_name, values: as of tensor_job, of the whole tensor.

    Raises:
        RecipeError: the weights of those that have a row make no sense without the others'.
        IncompatibleError: as tensor_job.
    """
    if not tensor.rows:
        return ()
    present = np.stack([rows.present for rows in tensor.rows])
    if present.all():
        return ()
    starts = np.append(0, np.nonzero((present[:, 1:] != present[:, :-1]).any(axis=0))[0] + 1)
    runs = np.stack([starts, np.append(starts[1:], present.shape[1])], axis=1) * prod(
        tensor.offered.shape[1:]
    )
    kinds, first, kind_of = np.unique(present[:, starts], axis=1, return_index=True, return_inverse=True)
    return tuple(
        replace(
            _part(recipe, tensor, matched, kinds[:, kind], draw_name, values),
            data=runs[kind_of.ravel() == kind].astype(np.int64).tobytes(),
        )
        for kind in np.argsort(first).tolist()
    )


def _part(
    recipe: Recipe,
    tensor: TensorSources,
    matched: TensorSources,
    having: NDArray[np.bool_],
    draw_name: str,
    values: Values,
) -> RowPart:
    """How rows are merged that only some have, wherever they are; `having` says who, the base last."""
    of_part = matched if having.all() else _of_part(matched, having)
    job, _ = tensor_job(recipe, of_part, draw_name, values)
    _check(tensor, of_part, job)
    reads_base = job.base_dtype is not None and of_part.base is not None
    inputs = in_merge_dtype(
        [*of_part.models, *([of_part.base] if reads_base and of_part.base is not None else [])],
        job.merge_dtype,
    )
    numbers = np.nonzero(having)[0].tolist() + [len(having) - 1] * len(inputs)
    those = tuple(range(len(recipe.models))) if of_part.present is None else of_part.present
    return RowPart(b"", inputs, tuple(numbers[: len(inputs)]), job, those, bool(having.all()))


def _of_part(tensor: TensorSources, having: NDArray[np.bool_]) -> TensorSources:
    """What of a tensor is there in some of its rows; `having` says who has them, the base last."""
    models = len(tensor.models)
    at = [number for number in range(models) if having[number]]
    base = tensor.base
    if len(having) > models and not having[models] and base is not None:
        base = Absent(base.dtype)
    if not at or tensor.present == ():
        known = [source for source, has in zip(_sources(tensor), having, strict=True) if has]
        source = known[0] if known else Zeros(tensor.offered.dtype)
        absent = None if base is None else Absent(source.dtype)
        return replace(tensor, models=(source,), base=absent, present=())
    everyone = tuple(range(models)) if tensor.present is None else tensor.present
    return replace(
        tensor,
        models=tuple(tensor.models[number] for number in at),
        base=base,
        present=tensor.present if len(at) == models else tuple(everyone[number] for number in at),
    )


def _sources(tensor: TensorSources) -> list[Source]:
    """Of whatever has the tensor, in the order of its row maps."""
    base = [] if tensor.base is None or isinstance(tensor.base, Absent) else [tensor.base]
    return [*tensor.models, *base]


def _matched(sources: Sequence[Source], at: int, tensor: TensorSources) -> Source:
    """The rows of one input as the result has them; some may be lent by others."""
    rows = tensor.rows[at]
    offered = tensor.offered_by_models[at] if at < len(tensor.offered_by_models) else tensor.offered
    lenders = np.unique(rows.inputs)
    plain = np.arange(offered.shape[0])
    if lenders.tolist() == [rows.own] and np.array_equal(rows.rows, plain):
        return sources[at]
    by_input = {one.own: source for one, source in zip(tensor.rows, sources, strict=True)}
    lenders_of = tuple(by_input[number] for number in lenders.tolist() if number in by_input)
    if len(lenders_of) < len(lenders) or any(source.dtype != sources[at].dtype for source in lenders_of):
        raise IncompatibleError(
            f"tokenizer.tokens takes a row of tensor {tensor.name!r} from a model that has no such tensor, "
            f"or stores it in another type than {sources[at].dtype}",
            hint="take the row of a model that has it in the same type, or leave that token out",
            tensor=tensor.name,
            field="tokenizer",
        )
    picks = RowPicks.of(np.searchsorted(lenders, rows.inputs), rows.rows)
    return Rows(lenders_of, picks, prod(tensor.offered.shape[1:]))


def _check(tensor: TensorSources, of_part: TensorSources, job: MapJob) -> None:
    """Refuse values that make no sense of those alone who have some rows."""
    try:
        METHODS[job.method].check(job.parameters, job.computing)
    except RecipeError as error:
        raise RecipeError(
            f"rows of tensor {tensor.name!r} that only some of the sub-models have: {error.message}",
            hint="give those weights that do not sum up to zero, or write vocab: base to leave out what the "
            "base lacks",
            tensor=tensor.name,
            field=error.field,
        ) from error
