"""The CPU kernels, the torch reference and the oracle give the same bytes and the same counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from oracle import FORMATS, Stored

from core import table
from core.draws import selection_thresholds
from core.dtypes import DTYPES
from core.errors import RecipeError
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import Counts, MapJob, Workspace
from core.methods import METHODS
from core.methods.reference import Reference
from core.torch_values import torch_dtype
from core.weights import average_terms

UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
COUNTS = ("nonfinite", "zero_delta", "changed_by", "zero_after_draw", "selected")

# -- running -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One chunk to be merged: the job, the inputs (the base last), where it lies in its tensor."""

    job: MapJob
    inputs: tuple[np.ndarray, ...]
    first_element: int = 0

    @property
    def elements(self) -> int:
        return len(self.inputs[0])

    def cut(self, elements: int) -> Case:
        return replace(self, inputs=tuple(words[:elements] for words in self.inputs))

    @property
    def stored(self) -> list[Stored]:
        return [
            Stored(dtype.name, words.tolist())
            for dtype, words in zip(self.job.input_dtypes, self.inputs, strict=True)
        ]


def by_kernels() -> Workspace:
    return table.workspace()


def by_reference() -> Workspace:
    """The methods' own arithmetic."""
    return CpuWorkspace({}, Reference())


def run(workspace: Workspace, case: Case) -> tuple[bytes, dict[str, list[int] | None]]:
    buffers = workspace.begin(case.job.input_dtypes, case.elements)
    for buffer, words in zip(buffers, case.inputs, strict=True):
        buffer[:] = words.tobytes()
    merged = workspace.run(case.job, case.first_element)
    return bytes(merged.data), as_lists(merged.counts)


def as_lists(counts: Counts) -> dict[str, list[int] | None]:
    found = {name: getattr(counts, name) for name in COUNTS}
    return {name: None if values is None else values.tolist() for name, values in found.items()}


def by_oracle(case: Case) -> tuple[bytes, dict[str, list[int] | None]]:
    job, stored, values = case.job, case.stored, case.job.parameters
    merge, out = job.merge_dtype.name, job.out_dtype.name
    if job.method == "linear":
        words = oracle.average(
            stored,
            merge_dtype=merge,
            out_dtype=out,
            weights=values["weight"],
            normalize=values["normalize"],
        )
        counts = dict.fromkeys(COUNTS) | {"nonfinite": [model.count_nonfinite() for model in stored]}
        return oracle.bytes_from_words(words, out), counts
    found = oracle.select(
        stored[-1],
        stored[:-1],
        merge_dtype=merge,
        out_dtype=out,
        weights=values["weight"],
        resamples=values["resamples"],
        key=job.key,
        first_element=case.first_element,
        zero_tolerance=job.zero_tolerance,
    )
    return oracle.bytes_from_words(found.words, out), {name: getattr(found, name) for name in COUNTS}


def check_counts_are_sound(case: Case, counts: dict[str, list[int] | None]) -> None:
    """What must hold whatever the inputs are."""
    models, elements = case.job.models, case.elements
    assert sum(counts["changed_by"]) == elements == sum(counts["selected"])
    assert sum(counts["zero_delta"]) == sum((models - m) * n for m, n in enumerate(counts["changed_by"]))
    after = counts["zero_after_draw"]
    assert len(after) == case.job.parameters["resamples"] + 1
    assert sorted(after, reverse=True) == after
    assert all(counts["changed_by"][0] <= left <= elements for left in after)
    weights = case.job.parameters["weight"]
    assert all(weight > 0 or not n for weight, n in zip(weights, counts["selected"], strict=True))


# -- making cases --------------------------------------------------------------------------------------------


def selection_job(dtype: str, weights: Sequence[float], resamples: int = 0, **details: object) -> MapJob:
    """A job of parameter selection on inputs that are all stored as `dtype`."""
    values = {"weight": weights, "resamples": resamples}
    job = table.trial_job(METHODS["parameter_selection"], DTYPES[dtype], len(weights), values)
    return replace(job, **details)


