"""Kernels of methods with folds, of rows and of drops give what the methods' own arithmetic gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from whole_tensor import fine_tunes, special

from core import table
from core.draws import BLOCK, DROPPING_STREAM, counter_of, philox4x32
from core.dtypes import DTYPES
from core.kernels.cpu.buffers import scratch_rows
from core.kernels.cpu.counting import DIGITS, SCRATCH_ROWS, count_digits
from core.kernels.cpu.ranking import rank_magnitudes
from core.kernels.cpu.task_loops import draw_masks
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import COUNTS, SEGMENT, MapJob, Workspace
from core.methods import METHODS, order
from core.methods.folds import found_by
from core.methods.reference import Reference

MODELS = 4
KEY = (0x12345678, 0x9ABCDEF0)


class NoFallback:
    """Refuses: what has a kernel must be done by it."""

    def fold(self, *arguments: Any) -> Any:
        raise AssertionError("a fold was left to torch")

    def merge(self, *arguments: Any) -> Any:
        raise AssertionError("a map was left to torch")


def by_kernels() -> Workspace:
    space = table.workspace()
    assert isinstance(space, CpuWorkspace)
    space._fallback = NoFallback()
    return space


def by_reference() -> Workspace:
    return CpuWorkspace({}, Reference())


def spans(elements: int, chunk: int, row: int) -> Iterator[tuple[int, int, slice | None]]:
    """First element and number of elements of what is read for each chunk, and what of it is wanted."""
    for first in range(0, elements, chunk):
        stop = min(first + chunk, elements)
        begin, end = first // row * row, min(-(-stop // row) * row, elements)
        whole = (begin, end) == (first, stop)
        yield begin, end - begin, None if whole else slice(first - begin, stop - begin)


def merge(space: Workspace, job: MapJob, inputs: tuple[np.ndarray, ...], chunk: int) -> tuple[Any, ...]:
    """The bytes, the counts and what the folds find, chunk by chunk."""

    def chunks() -> Iterator[tuple[int, slice | None]]:
        for begin, size, inner in spans(job.elements, chunk, job.row):
            for buffer, words in zip(space.begin(job.input_dtypes, size), inputs, strict=False):
                buffer[:] = words[begin : begin + size].tobytes()
            yield begin, inner

    def read(job: MapJob, number: int) -> Iterator[Any]:
        for begin, inner in chunks():
            yield space.fold(job, number, begin, inner)

    job = found_by(METHODS[job.method].folds_of(job), job, read)
    merged, total = b"", None
    for begin, inner in chunks():
        made = space.run(job, begin, inner)
        merged += bytes(made.data)
        total = made.counts if total is None else total
        if total is not made.counts:
            total.add(made.counts)
    counted = {name: getattr(total, name) for name in ("nonfinite", *COUNTS)}
    return merged, {name: None if row is None else row.tolist() for name, row in counted.items()}, job.found


def job_of(method: str, dtype: str, elements: int, row: int, **values: Any) -> MapJob:
    spec = METHODS[method]
    models = min(MODELS, spec.most_models or MODELS)
    per_model = {one.name for one in spec.parameters if one.scope == "model"}
    given = {
        name: (value[:models] if isinstance(value, list) else [value] * models)
        if name in per_model
        else value
        for name, value in values.items()
    }
    job = table.trial_job(spec, DTYPES[dtype], models, given)
    return replace(job, elements=elements // row * row, row=row, key=KEY)


CASES = [
    pytest.param("ties", 1, {"density": [0.2, 0.0, 1.0, 0.5], "weight": [1.0, 0.3, -1.0, 1.0]}, id="ties"),
    pytest.param("ties", 1, {"density": 0.2, "rescale": True, "rescale_by": "density"}, id="ties by density"),
    pytest.param("breadcrumbs", 1, {"density": [0.1, 0.4, 0.9, 0.05], "gamma": 0.05}, id="breadcrumbs"),
    pytest.param("breadcrumbs_ties", 1, {"density": 0.2, "rescale": True}, id="breadcrumbs_ties"),
    pytest.param("dare_linear", 1, {"density": [0.5, 1.0, 0.1, 0.0], "lambda": 0.7}, id="dare_linear"),
    pytest.param("dare_ties", 1, {"density": 0.5, "normalize": True}, id="dare_ties"),
    pytest.param("della", 100, {"density": [0.5, 0.4, 1.0, 0.0]}, id="della"),
    pytest.param("della_linear", 4097, {"density": 0.5, "epsilon": 0.2}, id="della_linear of long rows"),
    pytest.param("della_linear", 1, {"density": 0.5}, id="della_linear of rows of one"),
    pytest.param(
        "task_arithmetic", 1, {"weight": [1.0, 0.0, 0.3, 2.0], "normalize": True}, id="task_arithmetic"
    ),
    pytest.param(
        "task_vectors",
        1,
        {"sparsify": "magnitude", "density": 0.2, "elect": "count", "combine": "mean"},
        id="count",
    ),
    pytest.param("task_vectors", 1, {"combine": "selection"}, id="selection"),
    pytest.param(
        "task_vectors", 1, {"combine": "selection", "lambda": 0.5, "weight": [1.0, 0.0, 0.3, 2.0]}, id="half"
    ),
    pytest.param(
        "task_vectors",
        1,
        {
            "combine": "selection",
            "elect": "mass",
            "sparsify": "magnitude",
            "density": [0.2, 0.0, 1.0, 0.5],
            "rescale": True,
        },
        id="selection of ties",
    ),
    pytest.param(
        "task_vectors",
        1,
        {
            "combine": "selection",
            "elect": "count",
            "sparsify": "random",
            "density": 0.5,
            "rescale": True,
            "rescale_by": "density",
        },
        id="selection of dare",
    ),
    pytest.param(
        "task_vectors",
        100,
        {"combine": "selection", "sparsify": "ranked", "density": [0.5, 0.4, 1.0, 0.0]},
        id="selection of della",
    ),
    pytest.param("sce", 1, {}, id="sce"),
    pytest.param("sce", 1, {"select_topk": 0.3}, id="sce of what varies"),
    pytest.param("ram", 1, {}, id="ram"),
    pytest.param("ramplus_tl", 1, {"epsilon": 1e-4}, id="ramplus_tl"),
    pytest.param("nearswap", 1, {}, id="nearswap"),
    pytest.param("slerp", 1, {}, id="slerp"),
    pytest.param("nuslerp", 1, {"weight": [1.0, 0.3]}, id="nuslerp"),
    pytest.param("multislerp", 1, {}, id="multislerp"),
    pytest.param("karcher", 1, {}, id="karcher"),
    pytest.param("model_stock", 1, {}, id="model_stock"),
]


@pytest.mark.parametrize(("method", "row", "values"), CASES)
@pytest.mark.parametrize("kind", ["fine-tuned", "mixed"])
def test_chunks_by_kernels_give_what_the_whole_gives(method, row, values, kind) -> None:
    check(method, row, values, kind, "BF16")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "row", "values"), CASES)
@pytest.mark.parametrize("dtype", ["F16", "F32", "F64"])
def test_other_types_likewise(method, row, values, dtype) -> None:
    check(method, row, values, "mixed", dtype)


def inputs_of(kind: str, dtype: str, models: int, elements: int) -> tuple[np.ndarray, ...]:
    """Sub-models of which two thirds of the deltas are zero, and the base; "mixed" with special numbers."""
    generator = np.random.default_rng(7)
    *tuned, base = fine_tunes(dtype, elements, models, 0.02, seed=11)
    for words in tuned:
        same = generator.random(elements) < 0.68
        words[same] = base[same]
    if kind == "mixed":
        strange = special(dtype, elements, models + 1, nonfinite=True)
        for words, others in zip((*tuned, base), strange, strict=True):
            here = generator.random(elements) < 0.05
            words[here] = others[here]
    return (*tuned, base)


def check(method: str, row: int, values: dict[str, Any], kind: str, dtype: str) -> None:
    job = job_of(method, dtype, SEGMENT + 5000, row, **values)
    inputs = inputs_of(kind, dtype, job.models, job.elements)
    expected = merge(by_reference(), job, inputs, job.elements)
    assert repr(merge(by_kernels(), job, inputs, SEGMENT)) == repr(expected)
    if kind == "fine-tuned" and "dropped" in job.counts and values:
        assert sum(expected[1]["dropped"]) > 0  # else there was nothing to be seen


def test_borders_between_equal_magnitudes_fall_anywhere() -> None:
    """The last one that is kept lies in the first chunk, at a chunk's end or beginning, and in the last."""
    elements = 2 * SEGMENT + 300
    inputs = (np.full(elements, 0x3C01, np.uint16), np.full(elements, 0x3C00, np.uint16))
    for last in (1, 63, 64, 4096, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, elements - 1):
        job = replace(
            table.trial_job(METHODS["ties"], DTYPES["BF16"], 1, {"density": [(last + 0.5) / elements]}),
            elements=elements,
        )
        merged, counts, _ = merge(by_kernels(), job, inputs, SEGMENT)
        words = np.frombuffer(merged, np.uint16)
        assert (words[:last] == 0x3C01).all()
        assert (words[last:] == 0x3C00).all()
        assert counts["dropped"] == [elements - last]


