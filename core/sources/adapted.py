"""A tensor with low-rank factors added to it, made while it is read: base + s · B · A.

The contract is docs/design.md, 2.1, "a LoRA row": an ordered sum over the rank. So the bytes are the same
in any run of elements, on any thread and device. No matrix product of a library promises that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.headers import StoredTensor
from core.dtypes import DTYPES, DType
from core.sources.elements import canonical, values_of, write_values
from core.sources.factor_cache import FactorCache
from core.sources.source import FileRange, ReadStored, Source

__all__ = ["Adapted", "LowRank", "compile_for", "compile_for_type"]

Array = NDArray[Any]

_STARTING, _CONVERTING, _MEASURING = 13, 20, 45
"""What else is done to an element, in terms of the sum: adding the sum to it, converting it there and back,
and giving its row another length. Measured as core/plan/work.py has it of a term."""


def compile_for(sources: Iterable[Source]) -> None:
    """Compile what filling from them needs, so that it is no part of the work."""
    kinds = {
        (source.under.dtype, source.dtype, source.lengths is not None): source
        for source in sources
        if isinstance(source, Adapted)
    }
    for source in kinds.values():
        source.try_out()


def compile_for_type(dtype: DType) -> None:
    """The same for adapters on tensors of a type that are merged in it."""
    stored = StoredTensor("", dtype, (4, 1), Path(), 0, 4 * dtype.itemsize)
    compile_for([Adapted(FileRange(stored), 4, 1, (), delivers=dtype)])


@dataclass(frozen=True, slots=True)
class LowRank:
    """What one adapter adds to a matrix [rows, columns]: s · L · R.

    Attributes:
        a: [R, columns]; of weights that are stored the other way round, and of embeddings, [R, rows].
        b: [rows, R], or then [columns, R]; None for ones, where `a` is all there is of a single row.
        scale: s.
        transposed: whether it is the other way round.
    """

    a: StoredTensor
    b: StoredTensor | None
    scale: float
    transposed: bool = False

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        return (self.a,) if self.b is None else (self.a, self.b)


@dataclass(frozen=True)
class Adapted:
    """A tensor of a model with adapters put on it.

    Attributes:
        under: the model's own tensor.
        rows, columns: of it as a matrix.
        parts: what is added, in this order.
        lengths: that DoRA gives the rows, [rows]; None without it.
        delivers: the type of its elements: that of `under`, or float32 (float64 where `under` is), from which
            the merge rounds once to its own type.
        cache: of the factors.
    """

    under: Source
    rows: int
    columns: int
    parts: tuple[LowRank, ...]
    lengths: StoredTensor | None = None
    delivers: DType = DTYPES["F32"]
    cache: FactorCache = field(default_factory=FactorCache, compare=False, repr=False)

    def in_type(self, merge_dtype: DType) -> Adapted:
        """The same for a merge in that type: with one rounding on the way to it."""
        under = self.under.dtype
        if under.name == "F64":
            return replace(self, delivers=under)
        direct = merge_dtype is under and under.itemsize > 1
        return replace(self, delivers=under if direct else DTYPES["F32"])

    @property
    def said(self) -> tuple[Any, ...]:
        """What makes its bytes, beside what it reads."""
        return tuple((part.rank, part.scale, part.transposed) for part in self.parts), self.lengths is None

    @property
    def dtype(self) -> DType:
        return self.delivers

    @property
    def stored(self) -> tuple[StoredTensor, ...]:
        factors = tuple(stored for part in self.parts for stored in part.stored)
        return (*self.under.stored, *factors, *((self.lengths,) if self.lengths is not None else ()))

    @property
    def bytes_to_read(self) -> int:
        return self.under.bytes_to_read + self._factor_bytes

    def bytes_of(self, elements: int) -> int:
        """Those of what is under it, and as much of the factors as is theirs on average, rounded down."""
        share = elements * self._factor_bytes // max(1, self.rows * self.columns)
        return self.under.bytes_of(elements) + share

    @property
    def row(self) -> int:
        return 1 if self.lengths is None else self.columns

    @property
    def scratch(self) -> int:
        of_factors = -(-8 * self.rank // max(1, self.columns))
        return of_factors + (0 if self.in_place else self.under.dtype.itemsize + self.kind.itemsize)

    @property
    def kept_bytes(self) -> int:
        return self.rank * self.columns * self.kind.itemsize

    @property
    def terms(self) -> int:
        converted = 0 if self.in_place else _CONVERTING
        terms = self.rank + _STARTING + converted + (_MEASURING if self.lengths is not None else 0)
        return terms * self.kind.itemsize // 4

    @property
    def rank(self) -> int:
        """Of all parts together."""
        return sum(part.rank for part in self.parts)

    def fill(self, read: ReadStored, first_element: int, buffer: memoryview) -> None:
        elements = len(buffer) // self.dtype.itemsize
        if not elements:
            return
        from core.sources import loops

        first_row = first_element // self.columns
        end_row = (first_element + elements - 1) // self.columns + 1
        factors = (
            first_element - first_row * self.columns,
            self.columns,
            self._left(read, first_row, end_row),
            self._right(read),
            np.cumsum([part.rank for part in self.parts]),
            np.array([part.scale for part in self.parts], self.kind),
        )
        if self.in_place:
            self.under.fill(read, first_element, buffer)
            if self.dtype.name == "BF16":
                loops.add_low_rank_to_words(np.frombuffer(buffer, np.uint16), *factors)
                return
            values = np.frombuffer(buffer, self.kind)
        else:
            own = bytearray(elements * self.under.dtype.itemsize)
            self.under.fill(read, first_element, memoryview(own))
            values = values_of(own, self.under.dtype, self.kind)
            del own
        loops.add_low_rank_to_values(values, *factors)
        if self.lengths is not None:
            loops.set_lengths(values, self.columns, self._whole(read, self.lengths, first_row, end_row))
        if self.in_place:
            canonical(values)
        else:
            write_values(values, self.dtype, buffer)

    @property
    def kind(self) -> np.dtype[Any]:
        """The type in which it is computed."""
        return np.dtype(np.float64 if self.under.dtype.name == "F64" else np.float32)

    @property
    def in_place(self) -> bool:
        """Whether what is under it is read into the buffer itself."""
        if self.dtype is not self.under.dtype or (self.dtype.name == "BF16" and self.lengths is not None):
            return False
        return self.dtype.name in ("BF16", "F32", "F64")

    def try_out(self) -> None:
        """Fill four elements of a matrix of zeros that is like this one."""
        four = StoredTensor("", self.under.dtype, (4, 1), Path(), 0, 4 * self.under.dtype.itemsize)
        factor = StoredTensor("", DTYPES["F32"], (4, 1), Path(), 0, 16)
        lengths = factor if self.lengths is not None else None
        part = LowRank(replace(factor, shape=(1, 1)), factor, 1.0)
        like = replace(
            self,
            under=FileRange(four),
            rows=4,
            columns=1,
            parts=(part,),
            lengths=lengths,
            cache=FactorCache(),
        )
        with np.errstate(invalid="ignore"):
            like.fill(lambda *_: None, 0, memoryview(bytearray(4 * self.dtype.itemsize)))

    @property
    def _factor_bytes(self) -> int:
        factors = sum(stored.size_bytes for part in self.parts for stored in part.stored)
        return factors + (self.lengths.size_bytes if self.lengths is not None else 0)

    def _left(self, read: ReadStored, first: int, end: int) -> Array:
        """Rows `first` to before `end` of the left factors, and zeros to be whole fours. [rows, all terms]"""
        left = np.zeros((-(-(end - first) // 4) * 4, self.rank), self.kind)
        term = 0
        for part in self.parts:
            left[: end - first, term : term + part.rank] = self._left_of(part, read, first, end)
            term += part.rank
        return left

    def _left_of(self, part: LowRank, read: ReadStored, first: int, end: int) -> Array:
        if part.b is None:
            return np.ones((end - first, 1), self.kind)
        if not part.transposed:
            rows = self._whole(read, part.b, first * part.rank, end * part.rank)
            return rows.reshape(end - first, part.rank)
        size = (end - first) * part.a.dtype.itemsize
        data = bytearray(part.rank * size)
        strips = memoryview(data)
        for term in range(part.rank):
            read(part.a, term * self.rows + first, strips[term * size : (term + 1) * size])
        return values_of(data, part.a.dtype, self.kind).reshape(part.rank, end - first).T

    def _right(self, read: ReadStored) -> Array:
        """The right factors. [all terms, columns]"""

        def make() -> Array:
            every = []
            for part in self.parts:
                stored = part.b if part.transposed and part.b is not None else part.a
                whole = self._whole(read, stored, 0, part.rank * self.columns)
                every.append(
                    whole.reshape(self.columns, part.rank).T
                    if part.transposed
                    else whole.reshape(part.rank, self.columns)
                )
            return np.ascontiguousarray(np.concatenate(every))

        return self.cache.get((self.parts, self.kind.char), make)

    def _whole(self, read: ReadStored, stored: StoredTensor, first: int, end: int) -> Array:
        data = bytearray((end - first) * stored.dtype.itemsize)
        read(stored, first, memoryview(data))
        return values_of(data, stored.dtype, self.kind)