def average_job(
    dtype: str, weights: Sequence[float], *, normalize: bool = True, out: str | None = None, **details: object
) -> MapJob:
    """A job of averaging inputs that are all stored as `dtype`."""
    values = {"weight": weights, "normalize": normalize}
    job = table.trial_job(
        METHODS["linear"], DTYPES[dtype], len(weights), values, out_dtype=DTYPES[out or dtype]
    )
    return replace(job, **details)


def special_words(dtype: str) -> np.ndarray:
    """±0, subnormals, ends of the normal range, ±Inf, NaNs with payloads: what a format has of them."""
    form = FORMATS[dtype]
    small = [0, 1, 2, (1 << form.mantissa_bits) - 1, 1 << form.mantissa_bits]
    large = [form.largest - 1, form.largest, form.largest + 1, form.largest + 2, form.nan, form.sign_bit - 1]
    words = [word for word in small + large if word < form.sign_bit]
    return np.array(words + [word | form.sign_bit for word in words], UNSIGNED[form.bits])


def words_like(values: torch.Tensor, dtype: str) -> np.ndarray:
    """The words of `values` in `dtype`, as a tool that saves models would make them."""
    stored = values.to(torch_dtype(DTYPES[dtype])).contiguous()
    return stored.view(torch.uint8).numpy().view(UNSIGNED[FORMATS[dtype].bits]).copy()


