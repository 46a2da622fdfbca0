"""The GPU kernels, run by Triton's interpreter, give the CPU kernels' bytes and counts.

The interpreter takes a fraction of a second for a block of 4,096 elements, so there are few and small
examples. What it cannot show, that no product and sum are fused, is read off the compiled code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from core import devices, table
from core.draws import counter_of, philox4x32
from core.dtypes import DTYPES
from core.errors import DeviceError, RecipeError
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import Counts, MapJob, Merged, Workspace
from core.methods import METHODS
from core.methods.reference import Reference
from core.weights import average_terms

# Triton looks at this where a kernel is defined and where it runs; other modules' tests are not to see it.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton")
    from core.kernels.gpu import launch as gpu_launch
    from core.kernels.gpu import selection as gpu_selection
    from core.kernels.gpu.averaging import averaging
    from core.kernels.gpu.launch import MapKernel, Prepared
    from core.kernels.gpu.memory import DeviceMemory
    from core.kernels.gpu.selection import selection as selecting
    from core.kernels.gpu.workspace import GpuWorkspace

WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
MAPS = {"parameter_selection": selecting, "linear": averaging}


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield


# -- running -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One chunk: the job, the words of the inputs (the base last), where it lies in its tensor."""

    job: MapJob
    inputs: tuple[np.ndarray, ...]
    first_element: int = 0


def gpu(**maps: MapKernel) -> GpuWorkspace:
    return GpuWorkspace("cpu", MAPS | maps, Reference())


def filled(workspace: Workspace, inputs: Sequence[np.ndarray], job: MapJob) -> Workspace:
    for buffer, words in zip(workspace.begin(job.input_dtypes, len(inputs[0])), inputs, strict=True):
        buffer[:] = words.tobytes()
    return workspace


def run(workspace: Workspace, case: Case) -> tuple[bytes, dict[str, list[int] | None]]:
    with np.errstate(all="ignore"):  # the interpreter computes with numpy
        return seen(filled(workspace, case.inputs, case.job).run(case.job, case.first_element))


def seen(merged: Merged) -> tuple[bytes, dict[str, list[int] | None]]:
    return bytes(merged.data), as_lists(merged.counts)


def as_lists(counts: Counts) -> dict[str, list[int] | None]:
    return {name: None if found is None else found.tolist() for name, found in vars(counts).items()}


def check(case: Case, workspace: GpuWorkspace | None = None) -> None:
    merged, counts = run(workspace or gpu(), case)
    expected, expected_counts = run(table.workspace(), case)
    assert counts == expected_counts
    assert merged == expected


# -- making cases --------------------------------------------------------------------------------------------


def selection_job(name: str, weights: Sequence[float], resamples: int = 3, **details: object) -> MapJob:
    values = {"weight": weights, "resamples": resamples}
    job = table.trial_job(METHODS["parameter_selection"], DTYPES[name], len(weights), values)
    return replace(job, **{"key": (5, 2**32 - 6)} | details)


def average_job(
    name: str, weights: Sequence[float], *, normalize: bool = True, out: str | None = None, **details: object
) -> MapJob:
    values = {"weight": weights, "normalize": normalize}
    job = table.trial_job(
        METHODS["linear"], DTYPES[name], len(weights), values, out_dtype=DTYPES[out or name]
    )
    return replace(job, **details)


def special_words(name: str) -> np.ndarray:
    """±0, subnormals, ends of the normal range, infinities, NaNs with payloads."""
    dtype = DTYPES[name]
    one = 1 << dtype.mantissa_bits
    words = {
        0,
        1,
        2,
        one - 1,
        one,
        one + 1,
        dtype.infinity - 1,
        dtype.infinity,
        dtype.infinity + 1,
        dtype.nan,
    }
    words = [word for word in sorted(words) if word <= dtype.magnitude_mask]
    sign = dtype.magnitude_mask + 1
    return np.array(words + [word | sign for word in words], WORDS[dtype.itemsize])


