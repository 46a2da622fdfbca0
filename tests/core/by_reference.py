"""Tensors written down as numbers, merged by a method's own torch arithmetic, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch

from core.dtypes import DTYPES
from core.kernels.interface import MapJob, Values
from core.methods import METHODS
from core.methods.folds import found_by
from core.table import trial_job
from core.torch_values import torch_dtype

__all__ = ["ByReference", "by_reference"]


class ByReference(NamedTuple):
    """What a method makes of a tensor: numbers in the shape of the inputs, and what its folds found."""

    values: np.ndarray
    found: Values


def by_reference(
    method: str,
    models: Sequence[Any],
    base: Any = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    dtype: str = "F64",
    out: str | None = None,
    chunk: int | None = None,
) -> ByReference:
    """The models and the base, arrays or lists of one shape, merged.

    Args:
        method: its name.
        models, base: numbers, which are rounded to the merge dtype; no base where the method is to have none.
        parameters: the method's, by name.
        dtype, out: the merge dtype, and the output's where it is another.
        chunk: elements of a chunk, or rows where the method goes by rows; all where it is None.
    """
    spec, kind = METHODS[method], DTYPES[dtype]
    shape = np.shape(models[0])
    tensors = [torch.tensor(np.array(one, np.float64).ravel()).to(torch_dtype(kind)) for one in models]
    origin = None if base is None else torch.tensor(np.array(base, np.float64).ravel()).to(torch_dtype(kind))
    job = trial_job(spec, kind, len(models), parameters, out_dtype=DTYPES[out or dtype])
    by_rows = spec.goes_by_rows(job.parameters)
    job = replace(
        job,
        base_dtype=None if origin is None else job.base_dtype,
        elements=prod(shape),
        row=shape[-1] if by_rows and shape else 1,
        columns=max(1, prod(shape[1:])),
    )
    step = (chunk or prod(shape)) * (job.row if chunk else 1)

    def chunks() -> Iterator[tuple[int, list[torch.Tensor], torch.Tensor | None]]:
        for start in range(0, prod(shape), step):
            part = slice(start, start + step)
            yield start, [tensor[part] for tensor in tensors], None if origin is None else origin[part]

    folds = spec.folds_of(job)

    def read(job: MapJob, number: int) -> Iterator[np.ndarray]:
        reading = folds[number].load_reading()
        return (reading(job, *inputs) for inputs in chunks())

    job = found_by(folds, job, read)
    merged = [spec.load_arithmetic()(job, *inputs)[0] for inputs in chunks()]
    assert all(part.dtype == torch_dtype(job.out_dtype) for part in merged)
    return ByReference(torch.cat(merged).to(torch.float64).numpy().reshape(shape), job.found)
