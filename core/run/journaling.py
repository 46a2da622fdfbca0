"""What is finished goes into the journal, by a thread of its own, in an order that never claims too much.

The bytes of a chunk are on the disk before the line that says so. How often that happens goes by how long
it takes: syncing is to cost a merge next to nothing.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np

from core.checkpoint.files import WriteFile
from core.checkpoint.journal import JournalEntry
from core.digest import PIECE_BYTES
from core.errors import MergeError
from core.kernels.interface import COUNTS, Counts, Values
from core.plan.merge_plan import MergePlan, TensorPlan
from core.run.passes import Done
from core.run.tally import Written, no_counts
from core.run.work import Chunk

__all__ = ["Journaling", "done_of", "entry_of", "found_entry", "found_of", "joined"]

_log = logging.getLogger(__name__)

_EVERY_S = 0.5
_PAUSE = 9
"""Pauses are so many times as long as the syncing before them."""
_DIGEST_BYTES = 16


class Journaling:
    """Keeps what a merge has finished, while it goes on.

    A journal that cannot be written costs a merge nothing but the chance to go on after an interruption: that
    is said once. Shards that cannot be synced are a failure.

    Attributes:
        has_kept: whether anything was kept.
    """

    def __init__(
        self,
        plan: MergePlan,
        shards: Sequence[WriteFile],
        write: Callable[[Iterable[JournalEntry]], None],
        note: Callable[[str], None],
    ) -> None:
        """Args:
        plan: what is merged.
        shards: where to.
        write: adds entries to the journal, and returns when they are on the disk.
        note: called with a sentence when the journal cannot be written, in the thread that calls `check`.
        """
        self._plan, self._shards, self._write, self._note = plan, shards, write, note
        self._turn = threading.Condition()
        self._pending: list[Done] = []
        self._found: list[JournalEntry] = []
        self._fraction = 0.0
        self._stopping = False
        self._failure: BaseException | None = None
        self._unwritten: str | None = None
        self._writes = True
        self.has_kept = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def part(self, done: Done, fraction: float) -> None:
        """Keep what came of a chunk that was written; `fraction` of the merge is done with it."""
        with self._turn:
            self._pending.append(done)
            self._fraction = fraction

    def found(self, tensor: int, found: tuple[Values, ...]) -> None:
        """Keep what all folds found in a tensor."""
        with self._turn:
            self._found.append(found_entry(tensor, found))

    def check(self) -> None:
        """Raises what went wrong in the thread, where that is a failure; notes what is none."""
        with self._turn:
            failure, unwritten, self._unwritten = self._failure, self._unwritten, None
        if unwritten is not None:
            self._note(f"{unwritten}; this merge cannot go on after an interruption")
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Keep what is finished now, and end the thread. Raises as `check`."""
        self.stop()
        self.check()

    def stop(self) -> None:
        """The same, and raise nothing."""
        with self._turn:
            self._stopping = True
            self._turn.notify_all()
        self._thread.join()

    # -- in the thread

    def _run(self) -> None:
        pause = _EVERY_S
        try:
            while True:
                with self._turn:
                    self._turn.wait_for(lambda: self._stopping, pause)
                    stopping = self._stopping
                begun = time.monotonic()
                self._keep()
                pause = max(_EVERY_S, _PAUSE * (time.monotonic() - begun))
                if stopping:
                    return
        except BaseException as error:
            with self._turn:
                self._failure = error

    def _keep(self) -> None:
        with self._turn:
            pending, self._pending = self._pending, []
            found, self._found = self._found, []
            fraction = self._fraction
        if not (pending or found) or not self._writes:
            return
        for shard in sorted({self._plan.tensors[done.chunk.tensor].placement.shard for done in pending}):
            self._shards[shard].sync()
        entries = [*found, *(entry_of(done) for done in joined(pending))]
        entries[-1] = {**entries[-1], "done": fraction}
        try:
            self._write(entries)
            self.has_kept = True
        except MergeError as error:
            _log.warning("the journal cannot be written: %s", error)
            with self._turn:
                self._writes, self._unwritten = False, error.message


def joined(parts: Iterable[Done]) -> list[Done]:
    """The same as fewer parts: those that follow one another in a tensor become one."""
    result: list[Done] = []
    for part in sorted(parts, key=lambda done: (done.chunk.tensor, done.chunk.first)):
        last = result[-1] if result else None
        if (
            last is not None
            and last.chunk.tensor == part.chunk.tensor
            and last.chunk.first + last.chunk.elements == part.chunk.first
        ):
            result[-1] = _both(last, part)
        else:
            result.append(part)
    return result