def make_inputs(
    names: Sequence[str], base: str, elements: int, strewn: float, seed: int
) -> tuple[np.ndarray, ...]:
    """Sub-models mostly equal to the base, which comes last, with a share of special words strewn in."""
    generator = np.random.default_rng(seed)
    values = torch.from_numpy(generator.standard_normal(elements + 1) * 0.02)
    share = generator.random()
    inputs = []
    for at, name in enumerate((*names, base)):
        word = WORDS[DTYPES[name].itemsize]
        stored = values.to(getattr(torch, DTYPES[name].torch_name)).view(torch.uint8).numpy()
        words = stored.view(word)[:elements].copy()
        if at < len(names):
            where = generator.random(elements) < share
            words[where] ^= generator.integers(0, 8, elements).astype(word)[where]
        where = generator.random(elements) < strewn
        words[where] = generator.choice(special_words(name), elements)[where]
        inputs.append(words)
    for words, name in zip(inputs, names, strict=False):  # special words must also meet their likes
        where = generator.random(elements) < (0.3 if name == base else 0)
        words[where] = inputs[-1][where]
    return tuple(inputs)


TYPES = ("BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2")
names = st.sampled_from(["BF16", *TYPES])
few = st.one_of(st.integers(1, 4), st.integers(1, 12))
element_counts = st.one_of(st.integers(0, 40), st.sampled_from([1, 1023, 1025, 4095, 4096, 4097]))
first_elements = st.one_of(
    st.integers(0, 50).map(lambda block: 4096 * block),
    st.sampled_from([2**34 - 4096, 2**34, 5 * 2**34 - 4096, 2**44]),  # around quad = 2^32
)
word32 = st.integers(0, 2**32 - 1)
strewn_shares = st.sampled_from([0.0, 0.0, 0.001, 0.3])
tolerances = st.sampled_from([None, None, None, 0.0, 1e-45, 1e-4, 1e300])


@st.composite
def inputs_of(draw: st.DrawFn, count: int, same: str) -> tuple[tuple[str, ...], str]:
    """The storage types of the sub-models and of the base: mostly one."""
    if draw(st.integers(0, 2)):
        return (same,) * count, same
    return tuple(draw(st.lists(names, min_size=count, max_size=count))), draw(names)


@st.composite
def selections(draw: st.DrawFn) -> Case:
    count, same = draw(few), draw(names)
    models, base = draw(inputs_of(count, same))
    merge = draw(st.sampled_from([same, same, "BF16", "F32", "F64"]))
    weights = draw(
        st.lists(st.sampled_from([0.0, 1.0, 1.0, 2.5, 1 / 3, 1e300]), min_size=count, max_size=count)
    )
    if draw(st.booleans()) or not any(weights):
        weights = [1.0] * count
    job = selection_job(
        merge,
        weights,
        draw(st.integers(0, 9)),
        model_dtypes=tuple(DTYPES[name] for name in models),
        base_dtype=DTYPES[base],
        out_dtype=DTYPES[draw(st.one_of(st.just(merge), names))],
        key=draw(st.tuples(word32, word32)),
        zero_tolerance=draw(tolerances),
    )
    inputs = make_inputs(models, base, draw(element_counts), draw(strewn_shares), draw(word32))
    return Case(job, inputs, draw(first_elements))


@st.composite
def averages(draw: st.DrawFn) -> Case:
    count, same = draw(few), draw(names)
    models, _ = draw(inputs_of(count, same))
    merge = draw(st.sampled_from([same, same, "BF16", "F32", "F64"]))
    some = st.sampled_from([1.0, 0.0, -0.3, 0.1, 7.5, 1e-30, 1e20])
    far = st.sampled_from([1.0, 0.0, 1e-300, 1e300, 3e-45, 1e38])
    equal_or_none = st.sampled_from([(0.1, 0.1, 0.0), (-3.0,), (1e-300,)]).flatmap(st.sampled_from)
    weights = draw(
        st.one_of(st.lists(kind, min_size=count, max_size=count) for kind in (some, some, far, equal_or_none))
    )
    weights = draw(st.sampled_from([weights, weights[:1] * count]))
    job = average_job(
        merge,
        weights,
        normalize=draw(st.booleans()),
        out=draw(st.one_of(st.just(merge), names)),
        model_dtypes=tuple(DTYPES[name] for name in models),
    )
    try:
        average_terms(weights, job.parameters["normalize"], job.computing)
    except RecipeError:
        reject()
    inputs = make_inputs(models, same, draw(element_counts), draw(strewn_shares), draw(word32))
    return Case(job, inputs[:-1])


