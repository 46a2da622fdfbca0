"""Work as values: chunks that go out, what comes back of them, and who works them off.

Whatever reads tensors chunk by chunk (merging, measuring, comparing, verifying) is a `Work`. An executor
takes its chunks, has each filled, computed and finished, and hands back what came of it. The three steps of a
chunk follow one another, and may run in different threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar

from core.cancel import CancelToken
from core.kernels.interface import Values

__all__ = ["LATER", "Chunk", "Executor", "IteratedWork", "Later", "Slot", "Work"]

C = TypeVar("C")
D = TypeVar("D")
C_in = TypeVar("C_in", contravariant=True)
C_out = TypeVar("C_out", covariant=True)
D_out = TypeVar("D_out", covariant=True)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of elements of one tensor, in one pass over it.

    Attributes:
        tensor: its number in the plan.
        first, elements: from which element on, and how many.
        step: the pass: the number of a fold, or that of the folds for the map.
        found: what the passes before found in the whole tensor, for each job.
    """

    tensor: int
    first: int
    elements: int
    step: int = 0
    found: tuple[Values, ...] = field(default=(), repr=False)


class Later(Enum):
    """Says that there is nothing to do before more has come back."""

    LATER = "later"


LATER = Later.LATER


class Slot(Protocol[C_in, D_out]):
    """Buffers and files for one chunk at a time; used by one thread at a time."""

    def fill(self, chunk: C_in) -> None:
        """Read what the chunk needs into the buffers."""
        ...

    def compute(self, chunk: C_in) -> None:
        """Do the arithmetic on what was filled in."""
        ...

    def finish(self, chunk: C_in) -> D_out:
        """Digest and write what was computed, and say what came of the chunk."""
        ...

    def close(self) -> None:
        """Let go of files; called once, at the end."""
        ...


class Work(Protocol[C, D]):
    """Chunks to be worked off. `take` and `collect` are never called at the same time.

    Attributes:
        eager: whether later chunks wait for what comes back of earlier ones, so that it is to be collected at
            once; otherwise it may wait for the next poll.
    """

    eager: bool

    def take(self) -> C | Later | None:
        """The next chunk, in the order of the files; LATER, or None when there are no more."""
        ...

    def slot(self) -> Slot[C, D]:
        """Buffers for one more chunk at a time; called in any thread."""
        ...

    def size(self, chunk: C) -> float:
        """How long a chunk takes, beside others; called like `take`, by one thread at a time."""
        ...

    def collect(self, done: D) -> None:
        """Take what came of a chunk; in any order."""
        ...


class IteratedWork(Generic[C, D]):
    """A work whose chunks are known from the beginning."""

    eager = False

    def __init__(self, chunks: Iterator[C]) -> None:
        self._chunks = chunks

    def take(self) -> C | Later | None:
        return next(self._chunks, None)

    def size(self, chunk: C) -> float:
        return 1.0


class Executor(Protocol):
    """Works off chunks."""

    def run(self, work: Work[C, D], *, slots: int, token: CancelToken, poll: Callable[[], None]) -> None:
        """Work off all of `work`.

        Args:
            work: what is to be done.
            slots: chunks at one time.
            token: looked at before each chunk.
            poll: called in this thread about ten times a second, and once at the end.

        Raises:
            Cancelled: after `token.cancel()`.
            BaseException: what the first failing step raised, or `poll`; nothing goes on then.
        """
        ...
