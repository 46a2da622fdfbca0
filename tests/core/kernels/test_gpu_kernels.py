"""The GPU kernels, run by Triton's interpreter, give the CPU kernels' bytes and counts.

The interpreter takes a fraction of a second for a block of 4,096 elements, so there are few and small
examples. What it cannot show, that no product and sum are fused, is read off the compiled code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core import devices
from core.draws import counter_of, philox4x32
from core.dtypes import DTYPES
from core.errors import DeviceError
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import Counts, MapJob
from core.methods.reference import ReferenceWorkspace

# Triton looks at this where a kernel is defined and where it runs; other modules' tests are not to see it.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton")
    from core.kernels.gpu import launch as gpu_launch
    from core.kernels.gpu.workspace import GpuWorkspace

WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
BF16, F16, F32, F64 = (DTYPES[name] for name in ("BF16", "F16", "F32", "F64"))


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


def run(workspace: GpuWorkspace | CpuWorkspace, case: Case) -> tuple[bytes, dict[str, list[int] | None]]:
    buffers = workspace.begin(case.job, len(case.inputs[0]))
    for buffer, words in zip(buffers, case.inputs, strict=True):
        buffer[:] = words.tobytes()
    with np.errstate(all="ignore"):  # the interpreter computes with numpy
        counts = workspace.run(case.first_element)
    return bytes(workspace.output()), as_lists(counts)


def as_lists(counts: Counts) -> dict[str, list[int] | None]:
    return {name: None if found is None else found.tolist() for name, found in vars(counts).items()}


def check(case: Case, workspace: GpuWorkspace | None = None) -> None:
    merged, counts = run(workspace or GpuWorkspace("cpu"), case)
    expected, expected_counts = run(CpuWorkspace(), case)
    assert counts == expected_counts
    assert merged == expected


# -- making cases --------------------------------------------------------------------------------------------


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


names = st.sampled_from(["BF16", "BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"])
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
    job = MapJob(
        "parameter_selection",
        tuple(DTYPES[name] for name in models),
        DTYPES[base],
        DTYPES[merge],
        DTYPES[draw(st.one_of(st.just(merge), names))],
        tuple(weights),
        resamples=draw(st.integers(0, 9)),
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
    weights = draw(
        st.lists(st.sampled_from([1.0, 0.0, -0.3, 0.1, 7.5, 1e-30, 1e20]), min_size=count, max_size=count)
    )
    job = MapJob(
        "linear",
        tuple(DTYPES[name] for name in models),
        None,
        DTYPES[merge],
        DTYPES[draw(st.one_of(st.just(merge), names))],
        (abs(sum(weights)) + 1.0, *weights[1:]),
    )
    inputs = make_inputs(models, same, draw(element_counts), draw(strewn_shares), draw(word32))
    return Case(job, inputs[:-1])


def selection(name: str, count: int, elements: int, first_element: int = 0, **details: object) -> Case:
    dtype = DTYPES[name]
    fields: dict = {"weights": (1.0,) * count, "resamples": 3, "key": (5, 2**32 - 6)} | details
    job = MapJob("parameter_selection", (dtype,) * count, dtype, dtype, dtype, **fields)
    return Case(job, make_inputs([name] * count, name, elements, 0.01, seed=count), first_element)


# -- the same bytes and counts -------------------------------------------------------------------------------


@settings(max_examples=40)
@given(selections())
def test_selection_equals_the_cpu(case) -> None:
    check(case)


@settings(max_examples=40)
@given(averages())
def test_average_equals_the_cpu(case) -> None:
    check(case)


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("count", [16, 17, 50, 66, 130])
def test_any_number_of_sub_models(count, unequal) -> None:
    weights = tuple(float(i % 3) for i in range(count)) if unequal else (1.0,) * count
    check(selection("BF16", count, 1500, 4096 * 7, weights=weights))


@pytest.mark.parametrize("element", [0, 1023, 1024, 2500, 4095])
def test_a_word_equal_to_a_threshold_draws_the_sub_model_above_it(element) -> None:
    counter, lane = counter_of(element, 0)
    word = philox4x32(counter, (5, 2**32 - 6))[lane]
    inputs = tuple(np.full(element + 1, value, np.uint16) for value in (0x3F80, 0x4000, 0))
    for limit, drawn in ((word, 0x4000), (word + 1, 0x3F80)):
        weights = (float(limit), float(2**32 - limit))
        case = Case(selection("BF16", 2, 1, weights=weights, resamples=0).job, inputs)
        merged, _ = run(GpuWorkspace("cpu"), case)
        assert np.frombuffer(merged, np.uint16)[element] == drawn


@pytest.mark.parametrize("name", ["BF16", "F32", "F64", "F8_E5M2"])
def test_tiles_as_a_gpu_has_them(name, monkeypatch) -> None:
    monkeypatch.setattr(gpu_launch, "_tile_words", lambda *_, **__: 128)
    check(selection(name, 3, 4096 + 1100, 2**34 - 4096))


@pytest.mark.parametrize("resamples", [15, 16, 100])
def test_parameters_that_nobody_changed_keep_their_last_draw(resamples) -> None:
    zeros = np.zeros(70, np.uint32)
    case = selection("F32", 2, 70, weights=(1.0, 2.0), resamples=resamples)
    case = Case(case.job, (zeros, zeros | np.uint32(2**31), zeros), 4096)
    check(case)


@pytest.mark.parametrize("name", ["BF16", "F8_E4M3", "F32"])
def test_counting_alone(name) -> None:
    case = selection(name, 5, 3000)
    _, expected = run(CpuWorkspace(), case)
    job = MapJob(
        "count_deltas", case.job.model_dtypes, case.job.base_dtype, *(DTYPES[name],) * 2, case.job.weights, 3
    )
    merged, counts = run(GpuWorkspace("cpu"), Case(job, case.inputs))
    assert merged == b""
    for counted in ("nonfinite", "zero_delta", "changed_by"):
        assert counts[counted] == expected[counted]


@pytest.mark.parametrize("out", [BF16, F16, F32], ids=repr)
def test_an_average_is_rounded_once_whatever_its_bits(out) -> None:
    """One sub-model of weight 1: its own values, of all magnitudes and next to every kind of tie."""
    generator = np.random.default_rng(1)
    words = generator.integers(0, 2**32, 8192, dtype=np.uint32)
    words[:3000] = (words[:3000] & np.uint32(0x800FFFFF)) | (
        np.uint32(0x70 << 23) - (words[:3000] % 16 << 23)
    )
    words[3000:6000] &= np.uint32(0xFFFFF000)
    words[6000:7000] &= np.uint32(0xFFFF8000)
    words[7000:7020] = special_words("F32")[:20]
    check(Case(MapJob("linear", (F32,), None, F32, out, (1.0,)), (words,)))


def test_an_overflowing_sum_of_finite_values_is_no_nonfinite_input() -> None:
    words = np.full(100, 0x7F7FFFFF, np.uint32)
    case = Case(MapJob("linear", (F32,) * 3, None, F32, F32, (1.0, 1.0, -1.5)), (words,) * 3)
    check(case)
    assert run(GpuWorkspace("cpu"), case)[1]["nonfinite"] == [0, 0, 0]


@settings(max_examples=4)
@given(st.lists(st.one_of(selections(), averages()), min_size=2, max_size=3))
def test_a_workspace_remembers_nothing_of_the_tensor_before(cases) -> None:
    workspace = GpuWorkspace("cpu")
    for case in cases:
        check(case, workspace)


def test_values_go_to_the_kernel_as_they_lie(monkeypatch) -> None:
    """No copy of the inputs on the device where all are of one type."""
    launched = []
    monkeypatch.setattr(
        gpu_launch, "_launch", lambda kernel, grid, arguments, options: launched.append(arguments)
    )
    stored = torch.zeros(3 * 4096, dtype=torch.bfloat16)
    rows = list(stored.view(3, 4096))
    gpu_launch.select(selection("BF16", 2, 1).job, 0, rows, 4096)
    marks, base, values = launched[0][:3]
    assert [tensor.data_ptr() for tensor in (marks, base, values)] == [
        stored.data_ptr(),
        rows[2].data_ptr(),
        stored.data_ptr(),
    ]


# -- memory of the device ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [selection("BF16", 2, 4 * 4096 + 5, 4096), selection("F8_E4M3", 2, 9000)])
def test_a_chunk_that_does_not_fit_is_cut(case, monkeypatch) -> None:
    sizes = []
    select = gpu_launch.select

    def of_limited_memory(job: MapJob, first_element: int, stored: list, elements: int) -> object:
        sizes.append(elements)
        if elements > 4096:
            raise torch.OutOfMemoryError
        return select(job, first_element, stored, elements)

    monkeypatch.setattr("core.kernels.gpu.workspace.select", of_limited_memory)
    workspace = GpuWorkspace("cpu")
    check(case, workspace)
    assert sizes[0] == len(case.inputs[0])
    assert all(size % 4096 == 0 for size in sizes[1:-1])
    sizes.clear()
    check(case, workspace)
    assert max(sizes) == 4096  # the size that fitted is remembered


def test_an_average_is_cut_too(monkeypatch) -> None:
    average = gpu_launch.average
    sizes = []

    def of_limited_memory(job: MapJob, stored: list, elements: int) -> object:
        sizes.append(elements)
        if elements > 8192:
            raise torch.OutOfMemoryError
        return average(job, stored, elements)

    monkeypatch.setattr("core.kernels.gpu.workspace.average", of_limited_memory)
    case = Case(
        MapJob("linear", (BF16, F32), None, F32, BF16, (1.0, 2.0)),
        make_inputs(["BF16", "F32"], "F32", 20000, 0.1, seed=3)[:-1],
    )
    check(case)
    assert sizes == [20000, 8192, 8192, 3616]


def test_a_device_without_room_for_a_block_is_refused(monkeypatch) -> None:
    def without_memory(*_: object) -> object:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("core.kernels.gpu.workspace.select", without_memory)
    with pytest.raises(DeviceError, match="not enough free memory") as caught:
        run(GpuWorkspace("cpu"), selection("BF16", 2, 20000))
    assert caught.value.hint is not None


# -- compiled code -------------------------------------------------------------------------------------------

_COMPILE = """
import json, re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from core.dtypes import DTYPES
from core.kernels.gpu.select import select_kernel
from core.kernels.gpu.average import average_kernel