def selection(
    name: str,
    count: int,
    elements: int,
    first_element: int = 0,
    weights: Sequence[float] = (),
    resamples: int = 3,
) -> Case:
    job = selection_job(name, weights or (1.0,) * count, resamples)
    return Case(job, make_inputs([name] * count, name, elements, 0.01, seed=count), first_element)


# -- the same bytes and counts -------------------------------------------------------------------------------


@settings(max_examples=8)
@given(selections())
def test_selection_equals_the_cpu(case) -> None:
    check(case)


@settings(max_examples=20)
@given(averages())
def test_average_equals_the_cpu(case) -> None:
    check(case)


@pytest.mark.parametrize(
    ("count", "unequal"),
    [
        (16, True),
        (17, False),
        (130, True),
        *(
            pytest.param(count, unequal, marks=pytest.mark.slow)
            for count in (16, 17, 50, 130)
            for unequal in (0, 1)
        ),
    ],
)
def test_any_number_of_sub_models(count, unequal) -> None:
    weights = tuple(float(i % 3) for i in range(count)) if unequal else (1.0,) * count
    check(selection("BF16", count, 1500, 4096 * 7, weights=weights))


@pytest.mark.parametrize("element", [0, 1024, 4095])
def test_a_word_equal_to_a_threshold_draws_the_sub_model_above_it(element) -> None:
    counter, lane = counter_of(element, 0)
    word = philox4x32(counter, (5, 2**32 - 6))[lane]
    inputs = tuple(np.full(element + 1, value, np.uint16) for value in (0x3F80, 0x4000, 0))
    for limit, drawn in ((word, 0x4000), (word + 1, 0x3F80)):
        weights = (float(limit), float(2**32 - limit))
        case = Case(selection("BF16", 2, 1, weights=weights, resamples=0).job, inputs)
        merged, _ = run(gpu(), case)
        assert np.frombuffer(merged, np.uint16)[element] == drawn


@pytest.mark.parametrize(
    "name", ["BF16", *(pytest.param(name, marks=pytest.mark.slow) for name in ("F32", "F64", "F8_E5M2"))]
)
def test_tiles_as_a_gpu_has_them(name, monkeypatch) -> None:
    monkeypatch.setattr(gpu_selection, "_tile_words", lambda *_: 128)
    check(selection(name, 3, 4096 + 1100, 2**34 - 4096))


@pytest.mark.parametrize("resamples", [15, 16, pytest.param(100, marks=pytest.mark.slow)])
def test_parameters_that_nobody_changed_keep_their_last_draw(resamples) -> None:
    zeros = np.zeros(70, np.uint32)
    case = selection("F32", 2, 70, weights=(1.0, 2.0), resamples=resamples)
    case = Case(case.job, (zeros, zeros | np.uint32(2**31), zeros), 4096)
    check(case)


@pytest.mark.parametrize("out", ["BF16", "F16", "F32", "F8_E4M3", "F8_E5M2"])
@pytest.mark.parametrize("name", ["F32", "F64"])
def test_an_average_is_rounded_once_whatever_its_bits(name, out) -> None:
    """One sub-model: its own values, of all magnitudes and next to every kind of tie."""
    check(Case(average_job(name, (1.0,), out=out), (words_near_ties(name, out),)))


def words_near_ties(name: str, out: str) -> np.ndarray:
    """Words of `name`: any, and with and beside what `out` cannot hold, subnormals of its among them."""
    generator = np.random.default_rng(1)
    source, target = DTYPES[name], DTYPES[out]
    word = WORDS[source.itemsize]
    words = np.frombuffer(generator.bytes(8192 * source.itemsize), word).copy()
    # The exponent is one of `out`, or at most as far below as its mantissa is long.
    bias, target_bias = ((1 << (kind.exponent_bits - 1)) - 1 for kind in (source, target))
    lowest = max(1, bias - target_bias - target.mantissa_bits - 2)
    exponents = generator.integers(lowest, bias + target_bias + 3, 6000).clip(0, 2 * bias + 1).astype(word)
    near = words[:6000]
    near &= word((1 << source.mantissa_bits) - 1 | 1 << 8 * source.itemsize - 1)
    near |= exponents << word(source.mantissa_bits)
    lost = generator.integers(0, source.mantissa_bits + 1, 6000).astype(word)  # bits that are not set
    near &= ~((word(1) << lost) - word(1))
    near[::3] += word(1)
    near[1::3] -= word(1)
    special = special_words(name)
    words[-len(special) :] = special
    return words