def make_inputs(
    kind: str, model_dtypes: Sequence[str], base_dtype: str, elements: int, seed: int
) -> tuple[np.ndarray, ...]:
    """Inputs of a chunk, the base last.

    "fine-tuned": sub-models mostly equal to the base, in the rest a step or a few away. "bits": any words.
    "untouched": fine-tuned, but for every other block, where nothing but signs of zeros differs.
    "mixed": fine-tuned, with special words and words of the base strewn in.
    """
    if elements == 0:
        return tuple(np.empty(0, UNSIGNED[FORMATS[dtype].bits]) for dtype in (*model_dtypes, base_dtype))
    generator = np.random.default_rng(seed)
    values = torch.from_numpy(generator.standard_normal(elements) * 0.02)
    base = words_like(values, base_dtype)
    stored = torch_dtype(DTYPES[base_dtype])
    values = torch.from_numpy(base.copy()).view(stored).to(torch.float64)  # what fine-tuning began with
    share = generator.random()
    if kind == "untouched":
        untouched = (np.arange(elements) // 4096 + seed) % 2 == 0
        base[untouched & (generator.random(elements) < 0.1)] = 0
    inputs = []
    for dtype in (*model_dtypes, base_dtype):
        form = FORMATS[dtype]
        if kind == "bits":
            words = np.frombuffer(generator.bytes(elements * form.bytes), UNSIGNED[form.bits]).copy()
        else:
            words = words_like(values, dtype)
            if len(inputs) == len(model_dtypes):
                words = base
            else:
                where = generator.random(elements) < share
                words[where] ^= generator.integers(0, 8, elements).astype(words.dtype)[where]
                where = generator.random(elements) < 0.02
                words[where] ^= words.dtype.type(form.sign_bit)
                if kind == "untouched" and dtype == base_dtype:
                    words[untouched] = base[untouched]
                    words[untouched & (base == 0) & (generator.random(elements) < 0.5)] = form.sign_bit
        if kind == "mixed":
            where = generator.random(elements) < generator.choice([0.02, 0.5])
            words[where] = generator.choice(special_words(dtype), elements)[where]
        inputs.append(words)
    if kind == "mixed":  # special words must also meet their likes
        for words, dtype in zip(inputs, model_dtypes, strict=False):
            if dtype == base_dtype:
                where = generator.random(elements) < 0.4
                words[where] = inputs[-1][where]
    return tuple(inputs)


dtypes = st.sampled_from(["BF16", "BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"])
model_counts = st.one_of(
    st.integers(1, 4), st.integers(1, 50), st.sampled_from([16, 17, 32, 33, 64, 65, 128, 130])
)
element_counts = st.one_of(
    st.integers(1, 40), st.sampled_from([1, 1023, 1025, 2048, 4095, 4096, 4097, 8192, 10000])
)
first_elements = st.one_of(
    st.just(0),
    st.integers(0, 50).map(lambda block: 4096 * block),
    st.sampled_from([2**34 - 4096, 2**34, 2**34 + 4096, 5 * 2**34 - 4096, 2**44]),  # around quad = 2^32
    st.integers(0, 2**36).map(lambda block: 4096 * block),
)
tolerances = st.one_of(
    st.none(), st.none(), st.sampled_from([0.0, 1e-45, 2.0**-12, 1e-4, 0.1, 1e300]), st.floats(0, 1e-3)
)


@st.composite
def selection_weights(draw: st.DrawFn, count: int) -> tuple[float, ...]:
    """Equal, or unequal with zeros first, between and last."""
    if draw(st.booleans()):
        return (draw(st.sampled_from([1.0, 0.1, 1e300])),) * count
    choices = st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.5, 0.1, 1 / 3, 1e-12, 1e300, 5e-324])
    weights = draw(st.lists(choices, min_size=count, max_size=count))
    for at in draw(st.sampled_from([(), (0,), (-1,), (0, -1), (count // 2,)])):
        weights[at] = 0.0
    if not any(weights):
        weights[draw(st.integers(0, count - 1))] = 1.0
    return tuple(weights)


@st.composite
def selections(draw: st.DrawFn, largest: int | None = None) -> Case:
    count = draw(model_counts if largest is None else st.integers(1, 12))
    same = draw(dtypes)
    merge = draw(st.one_of(st.just(same), dtypes))
    uniform = draw(st.booleans())
    model_dtypes = [same] * count if uniform else draw(st.lists(dtypes, min_size=count, max_size=count))
    base_dtype = draw(st.one_of(st.just(same), dtypes))
    elements = draw(element_counts if largest is None else st.integers(1, largest))
    kind = draw(st.sampled_from(["fine-tuned", "untouched", "mixed", "bits"]))
    job = selection_job(
        merge,
        draw(selection_weights(count)),
        draw(st.one_of(st.integers(0, 9), st.sampled_from([0, 1, 4]))),
        model_dtypes=tuple(DTYPES[dtype] for dtype in model_dtypes),
        base_dtype=DTYPES[base_dtype],
        out_dtype=DTYPES[draw(st.one_of(st.just(merge), dtypes))],
        key=draw(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))),
        zero_tolerance=draw(tolerances),
    )
    inputs = make_inputs(kind, model_dtypes, base_dtype, elements, draw(st.integers(0, 2**32)))
    return Case(job, inputs, draw(first_elements))


some_weights = st.sampled_from([1.0, 1.0, 0.0, -1.0, 0.1, 1 / 3, 7.5, 1e-30, 1e20])
far_weights = st.sampled_from([1.0, 0.0, -0.5, 1e-300, 1e300, -1e300, 3e-45, 1e38, 5e-324])


@st.composite
def average_weights(draw: st.DrawFn, count: int) -> list[float]:
    """Equal, equal where they take part, unequal, and so far apart that some come to nothing."""
    kind = draw(st.sampled_from(["equal", "equal or none", "some", "some", "far"]))
    if kind == "equal":
        return [draw(st.sampled_from([1.0, 0.1, -3.0, 1e-300, 1e300]))] * count
    if kind == "equal or none":
        equal = draw(st.sampled_from([0.1, 1 / 3, 1e-30]))
        return draw(st.lists(st.sampled_from([equal, equal, 0.0]), min_size=count, max_size=count))
    return draw(st.lists(some_weights if kind == "some" else far_weights, min_size=count, max_size=count))


@st.composite
def averages(draw: st.DrawFn, largest: int | None = None) -> Case:
    count = draw(st.integers(1, 50) if largest is None else st.integers(1, 8))
    same = draw(dtypes)
    merge = draw(st.one_of(st.just(same), dtypes))
    uniform = draw(st.booleans())
    model_dtypes = [same] * count if uniform else draw(st.lists(dtypes, min_size=count, max_size=count))
    job = average_job(
        merge,
        draw(average_weights(count)),
        normalize=draw(st.booleans()),
        model_dtypes=tuple(DTYPES[dtype] for dtype in model_dtypes),
        out_dtype=DTYPES[draw(st.one_of(st.just(merge), dtypes))],
    )
    try:
        oracle.average_terms(job.parameters["weight"], job.parameters["normalize"], job.computing.name)
    except ValueError:
        reject()  # test_the_terms_of_an_average_equal_the_oracles has those too
    elements = draw(element_counts if largest is None else st.integers(1, largest))
    kind = draw(st.sampled_from(["fine-tuned", "mixed", "bits"]))
    inputs = make_inputs(kind, model_dtypes, same, elements, draw(st.integers(0, 2**32)))
    return Case(job, inputs[:-1])


@st.composite
def passes(draw: st.DrawFn) -> Case:
    stored, merge = draw(dtypes), draw(dtypes)
    out = DTYPES[draw(st.one_of(st.just(merge), dtypes))]
    scale = draw(st.sampled_from([1.0, 1.0, 0.3, -1.0, 0.0, 1e-30, 1e30]))
    job = table.trial_job(METHODS["passthrough"], DTYPES[merge], 1, {"scale": (scale,)}, out_dtype=out)
    kind, elements = draw(st.sampled_from(["fine-tuned", "mixed", "bits"])), draw(element_counts)
    inputs = make_inputs(kind, [stored], stored, elements, draw(st.integers(0, 2**32)))
    return Case(replace(job, model_dtypes=(DTYPES[stored],)), inputs[:-1])


# -- kernels against the reference ---------------------------------------------------------------------------


@settings(max_examples=120)
@given(selections())
def test_selection_kernel_equals_the_reference(case) -> None:
    merged, counts = run(by_kernels(), case)
    expected, expected_counts = run(by_reference(), case)
    assert counts == expected_counts
    assert merged == expected
    check_counts_are_sound(case, counts)


@settings(max_examples=80)
@given(averages())
def test_average_kernel_equals_the_reference(case) -> None:
    merged, counts = run(by_kernels(), case)
    expected, expected_counts = run(by_reference(), case)
    assert counts == expected_counts
    assert merged == expected


@settings(max_examples=40)
@given(passes())
def test_passthrough_kernel_equals_the_reference(case) -> None:
    assert run(by_kernels(), case) == run(by_reference(), case)


@pytest.mark.parametrize(
    "weights", [(1.0, 1.0, 1.0), (1.0, 0.0, -0.5), (1.0, 0.0, 1.0), (1.0, 1e-30, 1e20), (1.0, 1e-300, 0.5)]
)
@pytest.mark.parametrize("kind", ["fine-tuned", "mixed", "bits"])
def test_averages_of_bfloat16_count_what_is_not_finite(kind, weights) -> None:
    """They look for it in the result; the reference looks at the inputs."""
    inputs = make_inputs(kind, ["BF16"] * 3, "BF16", 3 * 4096 + 5, seed=1)[:-1]
    if kind == "fine-tuned":
        inputs[1][5000] = 0x7F80  # alone in its block, and in a sub-model that takes no part in some cases
    case = Case(average_job("BF16", weights), inputs)
    found = run(by_kernels(), case)
    assert found == run(by_reference(), case)
    assert found[1]["nonfinite"] == [stored.count_nonfinite() for stored in case.stored]


# -- both against the oracle ---------------------------------------------------------------------------------


@settings(max_examples=80)
@given(selections(largest=100))
def test_selection_equals_the_oracle(case) -> None:
    expected = by_oracle(case)
    assert run(by_kernels(), case) == expected
    assert run(by_reference(), case) == expected


@settings(max_examples=100)
@given(averages(largest=100))
def test_average_equals_the_oracle(case) -> None:
    expected = by_oracle(case)
    assert run(by_kernels(), case) == expected
    assert run(by_reference(), case) == expected


@settings(max_examples=100)
@given(st.data(), st.booleans(), st.sampled_from(["F32", "F64"]))
def test_the_terms_of_an_average_equal_the_oracles(data, normalize, computing) -> None:
    count = data.draw(st.integers(1, 8))
    finite = st.floats(allow_nan=False, allow_infinity=False)
    weights = data.draw(st.one_of(average_weights(count), st.lists(finite, min_size=count, max_size=count)))
    try:
        expected = oracle.average_terms(weights, normalize, computing)
    except ValueError:
        with pytest.raises(RecipeError):
            average_terms(weights, normalize, DTYPES[computing])
        return
    found = average_terms(weights, normalize, DTYPES[computing])
    assert list(found.models) == expected.models

    def same(value: float, word: int) -> bool:
        return float(oracle.decode(word, computing).signed) == value

    assert (found.factors is None) == (expected.factors is None)
    assert all(map(same, found.factors or (), expected.factors or ()))
    assert len(found.factors or ()) == len(expected.factors or ())
    assert (found.divisor is None) == (expected.divisor is None)
    assert found.divisor is None or same(found.divisor, expected.divisor)


@pytest.mark.parametrize("workspace", [by_kernels, by_reference])
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 32, 33, 50, 64, 65, 130])
def test_every_width_of_the_change_mask_equals_the_oracle(count, workspace) -> None:
    weights = tuple(float(i % 3) for i in range(1, count + 1))
    for job_weights in ((1.0,) * count, weights):
        job = selection_job("BF16", job_weights, 3, key=(5, 6))
        inputs = make_inputs("mixed", ["BF16"] * count, "BF16", 300, seed=count)
        case = Case(job, inputs, 4096 * 11)
        assert run(workspace(), case) == by_oracle(case)


