"""Which samples go through a model together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.encoding import Sample

__all__ = ["Batches"]


class Batches:
    """Batches of samples of like length, the longest first, so that what does not fit shows at once.

    A batch that did not fit is put back in halves, and what comes later is cut as small. The numbers do not
    depend on any of this.

    Attributes:
        most_tokens: of a batch, padding among them; a sample that is longer is a batch of its own.
        done_tokens, all_tokens: of samples without padding: batches taken, and all.
    """

    def __init__(
        self, samples: Sequence[Sample], most_tokens: int, *, most_samples: int | None = None
    ) -> None:
        """`most_samples`: of a batch, None for no bound."""
        self._samples = samples
        lengths = np.array([len(sample.ids) for sample in samples], np.int64)
        # Of equal lengths the earlier rows first, so that rows finish in order where they can.
        self._left: deque[NDArray[np.int64]] = deque([np.argsort(-lengths, kind="stable")])
        self._lengths = lengths
        self._most_samples = most_samples
        self.most_tokens = most_tokens
        self.done_tokens, self.all_tokens = 0, int(lengths.sum())

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """The numbers of the samples of each batch."""
        while self._left:
            numbers = self._left.popleft()
            if not len(numbers):
                continue
            count = max(1, self.most_tokens // max(1, int(self._lengths[numbers[0]])))
            if self._most_samples is not None:
                count = min(count, self._most_samples)
            batch, rest = numbers[:count], numbers[count:]
            if len(rest):
                self._left.appendleft(rest)
            self.done_tokens += int(self._lengths[batch].sum())
            yield batch

    def put_back(self, batch: NDArray[np.int64]) -> None:
        """Take the batch again, in halves: it was too large. It has more than one sample."""
        self.done_tokens -= int(self._lengths[batch].sum())
        self._left.appendleft(batch)
        self.most_tokens = (len(batch) + 1) // 2 * int(self._lengths[batch[0]])