def test_an_overflowing_sum_of_finite_values_is_no_nonfinite_input() -> None:
    words = np.full(100, 0x7F7F, np.uint16)
    case = Case(average_job("BF16", (1.0, 1.0, -0.5)), (words,) * 3)
    check(case)
    merged, counts = run(gpu(), case)
    assert merged == b"\x80\x7f" * 100
    assert counts["nonfinite"] == [0, 0, 0]


@pytest.mark.parametrize("weights", [(1.0, 0.0, 1.0), (1.0, 1e-300, 0.5), (1.0, 0.0, 0.0)])
def test_what_takes_no_part_in_an_average_is_counted_all_the_same(weights) -> None:
    one = np.full(5000, 0x3F80, np.uint16)
    other = one.copy()
    other[[3, 4500]] = 0x7F80, 0x7FC1
    case = Case(average_job("BF16", weights), (one, other, one))
    check(case)
    merged, counts = run(gpu(), case)
    assert merged == one.tobytes()
    assert counts["nonfinite"] == [0, 2, 0]


def test_several_jobs_run_on_one_filling() -> None:
    """Each leaves its own bytes until the next begin, and takes no notice of a base that it does not read."""
    inputs = make_inputs(["BF16"] * 3, "BF16", 4200, 0.01, seed=6)
    jobs = [
        selection_job("BF16", (1.0, 2.0, 1.0)),
        average_job("BF16", (1.0, 1.0, 1.0)),
        table.trial_job(METHODS["task_arithmetic"], DTYPES["BF16"], 3),
        selection_job("BF16", (1.0, 1.0, 1.0), 1),
    ]
    workspace = filled(gpu(), inputs, jobs[0])
    with np.errstate(all="ignore"):
        merged = [workspace.run(job, 4096) for job in jobs]
    for job, found in zip(jobs, merged, strict=True):
        alone = Case(job, inputs[: len(job.input_dtypes)], 4096)
        assert seen(found) == run(table.workspace(), alone)


@settings(max_examples=2)
@given(st.lists(st.one_of(selections(), averages()), min_size=2, max_size=3))
def test_a_workspace_remembers_nothing_of_the_tensor_before(cases) -> None:
    workspace = gpu()
    for case in cases:
        check(case, workspace)


@pytest.fixture
def launched(monkeypatch) -> list[tuple]:
    """The arguments and options of kernels, which are not launched."""
    calls: list[tuple] = []
    monkeypatch.setattr(gpu_launch, "launch", lambda kernel, grid, *call: calls.append(call))
    return calls


def prepared(kernel: MapKernel, job: MapJob, rows: Sequence[torch.Tensor]) -> Prepared:
    return kernel.prepare(job, rows, len(rows[0]), DeviceMemory(torch.device("cpu"), lambda: None))


def test_values_go_to_the_kernel_as_they_lie(launched) -> None:
    """No copy of the inputs on the device where all are of one type."""
    stored = torch.zeros(3 * 4096, dtype=torch.bfloat16)
    prepared(selecting, selection_job("BF16", (1.0, 1.0)), list(stored.view(3, 4096))).launch(0, (0, 0))
    marks, values = launched[0][0][:2]
    assert [tensor.data_ptr() for tensor in (marks, values)] == [stored.data_ptr()] * 2


def test_an_average_is_compiled_without_fused_multiply_add(launched) -> None:
    prepared(averaging, average_job("BF16", (1.0, 0.3)), list(torch.ones(2, 4096).bfloat16())).launch(
        0, (0, 0)
    )
    assert launched[0][1]["enable_fp_fusion"] is False


def test_tensors_that_lie_in_a_row_by_chance_are_averaged_too() -> None:
    """As a device's allocator places converted ones: each has memory of its own."""
    memory = np.repeat(np.array([1.0, 2.0, 6.0], np.float32), 4096)
    rows = [torch.from_numpy(row) for row in memory.reshape(3, 4096)]
    merged = prepared(averaging, average_job("F32", (1.0,) * 3), rows)
    merged.launch(0, (0, 0))
    assert (merged.values.view(torch.float32) == 3).all()


