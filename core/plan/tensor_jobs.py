"""The part of planning that says how one tensor is merged."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from core.draws import philox_key
from core.dtypes import DType, promote
from core.errors import IncompatibleError
from core.kernels.interface import MapJob, Values
from core.methods import METHODS, MethodSpec
from core.plan.adapting import in_merge_dtype
from core.plan.correspond import TensorSources
from core.recipe.recipe import Recipe
from core.sources.source import Absent

__all__ = ["common_dtype", "tensor_job"]

_AVERAGE, _SELECTION = "linear", "parameter_selection"


def tensor_job(recipe: Recipe, tensor: TensorSources, draw_name: str, values: Values) -> tuple[MapJob, str]:
    """How `tensor` is merged, and a word on it where that is not as the recipe's method does.

    A tensor that not all inputs have: selection draws from those that have it, and so does what comes to the
    same; an average is normalised over them; any other method takes the average of them with equal weights.

    Args:
        draw_name: the tensor under whose name it draws.
        values: of the recipe's parameters for this tensor, of all sub-models.

    Raises:
        IncompatibleError: its storage types cannot be brought to one.
    """
    method, how = recipe.method, ""
    if tensor.present == () and tensor.base is None:  # rows that nobody has, which are zeros
        method, values = METHODS[_AVERAGE], Values.of(weight=[1.0], normalize=True)
    elif tensor.present == ():
        # The base's values as they are: a selection of one, never drawn again.
        method, values = METHODS[_SELECTION], Values.of(weight=[1.0], resamples=0)
    elif tensor.present is not None or isinstance(tensor.base, Absent):
        values = _of_present(method, values, tensor.present)
        if method.selects(values):
            chosen = {name: values[name] for name in ("weight", "resamples")}
            method, values = METHODS[_SELECTION], Values.from_mapping(chosen)
        whole = tensor.present is None
        if method.name == _AVERAGE:
            values = Values.from_mapping({**values, "normalize": True})
        elif method.name == _SELECTION:
            if not any(values["weight"]):
                values = Values.from_mapping({**values, "weight": [1.0] * len(tensor.models)})
        elif not whole or method.reads_base:
            method, how = METHODS[_AVERAGE], "averaged with equal weights"
            values = Values.of(weight=[1.0] * len(tensor.models), normalize=True)
    merge_dtype = recipe.dtype or common_dtype(tensor.name, [one.dtype for one in tensor.offered_by_models])
    reads_base = tensor.base is not None and method.reads_base
    base_dtype = in_merge_dtype([tensor.base], merge_dtype)[0].dtype if tensor.base and reads_base else None
    return MapJob(
        method=method.name,
        model_dtypes=tuple(source.dtype for source in in_merge_dtype(tensor.models, merge_dtype)),
        base_dtype=base_dtype,
        merge_dtype=merge_dtype,
        out_dtype=recipe.out_dtype or merge_dtype,
        parameters=values,
        key=philox_key(recipe.seed, draw_name),
        zero_tolerance=recipe.zero_tolerance,
        counts=method.counts_of(values),
        draws=method.most_draws(values),
        row=_row(method, values, tensor.offered.shape),
        columns=max(1, prod(tensor.offered.shape[1:])),
        elements=prod(tensor.offered.shape),
    ), how


def common_dtype(name: str, stored: Sequence[DType]) -> DType:
    """The sub-models' common storage type, or the one that torch promotes them to."""
    dtype = promote(stored)
    if dtype is None:
        raise IncompatibleError(
            f"tensor {name!r} is stored in different 8-bit types by the sub-models",
            hint="say in the recipe in which type to merge, with dtype: bfloat16",
            tensor=name,
            field="dtype",
        )
    return dtype


def _of_present(method: MethodSpec, values: Values, present: tuple[int, ...] | None) -> Values:
    """The values of those sub-models that have the tensor."""
    if present is None:
        return values
    chosen: dict[str, Any] = dict(values)
    for spec in method.parameters:
        if spec.scope == "model":
            chosen[spec.name] = [values[spec.name][at] for at in present]
    return Values.from_mapping(chosen)


def _row(method: MethodSpec, values: Values, shape: tuple[int, ...]) -> int:
    return max(1, shape[-1]) if shape and method.goes_by_rows(values) else 1
