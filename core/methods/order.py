"""Order statistics of a whole tensor, exact, without sorting it.

Every number has an order code: a whole number that grows with it. Folds count the codes by 16 bits at a time,
from the highest bits down: two for float32, four for float64. The last one also counts in which parts of the
tensor the equal numbers at a border lie, so that of these the first ones in element order can be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.kernels.interface import SEGMENT, MapJob
from core.methods.folds import BlocksTotal, Fold, Found, Reading

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CodeTotal", "Target", "classes", "codes_of", "digits", "kept_mask", "order_folds", "values_of"]

Array = NDArray[Any]

_DIGIT_BITS = 16
_DIGITS = 1 << _DIGIT_BITS

_CLASS_SHIFT = 48
"""Where the class begins in the number of an entry of counts: below it is the segment, then the digit."""

_MOST_ENTRIES = 1 << 19
"""Beyond so many the places of equal numbers are not kept, but looked for by a fold of their own."""

_UNKNOWN = -1
_NO_PLACE = -1
_ALL = 1 << 40
"""A segment behind all others."""


@dataclass(frozen=True)
class Target:
    """A number that is looked for: the one at some place of all numbers of a row in ascending order.

    Attributes:
        row: of which scores.
        position: 0 for the smallest of the tensor's elements.
        keeps: the numbers "from" it on are kept, those "up to" it, or "none": its value is all that is
        wanted.
            Of numbers equal to it the first in element order are kept; where a "from" and an "up to" of one
            row meet in one number, as many of it as lie between the two positions.
    """

    row: int
    position: int
    keeps: Literal["from", "up to", "none"]


Targets = Callable[[MapJob], Sequence[Target]]


def order_folds(
    name: str, load_scores: Callable[[], Reading], targets: Targets, job: MapJob
) -> tuple[Fold, ...]:
    """The folds that find the targets.

    They find "codes" [targets], the numbers' order codes; and "segments" and "quotas" [targets]: of numbers
    equal to a target those in earlier segments of the tensor are kept, in its segment the first so many.

    Args:
        name: of the scores; the folds' names begin with it.
        load_scores: imports torch and returns a function like a reading that gives [rows, elements] scores of
            the computing type. Zeros of either sign are equal, and every NaN is larger than infinity.
        targets: from the job to what is looked for; those of one row in ascending order of their positions.
        job: whose type says how many folds there are. Without a target there are none.
    """
    if not targets(job):
        return ()
    count = digits(job)
    folds = [
        Fold(
            f"{name} {number}",
            partial(_load_reading, load_scores, targets, number),
            partial(_finish, targets, number),
            total=CodeTotal,
            finds=("codes", "segments", "quotas") if number == count - 1 else (),
            asks=partial(_asked, targets, number),
        )
        for number in range(count)
    ]
    places = Fold(
        f"{name} places",
        partial(_load_places, load_scores, targets),
        partial(_finish_places, targets),
        total=BlocksTotal,
        when=lambda job: _UNKNOWN in job.found.get("segments", ()),
        asks=partial(_asked_places, targets),
    )
    return (*folds, places)


def digits(job: MapJob) -> int:
    """How many folds it takes: one for 16 bits of the computing type."""
    return job.computing.itemsize * 8 // _DIGIT_BITS


def codes_of(values: Tensor) -> Tensor:
    """The order codes of float32 or float64 values, int64: 0 for zeros, the same order, NaN the largest."""
    import torch

    width, kind = (32, torch.int32) if values.dtype == torch.float32 else (64, torch.int64)
    largest = (1 << (width - 1)) - 1
    bits = (values + 0.0).contiguous().view(kind).to(torch.int64)
    codes = torch.where(bits < 0, bits ^ largest, bits)
    codes.masked_fill_(values.isnan(), largest)
    return codes


def values_of(job: MapJob, codes: Sequence[int]) -> Array:
    """The values of the computing type that have these order codes; the code of zeros gives +0."""
    width = 8 * job.computing.itemsize
    largest = (1 << (width - 1)) - 1
    bits = [(code if code >= 0 else code ^ largest) % (1 << width) for code in codes]
    return np.array(bits, f"u{width // 8}").view(f"f{width // 8}")


def kept_mask(job: MapJob, first_element: int, codes: Tensor, target: int, keeps: str) -> Tensor:
    """Which elements of a chunk are kept by a target.

    Args:
        job: whose `found` has what `order_folds` find.
        first_element: of the chunk; it begins a segment.
        codes: [elements] order codes of the scores of the target's row.
        target: its number.
        keeps: what it keeps: "from" or "up to".
    """
    code, segment, quota = (job.found[name][target] for name in ("codes", "segments", "quotas"))
    beyond = codes > code if keeps == "from" else codes < code
    equal = codes == code
    elements = codes.numel()
    begin = min(max(segment * SEGMENT - first_element, 0), elements)
    end = min(max((segment + 1) * SEGMENT - first_element, 0), elements)
    equal[begin:end] &= equal[begin:end].cumsum(0) <= quota
    equal[end:] = False
    mask: Tensor = beyond | equal
    return mask


def classes(targets: Sequence[Target], job: MapJob) -> tuple[list[tuple[int, int]], list[int]]:
    """What one fold counts, (row, the known bits of codes), each once; and the number of each target's."""
    prefixes = job.found.get("prefixes", (0,) * len(targets))
    wanted = [(target.row, prefix) for target, prefix in zip(targets, prefixes, strict=True)]
    found = list(dict.fromkeys(wanted))
    return found, [found.index(one) for one in wanted]


