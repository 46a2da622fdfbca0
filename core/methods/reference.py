"""The reference arithmetic as a workspace: any device that torch knows, nothing clever."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.interface import Counts, MapJob
from core.methods import METHODS, arithmetic
from core.methods.parameter_selection import count_deltas

__all__ = ["ReferenceWorkspace"]


class ReferenceWorkspace:
    """Runs the methods' own torch arithmetic on `device`; a core.kernels.interface.Workspace."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._job: MapJob | None = None
        self._rows: list[NDArray[np.uint8]] = []
        self._output = np.empty(0, np.uint8)

    def begin(self, job: MapJob, elements: int) -> list[memoryview]:
        self._job = job
        self._rows = [np.empty(elements * dtype.itemsize, np.uint8) for dtype in job.input_dtypes]
        return [row.data for row in self._rows]

    def run(self, first_element: int) -> Counts:
        job = self._job
        assert job is not None
        stored = [
            _values(row, dtype).to(self._device)
            for row, dtype in zip(self._rows, job.input_dtypes, strict=True)
        ]
        converted = [arithmetic.convert(values, job.merge_dtype) for values in stored]
        base = converted.pop() if job.base_dtype is not None else None
        reference = count_deltas if job.method == "count_deltas" else METHODS[job.method].load_reference()
        merged, counts = reference(job, first_element, converted, base)
        counts.nonfinite[:] = [int(arithmetic.is_nonfinite(values).sum()) for values in stored]
        self._output = merged.contiguous().view(torch.uint8).cpu().numpy()
        assert isinstance(counts, Counts)
        return counts

    def output(self) -> memoryview:
        return self._output.data


def _values(row: NDArray[np.uint8], dtype: DType) -> torch.Tensor:
    """The bytes of `row` as values of `dtype`; torch cannot view no bytes as anything."""
    torch_dtype = arithmetic.torch_dtype(dtype)
    return torch.from_numpy(row).view(torch_dtype) if row.size else torch.empty(0, dtype=torch_dtype)