@pytest.mark.parametrize("workspace", [by_kernels, by_reference])
@pytest.mark.parametrize("element", [0, 1023, 1024, 2047, 2500, 3333, 4095, 4096])
def test_a_word_equal_to_a_threshold_draws_the_sub_model_above_it(element, workspace) -> None:
    key = (8, 9)
    word = oracle.word_at(element, 0, key)
    inputs = tuple(np.full(element + 1, value, np.uint16) for value in (0x3F80, 0x4000, 0))
    for limit, drawn in ((word, 0x4000), (word + 1, 0x3F80)):
        weights = (float(limit), float(2**32 - limit))
        assert oracle.thresholds(weights) == [limit]
        job = selection_job("BF16", weights, key=key)
        merged, _ = run(workspace(), Case(job, inputs))
        assert oracle.words_from_bytes(merged, "BF16")[element] == drawn


@pytest.mark.parametrize("workspace", [by_kernels, by_reference])
@pytest.mark.parametrize("make_job", [selection_job, average_job])
@pytest.mark.parametrize("merge", ["BF16", "F32"])
def test_an_empty_chunk_is_merged_too(merge, make_job, workspace) -> None:
    job = make_job("BF16", (1.0, 1.0), merge_dtype=DTYPES[merge])
    case = Case(job, (np.empty(0, np.uint16),) * len(job.input_dtypes))
    assert run(workspace(), case) == by_oracle(case)


