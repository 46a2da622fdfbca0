"""Reading runs of elements of stored tensors: the input files of one worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.checkpoint.files import ReadFile
from core.checkpoint.headers import ShardHeader, StoredTensor
from core.errors import CheckpointError

__all__ = ["OpenInputs"]


class OpenInputs:
    """For every input model the one shard that is read now; used by one thread."""

    def __init__(self, headers: Mapping[Path, ShardHeader]) -> None:
        """`headers` of every shard as they were when the work was planned."""
        self._headers = headers
        self._open: dict[int, ReadFile] = {}

    def read(self, number: int, stored: StoredTensor, first_element: int, buffer: memoryview) -> None:
        """Fill `buffer` from element `first_element` of `stored`, the tensor of input `number`.

        Raises:
            CheckpointError: the file cannot be read, or is not the one that was planned with.
        """
        file = self._open.get(number)
        if file is None or file.path != stored.path:
            if file is not None:
                file.close()
            file = self._open[number] = ReadFile(stored.path)
            planned = self._headers[stored.path]
            if (file.size_bytes, file.modified_ns) != (planned.size_bytes, planned.modified_ns):
                raise CheckpointError(
                    f"{stored.path} has changed since it was opened",
                    hint="wait until it is written, then start again",
                    path=stored.path,
                )
        file.read_into(buffer, stored.offset + first_element * stored.dtype.itemsize)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
