"""The element types of safetensors files, as facts about their bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["DTYPES", "FLOATS", "DType", "dtype_from_recipe_name", "promote"]


@dataclass(frozen=True, repr=False, eq=False)
class DType:
    """One element type; there is one object for each, which equals itself alone.

    Attributes:
        name: as safetensors spells it ("BF16").
        itemsize: bytes an element.
        torch_name: as torch spells it ("bfloat16").
        exponent_bits, mantissa_bits: of a floating-point type that can be merged; 0 otherwise.
        infinity: the word of +infinity. A word whose magnitude bits exceed it is a NaN. For
            F8_E4M3, which has no infinity, the largest finite word.
        first_nonfinite: the smallest magnitude that is not a finite number.
        nan: the one NaN that conversions and averages write.
    """

    name: str
    itemsize: int
    torch_name: str
    exponent_bits: int = 0
    mantissa_bits: int = 0
    infinity: int = 0
    first_nonfinite: int = 0
    nan: int = 0

    @property
    def is_float(self) -> bool:
        """Whether it is a floating-point type that can be merged."""
        return self.exponent_bits > 0

    @property
    def magnitude_mask(self) -> int:
        """All bits of a word but the sign."""
        return (1 << (8 * self.itemsize - 1)) - 1

    @property
    def computing_name(self) -> str:
        """The type in which averages and differences of this type are computed: "F32" or "F64"."""
        return "F64" if self.name == "F64" else "F32"

    def __repr__(self) -> str:
        return self.name


def _ieee(name: str, itemsize: int, torch_name: str, exponent: int, mantissa: int, nan: int) -> DType:
    infinity = ((1 << exponent) - 1) << mantissa
    return DType(name, itemsize, torch_name, exponent, mantissa, infinity, infinity, nan)


_ALL = (
    _ieee("F64", 8, "float64", 11, 52, 0x7FF8000000000000),
    _ieee("F32", 4, "float32", 8, 23, 0x7FC00000),
    _ieee("BF16", 2, "bfloat16", 8, 7, 0x7FC0),
    _ieee("F16", 2, "float16", 5, 10, 0x7E00),
    _ieee("F8_E5M2", 1, "float8_e5m2", 5, 2, 0x7F),
    DType("F8_E4M3", 1, "float8_e4m3fn", 4, 3, infinity=0x7E, first_nonfinite=0x7F, nan=0x7F),
    DType("F8_E8M0", 1, "float8_e8m0fnu"),  # powers of two alone: scales, never weights
    DType("BOOL", 1, "bool"),
    DType("U8", 1, "uint8"),
    DType("I8", 1, "int8"),
    DType("U16", 2, "uint16"),
    DType("I16", 2, "int16"),
    DType("U32", 4, "uint32"),
    DType("I32", 4, "int32"),
    DType("U64", 8, "uint64"),
    DType("I64", 8, "int64"),
    DType("C64", 8, "complex64"),
)

DTYPES: dict[str, DType] = {dtype.name: dtype for dtype in _ALL}
"""Every element type that can be read, by its safetensors name."""

FLOATS: dict[str, DType] = {dtype.name: dtype for dtype in _ALL if dtype.is_float}
"""The element types that can be merged."""

_RECIPE_NAMES = {dtype.torch_name: dtype for dtype in FLOATS.values()}
_RECIPE_NAMES |= {"fp64": FLOATS["F64"], "fp32": FLOATS["F32"], "fp16": FLOATS["F16"], "bf16": FLOATS["BF16"]}


def dtype_from_recipe_name(name: str) -> DType | None:
    """The type that a recipe calls `name` ("bfloat16", "torch.float16", "bf16"); None if there is none."""
    return _RECIPE_NAMES.get(name.removeprefix("torch."))


def promote(dtypes: Iterable[DType]) -> DType | None:
    """The type that holds every value of `dtypes` as torch.promote_types has it; all are floating point.

    An 8-bit type beside a wider one gives the wider one, which torch has no opinion on. None where
    two different 8-bit types meet.
    """
    every = list(dtypes)
    if all(kind is every[0] for kind in every):  # hashing them takes its time where tensors are many
        return every[0]
    kinds = set(every)
    if len({kind for kind in kinds if kind.itemsize == 1}) > 1:
        return None
    widest = max(kinds, key=lambda kind: kind.itemsize)
    if {FLOATS["F16"], FLOATS["BF16"]} <= kinds and widest.itemsize == 2:
        return FLOATS["F32"]
    return widest