@pytest.mark.parametrize("workspace", [by_kernels, by_reference])
def test_lanes_and_blocks_equal_the_oracle(workspace) -> None:
    """Every lane of three blocks, beyond quad 2^32, where most elements need several draws."""
    job = selection_job("BF16", (1.0,) * 3, 9, key=(1, 2))
    inputs = make_inputs("fine-tuned", ["BF16"] * 3, "BF16", 2 * 4096 + 1100, seed=4)
    case = Case(job, inputs, 2**34 - 4096)
    assert run(workspace(), case) == by_oracle(case)


@pytest.mark.parametrize("workspace", [by_kernels, by_reference])
def test_a_hundred_resamples_of_parameters_that_nobody_changed(workspace) -> None:
    """The last draw is kept, though all values are the same number: −0 and +0 differ in their bits."""
    job = selection_job("F32", (1.0, 2.0), 100, key=(3, 4))
    zeros = np.zeros(200, np.uint32)
    case = Case(job, (zeros, zeros | np.uint32(2**31), zeros), 4096)
    merged, counts = run(workspace(), case)
    assert (merged, counts) == by_oracle(case)
    assert counts["zero_after_draw"] == [200] * 101
    assert 0 < counts["selected"][0] < 200


# -- how the work is cut -------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(selections(), st.integers(1, 3))
def test_chunks_of_any_size_give_the_same_bytes_and_sums(case, blocks) -> None:
    whole, expected = run(by_kernels(), case)
    workspace = by_kernels()  # one for all chunks, as a worker has it
    merged = b""
    total: Counts | None = None
    for start in range(0, case.elements, 4096 * blocks):
        inputs = tuple(words[start : start + 4096 * blocks] for words in case.inputs)
        part = replace(case, inputs=inputs, first_element=case.first_element + start)
        buffers = workspace.begin(part.job.input_dtypes, part.elements)
        for buffer, words in zip(buffers, part.inputs, strict=True):
            buffer[:] = words.tobytes()
        found = workspace.run(part.job, part.first_element)
        merged += bytes(found.data)
        if total is None:
            total = found.counts
        else:
            total.add(found.counts)
    assert merged == whole
    if total is not None:
        assert as_lists(total) == expected