def test_a_selection_takes_deltas_up_to_the_tolerance_for_zero() -> None:
    job = job_of("task_vectors", "BF16", SEGMENT + 5000, 1, combine="selection", elect="mass", resamples=2)
    inputs = inputs_of("mixed", "BF16", job.models, job.elements)
    counted = []
    for tolerance in (None, 1e-3):
        job = replace(job, zero_tolerance=tolerance)
        expected = merge(by_reference(), job, inputs, job.elements)
        assert repr(merge(by_kernels(), job, inputs, SEGMENT)) == repr(expected)
        counted.append(sum(expected[1]["zero_delta"]))
    assert counted[0] < counted[1]


@pytest.mark.parametrize("values", [{}, {"combine": "selection"}], ids=["sum", "selection"])
def test_what_is_dropped_is_zero_where_the_factor_is_infinite(values) -> None:
    """All that is large was dropped: the rest is made as large."""
    choices = {"sparsify": "random", "density": [0.5], "rescale": True, **values}
    job = replace(
        table.trial_job(METHODS["task_vectors"], DTYPES["BF16"], 1, choices), elements=BLOCK, key=KEY
    )
    base = np.zeros(BLOCK, np.uint16)
    dropped = merge(by_reference(), job, (base + np.uint16(0x3F80), base), BLOCK)[0]
    is_dropped = np.frombuffer(dropped, np.uint16) == 0
    assert 0 < is_dropped.sum() < BLOCK
    model = np.where(is_dropped, np.uint16(0x7F00), np.uint16(0x3580))  # 2^127 and 2^-20
    found = merge(by_kernels(), job, (model, base), BLOCK)
    assert repr(found) == repr(merge(by_reference(), job, (model, base), BLOCK))
    assert (np.frombuffer(found[0], np.uint16)[is_dropped] == 0).all()


