"""Whole tensors merged in plain numpy from the design alone, and by the engine chunk by chunk.

The methods here know no chunks, kernels or torch. Inputs and results are words: the bits of values as they
are stored, in unsigned integers; the base is the last input.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from core.dtypes import DTYPES
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import COUNTS, Counts, MapJob, Values, Workspace
from core.methods import METHODS
from core.methods.folds import found_by
from core.methods.reference import Reference
from core.table import trial_job, workspace

__all__ = [
    "FORMATS",
    "ROUNDING_MUTATIONS",
    "ByEngine",
    "by_engine",
    "computing",
    "fine_tunes",
    "numbers",
    "ordered_sum",
    "ordinary_and_special",
    "quantum",
    "rewritten",
    "slerp",
    "slerp_shares",
    "slerp_sums",
    "special",
    "task_arithmetic",
    "torch_only",
    "words_of",
]


class Format(NamedTuple):
    """What IEEE 754 (for BF16 the upper half of F32) says of a type."""

    word: Any
    mantissa: int
    least_exponent: int
    nan: int

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0**-self.mantissa) * 2.0 ** (1 - self.least_exponent)

    @property
    def infinity(self) -> int:
        """The word of +infinity."""
        width = 8 * np.dtype(self.word).itemsize
        return (1 << (width - 1)) - (1 << self.mantissa)


FORMATS = {
    "BF16": Format(np.uint16, 7, -126, 0x7FC0),
    "F16": Format(np.uint16, 10, -14, 0x7E00),
    "F32": Format(np.uint32, 23, -126, 0x7FC00000),
    "F64": Format(np.uint64, 52, -1022, 0x7FF8000000000000),
}


# -- numbers and their bits ----------------------------------------------------------------------------------


def numbers(words: np.ndarray, dtype: str) -> np.ndarray:
    """The float64 numbers that `words` stand for: exact."""
    if dtype == "BF16":
        words, dtype = words.astype(np.uint32) << np.uint32(16), "F32"
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return words.view({"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype]).astype(np.float64)


def quantum(values: np.ndarray, dtype: str) -> np.ndarray:
    """The distance of two neighbours of `dtype` at `values`, as a power of two: its exponent."""
    form = FORMATS[dtype]
    _, exponents = np.frexp(values)  # the mantissa of frexp is below 1
    return np.maximum(exponents - 1, form.least_exponent) - form.mantissa


def words_of(values: np.ndarray, dtype: str) -> np.ndarray:
    """`values` (float32 or float64) rounded once, to nearest even, with one NaN."""
    form, exact = FORMATS[dtype], values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype != "F64":
            unit = quantum(exact, dtype)
            exact = np.ldexp(np.rint(np.ldexp(exact, -unit)), unit)
            exact = np.where(np.abs(exact) > form.largest, np.copysign(np.inf, exact), exact)
        if dtype == "BF16":
            words = (exact.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
        else:
            words = exact.astype({"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype])
            words = words.view(form.word)
    return np.where(np.isnan(exact), form.word(form.nan), words)


def computing(dtype: str, out: str) -> Any:
    """C: the numpy type in which tensors of `dtype` are merged to one of `out`."""
    return np.float64 if {dtype, out} & {"F32", "F64"} else np.float32


# -- methods -------------------------------------------------------------------------------------------------


def task_arithmetic(
    inputs: Sequence[np.ndarray],
    dtype: str,
    out: str,
    *,
    weight: Sequence[float],
    normalize: bool = False,
    **others: float,
) -> np.ndarray:
    """base + lambda * sum of w_i (theta_i - base), every step rounded to C."""
    scale = others.get("lambda", 1.0)
    kind = computing(dtype, out)
    with np.errstate(all="ignore"):
        *models, base = (numbers(words, dtype).astype(kind) for words in inputs)
        mix = np.zeros(base.shape, kind)
        for factor, model in zip(weight, models, strict=True):
            task_vector = model - base
            mix = mix + kind(factor) * task_vector
        if normalize:
            total = math.fsum(weight)
            mix = mix / kind(1.0 if abs(total) < 1e-8 else total)
        if scale != 1:
            mix = kind(scale) * mix
        return words_of(base + mix, out)


def slerp(inputs: Sequence[np.ndarray], dtype: str, out: str, *, t: float) -> np.ndarray:
    """The point at `t` on the arc from the base, or on the line."""
    of_base, of_model = slerp_shares(t, *slerp_sums(inputs, dtype))
    kind = computing(dtype, out)
    with np.errstate(all="ignore"):
        model, base = (numbers(words, dtype).astype(kind) for words in inputs)
        from_base = kind(of_base) * base
        from_model = kind(of_model) * model
        return words_of(from_base + from_model, out)


def slerp_sums(inputs: Sequence[np.ndarray], dtype: str) -> tuple[float, float, float]:
    """The sums of squares of base and model, and of their products."""
    model, base = (numbers(words, dtype) for words in inputs)
    return ordered_sum(base, base), ordered_sum(model, model), ordered_sum(model, base)


def slerp_shares(t: float, base: float, model: float, dot: float) -> tuple[float, float]:
    """The factors of base and model, from the sums of their squares and of their products."""
    base_length, model_length = math.sqrt(base), math.sqrt(model)
    if base_length <= 1e-8:
        base_length = 1.0
    if model_length <= 1e-8:
        model_length = 1.0
    if not all(math.isfinite(total) for total in (base, model, dot)):
        return 1.0 - t, t
    cosine = dot / base_length / model_length
    if abs(cosine) > 0.9995:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def ordered_sum(left: np.ndarray, right: np.ndarray) -> float:
    """The sum of left * right (float64) in the order of docs/design.md, 2.1."""
    with np.errstate(all="ignore"):
        products = np.zeros(-(-left.size // 4096) * 4096)
        products[: left.size] = left * right
        steps = products.reshape(-1, 64, 64)
        lanes = np.zeros((len(steps), 64))
        for step in range(64):
            lanes = lanes + steps[:, step]
        for half in (32, 16, 8, 4, 2, 1):
            lanes = lanes[:, :half] + lanes[:, half:]
    total = 0.0
    for block in lanes[:, 0].tolist():
        total += block
    return total


def rewritten(*changes: tuple[str, str]) -> SimpleNamespace:
    """This module with lines of its methods changed: what a test must not take for the engine.

    Each change is a text that stands in the module once, and what stands there instead.
    """
    source = inspect.getsource(sys.modules[__name__])
    methods, rest = source.split("def rewritten", 1)
    for old, new in changes:
        if methods.count(old) != 1:
            raise ValueError(f"{old!r} stands {methods.count(old)} times in the methods")
        methods = methods.replace(old, new)
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(compile(methods + "def rewritten" + rest, "<rewritten>", "exec"), namespace)
    return SimpleNamespace(**namespace)


_C = 'return np.float64 if {dtype, out} & {"F32", "F64"} else np.float32'

ROUNDING_MUTATIONS: dict[str, list[tuple[str, str]]] = {
    "computed in float32": [(_C, "return np.float32")],
    "computed in float64": [(_C, "return np.float64")],
    "computed in what the inputs ask for alone": [("{dtype, out} & {", "{dtype} & {")],
    "computed in what the output asks for alone": [("{dtype, out} & {", "{out} & {")],
    "NaNs as they come": [("np.where(np.isnan(exact), form.word(form.nan), words)", "words")],
    "subnormals flushed": [
        (
            "unit = quantum(exact, dtype)",
            "unit = quantum(exact := exact * (np.abs(exact) >= 2.0**form.least_exponent), dtype)",
        )
    ],
    "cut instead of rounded": [("np.rint(", "np.trunc(")],
    "no infinity": [("np.copysign(np.inf, exact)", "np.copysign(form.largest, exact)")],
    "no largest number": [("> form.largest", ">= form.largest")],
}
"""What `rewritten` takes to make the computing type, or a rounding to the output's, another."""