@settings(max_examples=20)
@given(st.lists(st.one_of(selections(largest=60), averages(largest=60)), min_size=2, max_size=5))
def test_a_workspace_remembers_nothing_of_the_tensor_before(cases) -> None:
    workspace = by_kernels()
    for case in cases:
        assert run(workspace, case) == run(by_kernels(), case)


def test_selection_copies_the_bits_of_a_nan_that_needs_no_conversion() -> None:
    """Beside a sub-model that is converted, whose NaNs become canonical."""
    job = selection_job("BF16", (1.0, 1.0), key=(1, 1), model_dtypes=(DTYPES["BF16"], DTYPES["F32"]))
    payload, wide = 0xFFA5, 0xFFA51234
    case = Case(
        job,
        (np.full(64, payload, np.uint16), np.full(64, wide, np.uint32), np.zeros(64, np.uint16)),
    )
    for workspace in (by_kernels(), by_reference()):
        merged, counts = run(workspace, case)
        words = oracle.words_from_bytes(merged, "BF16")
        limits = selection_thresholds(job.parameters["weight"])
        picks = [oracle.pick(oracle.word_at(i, 0, (1, 1)), limits) for i in range(64)]
        assert words == [0x7FC0 if picked else payload for picked in picks]
        assert set(picks) == {0, 1}
        assert counts["changed_by"] == [0, 0, 64]
        assert counts["nonfinite"] == [64, 64, 0]


@pytest.mark.parametrize("make", [by_kernels, by_reference])
def test_several_jobs_run_on_one_filling(make) -> None:
    """Each leaves its own bytes until the next begin, and takes no notice of a base that it does not read."""
    inputs = make_inputs("mixed", ["BF16"] * 3, "BF16", 5000, seed=6)
    jobs = [
        selection_job("BF16", (1.0, 2.0, 1.0), 2, key=(1, 2)),
        average_job("BF16", (1.0, 1.0, 1.0)),
        average_job("BF16", (1.0, 0.0, 0.3), out="F32"),
        selection_job("BF16", (1.0, 1.0, 1.0), 1, zero_tolerance=1e-4),
    ]
    workspace = make()
    for buffer, words in zip(workspace.begin(jobs[0].input_dtypes, 5000), inputs, strict=True):
        buffer[:] = words.tobytes()
    found = [workspace.run(job, 4096) for job in jobs]
    for job, merged in zip(jobs, found, strict=True):
        alone = Case(job, inputs[: len(job.input_dtypes)], 4096)
        assert (bytes(merged.data), as_lists(merged.counts)) == run(make(), alone)


