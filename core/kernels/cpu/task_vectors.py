"""The task-vector family on the CPU: its map, and what its folds read.

What is asked comes from core.methods by way of core.table: `choices` is a core.methods.task_vectors.Choices,
`keepings` are core.methods.sparsify.Keeping, one a sub-model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.buffers import ChunkBuffers, scratch_rows
from core.kernels.cpu.convert import WORDS, convert_words, from_computing
from core.kernels.cpu.counting import (
    ALL,
    DIGITS,
    SCRATCH_ROWS,
    count_digits,
    count_equal,
    keep_varied,
    place_of,
)
from core.kernels.cpu.floats import Nonfinite, Result, computing_type, values_of
from core.kernels.cpu.instructions import GROUP
from core.kernels.cpu.ranking import rank_masks
from core.kernels.cpu.selection import select_marked, selection
from core.kernels.cpu.spans import Combination, combined
from core.kernels.cpu.task_loops import (
    draw_masks,
    mark_and_move,
    merge_task_vectors,
    put_zeros,
    sum_magnitudes,
)
from core.kernels.interface import SEGMENT, Counts, MapJob

__all__ = [
    "code_counts",
    "code_places",
    "kept_norms",
    "merged_sce",
    "merged_task_vectors",
    "sce_squares",
    "variance_counts",
    "variance_places",
]

Array = NDArray[Any]

_ALL, _BETWEEN, _BY_BITS = 0, 1, 2
"""How elements are kept; see core.kernels.cpu.task_loops.merge_task_vectors."""

_NEVER = 2**64 - 1

_PART = 4 * BLOCK
"""So many elements are drawn at a time: every sub-model's result is there to be drawn."""

_ELECTIONS = {"none": 0, "mass": 1, "count": 2}


def merged_task_vectors(
    buffers: ChunkBuffers,
    job: MapJob,
    first_element: int,
    choices: Any,
    keepings: Sequence[Any],
    weights_sum: float,
) -> tuple[Array, Counts] | None:
    """What a core.kernels.cpu.workspace.MapKernel gives; None for what there are no loops for.

    Args:
        buffers, job, first_element: the kernel's.
        choices, keepings: what is done with the task vectors.
        weights_sum: what a mean without election is divided by.
    """
    chunk = _Chunk(buffers, job, first_element)
    if not chunk.takes(keepings):
        return None
    if choices.combine == "selection":
        return _selected(chunk, choices, keepings)
    if choices.elect == "none" and job.inner is None and all(one.kind == "all" for one in keepings):
        divisor = weights_sum if choices.combine == "mean" else 1.0
        weights, scale = job.parameters["weight"], job.parameters["lambda"]
        return combined(buffers, job, Combination(weights, True, 0.0, divisor, scale, 1.0))
    counts, result = (
        Counts.zeros(job),
        Result(buffers, job, chunk.begin, chunk.stop),
    )
    kind, models, nonfinite = chunk.kind, job.models, Nonfinite(buffers, job, counts)
    unused = np.zeros(models, np.int64)
    with np.errstate(all="ignore"):  # factors may become infinite
        factors = np.array([_factor(one) for one in keepings], np.float64).astype(kind)
        weights = np.array(job.parameters["weight"], np.float64).astype(kind)
        merge_task_vectors(
            *chunk.inputs,
            chunk.begin,
            chunk.elements,
            chunk.first_element,
            *chunk.kept(keepings),
            np.array([_scaling(one) for one in keepings], np.int64),
            factors,
            weights,
            _ELECTIONS[choices.elect],
            np.ones(models, kind),
            weights,
            choices.combine == "mean",
            kind(weights_sum),
            kind(0),
            kind(job.parameters["lambda"]),
            scratch_rows(4 + (1 if choices.elect == "none" else models), BLOCK, kind),
            *result.parts,
            *nonfinite.asked,
            unused if counts.dropped is None else counts.dropped,
            unused.copy() if counts.elected_against is None else counts.elected_against,
        )
    nonfinite.count_others()
    return result.words(), counts


