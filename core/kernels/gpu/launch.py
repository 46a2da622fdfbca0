"""What the workspace and the kernels say to each other: launches whose tensors are fixed beforehand.

Conversions between types, tolerances and 8-bit types are rare, and go through torch before and after a
kernel. Models of one type of 2, 4 or 8 bytes go straight through it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import torch_values
from core.dtypes import DType
from core.kernels.gpu.memory import DeviceMemory
from core.kernels.interface import Counts, MapJob

__all__ = ["MapKernel", "Prepared", "adjacent", "launch", "nonfinite_into", "torch_word"]

_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Prepared:
    """A map of one job and number of elements that can be launched again and again.

    Its tensors are always the same, so that a launch allocates nothing and builds none.

    Attributes:
        values: [n * BLOCK elements] bytes of the output dtype, on the device.
        totals: what is counted, int32, on the device.
        launch: (first_element, key) sets the device to work, on the current stream. `first_element`, of the
            first value in the whole tensor, is a multiple of BLOCK.
        counted: what `totals`, copied to the host, say.
    """

    values: Tensor
    totals: Tensor
    launch: Callable[[int, tuple[int, int]], None]
    counted: Callable[[NDArray[np.int32]], Counts]


@dataclass(frozen=True)
class MapKernel:
    """A map on the device.

    Attributes:
        prepare: (job, stored, elements, memory); the job's key is not looked at. `stored` are the job's
            inputs as they are stored, the base last, [n * BLOCK] with zeros from `elements` on, when it is
            launched; they are not changed.
        compiled_as: jobs for which this is equal run the same compiled code.
    """

    prepare: Callable[[MapJob, Sequence[Tensor], int, DeviceMemory], Prepared]
    compiled_as: Callable[[MapJob], Hashable]


_compiled: set[tuple[Any, ...]] = set()
_compiling = threading.Lock()


def launch(kernel: Any, grid: tuple[int], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Launch, one thread at a time where the kernel is yet to be compiled: Triton's compiler is not
    made for more."""
    key = (kernel, arguments[0].device, arguments[0].dtype, *options.values())
    if key in _compiled:
        kernel[grid](*arguments, **options)
        return
    with _compiling:
        kernel[grid](*arguments, **options)
        _compiled.add(key)


def torch_word(itemsize: int) -> torch.dtype:
    """The signed integer of so many bytes."""
    return _SIGNED[itemsize]


def adjacent(rows: Sequence[Tensor], dtype: DType) -> Tensor | None:
    """Rows of `dtype` as one matrix of words without a copy; None where they are not, or do not lie so."""
    if any(row.dtype != torch_values.torch_dtype(dtype) for row in rows):
        return None
    words = [torch_values.words_of(row) for row in rows]
    length = words[0].numel()
    step = length * dtype.itemsize
    memory, first = words[0].untyped_storage().data_ptr(), words[0].data_ptr()
    if all(  # tensors of their own may lie in a row by chance: they are no one matrix to torch
        row.untyped_storage().data_ptr() == memory and row.data_ptr() == first + at * step
        for at, row in enumerate(words)
    ):
        return words[0].as_strided((len(rows), length), (length, 1))
    return None


def nonfinite_into(totals: Tensor, stored: Sequence[Tensor]) -> None:
    """Count what is not finite in each of `stored`, for a kernel that did not see it as it is stored."""
    torch.stack([torch_values.is_nonfinite(row).sum(dtype=torch.int32) for row in stored], out=totals)