# -- data ----------------------------------------------------------------------------------------------------


def fine_tunes(dtype: str, elements: int, models: int, deltas: float, seed: int = 0) -> list[np.ndarray]:
    """Sub-models whose deltas are about `deltas` times as large as the base's values, and the base."""
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 0.02, elements)
    tuned = [base + deltas * np.abs(base) * rng.normal(0, 1, elements) for _ in range(models)]
    return [words_of(values, dtype) for values in (*tuned, base)]


def special(dtype: str, elements: int, inputs: int, *, nonfinite: bool, seed: int = 0) -> list[np.ndarray]:
    """The ends of every kind of number, each beside each.

    Zeros of both signs, subnormals, the smallest normal and the largest numbers, ordinary ones; infinities
    and NaNs of several bits and signs where `nonfinite`.
    """
    form = FORMATS[dtype]
    one = (form.infinity >> form.mantissa >> 1) << form.mantissa
    magnitudes = [0, 1, 2, (1 << form.mantissa) - 1, 1 << form.mantissa, form.infinity - 1]
    magnitudes += [one, one + 1, one - 1, one + (3 << form.mantissa) + 5]
    if nonfinite:
        magnitudes += [form.infinity, form.infinity + 1, form.nan, form.nan + 3]
    sign = 1 << (8 * np.dtype(form.word).itemsize - 1)
    words = np.array([word | bit for word in magnitudes for bit in (0, sign)], form.word)
    rng = np.random.default_rng(seed)
    return [rng.choice(words, elements) for _ in range(inputs)]


