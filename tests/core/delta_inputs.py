"""Chunks for the measures of deltas: their inputs, what numbers these are, and measuring them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import oracle
from oracle import FORMATS

from core.deltas.statistics import PREDICTED_DRAWS
from core.draws import BLOCK
from core.dtypes import DTYPES
from core.kernels.deltas.sums import DeltaSums
from core.kernels.deltas.workspace import DeltaWorkspace
from core.kernels.interface import MapJob

__all__ = ["job_of", "measure", "random_words", "values_of"]

_UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def values_of(words: np.ndarray, dtype: str, merge: str) -> np.ndarray:
    """The numbers of `words` in the computing type of `merge`, to which they are converted first."""
    converted = words
    if dtype != merge:
        converted = np.array([oracle.convert(int(word), dtype, merge) for word in words], np.uint64)
    converted = converted.astype(_UNSIGNED[FORMATS[merge].bits])
    if merge in ("F32", "F64"):
        return converted.view(f"f{FORMATS[merge].bytes}")
    if merge == "F16":
        return converted.view(np.float16).astype(np.float32)
    if merge == "BF16":
        return (converted.astype(np.uint32) << 16).view(np.float32)
    numbers = {word: _as_number(word, merge) for word in range(256)}
    return np.array([numbers[int(word)] for word in converted], np.float32)


def _as_number(word: int, dtype: str) -> float:
    value = oracle.decode(word, dtype)
    if value.kind != oracle.NUMBER:
        return math.nan if value.kind == oracle.NAN else -math.inf if value.negative else math.inf
    return float(value.signed)


def measure(
    inputs: Sequence[np.ndarray],
    dtypes: Sequence[str],
    merge: str,
    *,
    details: bool = True,
    shares: Sequence[float] = (),
    zero_tolerance: float | None = None,
    workspace: DeltaWorkspace | None = None,
) -> DeltaSums:
    """What a workspace finds in `inputs`, the base last: a new one, or one that has seen other chunks."""
    workspace = workspace or DeltaWorkspace(details=details, shares=shares, draws=PREDICTED_DRAWS)
    for buffer, words in zip(
        workspace.begin(job_of(dtypes, merge, zero_tolerance), len(inputs[0])), inputs, strict=True
    ):
        buffer[:] = words.tobytes()
    return workspace.run()


def job_of(dtypes: Sequence[str], merge: str, zero_tolerance: float | None = None) -> MapJob:
    *models, base = (DTYPES[dtype] for dtype in dtypes)
    return MapJob("", tuple(models), base, DTYPES[merge], DTYPES[merge], zero_tolerance=zero_tolerance)


def random_words(kind: str, dtypes: Sequence[str], elements: int, seed: int) -> list[np.ndarray]:
    """Inputs of a chunk, the base last.

    "bits" are any words; "fine-tuned" ones are a few steps away from the base in some places, where the types
    agree; "mixed" is that with special words and negated ones, and "frozen" is that with sub-models that left
    some blocks as they were.
    """
    generator = np.random.default_rng(seed)
    small = generator.standard_normal(elements).astype(np.float32) * 0.02
    result = []
    for dtype in dtypes:
        form = FORMATS[dtype]
        kind_of_word = _UNSIGNED[form.bits]
        words = np.frombuffer(generator.bytes(elements * form.bytes), kind_of_word).copy()
        if kind != "bits":
            words = {
                "F64": small.astype(np.float64).view(np.uint64),
                "F32": small.view(np.uint32),
                "F16": small.astype(np.float16).view(np.uint16),
                "BF16": (small.view(np.uint32) >> 16).astype(np.uint16),
            }.get(dtype, (40 + (small * 1000).astype(np.int64) % 20).astype(np.uint8)).copy()
            if len(result) < len(dtypes) - 1:
                where = generator.random(elements) < generator.random()
                words[where] ^= generator.integers(0, 8, elements).astype(kind_of_word)[where]
        if kind in ("mixed", "frozen") and elements:
            ends = [0, 1, (1 << form.mantissa_bits) - 1, form.largest, form.largest + 1, form.sign_bit - 1]
            special = np.array([*ends, *(word | form.sign_bit for word in ends)], kind_of_word)
            where = generator.random(elements) < generator.choice([0.02, 0.5])
            words[where] = generator.choice(special, elements)[where]
        result.append(words)
    if kind == "frozen":
        for words in result[:-1]:
            for start in range(0, elements, BLOCK):
                if words.dtype == result[-1].dtype and generator.random() < 0.7:
                    words[start : start + BLOCK] = result[-1][start : start + BLOCK]
    return result
