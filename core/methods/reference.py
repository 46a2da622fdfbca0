"""The methods' own torch arithmetic, on any device that torch knows: what every kernel must match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from core.dtypes import DType
from core.kernels.interface import Counts, MapJob, with_inner
from core.methods import METHODS
from core.methods.spec import MethodSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Reference"]

Array = NDArray[Any]


class Reference:
    """Runs methods' own arithmetic on `device`, one call a chunk; a core.kernels.interface.Fallback.

    Used by one thread at a time. Torch is imported by the first call: most merges never make one.
    """

    def __init__(self, device: str = "cpu", methods: Mapping[str, MethodSpec] = METHODS) -> None:
        self._device = device
        self._methods = methods

    def fold(
        self,
        job: MapJob,
        number: int,
        first_element: int,
        rows: Sequence[Array],
        inner: slice | None = None,
    ) -> Array:
        """What the job's fold number `number` finds in a chunk. [blocks, ...]

        Args:
            job: what is asked.
            number: of the method's folds.
            first_element: of the chunk in its tensor.
            rows: the bytes of each input as stored, the base last. [elements * itemsize] uint8
            inner: which of their elements are wanted; None for all.
        """
        job = with_inner(job, inner)
        models, base = self._converted(job, self._stored(job, rows))
        read = self._methods[job.method].folds_of(job)[number].load_reading()
        return read(job, first_element, models, base)

    def merge(
        self, job: MapJob, first_element: int, rows: Sequence[Array], inner: slice | None = None
    ) -> tuple[Array, Counts]:
        """The merged bytes of a chunk, and what was counted; the arguments are those of `fold`.

        With `inner` only these elements of what the rows hold are returned and counted.
        """
        import torch

        from core.torch_values import is_nonfinite, torch_dtype

        job = with_inner(job, inner)
        stored = self._stored(job, rows)
        models, base = self._converted(job, stored)
        merged, counts = self._methods[job.method].load_arithmetic()(job, first_element, models, base)
        if merged.dtype != torch_dtype(job.out_dtype):
            raise TypeError(f"{job.method} returned {merged.dtype}, and was asked for {job.out_dtype}")
        if inner is not None:
            stored, merged = [values[inner] for values in stored], merged[inner]
        counts.nonfinite[:] = [int(is_nonfinite(values).sum()) for values in stored]
        output: Array = merged.contiguous().view(torch.uint8).cpu().numpy()
        return output, counts

    def _stored(self, job: MapJob, rows: Sequence[Array]) -> list[Tensor]:
        if self._device == "cpu":
            _one_thread()
        return [
            _values(row, dtype).to(self._device)
            for row, dtype in zip(rows, job.input_dtypes, strict=False)  # a base may be there unread
        ]

    def _converted(self, job: MapJob, stored: list[Tensor]) -> tuple[list[Tensor], Tensor | None]:
        from core.torch_values import convert

        converted = [convert(values, job.merge_dtype) for values in stored]
        return converted, converted.pop() if job.base_dtype is not None else None


def _one_thread() -> None:
    """Workers share out the chunks; threads of torch, which wait for each other, would be in the way."""
    import torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def _values(row: Array, dtype: DType) -> Tensor:
    """The bytes of `row` as values of `dtype`; torch cannot view no bytes as anything."""
    import torch

    from core.torch_values import torch_dtype

    kind = torch_dtype(dtype)
    return torch.from_numpy(row).view(kind) if row.size else torch.empty(0, dtype=kind)