def test_kinds_of_jobs_share_compiled_kernels(launched) -> None:
    """Whatever Triton compiles anew for: the types of tensors, constants and options."""
    jobs = [
        selection_job(name, [1.0 + model % 2 * unequal for model in range(count)], resamples)
        for name in TYPES
        for count, resamples in ((1, 0), (3, 4), (16, 9), (17, 0), (50, 100), (128, 4))
        for unequal in (False, True)
    ]
    jobs += [
        average_job(name, (1.0, 0.5) * half, out=out) for name in TYPES for out in TYPES for half in (1, 40)
    ]
    kinds = set()
    for job in jobs:
        kernel = MAPS[job.method]
        rows = [torch.zeros(4096, dtype=getattr(torch, dtype.torch_name)) for dtype in job.input_dtypes]
        prepared(kernel, job, rows).launch(0, (0, 0))
        arguments, options = launched.pop()
        types = [value.dtype if isinstance(value, torch.Tensor) else 0 for value in arguments]
        kinds.add((kernel.compiled_as(job), job.method, *types, *options.items()))
    assert len(kinds) == len({kind[0] for kind in kinds})  # they are told apart rightly
    # Selection: three widths, few or many, equal or not. Averages: four types to four widths, and float32
    # from 8-bit types to two.
    assert len(kinds) == 12 + 18


# -- what a chunk costs the interpreter ----------------------------------------------------------------------


