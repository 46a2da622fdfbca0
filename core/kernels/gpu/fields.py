"""Tiles on a GPU (Triton) as four tensors of words, one a lane, of one or two elements ("fields") each."""

# No `from __future__ import annotations`: Triton reads the parameters' annotations. What is below is
# compiled by Triton, with types and tuples of its own, which the usual checks do not know.
# mypy: ignore-errors
# ruff: noqa: RUF005

import triton
import triton.language as tl

__all__ = [
    "any_at_least",
    "at_least",
    "count_at_least",
    "histogram",
    "load_lanes",
    "nonzero",
    "start_of",
    "sum_fields",
]


@triton.jit
def nonzero(words, FIELDS: tl.constexpr):
    """1 in every field that is not zero. uint32."""
    if FIELDS == 2:
        # Adding 0x7fff carries into the field's own top bit unless the other bits are all zero.
        return ((((words & 0x7FFF7FFF) + 0x7FFF7FFF) | words) & 0x80008000) >> 15
    else:
        return (words != 0).to(tl.uint32)


@triton.jit
def at_least(words, limit, magnitude, FIELDS: tl.constexpr):
    """1 in every field whose magnitude bits, as an integer, are >= limit. uint32."""
    if FIELDS == 2:
        lifted = (words & magnitude) + (0x8000 - limit) * 0x00010001
        return (lifted & 0x80008000) >> 15
    else:
        return ((words & magnitude) >= limit).to(tl.uint32)


@triton.jit
def any_at_least(words, limit, magnitude, FIELDS: tl.constexpr):
    """Whether a field of the four tensors `words` has a magnitude >= limit. Cheaper than counting."""
    if FIELDS == 2:
        lift = (0x8000 - limit) * 0x00010001
        found = (words[0] & magnitude) + lift
        for lane in tl.static_range(1, 4):
            found |= (words[lane] & magnitude) + lift
        return tl.max(found & 0x80008000) != 0
    else:
        largest = words[0] & magnitude
        for lane in tl.static_range(1, 4):
            largest = tl.maximum(largest, words[lane] & magnitude)
        return tl.max(largest) >= limit


@triton.jit
def count_at_least(words, limit, magnitude, FIELDS: tl.constexpr):
    """How many fields of four tensors have a magnitude >= limit."""
    flags = ()
    for lane in tl.static_range(4):
        flags = flags + (at_least(words[lane], limit, magnitude, FIELDS),)
    return sum_fields(flags)


@triton.jit
def sum_fields(flags):
    """The sum of all fields of four tensors of flags. A 16-bit field holds it: a tile is smaller."""
    total = tl.sum((flags[0] + flags[1] + flags[2] + flags[3]).to(tl.int32))
    return (total & 0xFFFF) + (total >> 16)


@triton.jit
def start_of(tile, LANE: tl.constexpr, WORDS: tl.constexpr):
    """Where in a row a tile begins."""
    return tile // (LANE // WORDS) * (4 * LANE) + tile % (LANE // WORDS) * WORDS


@triton.jit
def load_lanes(words, LANE: tl.constexpr, WORD: tl.constexpr):
    """A tile as four tensors, one a lane, of unsigned words."""
    return (
        tl.load(words).to(WORD, bitcast=True),
        tl.load(words + LANE).to(WORD, bitcast=True),
        tl.load(words + 2 * LANE).to(WORD, bitcast=True),
        tl.load(words + 3 * LANE).to(WORD, bitcast=True),
    )


@triton.jit
def histogram(fields, group, FIELDS: tl.constexpr, MANY: tl.constexpr):
    """[16] int32: how often each value from 16 * group on is in the fields of four tensors.

    Each thread counts in the 16 nibbles of a 64-bit word, which hold the tile's at most eight fields
    of one column; the sums over the columns go two bins to a 32-bit sum. Unless MANY all values count, in
    their last four bits.
    """
    bins = tl.arange(0, 16)
    histogram = tl.zeros((16,), tl.int32)
    nibbles = (fields[0] * 0).to(tl.uint64)
    for lane in tl.static_range(4):
        for field in tl.static_range(FIELDS):
            value = (fields[lane] >> (16 * field)) & 0xFFFF
            one = tl.full(value.shape, 1, tl.uint64) << ((value & 15) * 4).to(tl.uint64)
            if MANY:
                one = tl.where((value >> 4) == group, one, 0)
            nibbles += one
    for at in tl.static_range(4):
        spread = (nibbles >> (4 * at)) & 0x000F000F000F000F
        low = tl.sum((spread & 0xFFFFFFFF).to(tl.int32))
        high = tl.sum((spread >> 32).to(tl.int32))
        histogram += tl.where(bins == at, low & 0xFFFF, 0)
        histogram += tl.where(bins == at + 4, low >> 16, 0)
        histogram += tl.where(bins == at + 8, high & 0xFFFF, 0)
        histogram += tl.where(bins == at + 12, high >> 16, 0)
    return histogram