@pytest.mark.parametrize(
    ("method", "values"),
    [("ties", {"density": 0.2}), ("breadcrumbs", {"density": 0.2}), ("sce", {"select_topk": 0.3})],
)
def test_places_of_equal_scores_are_read_for_by_kernels(method, values, monkeypatch) -> None:
    """As of large tensors: see core.methods.order.CodeTotal."""
    job = job_of(method, "BF16", SEGMENT + 5000, 1, **values)
    steps = np.random.default_rng(5).integers(0, 4, (job.models + 1, job.elements))
    inputs = tuple((0x3C00 + steps).astype(np.uint16))
    expected = merge(by_reference(), job, inputs, job.elements)
    asked: list[Any] = []
    find = order._asked_places
    monkeypatch.setattr(order, "_MOST_ENTRIES", 1)
    monkeypatch.setattr(order, "_asked_places", lambda *given: asked.append(find(*given)) or asked[-1])
    assert repr(merge(by_kernels(), job, inputs, SEGMENT)) == repr(expected)
    assert any(asked)


def test_borders_between_equal_variances_fall_anywhere() -> None:
    elements = 2 * SEGMENT + 300
    words = [np.full(elements, bits, np.uint16) for bits in (0x3C01, 0x3C00, 0x3C00)]
    for last in (1, 63, 64, 4096, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, elements - 1):
        job = replace(
            table.trial_job(METHODS["sce"], DTYPES["BF16"], 2, {"select_topk": (last + 0.5) / elements}),
            elements=elements,
        )
        merged, counts, _ = merge(by_kernels(), job, tuple(words), SEGMENT)
        found = np.frombuffer(merged, np.uint16)
        assert (found[:last] == 0x3C01).all()
        assert (found[last:] == 0x3C00).all()
        assert counts["dropped"] == [elements - last, 0]