def ordinary_and_special(dtype: str, models: int, *, nonfinite: bool = True) -> list[np.ndarray]:
    """9,001 elements with large deltas, small ones, and the ends of every kind of number."""
    parts = [
        fine_tunes(dtype, 3000, models, 1.0, seed=1),
        fine_tunes(dtype, 3000, models, 0.01, seed=2),
        special(dtype, 3001, models + 1, nonfinite=nonfinite, seed=3),
    ]
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


# -- the engine ----------------------------------------------------------------------------------------------


class ByEngine(NamedTuple):
    """What the engine makes of a tensor: words, what folds found, and the counts of the record by name."""

    words: np.ndarray
    found: Values
    nonfinite: list[int]
    counts: dict[str, list[int]]


def torch_only() -> Workspace:
    """A workspace without kernels: folds and maps are the methods' own torch arithmetic."""
    return CpuWorkspace({}, Reference("cpu", METHODS))


def by_engine(
    method: str,
    inputs: Sequence[np.ndarray],
    dtype: str,
    out: str,
    parameters: Mapping[str, Any],
    *,
    shape: Sequence[int] | None = None,
    has_base: bool = True,
    key: tuple[int, int] = (0, 0),
    zero_tolerance: float | None = None,
    chunk: int | None = None,
    space: Workspace | None = None,
    stored: Sequence[str] | None = None,
) -> ByEngine:
    """`inputs` merged as a merge does: the folds over all chunks, then the map over all chunks.

    Args:
        inputs: the words of K sub-models, and of the base where there is one.
        dtype, out: the merge dtype and the output's.
        parameters: the method's, by name.
        shape: of the tensor; one dimension where it is None.
        has_base: whether the last input is the base.
        key, zero_tolerance: the job's.
        chunk: elements of a chunk; all where it is None.
        space: where to compute; the CPU's own workspace where it is None.
        stored: the storage type of each input; the merge dtype where it is None.
    """
    spec, space = METHODS[method], space or workspace()
    types = [DTYPES[name] for name in stored or [dtype] * len(inputs)]
    job = trial_job(spec, DTYPES[dtype], len(inputs) - has_base, parameters, out_dtype=DTYPES[out])
    elements = len(inputs[-1])
    job = replace(
        job,
        model_dtypes=tuple(types[: len(inputs) - has_base]),
        base_dtype=types[-1] if has_base and spec.reads_base else None,
        row=shape[-1] if shape and spec.goes_by_rows(job.parameters) else 1,
        columns=max(1, math.prod(shape[1:])) if shape else 1,
        elements=elements,
        key=key,
        zero_tolerance=zero_tolerance,
    )

    def chunks() -> Iterator[tuple[int, slice | None]]:
        for start in range(0, elements, chunk or elements):
            stop = min(elements, start + (chunk or elements))
            first, last = start // job.row * job.row, -(-stop // job.row) * job.row
            for buffer, words in zip(space.begin(job.input_dtypes, last - first), inputs, strict=False):
                buffer[:] = words[first:last].tobytes()
            yield first, None if (first, last) == (start, stop) else slice(start - first, stop - first)

    def read(job: MapJob, number: int) -> Iterator[np.ndarray]:
        for first, inner in chunks():
            yield space.fold(job, number, first, inner)

    job = found_by(spec.folds_of(job), job, read)
    parts, counts = [], Counts.zeros(job)
    for first, inner in chunks():
        made = space.run(job, first, inner)
        parts.append(np.frombuffer(bytes(made.data), FORMATS[out].word))
        counts.add(made.counts)
    counted = {name: getattr(counts, name) for name in COUNTS}
    return ByEngine(
        np.concatenate(parts),
        job.found,
        counts.nonfinite.tolist(),
        {name: count.tolist() for name, count in counted.items() if count is not None},
    )