def _both(one: Done, other: Done) -> Done:
    chunk = replace(one.chunk, elements=one.chunk.elements + other.chunk.elements)
    outputs = []
    for left, right in zip(one.outputs, other.outputs, strict=True):
        counts = Counts(
            left.counts.nonfinite + right.counts.nonfinite,
            **{
                name: getattr(left.counts, name) + getattr(right.counts, name)
                for name in COUNTS
                if getattr(left.counts, name) is not None
            },
        )
        outputs.append(
            Written(
                left.size_bytes + right.size_bytes,
                left.digests + right.digests,
                counts,
                left.differs | right.differs,
            )
        )
    return Done(chunk, one.bytes_read + other.bytes_read, outputs=tuple(outputs))


# -- as entries


def entry_of(done: Done) -> JournalEntry:
    """A finished part as an entry of the journal."""
    return {
        "part": done.chunk.tensor,
        "first": done.chunk.first,
        "elements": done.chunk.elements,
        "read": done.bytes_read,
        "outputs": [
            {
                "digests": base64.b64encode(written.digests).decode(),
                "counts": {
                    name: [int(count) for count in counts]
                    for name in ("nonfinite", *COUNTS)
                    if (counts := getattr(written.counts, name)) is not None
                },
                "differs": sorted(written.differs),
            }
            for written in done.outputs
        ],
    }


def done_of(entry: JournalEntry, plans: Sequence[TensorPlan]) -> Done | None:
    """The part that an entry tells of; None where it makes no sense for these tensors."""
    values = [entry.get(key) for key in ("part", "first", "elements", "read")]
    numbers = [value for value in values if _is_count(value)]
    if len(numbers) != len(values):
        return None
    number, first, elements, read = numbers
    if number >= len(plans) or not elements or first + elements > plans[number].elements:
        return None
    plan = plans[number]
    itemsize = plan.output.dtype.itemsize
    ends = first + elements
    if first * itemsize % PIECE_BYTES or (ends * itemsize % PIECE_BYTES and ends != plan.elements):
        return None
    outputs = entry.get("outputs")
    if not isinstance(outputs, list) or len(outputs) != 1:
        return None
    written = _written_of(outputs[0], plan, elements * itemsize)
    if written is None:
        return None
    return Done(Chunk(number, first, elements, len(plan.folds)), read, outputs=(written,))


def _written_of(output: Any, plan: TensorPlan, size_bytes: int) -> Written | None:
    if not isinstance(output, dict):
        return None
    counts, differs = output.get("counts"), output.get("differs")
    try:
        digests = base64.b64decode(output.get("digests", ""), validate=True)
    except (ValueError, TypeError):
        return None
    if len(digests) != _DIGEST_BYTES * -(-size_bytes // PIECE_BYTES) or not isinstance(counts, dict):
        return None
    if not isinstance(differs, list) or not all(_is_count(at) and at < len(plan.models) for at in differs):
        return None
    expected = no_counts(plan)
    for name in ("nonfinite", *COUNTS):
        zeros, given = getattr(expected, name), counts.get(name)
        if (zeros is None) != (given is None):
            return None
        if zeros is not None:
            if not isinstance(given, list) or len(given) != len(zeros) or not all(map(_is_count, given)):
                return None
            zeros += np.array(given, np.int64)
    return Written(size_bytes, digests, expected, frozenset(differs))


def found_entry(tensor: int, found: Sequence[Values]) -> JournalEntry:
    """What the folds found in a tensor as an entry of the journal."""
    return {"found": [dict(values) for values in found], "tensor": tensor}


def found_of(entry: JournalEntry, plans: Sequence[TensorPlan]) -> tuple[int, tuple[Values, ...]] | None:
    """The tensor and what was found in it; None where that makes no sense for these tensors."""
    number, found = entry.get("tensor"), entry.get("found")
    if not _is_count(number) or number >= len(plans) or not plans[number].folds:
        return None
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):
        return None
    values = {}
    for name, value in found[0].items():
        many = isinstance(value, list)
        if not all(isinstance(one, float | int | bool | str) for one in (value if many else [value])):
            return None
        values[name] = value
    return number, (Values.from_mapping(values),)


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**62