def _asked(targets: Targets, number: int, job: MapJob) -> tuple[int, list[tuple[int, int]]]:
    """The number of the digit, and the classes that are counted."""
    return number, classes(targets(job), job)[0]


def _asked_places(targets: Targets, job: MapJob) -> list[tuple[int, int]]:
    """The numbers whose places are looked for: rows, each with an order code."""
    found = zip(targets(job), job.found["codes"], job.found["segments"], strict=True)
    return [(target.row, code) for target, code, segment in found if segment == _UNKNOWN]


class CodeTotal:
    """Counts by class, segment and digit: a core.methods.folds.Total.

    What is added, and the result, is [entries, 4] int64: class, segment, digit, count. In between the first
    three are one number, because there may be millions of entries.
    """

    def __init__(self) -> None:
        self._keys: list[Array] = []
        self._counts: list[Array] = []
        self._entries = 0
        self._limit = _MOST_ENTRIES
        self._places = True

    def add(self, rows: Array) -> None:
        keys = (rows[:, 0] << _CLASS_SHIFT) | rows[:, 2]
        if self._places:
            keys |= (rows[:, 1] - _NO_PLACE) << _DIGIT_BITS
        self._keys.append(keys)
        self._counts.append(rows[:, 3].copy())
        self._entries += len(rows)
        if self._entries > self._limit:
            self._join()
            if self._places and self._entries > _MOST_ENTRIES // 2:
                self._places = False
                self._keys[0] &= ~(((1 << _CLASS_SHIFT) - 1) ^ (_DIGITS - 1))
                self._join()
            self._limit = max(_MOST_ENTRIES, 2 * self._entries)

    def result(self) -> Array:
        if not self._keys:
            return np.empty((0, 4), np.int64)
        self._join()
        keys, counts = self._keys[0], self._counts[0]
        segments = (keys & (1 << _CLASS_SHIFT) - 1) >> _DIGIT_BITS
        return np.column_stack([keys >> _CLASS_SHIFT, segments + _NO_PLACE, keys & _DIGITS - 1, counts])

    def _join(self) -> None:
        """One entry of each class, segment and digit, in their order."""
        keys, self._keys = np.concatenate(self._keys), []
        counts, self._counts = np.concatenate(self._counts), []
        order = np.argsort(keys)
        keys, counts = keys[order], counts[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else order
        self._keys = [keys[starts]]
        self._counts = [np.add.reduceat(counts, starts) if len(keys) else counts]
        self._entries = len(starts)


def _load_reading(load_scores: Callable[[], Reading], targets: Targets, number: int) -> Reading:
    import torch

    scores = load_scores()

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        begin, end = job.inner or (0, models[0].numel())
        first = first_element + begin
        shift = 8 * job.computing.itemsize - _DIGIT_BITS * (number + 1)
        entries = []
        rows = scores(job, first_element, models, base)
        looked_for = targets(job)
        wanted, _ = classes(looked_for, job)
        # Where nothing is kept by them, numbers need no places, of which there are many times as many.
        placed = number == digits(job) - 1 and any(target.keeps != "none" for target in looked_for)
        for at, (row, prefix) in enumerate(wanted):
            codes = codes_of(rows[row][begin:end])
            if number == 0:
                key = (codes >> shift) + _DIGITS // 2
                key = torch.where(codes != 0, key, _DIGITS)  # zeros apart: they are not counted
                keys, counts = _counted(key)
                keys, counts = keys[keys < _DIGITS], counts[keys < _DIGITS]
            else:
                mine = (codes >> (shift + _DIGIT_BITS)) == prefix
                places = (mine & (codes != 0)).nonzero().view(-1)
                key = (codes[places] >> shift) & _DIGITS - 1
                if placed:
                    key += (first + places) // SEGMENT << _DIGIT_BITS
                keys, counts = _counted(key)
            entry = torch.stack(
                [torch.full_like(keys, at), keys >> _DIGIT_BITS, keys & _DIGITS - 1, counts], dim=1
            )
            entries.append(entry.cpu().numpy())
        return np.concatenate(entries)

    return read


def _counted(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The different keys in ascending order, and how many there are of each."""
    import torch

    if not keys.numel():
        return keys, keys
    least, largest = (int(end) for end in torch.aminmax(keys))
    if largest - least > 2 * keys.numel() + _DIGITS:  # few of many: sorting takes less than a table
        different, numbers = torch.unique(keys, return_counts=True)
        return different, numbers
    counts = torch.bincount(keys - least)
    found = counts.nonzero().view(-1)
    return found + least, counts[found]


def _finish(targets: Targets, number: int, job: MapJob, entries: Array) -> Found:
    """Narrow the codes by one digit; with the last one, say where of equal numbers the border lies."""
    wanted = targets(job)
    known, class_of = classes(wanted, job)
    shift = 8 * job.computing.itemsize - _DIGIT_BITS * (number + 1)
    counts = np.zeros((len(known), _DIGITS), np.int64)
    np.add.at(counts, (entries[:, 0], entries[:, 2]), entries[:, 3])
    counted = counts.sum(axis=1).tolist()
    zeros = job.found.get("zeros") or tuple(job.elements - counted[at] for at in class_of)
    below = list(job.found.get("below", (0,) * len(wanted)))
    prefixes = list(job.found.get("prefixes", (0,) * len(wanted)))
    equal = []
    for at, target in enumerate(wanted):
        row = counts[class_of[at]].copy()
        zero_digit = _DIGITS // 2 if number == 0 else 0
        if number == 0 or prefixes[at] == 0:  # zeros are not counted one by one
            row[zero_digit] += zeros[at]
        up_to = np.cumsum(row)
        digit = int(np.searchsorted(up_to, target.position - below[at], side="right"))
        below[at] += int(up_to[digit] - row[digit])
        equal.append(int(row[digit]))
        prefixes[at] = digit - _DIGITS // 2 if number == 0 else (prefixes[at] << _DIGIT_BITS) | digit
    if shift:
        return {"prefixes": tuple(prefixes), "below": tuple(below), "zeros": tuple(zeros)}
    quotas = _quotas(wanted, prefixes, below, equal)
    places = [
        (_ALL, 0)
        if target.keeps == "none" or code == 0 or quota >= count
        else _place(_of_digit(entries, class_at, code & _DIGITS - 1), quota)
        for target, code, quota, count, class_at in zip(
            wanted, prefixes, quotas, equal, class_of, strict=True
        )
    ]
    return {
        "codes": tuple(prefixes),
        "segments": tuple(segment for segment, _ in places),
        "quotas": tuple(quota for _, quota in places),
        **dict.fromkeys(("prefixes", "below", "zeros"), ()),
    }


def _quotas(
    targets: Sequence[Target], codes: Sequence[int], below: Sequence[int], equal: Sequence[int]
) -> list[int]:
    """How many of the numbers equal to each target are kept."""
    quotas = [
        below[at] + equal[at] - target.position if target.keeps == "from" else target.position + 1 - below[at]
        for at, target in enumerate(targets)
    ]
    for at, (low, high) in enumerate(pairwise(targets)):
        if (
            low.row == high.row
            and (low.keeps, high.keeps) == ("from", "up to")
            and codes[at] == codes[at + 1]
        ):
            quotas[at] = quotas[at + 1] = high.position - low.position + 1
    return quotas


def _of_digit(entries: Array, class_at: int, digit: int) -> Array:
    """Segments and counts of one code, in the tensor's order. [segments, 2]"""
    found: Array = entries[(entries[:, 0] == class_at) & (entries[:, 2] == digit)][:, (1, 3)]
    in_order: Array = found[np.argsort(found[:, 0], kind="stable")]
    return in_order


def _place(counts: Array, quota: int) -> tuple[int, int]:
    """The segment in which the last one that is kept lies, and how many are kept in it."""
    if len(counts) and counts[0, 0] == _NO_PLACE:
        return _UNKNOWN, quota
    if quota <= 0:
        return 0, 0
    up_to = np.cumsum(counts[:, 1])
    at = int(np.searchsorted(up_to, quota, side="left"))
    return int(counts[at, 0]), quota - int(up_to[at] - counts[at, 1])


def _load_places(load_scores: Callable[[], Reading], targets: Targets) -> Reading:
    import torch

    scores = load_scores()

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        begin, end = job.inner or (0, models[0].numel())
        rows = scores(job, first_element, models, base)
        counts = []
        for row, code in _asked_places(targets, job):
            equal = codes_of(rows[row][begin:end]) == code
            padded = torch.nn.functional.pad(equal, (0, -equal.numel() % SEGMENT))
            counts.append(padded.view(-1, SEGMENT).sum(dim=1))
        result: Array = torch.stack(counts, dim=1).cpu().numpy()
        return result

    return read


def _finish_places(targets: Targets, job: MapJob, counts: Array) -> Found:
    segments, quotas = list(job.found["segments"]), list(job.found["quotas"])
    unknown = [at for at, segment in enumerate(segments) if segment == _UNKNOWN]
    for column, at in enumerate(unknown):
        numbered = np.column_stack([np.arange(len(counts)), counts[:, column]])
        segments[at], quotas[at] = _place(numbered, quotas[at])
    return {"segments": tuple(segments), "quotas": tuple(quotas)}