def _selected(chunk: _Chunk, choices: Any, keepings: Sequence[Any]) -> tuple[Array, Counts] | None:
    """As merged_task_vectors, where one sub-model's value is drawn for each element."""
    job, buffers, kind, models = chunk.job, chunk.buffers, chunk.kind, chunk.job.models
    scale, tolerance = job.parameters["lambda"], job.zero_tolerance or 0.0
    nothing = choices.elect == "none" and all(one.kind == "all" for one in keepings)
    if nothing and scale == 1 and job.inner is None:
        return selection(buffers, job, chunk.held)
    if tolerance and kind is np.float64 and job.merge_dtype.name != "F64":
        return None  # distances are those of the merge dtype's own computing type
    counts, unused = Counts.zeros(job), np.zeros(models, np.int64)
    assert counts.zero_delta is not None and counts.changed_by is not None
    assert counts.zero_after_draw is not None and counts.selected is not None
    word = WORDS[job.out_dtype.itemsize]
    merged = buffers.output(np.dtype(word))
    words, moved = np.zeros((models, _PART), word), np.empty((models, _PART), kind)
    scratch, drawn = scratch_rows(models + 3, BLOCK, kind), np.empty(_PART, word)
    with np.errstate(all="ignore"):  # factors may become infinite
        factors = np.array([_factor(one) for one in keepings], np.float64).astype(kind)
        tolerance, scale = kind(tolerance), kind(scale)
    kept, scaling = chunk.kept(keepings), np.array([_scaling(one) for one in keepings], np.int64)
    stored, base = buffers.models(job), buffers.base(job)
    for offset in range(0, chunk.elements, _PART):
        size, first = min(_PART, chunk.elements - offset), chunk.begin + offset
        marks = np.zeros((-(-models // 16), _PART), np.uint16)
        mark_and_move(
            *chunk.inputs,
            chunk.begin,
            chunk.elements,
            chunk.first_element,
            *kept,
            scaling,
            factors,
            _ELECTIONS[choices.elect],
            tolerance,
            scale,
            offset,
            size,
            scratch,
            marks,
            moved,
            counts.zero_delta,
            counts.changed_by,
            unused if counts.dropped is None else counts.dropped,
            unused.copy() if counts.elected_against is None else counts.elected_against,
        )
        for at in range(models):
            copied = convert_words(
                (stored[at] if nothing else base)[first : first + size], job.merge_dtype, job.out_dtype
            )
            with np.errstate(all="ignore"):
                words[at, :size] = from_computing(moved[at, :size], job.out_dtype)
            put_zeros(words[at, :size], marks[at >> 4, :size], np.uint16(1 << (at & 15)), copied)
        first_block = (chunk.first_element + offset) // BLOCK
        select_marked(job, words, marks, size, first_block, drawn, counts.zero_after_draw, counts.selected)
        merged[first : first + size] = drawn[:size]
    counts.nonfinite[:] = [buffers.nonfinite(at, chunk.begin, chunk.stop) for at in range(models + 1)]
    return merged[: buffers.elements], counts


def _scaling(keeping: Any) -> int:
    return 1 if keeping.factor is not None else 2 if keeping.divisor is not None else 0


def _factor(keeping: Any) -> float:
    return float((1.0, keeping.factor, keeping.divisor)[_scaling(keeping)])


def merged_sce(buffers: ChunkBuffers, job: MapJob, first_element: int) -> tuple[Array, Counts] | None:
    """A core.kernels.cpu.workspace.MapKernel: core.methods.sce."""
    chunk = _Chunk(buffers, job, first_element)
    counts, result = Counts.zeros(job), Result(buffers, job)
    assert counts.dropped is not None and counts.elected_against is not None
    kind, models, nonfinite = chunk.kind, job.models, Nonfinite(buffers, job, counts)
    shares = np.array(job.found["weights"], np.float64).astype(kind)
    merge_task_vectors(
        *chunk.inputs,
        chunk.begin,
        chunk.elements,
        chunk.first_element,
        *chunk.selected(),
        np.zeros(models, np.int64),
        np.ones(models, kind),
        np.ones(models, kind),
        _ELECTIONS["mass"],
        shares,
        shares,
        True,
        kind(1),
        kind(job.parameters["epsilon"]),
        kind(1),
        scratch_rows(4 + models, BLOCK, kind),
        *result.parts,
        *nonfinite.asked,
        counts.dropped,
        counts.elected_against,
    )
    nonfinite.count_others()
    return result.words(), counts


def sce_squares(buffers: ChunkBuffers, job: MapJob, first_element: int, asked: Any = None) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: the fold "kept squares" of core.methods.sce."""
    chunk = _Chunk(buffers, job, first_element)
    sums = np.empty((-(-chunk.elements // BLOCK), 2, job.models))
    sum_magnitudes(
        *chunk.inputs,
        chunk.begin,
        chunk.elements,
        chunk.first_element,
        *chunk.selected(),
        True,
        scratch_rows(2, BLOCK, chunk.kind),
        sums,
    )
    return sums[:, 1]


def kept_norms(
    buffers: ChunkBuffers, job: MapJob, first_element: int, keepings: Sequence[Any]
) -> Array | None:
    """A core.kernels.cpu.workspace.FoldKernel: the fold "kept norms" of core.methods.sparsify."""
    chunk = _Chunk(buffers, job, first_element)
    if not chunk.takes(keepings):
        return None
    sums = np.empty((-(-chunk.elements // BLOCK), 2, job.models))
    sum_magnitudes(
        *chunk.inputs,
        chunk.begin,
        chunk.elements,
        chunk.first_element,
        *chunk.kept(keepings),
        False,
        scratch_rows(2, BLOCK, chunk.kind),
        sums,
    )
    return sums.reshape(len(sums), -1)


def code_counts(
    buffers: ChunkBuffers, job: MapJob, first_element: int, asked: tuple[int, list[tuple[int, int]]]
) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: the folds of core.methods.order of task vectors' magnitudes.

    `asked` is the number of the digit, and what is counted: sub-models, each with the bits above the digit.
    """
    number, wanted = asked
    return _counted(_Chunk(buffers, job, first_element), number, wanted)


def variance_counts(
    buffers: ChunkBuffers, job: MapJob, first_element: int, asked: tuple[int, list[tuple[int, int]]]
) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: the folds of core.methods.sce that count variances."""
    number, wanted = asked
    return _counted(_Chunk(buffers, job, first_element), number, [(ALL, prefix) for _, prefix in wanted])


def code_places(
    buffers: ChunkBuffers, job: MapJob, first_element: int, asked: list[tuple[int, int]]
) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: of task vectors' magnitudes, where equal ones lie.

    `asked` are sub-models, each with an order code.
    """
    return _placed(_Chunk(buffers, job, first_element), asked)


def variance_places(
    buffers: ChunkBuffers, job: MapJob, first_element: int, asked: list[tuple[int, int]]
) -> Array:
    """A core.kernels.cpu.workspace.FoldKernel: where equal variances lie."""
    return _placed(_Chunk(buffers, job, first_element), [(ALL, code) for _, code in asked])


def _placed(chunk: _Chunk, wanted: Sequence[tuple[int, int]]) -> Array:
    """How many scores there are of each code in each segment. [segments, codes]"""
    counts = np.zeros((len(wanted), -(-chunk.elements // SEGMENT)), np.int64)
    scratch = scratch_rows(SCRATCH_ROWS, BLOCK, chunk.kind)
    for (model, code), row in zip(wanted, counts, strict=True):
        equal, beyond = (np.uint64(bits) for bits in chunk.bits_of_code(code))
        parts = chunk.inputs[0], model, *chunk.inputs[1:]
        count_equal(*parts, chunk.begin, chunk.elements, equal, beyond, scratch, row)
    return counts.T


def _counted(chunk: _Chunk, number: int, wanted: Sequence[tuple[int, int]]) -> Array:
    """What is counted of digit `number`, as core.methods.order.CodeTotal takes it. [entries, 4]

    `wanted` are sub-models, or ALL, each with the bits above the digit.
    """
    shift = 8 * chunk.job.computing.itemsize - 16 * (number + 1)
    table, scratch = np.zeros(DIGITS, np.uint32), scratch_rows(SCRATCH_ROWS, BLOCK, chunk.kind)
    found = []
    room = np.empty((min(DIGITS, chunk.elements + 1), 3), np.int64)
    for at, (model, prefix) in enumerate(wanted):
        while True:
            entries = count_digits(
                chunk.inputs[0],
                model,
                *chunk.inputs[1:],
                chunk.begin,
                chunk.elements,
                np.uint64(shift),
                number > 0,
                np.uint64(prefix),
                DIGITS // 2 if number == 0 else 0,
                chunk.first_element // SEGMENT if shift == 0 else -1,
                chunk.infinity,
                scratch,
                table,
                room,
            )
            if entries >= 0:
                break
            room = np.empty((4 * len(room), 3), np.int64)
        found.append(np.column_stack([np.full(entries, at), room[:entries]]))
    return np.concatenate(found)


class _Chunk:
    """The wanted elements of a chunk, as the loops take them.

    Attributes:
        buffers, job: of the chunk. held: the number of the first element that the buffers hold.
        begin, stop: the wanted elements among those that the buffers hold. elements: how many they are.
        first_element: the number of the first one in the tensor.
        inputs: sub-models and base, and whether they are words of float16.
        kind: the computing type. infinity: its bits.
    """

    def __init__(self, buffers: ChunkBuffers, job: MapJob, first_element: int) -> None:
        self.buffers, self.job, self.held = buffers, job, first_element
        self.begin, self.stop = job.inner or (0, buffers.elements)
        self.elements, self.first_element = self.stop - self.begin, first_element + self.begin
        self.inputs = values_of(buffers, job)
        self.kind = computing_type(job)
        self.infinity = np.uint64(job.computing.infinity)

    def takes(self, keepings: Sequence[Any]) -> bool:
        """Whether the loops can keep what is to be kept; words are drawn for whole blocks."""
        if any(one.kind == "ranked" and one.divisor is not None for one in keepings):
            return False
        return self.first_element % BLOCK == 0

    def kept(self, keepings: Sequence[Any]) -> tuple[Array, Array, Array, Array]:
        """`dropping`, `limits`, `places` and `kept` of core.kernels.cpu.task_loops.merge_task_vectors."""
        count = len(keepings)
        dropping = np.zeros(count, np.int64)
        limits, places = np.zeros((count, 4), np.uint64), np.zeros((count, 2), np.int64)
        drawn = any(one.kind in ("random", "ranked") for one in keepings)
        kept = np.zeros((count, -(-self.elements // BLOCK) * BLOCK // GROUP if drawn else 0), np.uint64)
        for at, one in enumerate(keepings):
            if one.kind in ("magnitude", "outliers"):
                dropping[at] = _BETWEEN
                for side, target in enumerate(one.targets):
                    limits[at, 2 * side : 2 * side + 2], places[at, side] = self._border(at, side, target)
            elif one.kind == "none":
                dropping[at], limits[at] = _BETWEEN, _NEVER
            elif one.kind != "all":
                dropping[at] = _BY_BITS
        self._draw(keepings, kept)
        return dropping, limits, places, kept

    def selected(self) -> tuple[Array, Array, Array, Array]:
        """The same of core.methods.sce, which keeps an element of all task vectors, or of none."""
        job, count = self.job, self.job.models
        share = job.parameters["select_topk"]
        limits, places = np.full((count, 4), _NEVER, np.uint64), np.zeros((count, 2), np.int64)
        kept = np.zeros((count, 0), np.uint64)
        if not 0 < share < 1 or not job.found["selected"]:
            dropping = _ALL if share >= 1 else _BETWEEN
            return np.full(count, dropping, np.int64), limits, places, kept
        (equal, beyond), place = self._border(ALL, 0, 0)
        bits = np.empty(-(-self.elements // BLOCK) * BLOCK // GROUP, np.uint64)
        keep_varied(
            *self.inputs,
            self.begin,
            self.elements,
            np.uint64(equal),
            np.uint64(beyond),
            place - self.held,
            scratch_rows(SCRATCH_ROWS, BLOCK, self.kind),
            bits,
        )
        return np.full(count, _BY_BITS, np.int64), limits, places, np.tile(bits, (count, 1))

    def bits_of_code(self, code: int) -> tuple[int, int]:
        """The least bits of what has an order code, and the least that are larger."""
        infinity = int(self.infinity)
        if code > infinity:  # any NaN
            return infinity + 1, infinity + (infinity & -infinity)
        return code, code + 1

    def _border(self, model: int, side: int, target: int | None) -> tuple[tuple[int, int], int]:
        """The limits before and after a place in the tensor, and the place."""
        if target is None:
            return ((0, 0), 0) if side == 0 else ((_NEVER, _NEVER), 0)
        code, segment, quota = (self.job.found[name][target] for name in ("codes", "segments", "quotas"))
        equal, beyond = self.bits_of_code(code)
        # Before the segment all that are equal are kept, behind it none.
        begin, end = (
            min(max(start * SEGMENT - self.held, 0), self.buffers.elements)
            for start in (segment, segment + 1)
        )
        found = place_of(
            self.inputs[0],
            model,
            *self.inputs[1:],
            begin,
            end,
            np.uint64(equal),
            np.uint64(beyond),
            quota,
            scratch_rows(SCRATCH_ROWS, BLOCK, self.kind),
        )
        place = self.held + int(found)
        return ((equal, beyond) if side == 0 else (beyond, equal)), place

    def _draw(self, keepings: Sequence[Any], kept: Array) -> None:
        first_block, job = self.first_element // BLOCK, self.job
        key = np.uint64(job.key[0]), np.uint64(job.key[1])
        random = [at for at, one in enumerate(keepings) if one.kind == "random"]
        if random:
            limits = np.array([keepings[at].drop_below - 1 for at in random], np.uint32)
            bits = kept if len(random) == len(kept) else np.empty((len(random), kept.shape[1]), np.uint64)
            draw_masks(self.elements, first_block, *key, np.array(random, np.int64), limits, bits)
            if bits is not kept:
                kept[random] = bits
        ranked = [one.kind == "ranked" for one in keepings]
        if any(ranked):
            chances = [
                (one.density, one.epsilon)
                for one, is_ranked in zip(keepings, ranked, strict=True)
                if is_ranked
            ]
            distinct = list(dict.fromkeys(chances))
            word = np.uint32 if self.kind is np.float32 else np.uint64
            tables = np.stack([_largest_dropped(*pair, job.row) for pair in distinct])
            table_of = [
                distinct.index((one.density, one.epsilon)) if is_ranked else 0
                for one, is_ranked in zip(keepings, ranked, strict=True)
            ]
            rank_masks(
                *self.inputs,
                job.row,
                self.buffers.elements,
                self.begin,
                self.elements,
                first_block,
                *key,
                np.array([at if is_ranked else -1 for at, is_ranked in enumerate(ranked)], np.int64),
                tables,
                np.array(table_of, np.int64),
                word(self.infinity),
                np.empty(0, self.kind),
                np.empty(0, word),
                kept,
            )


@lru_cache(maxsize=4)
def _largest_dropped(density: float, epsilon: float, row: int) -> Array:
    """The largest word that is dropped, by the rank in a row from 0; kept. [row] uint32"""
    share = np.arange(row) / max(1, row - 1)
    chances = (density - epsilon) + share * (2 * epsilon)
    return (np.ceil((1.0 - chances) * 2.0**32).astype(np.int64) - 1).astype(np.uint32)