# -- the parts, by themselves --------------------------------------------------------------------------------


@pytest.mark.parametrize("elements", [1, 24, 25, 1000, 5000])
@pytest.mark.parametrize("kind", ["sparse", "dense", "bits"])
def test_ranks_are_those_of_a_stable_sort(elements, kind) -> None:
    generator = np.random.default_rng(elements)
    values = generator.standard_normal(elements).astype(np.float32)
    if kind == "sparse":
        values = np.float32(2.0**-12) * generator.integers(-3, 4, elements).astype(np.float32)
    elif kind == "bits":
        values = generator.integers(0, 2**32, elements).astype(np.uint32).view(np.float32)
        values[generator.random(elements) < 0.2] = np.nan
    codes = (values.view(np.uint32) & np.uint32(0x7FFFFFFF)).astype(np.int64)
    codes[codes > 0x7F800000] = 2**40
    order = np.empty(elements, np.uint32)
    found = rank_magnitudes(values, np.uint32(0x7F800000), np.empty(0, np.uint32), order)
    expected = np.argsort(codes, kind="stable")[(codes == 0).sum() :]
    assert found == len(expected)
    assert (order[:found] == expected).all()


def test_drop_masks_are_the_words_of_the_contract() -> None:
    first_block, limit = 2**22 - 1, 2**31
    kept = np.zeros((1, 2 * BLOCK // 64), np.uint64)
    draw_masks(
        2 * BLOCK,
        first_block,
        np.uint64(KEY[0]),
        np.uint64(KEY[1]),
        np.array([7]),
        np.array([limit], np.uint32),
        kept,
    )
    bits = np.unpackbits(kept[0].view(np.uint8), bitorder="little")
    for element in [0, 1, 63, 64, 1023, 1024, 2500, 4095, 4096, 5119, 5120, 8191, *range(700, 760)]:
        counter, lane = counter_of(first_block * BLOCK + element, 7, DROPPING_STREAM)
        assert bits[element] == (philox4x32(counter, KEY)[lane] > limit)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_digits_of_codes_are_counted(share) -> None:
    elements = SEGMENT + 1000
    generator = np.random.default_rng(3)
    base = generator.integers(0x3B00, 0x3D00, elements).astype(np.uint16)
    steps = generator.integers(0, 40, elements) * (generator.random(elements) < share)
    padded = -(-elements // 64) * 64
    model, origin = np.zeros((2, padded), np.uint16)
    model[:elements], origin[:elements] = base + steps, base

    def wide(words: np.ndarray) -> np.ndarray:
        return (words.astype(np.uint32) << 16).view(np.float32)

    codes = abs(wide(model) - wide(origin))[:elements].view(np.uint32)
    table_of, entries = np.zeros(DIGITS, np.uint32), np.empty((DIGITS, 3), np.int64)

    def count(shift: int, prefix: int | None, segment: int) -> np.ndarray:
        found = count_digits(
            model[np.newaxis],
            0,
            origin,
            False,
            0,
            elements,
            np.uint64(shift),
            prefix is not None,
            np.uint64(prefix or 0),
            DIGITS // 2 if prefix is None else 0,
            segment,
            np.uint64(0x7F800000),
            scratch_rows(SCRATCH_ROWS, BLOCK, np.float32),
            table_of,
            entries,
        )
        assert not table_of.any()
        return entries[:found].copy()

    high, counts = np.unique((codes[codes > 0] >> 16) + 0x8000, return_counts=True)
    assert count(16, None, -1).tolist() == [
        [0, *pair] for pair in zip(high.tolist(), counts.tolist(), strict=True)
    ]
    prefix = int(high[counts.argmax()]) - 0x8000
    here = (codes > 0) & (codes >> 16 == prefix)
    keys = np.stack([5 + np.arange(elements) // SEGMENT, codes & 0xFFFF])[:, here]
    expected, counts = np.unique(keys, axis=1, return_counts=True)
    assert count(0, prefix, 5).tolist() == np.vstack([expected, counts]).T.tolist()
    assert counts.sum() == here.sum() > 30