def with_words(inputs: tuple[np.ndarray, ...], words: dict[tuple[int, int], int]) -> tuple[np.ndarray, ...]:
    """Inputs in which input i has the given word at element e, by (i, e)."""
    changed = tuple(row.copy() for row in inputs)
    for (at, element), word in words.items():
        changed[at][element] = word
    return changed


PLAIN = 0x3C00
"""A bfloat16 that is neither a zero nor near the end of the range."""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({}, "nothing"),
        ({(1, 5000): 0x4100, (2, 5001): 0x3FFF}, "exponents that have all bits between them"),
        ({(1, 5000): 0x7FC0}, "a NaN in a sub-model"),
        ({(2, 9000): 0xFF80}, "an infinity in a sub-model, in the last group"),
        ({(3, 5000): 0x7FC1, (0, 5000): 0x7FC1}, "the base's NaN in a sub-model"),
        ({(3, 5000): 0x0000, (0, 5000): 0x8000, (1, 5000): 0x0001}, "zeros of two signs, and a subnormal"),
        ({(3, 5000): 0x7F80, (0, 5000): 0x7F80}, "an infinity everywhere"),
    ],
)
@pytest.mark.parametrize("elements", [9001, 2 * 4096 + 832])
def test_one_odd_word_in_a_plain_chunk_is_seen(elements, words, what) -> None:
    """Blocks without zeros and NaNs take a shorter way; one such word must send a block the long way."""
    generator = np.random.default_rng(1)
    base = np.full(elements, PLAIN, np.uint16)
    models = [base + (generator.random(elements) < 0.3).astype(np.uint16) for _ in range(3)]
    inputs = with_words((*models, base), words)
    case = Case(selection_job("BF16", (1.0,) * 3, 2, key=(3, 4)), inputs)
    found = run(by_kernels(), case)
    assert found == run(by_reference(), case), what
    assert found[1]["nonfinite"] == [stored.count_nonfinite() for stored in case.stored]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("weights", [(1.0,) * 5, (1.0, 0.0, 2.0, 3.0, 1.0)])
def test_many_draws_equal_the_reference(weights, share) -> None:
    """The later draws look at the few elements that are left alone, and the last at all that are left."""
    generator = np.random.default_rng(2)
    base = np.full(3 * 4096 + 70, PLAIN, np.uint16)
    touched = generator.random(base.size) < 0.8
    models = [
        base + (touched & (generator.random(base.size) < share)).astype(np.uint16) * np.uint16(at + 1)
        for at in range(5)
    ]
    for resamples in (6, 40):
        case = Case(selection_job("BF16", weights, resamples, key=(3, 4)), (*models, base), 4096 * 9)
        merged, counts = run(by_kernels(), case)
        assert (merged, counts) == run(by_reference(), case)
        check_counts_are_sound(case, counts)


@pytest.mark.parametrize("count", [255, 256, 300])
def test_more_sub_models_than_a_byte_can_count(count) -> None:
    base = np.full(300, PLAIN, np.uint16)
    models = [base + np.uint16(1) * (np.arange(300) >= at) for at in range(count)]
    inputs = tuple(row.astype(np.uint16) for row in (*models, base))
    case = Case(selection_job("BF16", (1.0,) * count, 1, key=(5, 6)), inputs)
    assert run(by_kernels(), case) == run(by_reference(), case)


@pytest.mark.parametrize("job", [selection_job("BF16", (1.0,) * 3, 1), average_job("BF16", (1.0,) * 3)])
def test_nothing_of_a_longer_chunk_before_is_left_in_a_shorter_one(job) -> None:
    workspace = by_kernels()
    long, short = (
        make_inputs("mixed", ["BF16"] * 3, "BF16", elements, seed=7)[: len(job.input_dtypes)]
        for elements in (9000, 4103)
    )
    run(workspace, Case(job, long))
    assert run(workspace, Case(job, short)) == run(by_kernels(), Case(job, short))
    assert run(workspace, Case(job, short)) == run(by_reference(), Case(job, short))