def compiled(kernel, types, constants, **options):
    names = kernel.arg_names
    signature = dict(zip(names, types.split())) | dict.fromkeys(constants, "constexpr")
    aligned = [at for at, kind in enumerate(types.split()) if kind[0] == "*" or names[at] == "stride"]
    source = ASTSource(
        kernel,
        signature,
        {(names.index(name),): value for name, value in constants.items()},
        {(at,): [["tt.divisibility", 16]] for at in aligned},
    )
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]

found = {}
words = {"BF16": "i16", "F16": "i16", "F32": "i32", "F64": "i64"}
for kind, out in [("BF16", "BF16"), ("F16", "F16"), ("F32", "F32"), ("F64", "F64"), ("F32", "F16")]:
    dtype, computing = DTYPES[kind], "fp64" if kind == "F64" else "fp32"
    constants = dict(KIND=kind, OUT=out, TILE=1024)
    constants |= dict(MAGNITUDE=dtype.magnitude_mask, FIRST_NONFINITE=dtype.first_nonfinite)
    types = f"*{words[kind]} *{computing} *{words[out]} *i32 i64 i32 i32"
    found[f"average {kind} {out}"] = compiled(
        average_kernel, types, constants, num_warps=4, enable_fp_fusion=False
    )
for kind in ("BF16", "F32", "F64"):
    dtype = DTYPES[kind]
    constants = dict(MAGNITUDE=dtype.magnitude_mask, INFINITY=dtype.infinity)
    constants |= dict(FIRST_NONFINITE=dtype.first_nonfinite, FIELDS=2 if kind == "BF16" else 1, WORDS=64)
    constants |= dict(GROUPS=1, BINS=16, DRAWS=16, EQUAL=True, STEPS=0, MERGE=True, REPLICAS=64)
    pair = "*i64" if kind == "F64" else "*i32"
    types = f"{pair} {pair} *{words[kind]} {pair} *i32 *i32 i32 i64 i64 i64 i32 i32 i32 i32"
    found[f"select {kind}"] = compiled(select_kernel, types, constants, num_warps=1)
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def ptx(tmp_path_factory) -> dict[str, str]:
    """The code of kernels for compute capability 9.0, which takes no such card to compile."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("types", ["BF16 BF16", "F16 F16", "F32 F32", "F64 F64", "F32 F16"])
def test_an_average_fuses_no_product_and_sum_and_flushes_nothing(ptx, types) -> None:
    code = ptx[f"average {types}"]
    computing = "f64" if "F64" in types else "f32"
    for instruction in ("fma.", "mad.rn", f"mad.{computing}", ".ftz"):
        assert instruction not in code
    # Their rounding is spelt out, without which the assembler may fuse them after all.
    assert f"mul.rn.{computing}" in code
    assert f"add.rn.{computing}" in code


@pytest.mark.parametrize("name", ["BF16", "F32", "F64"])
def test_a_selection_compiles_without_floating_point(ptx, name) -> None:
    code = ptx[f"select {name}"]
    assert ".entry select_kernel" in code
    assert not any(kind in code for kind in (".f16", ".bf16", ".f32", ".f64"))
    loads = "v2.b64" if name == "F64" else "v2.b32"
    assert f"ld.global.{loads}" in code


# -- choosing a device ---------------------------------------------------------------------------------------


def test_the_cpu_is_chosen_and_others_refused_without_importing_torch() -> None:
    script = (
        "import sys\n"
        "from core.errors import DeviceError\n"
        "from core import devices\n"
        "devices.may_have_cuda = devices._may_have_others = lambda: False\n"
        "assert devices.choose_devices('auto') == devices.choose_devices('cpu') == [devices.CPU]\n"
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


def test_auto_takes_every_card_that_runs_the_kernels(two_cards, monkeypatch) -> None:
    monkeypatch.setattr(devices, "_runs_kernels", lambda _: True)
    assert devices.choose_devices("auto") == two_cards
    assert devices.choose_devices("cuda") == two_cards[:1]
    assert devices.choose_devices("cuda:1") == two_cards[1:]
    with pytest.raises(DeviceError, match="this machine has 2 CUDA devices"):
        devices.choose_devices("cuda:2")
    assert devices.least_workers(two_cards) == 6
    assert devices.least_workers([devices.CPU]) == 1
    assert devices.describe(two_cards) == "cuda:0 (H200), cuda:1 (H200)"


def test_without_the_kernels_auto_takes_the_cpu_and_cuda_the_reference(two_cards, monkeypatch) -> None:
    monkeypatch.setattr(devices, "_runs_kernels", lambda _: False)
    assert devices.choose_devices("auto") == [devices.CPU]
    assert devices.describe([devices.CPU]) == "cpu"
    made = [make() for make in devices.workspace_factories(devices.choose_devices("cuda:1"), 2, "linear")]
    assert [type(workspace).__name__ for workspace in made] == ["ReferenceWorkspace"] * 2


def test_a_card_whose_results_differ_is_not_trusted(monkeypatch) -> None:
    runs_kernels = devices._runs_kernels.__wrapped__
    monkeypatch.setattr("core.kernels.gpu.workspace.GpuWorkspace", lambda _: GpuWorkspace("cpu"))
    with np.errstate(all="ignore"):
        assert runs_kernels("cuda:0")
        assert not runs_kernels("xpu:0")
        monkeypatch.setattr(GpuWorkspace, "output", lambda self: bytes(4))
        assert not runs_kernels("cuda:0")
        monkeypatch.setattr(GpuWorkspace, "run", lambda *_: 1 // 0)
        assert not runs_kernels("cuda:0")


def test_workers_take_the_devices_in_turn(two_cards, monkeypatch) -> None:
    monkeypatch.setattr(devices, "_runs_kernels", lambda _: True)
    monkeypatch.setattr("core.kernels.gpu.workspace.GpuWorkspace", lambda name: name)
    made = [make() for make in devices.workspace_factories(two_cards, 5, "linear")]
    assert made == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]


def test_the_cpu_makes_its_own_workspaces() -> None:
    assert devices.workspace_factories([devices.CPU], 2, "linear") == [CpuWorkspace] * 2


def test_a_method_without_a_kernel_runs_on_its_own_arithmetic() -> None:
    (make,) = devices.workspace_factories([devices.CPU], 1, "a method of tomorrow")
    assert isinstance(make(), ReferenceWorkspace)