class Operations(TorchFunctionMode):
    """Notes what torch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.append(function.__name__)
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("elements", [3 * 4096, 5000])
@pytest.mark.parametrize(
    "job", [selection_job("BF16", (1.0,) * 10), average_job("F32", (1.0, 2.0))], ids=lambda job: job.method
)
def test_a_chunk_like_one_before_allocates_nothing_and_makes_no_tensor(job, elements, launched) -> None:
    workspace = gpu()
    for _ in range(2):
        workspace.begin(job.input_dtypes, elements)
        workspace.run(job, 0)
    job = replace(job, key=(7, 7))  # another tensor
    with Operations() as operations:
        workspace.begin(job.input_dtypes, elements)
        workspace.run(job, 4096)
    padding = 0 if elements % 4096 == 0 else len(job.input_dtypes)
    assert operations.names.count("copy_") == 3  # the inputs, the output, the counts
    assert operations.names.count("zero_") == 1 + padding
    assert len(operations.names) == 4 + padding
    assert len(launched) == 3


def test_inputs_are_sent_once_for_several_jobs(launched) -> None:
    workspace = gpu()
    jobs = [selection_job("BF16", (1.0,) * 3, n) for n in (0, 4)]
    for _ in range(2):
        workspace.begin(jobs[0].input_dtypes, 4096)
        with Operations() as operations:
            for job in jobs:
                workspace.run(job, 0)
    assert operations.names.count("copy_") == 1 + 2 * 2


def test_one_workspace_at_a_time_gives_a_device_work(monkeypatch) -> None:
    """And they go on side by side for the rest: each with buffers of its own."""
    inside, most = 0, 0

    def slow(kernel: object, grid: tuple, *_: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        inside -= 1

    monkeypatch.setattr(gpu_launch, "launch", slow)
    job = average_job("F32", (1.0, 2.0))

    def work() -> None:
        workspace = gpu()
        for chunk in range(5):
            workspace.begin(job.input_dtypes, 4096)
            workspace.run(job, 4096 * chunk)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


# -- memory of the device ------------------------------------------------------------------------------------


def of_limited_memory(kernel: MapKernel, most: int, sizes: list[int], *, late: bool = False) -> MapKernel:
    """A map that notes what it is asked for, and has no room for more than `most` elements.

    `late`: it has no room only when it is launched for the second time.
    """

    def prepare(job: MapJob, stored: Sequence, elements: int, memory: DeviceMemory) -> Prepared:
        if elements > most and not late:
            sizes.append(elements)
            raise torch.OutOfMemoryError
        made = kernel.prepare(job, stored, elements, memory)

        def launch(first_element: int, key: tuple[int, int]) -> None:
            sizes.append(elements)
            if late and elements > most and len(sizes) == 2:
                raise torch.OutOfMemoryError
            made.launch(first_element, key)

        return replace(made, launch=launch)

    return replace(kernel, prepare=prepare)


@pytest.mark.parametrize(
    "case",
    [
        selection("BF16", 2, 3 * 4096 + 5, 4096),
        pytest.param(selection("F8_E4M3", 2, 9000), marks=pytest.mark.slow),
    ],
)
def test_a_chunk_that_does_not_fit_is_cut(case) -> None:
    sizes: list[int] = []
    workspace = gpu(parameter_selection=of_limited_memory(selecting, 4096, sizes))
    check(case, workspace)
    assert sizes[0] == len(case.inputs[0])
    assert all(size % 4096 == 0 for size in sizes[1:-1])
    sizes.clear()
    check(case, workspace)
    assert max(sizes) == 4096  # the size that fitted is remembered


def test_memory_may_run_out_in_the_middle_of_a_chunk_and_what_was_held_is_given_back() -> None:
    sizes: list[int] = []
    inputs = make_inputs(["F32"] * 2, "F32", 3 * 4096 + 5, 0.01, seed=4)[:-1]
    case = Case(average_job("F32", (1.0, 2.0)), inputs)
    workspace = gpu(linear=of_limited_memory(averaging, 4096, sizes, late=True))
    workspace._piece_blocks = 2
    check(case, workspace)
    assert sizes == [8192, 4101, 4096, 4096, 4096, 5]
    held = sum(buffer.numel() for buffer in workspace._memory._buffers.values())
    assert held < sum(word.nbytes for word in case.inputs)


def test_an_average_is_cut_too() -> None:
    sizes: list[int] = []
    job = average_job("F32", (1.0, 2.0), out="BF16", model_dtypes=(DTYPES["BF16"], DTYPES["F32"]))
    case = Case(job, make_inputs(["BF16", "F32"], "F32", 20000, 0.1, seed=3)[:-1])
    check(case, gpu(linear=of_limited_memory(averaging, 8192, sizes)))
    assert sizes == [20000, 8192, 8192, 3616]


def test_a_device_without_room_for_a_block_is_refused() -> None:
    workspace = gpu(parameter_selection=of_limited_memory(selecting, 0, []))
    with pytest.raises(DeviceError, match="not enough free memory") as caught:
        run(workspace, selection("BF16", 2, 20000))
    assert caught.value.hint is not None


# -- what there is no kernel for -----------------------------------------------------------------------------


def test_a_method_without_a_kernel_and_folds_run_on_the_fallback() -> None:
    job = table.trial_job(METHODS["slerp"], DTYPES["BF16"], 2)
    inputs = make_inputs(["BF16"] * 2, "BF16", 5000, 0, seed=1)[: len(job.input_dtypes)]
    reference = CpuWorkspace({}, Reference())
    found = [
        filled(workspace, inputs, job).fold(job, number, 4096).tolist()
        for workspace in (gpu(), reference)
        for number in range(len(METHODS["slerp"].folds_of(job)))
    ]
    assert found[: len(found) // 2] == found[len(found) // 2 :]
    check(
        Case(
            table.trial_job(METHODS["task_arithmetic"], DTYPES["BF16"], 3),
            make_inputs(["BF16"] * 3, "BF16", 5000, 0.01, seed=2),
        )
    )


@pytest.mark.parametrize(("count", "by_kernel"), [(128, True), (129, False)])
def test_the_fallback_does_what_has_too_many_sub_models(count, by_kernel) -> None:
    sizes: list[int] = []
    case = Case(
        average_job("F16", (1.0,) * count), make_inputs(["F16"] * count, "F16", 30, 0.01, seed=3)[:-1]
    )
    check(case, gpu(linear=of_limited_memory(averaging, 4096, sizes)))
    assert sizes == ([30] if by_kernel else [])


# -- compiled code -------------------------------------------------------------------------------------------

AVERAGES = [
    ("BF16", "BF16", False),
    ("F16", "F16", False),
    ("F32", "F32", True),
    ("F64", "F64", True),
    ("BF16", "F32", True),
    ("F64", "BF16", True),
]
"""Merge and output types, and whether float64 is what is computed in."""

SELECTIONS = [("F64", 10, False), ("BF16", 50, True)]

_COMPILE = """
import json, sys
from compile_kernels import call_of, compiled, figures_of
from gpu_jobs import make_job

