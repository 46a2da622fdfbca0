"""Reading runs of elements of stored tensors: the input files of one worker."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from core.checkpoint.files import ReadFile
from core.checkpoint.headers import ShardHeader, StoredTensor
from core.errors import CheckpointError

__all__ = ["OpenInputs"]

_WINDOW_BYTES = 4 * 1024**2


class OpenInputs:
    """For every input model the one shard that is read now; used by one thread."""

    def __init__(self, headers: Mapping[Path, ShardHeader], *, spare_cache: bool = False) -> None:
        """Nothing is opened yet.

        Args:
            headers: of every shard, as they were when the work was planned.
            spare_cache: whether to drop behind us what we brought into the page cache.
        """
        self._headers = headers
        self._spare_cache = spare_cache
        self._open: dict[int, _OpenShard] = {}

    def read(self, number: int, stored: StoredTensor, first_element: int, buffer: memoryview) -> None:
        """Fill `buffer` from element `first_element` of `stored`, the tensor of input `number`.

        Raises:
            CheckpointError: the file cannot be read, or is not the one that was planned with.
        """
        shard = self._open.get(number)
        if shard is None or shard.file.path != stored.path:
            if shard is not None:
                shard.close()
            shard = self._open[number] = _OpenShard(self._headers[stored.path], self._spare_cache)
        shard.read_into(buffer, stored.offset + first_element * stored.dtype.itemsize)

    def close(self) -> None:
        for shard in self._open.values():
            shard.close()


class _OpenShard:
    """A shard that is read more or less from its beginning to its end, a window ahead of the reads.

    Several workers read a shard side by side, each with an `_OpenShard` of its own. The first to come
    to a window finds it cold, and lets go of it again two windows later.
    """

    def __init__(self, planned: ShardHeader, spare_cache: bool) -> None:
        self.file = ReadFile(planned.path)
        self._spare_cache = spare_cache
        self._window = -1
        self._brought: deque[int] = deque()
        if (self.file.size_bytes, self.file.modified_ns) != (planned.size_bytes, planned.modified_ns):
            self.file.close()
            raise CheckpointError(
                f"{planned.path} has changed since it was opened",
                hint="wait until it is written, then start again",
                path=planned.path,
            )

    def read_into(self, buffer: memoryview, offset: int) -> None:
        ahead = (offset + len(buffer)) // _WINDOW_BYTES + 1
        if ahead > self._window:
            self._fetch(range(max(self._window + 1, offset // _WINDOW_BYTES), ahead + 1))
            self._window = ahead
        self.file.read_into(buffer, offset)

    def close(self) -> None:
        self._drop_before(sys.maxsize)
        self.file.close()

    def _fetch(self, windows: range) -> None:
        for window in windows:
            if self._spare_cache and self.file.is_cold(window * _WINDOW_BYTES, _WINDOW_BYTES):
                self._brought.append(window)
        self.file.will_need(windows.start * _WINDOW_BYTES, len(windows) * _WINDOW_BYTES)
        self._drop_before(windows.start - 2)

    def _drop_before(self, window: int) -> None:
        while self._brought and self._brought[0] < window:
            self.file.drop(self._brought.popleft() * _WINDOW_BYTES, _WINDOW_BYTES)