found = {}
for kind, out, wide in AVERAGES:
    done, _ = compiled(*call_of(make_job("linear", 3, dtype=kind, out=out)))
    found[f"average {kind} {out}"] = {"ptx": done.asm["ptx"]}
for kind, models, unequal in SELECTIONS:
    job = make_job("parameter_selection", models, 4, dtype=kind, unequal=unequal)
    done, _ = compiled(*call_of(job))
    found[f"select {kind} {models} {unequal}"] = {"ptx": done.asm["ptx"], **figures_of(done)}
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def code() -> dict[str, dict]:
    """Kernels for compute capability 9.0, which takes no such card to compile."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    bench = Path(__file__).parents[2] / "bench"
    environment["PYTHONPATH"] = os.pathsep.join([str(bench), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", f"AVERAGES, SELECTIONS = {AVERAGES}, {SELECTIONS}\n{_COMPILE}"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("kind", "out", "wide"), AVERAGES)
def test_an_average_fuses_no_product_and_sum_and_flushes_nothing(code, kind, out, wide) -> None:
    ptx = code[f"average {kind} {out}"]["ptx"]
    computing, other = ("f64", "f32") if wide else ("f32", "f64")
    for instruction in ("fma.", "mad.rn", f"mad.{computing}", ".ftz", "div.full", ".approx"):
        assert instruction not in ptx
    # Their rounding is spelt out, without which the assembler may fuse them after all.
    for step in ("mul", "add", "div"):
        assert f"{step}.rn.{computing}" in ptx
        assert f"{step}.rn.{other}" not in ptx


@pytest.mark.parametrize(("name", "models", "unequal"), SELECTIONS)
def test_a_selection_compiles_without_floating_point_or_spilt_registers(code, name, models, unequal) -> None:
    found = code[f"select {name} {models} {unequal}"]
    assert ".entry select_kernel" in found["ptx"]
    assert not any(kind in found["ptx"] for kind in (".f16", ".bf16", ".f32", ".f64"))
    assert found["spills"] == 0  # what is spilt is not looked at for each sub-model or draw
    assert "LDGSTS" in found["sass"]  # the next sub-models' words are on their way meanwhile


# -- choosing a device ---------------------------------------------------------------------------------------


def test_the_cpu_is_chosen_and_others_refused_without_importing_torch() -> None:
    script = (
        "import sys\n"
        "from core.errors import DeviceError\n"
        "from core import devices\n"
        "devices.may_have_cuda = devices._may_have_others = lambda: False\n"
        "assert devices.choose_devices('cpu') == [devices.CPU]\n"
        "assert devices.usable_devices() == []\n"
        "for asked in ('cuda', 'cuda:1', 'xpu', 'mps', 'gpu', 'cuda:', 'cuda:-1'):\n"
        "    try:\n"
        "        devices.choose_devices(asked)\n"
        "    except DeviceError as error:\n"
        "        print(error.message)\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the device cuda is not there: this machine has 0 CUDA devices",
        "the device cuda:1 is not there: this machine has 0 CUDA devices",
        "the device xpu is not there: this machine has 0 XPU devices",
        "the device mps is not there: this machine has 0 MPS devices",
        "the device 'gpu' is not known",
        "the device 'cuda:' is not known",
        "the device 'cuda:-1' is not known",
    ]


@pytest.fixture
def two_cards(monkeypatch) -> list[devices.Device]:
    cards = [devices.Device(f"cuda:{number}", "H200", "cuda", 141 << 30, 140 << 30) for number in range(2)]
    monkeypatch.setattr(devices, "_cuda_devices", lambda: cards)
    return cards


def test_devices_are_taken_by_their_number(two_cards) -> None:
    assert devices.choose_devices("cuda") == two_cards[:1]
    assert devices.choose_devices("cuda:1") == two_cards[1:]
    with pytest.raises(DeviceError, match="this machine has 2 CUDA devices"):
        devices.choose_devices("cuda:2")
    assert devices.least_workers(two_cards) == 6
    assert devices.least_workers([devices.CPU]) == 1
    assert devices.describe(two_cards) == "cuda:0 (H200), cuda:1 (H200)"
    assert devices.describe([devices.CPU]) == "cpu"


def test_a_card_that_runs_the_kernels_gets_them_and_another_the_reference(two_cards, monkeypatch) -> None:
    monkeypatch.setattr(table, "runs_kernels", lambda name: name == "cuda:0")
    monkeypatch.setattr("core.kernels.gpu.workspace.GpuWorkspace", lambda name, maps, fallback: (name, maps))
    assert table.workspace(two_cards[0]) == ("cuda:0", MAPS)
    slow = table.workspace(two_cards[1])
    assert isinstance(slow, CpuWorkspace)
    assert not slow._maps


def test_a_card_whose_results_differ_is_not_trusted(monkeypatch, caplog) -> None:
    """And why is in the log."""

    def tried(name: str) -> bool:
        monkeypatch.setattr(table, "_trials", {})
        return table.runs_kernels(name)

    monkeypatch.setattr(
        "core.kernels.gpu.workspace.GpuWorkspace",
        lambda name, maps, fallback: GpuWorkspace("cpu", maps, fallback),
    )
    right = GpuWorkspace.run

    def miscounted(workspace: GpuWorkspace, job: MapJob, first_element: int) -> Merged:
        merged = right(workspace, job, first_element)
        merged.counts.nonfinite[0] += 1
        return merged

    with np.errstate(all="ignore"):
        assert tried("cuda:0")
        assert not tried("xpu:0")
        for wrong, why in (
            (lambda *job: Merged(memoryview(bytes(4)), right(*job).counts), "differ from byte"),
            (miscounted, "the counts are"),
            (lambda *_: 1 // 0, "ZeroDivisionError"),
        ):
            caplog.clear()
            monkeypatch.setattr(GpuWorkspace, "run", wrong)
            assert not tried("cuda:0")
            assert why in caplog.text
            assert "cuda:0" in caplog.text


def test_a_card_that_was_tried_in_vain_is_tried_again_by_the_next_merge(monkeypatch) -> None:
    monkeypatch.setattr(table, "_trials", {})
    monkeypatch.setattr(table, "has_triton", lambda: True)
    results = iter([False, True])
    monkeypatch.setattr(table, "_pass_trials", lambda _: next(results))
    assert [table.runs_kernels("cuda:0") for _ in range(2)] == [False, False]
    table.try_again()
    assert [table.runs_kernels("cuda:0") for _ in range(2)] == [True, True]
    table.try_again()
    assert table.runs_kernels("cuda:0")


def test_each_kind_of_kernel_is_tried_once_before_a_merge_that_needs_it(two_cards, monkeypatch) -> None:
    monkeypatch.setattr(table, "runs_kernels", lambda _: True)
    monkeypatch.setattr(
        "core.kernels.gpu.workspace.GpuWorkspace",
        lambda _, maps, fallback: GpuWorkspace("cpu", maps, fallback),
    )
    ran: list[MapJob] = []
    right = GpuWorkspace.run

    def counting(workspace: GpuWorkspace, job: MapJob, first_element: int) -> Merged:
        ran.append(job)
        return right(workspace, job, first_element)

    monkeypatch.setattr(GpuWorkspace, "run", counting)
    alike = [selection_job("BF16", (1.0,) * count, count, key=(count, 0)) for count in (1, 2)]
    other = selection_job("F64", (1.0, 2.0))
    mixed = average_job("F32", (1.0, 2.0), model_dtypes=(DTYPES["BF16"], DTYPES["F32"]))
    with np.errstate(all="ignore"):
        table.compile_for(two_cards[:1], [*alike, other, mixed])
        assert len(ran) == 3
        monkeypatch.setattr(
            GpuWorkspace, "run", lambda *job: Merged(memoryview(bytes(4)), right(*job).counts)
        )
        with pytest.raises(
            DeviceError, match="cuda:0 computes linear on F32 otherwise than the CPU"
        ) as caught:
            table.compile_for(two_cards[:1], [mixed])
    assert caught.value.hint is not None


def test_the_cpu_has_the_same_kernels_and_others() -> None:
    workspace = table.workspace()
    assert isinstance(workspace, CpuWorkspace)
    assert set(workspace._maps) > {*MAPS, "passthrough"}
