"""The loops of the task-vector family: drop masks, sums of what is kept, and the map.

Work goes by blocks of BLOCK elements, whose task vectors stay in the nearest caches. Which elements of a
sub-model are kept is one bit an element, or a range of magnitudes.

What is compiled calls nothing that is compiled from other files; see core.kernels.cpu.instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.instructions import GROUP, bits_of, ones_of
from core.kernels.cpu.task_instructions import (
    STEP,
    add_elected_of_group,
    add_group,
    add_kept_magnitudes,
    add_kept_of_group,
    add_kept_squares,
    add_product_of_group,
    beyond_of_group,
    clear_of_group,
    count_signs_of_group,
    divide_group,
    draw_kept,
    multiply_group,
    not_zero_of_group,
    reaches_of_group,
    subtract_group,
    subtract_half_group,
    widen_group,
    widen_half_group,
)

__all__ = ["draw_masks", "mark_and_move", "merge_task_vectors", "put_zeros", "sum_magnitudes"]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""


@njit(nogil=True, cache=True)
def draw_masks(
    elements: int, first_block: int, k0: Any, k1: Any, draws: Array, limits: Array, kept: Array
) -> None:
    """Set a bit for each element that a random drop keeps.

    Args:
        elements: of the chunk, which begins with block `first_block` of the tensor.
        k0, k1: the Philox key.
        draws: [D] the numbers of the sub-models, int64.
        limits: [D] the largest word that is dropped, uint32.
        kept: [D, words of whole blocks] uint64, is set.
    """
    for at in range(draws.size):
        for start in range(0, elements, BLOCK):
            first = np.uint64(first_block + start // BLOCK) * np.uint64(BLOCK // 4)
            for quad in range(0, BLOCK // 4, GROUP):
                draw_kept(first, quad, draws[at], k0, k1, limits, at, kept[at], start // GROUP)


@njit(nogil=True, cache=True)
def _widen(values: Array, start: int, size: int, is_float16: bool, row: Array) -> None:
    """The numbers of a block into `row`, zeros behind them."""
    for at in range(0, size, GROUP):
        if is_float16:
            widen_half_group(values, start + at, row, row, at)
        else:
            widen_group(values, start + at, row, row, at)
    for at in range(size, -(-size // GROUP) * GROUP):
        row[at] = 0


@njit(nogil=True, cache=True)
def _subtract(values: Array, start: int, size: int, is_float16: bool, base: Array, row: Array) -> None:
    """The task vector of a block into `row`, zeros behind it."""
    for at in range(0, size, GROUP):
        _subtract_group(values, start + at, is_float16, base, at, row)
    for at in range(size, -(-size // GROUP) * GROUP):
        row[at] = 0


@njit(nogil=True, cache=True, inline="always")
def _subtract_group(values: Array, start: int, is_float16: bool, base: Array, at: int, row: Array) -> None:
    if is_float16:
        subtract_half_group(values, start, base, row, at)
    else:
        subtract_group(values, start, base, row, at)


@njit(nogil=True, cache=True)
def _kept_by_magnitude(row: Array, at: int, element: int, limits: Array, places: Array) -> Any:
    """A bit for each number of a group that lies between the borders; see merge_task_vectors."""
    kept = ~np.uint64(0)
    for border in range(2):
        place = places[border] - element
        if place >= GROUP:
            reaches = reaches_of_group(row, at, limits[2 * border])
        elif place <= 0:
            reaches = reaches_of_group(row, at, limits[2 * border + 1])
        else:
            before = (np.uint64(1) << np.uint64(place)) - np.uint64(1)
            reaches = (before & reaches_of_group(row, at, limits[2 * border])) | (
                ~before & reaches_of_group(row, at, limits[2 * border + 1])
            )
        kept &= reaches if border == 0 else ~reaches
    return kept


@njit(nogil=True, cache=True)
def sum_magnitudes(
    models: Array,
    base: Array,
    is_float16: bool,
    begin: int,
    elements: int,
    first_element: int,
    dropping: Array,
    limits: Array,
    places: Array,
    kept: Array,
    squared: bool,
    scratch: Array,
    sums: Array,
) -> None:
    """The sums of |task vector| and of what is kept of it, over each block, in the contract's order.

    Args:
        models, base, is_float16, begin, elements, first_element, dropping, limits, places, kept: as for
            merge_task_vectors.
        squared: whether squares are summed, and not magnitudes.
        scratch: [2, BLOCK or more] of the computing type.
        sums: [blocks, 2, K] float64, is set: of all, of the kept.
    """
    origin, row = scratch[0], scratch[1]
    lanes = np.empty((2, STEP))
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _widen(base, begin + start, size, is_float16, origin)
        for model in range(models.shape[0]):
            lanes[:] = 0
            _add_magnitudes(
                models[model],
                begin + start,
                size,
                is_float16,
                origin,
                first_element + start,
                limits[model],
                places[model],
                kept[model],
                start // GROUP,
                dropping[model],
                squared,
                row,
                lanes,
            )
            sums[start // BLOCK, 0, model] = _sum(lanes[0])
            sums[start // BLOCK, 1, model] = _sum(lanes[1])


@njit(nogil=True, cache=True)
def _add_magnitudes(
    values: Array,
    start: int,
    size: int,
    is_float16: bool,
    base: Array,
    first_element: int,
    limits: Array,
    places: Array,
    kept: Array,
    kept_at: int,
    dropping: int,
    squared: bool,
    row: Array,
    lanes: Array,
) -> None:
    """Add a block of one task vector to both lanes; see sum_magnitudes."""
    at = 0
    while at < size:
        lowest, beyond = np.uint64(0), ~np.uint64(0)
        groups: Any = np.int64((size - at) // GROUP)
        if dropping == 1:
            element = first_element + at
            lowest = limits[0] if element < places[0] else limits[1]
            beyond = limits[2] if element < places[1] else limits[3]
            for border in range(2):
                if element < places[border]:
                    groups = min(groups, np.int64((places[border] - element) // GROUP))
        if groups and not is_float16:
            masks = kept if dropping == 2 else kept[:0]
            masks_at = kept_at + at // GROUP
            if squared:
                add_kept_squares(values, start + at, base, at, groups, masks, masks_at, lowest, beyond, lanes)
            else:
                add_kept_magnitudes(
                    values, start + at, base, at, groups, masks, masks_at, lowest, beyond, lanes
                )
            at += GROUP * groups
            continue
        _subtract_group(values, start + at, is_float16, base, at, row)
        bits = kept[kept_at + at // GROUP] if dropping == 2 else ~np.uint64(0)
        if dropping == 1:
            bits = _kept_by_magnitude(row, at, first_element + at, limits, places)
        for lane in range(min(GROUP, size - at)):
            term = np.float64(abs(row[at + lane]))
            term = term * term if squared else term
            lanes[0, lane] = lanes[0, lane] + term
            if (bits >> np.uint64(lane)) & np.uint64(1):
                lanes[1, lane] = lanes[1, lane] + term
        at += GROUP


@njit(nogil=True, cache=True)
def _sum(lanes: Array) -> Any:
    """The lanes added pairwise; they are used up."""
    width = STEP
    while width > 1:
        width //= 2
        for lane in range(width):
            lanes[lane] = lanes[lane] + lanes[lane + width]
    return lanes[0]


@njit(nogil=True, cache=True)
def _count_nonfinite(
    models: Array, base: Array, start: int, size: int, limits: Array, nonfinite: Array
) -> None:
    """Add how many NaN and infinite elements of a block each input has, if it is asked."""
    for model in range(nonfinite.size):
        values = base if model == models.shape[0] else models[model]
        found = np.uint64(0)
        for at in range(0, size, GROUP):
            bits = beyond_of_group(values, start + at, limits[0], limits[1])
            if at + GROUP > size:
                bits &= (np.uint64(1) << np.uint64(size - at)) - np.uint64(1)
            found += ones_of(bits)
        nonfinite[model] += np.int64(found)


@njit(nogil=True, cache=True, error_model="numpy")
def merge_task_vectors(
    models: Array,
    base: Array,
    is_float16: bool,
    begin: int,
    elements: int,
    first_element: int,
    dropping: Array,
    limits: Array,
    places: Array,
    kept: Array,
    scaling: Array,
    factors: Array,
    weights: Array,
    election: int,
    multipliers: Array,
    shares: Array,
    divided: bool,
    divisor: Any,
    least: Any,
    scale: Any,
    scratch: Array,
    as_bfloat16: bool,
    words: Array,
    values: Array,
    limits_of_finite: Array,
    nonfinite: Array,
    dropped: Array,
    elected_against: Array,
) -> None:
    """base + scale * (sum or mean of what is kept and elected of the weighted task vectors), block by block.

    Args:
        models: [K, more than elements] floating-point numbers, or words of bfloat16 or float16. base: alike.
        is_float16: whether they are words of float16.
        begin, elements: which of the chunk's are wanted.
        first_element: the number of the first one in the tensor.
        dropping: [K] 0 to keep everything, 1 what lies between borders, 2 what has its bit in `kept`.
        limits: [K, 4] uint64 magnitudes as bits: kept are those that reach the first and not the third, each
            before a place in the tensor, from which on the second and the fourth take their places.
        places: [K, 2] these places, int64.
        kept: [K or 0, words of whole blocks] uint64.
        scaling: [K] 0 to leave what is kept as it is, 1 to multiply it by a factor, 2 to divide it by one.
        factors, weights: [K] of the computing type.
        election: 0 for none, 1 for the sign of the sum, 2 for that of most.
        multipliers, shares: [K] what the elected are multiplied by once more, and what they count in the
            divisor.
        divided: whether the sum is divided: by the shares of the elected, or, without election, `divisor`.
        least: what these shares come to at least; 0 for no such bound.
        scale: of the sum; 1 for no product.
        scratch: [K + 4, BLOCK or more] of the computing type.
        as_bfloat16: whether the result is rounded to `words` [elements] or left in `values` [elements].
        limits_of_finite: magnitude mask and first word that is not finite of what is stored, uint64.
        nonfinite: [inputs] added to; [0] where it is not to be counted here.
        dropped, elected_against: [K] added to; see Counts.
    """
    count = models.shape[0]
    zero, one = weights.dtype.type(0), weights.dtype.type(1)
    origin, mix, signs, total, rows = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4:]
    elected = np.empty(count, np.int64)
    for start in range(0, elements, BLOCK):
        size = min(BLOCK, elements - start)
        _count_nonfinite(models, base, begin + start, size, limits_of_finite, nonfinite)
        _widen(base, begin + start, size, is_float16, origin)
        mix[:] = zero
        signs[:] = zero
        for model in range(count):
            row, sums = rows[model if election else 0], signs if election else mix
            values_of_model = models[model]
            if dropping[model] == 0 and scaling[model] == 0 and election == 0 and not is_float16:
                for at in range(0, size, GROUP):
                    first = begin + start + at
                    add_product_of_group(values_of_model, first, origin, weights[model], sums, at)
                continue
            not_zero, of_kept, of_scaled = _add_kept(
                models[model],
                begin + start,
                size,
                is_float16,
                origin,
                first_element + start,
                limits[model],
                places[model],
                kept[model],
                start // GROUP,
                dropping[model],
                scaling[model],
                factors[model],
                weights[model],
                election,
                row,
                sums,
            )
            dropped[model] += not_zero - of_kept
            elected_against[model] += of_scaled
        if election:
            elected[:] = 0
            for at in range(0, size, GROUP):
                add_elected_of_group(rows, at, signs, multipliers, shares, mix, total, elected)
            for model in range(count):
                elected_against[model] -= elected[model]
            if divided:
                for at in range(BLOCK):
                    shared = total[at] if total[at] > least or least == zero else least
                    mix[at] = mix[at] / (shared if shared != zero else one)
        elif divided:
            _change(mix, size, 2, divisor)
        if scale != one:
            _change(mix, size, 1, scale)
        for at in range(BLOCK):
            mix[at] = origin[at] + mix[at]
        if as_bfloat16:
            _round_to_bfloat16(mix, words[start : start + size])
        else:
            for at in range(size):
                values[start + at] = mix[at]


@njit(nogil=True, cache=True)
def mark_and_move(
    models: Array,
    base: Array,
    is_float16: bool,
    begin: int,
    elements: int,
    first_element: int,
    dropping: Array,
    limits: Array,
    places: Array,
    kept: Array,
    scaling: Array,
    factors: Array,
    election: int,
    tolerance: Any,
    scale: Any,
    offset: int,
    size_of_part: int,
    scratch: Array,
    marks: Array,
    moved: Array,
    zero_delta: Array,
    changed_by: Array,
    dropped: Array,
    elected_against: Array,
) -> None:
    """What is drawn from a part of a chunk, and where it is not zero; see core.methods.task_vectors.

    Args:
        models, base, is_float16, begin, elements, first_element, dropping, limits, places, kept, scaling,
            factors, election, scale, dropped, elected_against: as for merge_task_vectors.
        tolerance: deltas up to it count as zero.
        offset, size_of_part: of the wanted elements, which part this is; it begins a block.
        scratch: [K + 3, BLOCK or more] of the computing type.
        marks: [sixteenths of K, size_of_part or more] uint16 zeros; bits are set of what is not zero.
        moved: [K, size_of_part or more] of the computing type, is set: base + scale * what is kept.
        zero_delta: [K], changed_by: [K + 1], added to; see Counts.
    """
    count = models.shape[0]
    origin, signs, value, rows = scratch[0], scratch[1], scratch[2], scratch[3:]
    zero = scratch.dtype.type(0)
    bits_of_model = np.empty((count, BLOCK // GROUP), np.uint64)
    changes = np.empty(BLOCK, np.uint16)
    for start in range(0, size_of_part, BLOCK):
        size = min(BLOCK, size_of_part - start)
        first, element = begin + offset + start, first_element + offset + start
        _widen(base, first, size, is_float16, origin)
        signs[:] = zero
        changes[:] = 0
        for model in range(count):
            row, mark, shift = rows[model], marks[model >> 4, start : start + size], np.uint16(model & 15)
            _widen(models[model], first, size, is_float16, value)
            _subtract(models[model], first, size, is_float16, origin, row)
            changed = np.int32(0)
            for at in range(size):
                is_zero = (value[at] == origin[at]) | (abs(row[at]) <= tolerance)
                changed_here = np.uint16(1) - np.uint16(is_zero)
                changes[at] = np.uint16(changes[at] + changed_here)
                mark[at] = np.uint16(mark[at] | np.uint16(changed_here << shift))
                changed = np.int32(changed + np.int32(changed_here))
            zero_delta[model] += size - changed
            for at in range(0, size, GROUP):
                bits, lanes = ~np.uint64(0), ~np.uint64(0)
                if dropping[model] == 2:
                    bits = kept[model, (offset + start + at) // GROUP]
                elif dropping[model] == 1:
                    bits = _kept_by_magnitude(row, at, element + at, limits[model], places[model])
                if at + GROUP > size:
                    lanes >>= np.uint64(at + GROUP - size)
                dropped[model] += np.int64(ones_of(not_zero_of_group(row, at) & ~bits & lanes))
                if scaling[model] == 1:
                    multiply_group(row, at, factors[model])
                elif scaling[model] == 2:
                    divide_group(row, at, factors[model])
                clear_of_group(row, at, bits & lanes)  # not before: zero times an infinite factor is none
                elected_against[model] += np.int64(ones_of(not_zero_of_group(row, at) & lanes))
                bits_of_model[model, at // GROUP] = bits
                if election == 2:
                    count_signs_of_group(row, at, signs)
                else:
                    add_group(row, at, signs)
        for model in range(count):
            row, mark, bit = (
                rows[model],
                marks[model >> 4, start : start + size],
                np.uint16(1 << (model & 15)),
            )
            if election:
                elected = np.int32(0)
                for at in range(size):
                    positive = signs[at] >= zero
                    takes_part = (positive & (row[at] > zero)) | (~positive & (row[at] < zero))
                    elected = np.int32(elected + np.int32(takes_part))
                    mark[at] = mark[at] if takes_part else np.uint16(mark[at] & ~bit)
                elected_against[model] -= elected
            if dropping[model]:
                for at in range(0, size, GROUP):
                    bits = bits_of_model[model, at // GROUP]
                    here = mark[at : at + GROUP]
                    for lane in range(here.size):
                        is_kept = (bits >> np.uint64(lane)) & np.uint64(1)
                        here[lane] = here[lane] if is_kept else np.uint16(here[lane] & ~bit)
            result = moved[model, start : start + size]
            for at in range(size):
                result[at] = origin[at] + scale * row[at]
        for at in range(size):
            changed_by[changes[at]] += 1


@njit(nogil=True, cache=True)
def put_zeros(words: Array, mark: Array, bit: Any, zeros: Array) -> None:
    """Replace words [elements] by those of `zeros` where their bit in `mark` is clear."""
    for at in range(words.size):
        word, zero = words[at], zeros[at]
        words[at] = word if mark[at] & bit else zero


@njit(nogil=True, cache=True)
def _add_kept(
    values: Array,
    start: int,
    size: int,
    is_float16: bool,
    base: Array,
    first_element: int,
    limits: Array,
    places: Array,
    kept: Array,
    kept_at: int,
    dropping: int,
    scaling: int,
    factor: Any,
    weight: Any,
    election: int,
    row: Array,
    sums: Array,
) -> Any:
    """The weighted, kept part of one task vector into `row`, and added to `sums`; see merge_task_vectors.

    Returns:
        How many elements were not zero, how many of these are kept, and how many are not zero when scaled.
    """
    not_zero = of_kept = of_scaled = np.uint64(0)
    if scaling == 0:
        factor = row.dtype.type(1)
    is_plain = not is_float16 and scaling < 2 and election < 2 and np.isfinite(factor)
    for at in range(0, size, GROUP):
        element = first_element + at
        bits, lowest, beyond = ~np.uint64(0), np.uint64(0), ~np.uint64(0)
        is_split = at + GROUP > size
        if dropping == 2:
            bits = kept[kept_at + at // GROUP]
        elif dropping == 1:
            lowest = limits[0] if element < places[0] else limits[1]
            beyond = limits[2] if element < places[1] else limits[3]
            for border in range(2):
                is_split |= element < places[border] and element + GROUP > places[border]
        if is_plain and not is_split:
            found = add_kept_of_group(
                values, start + at, base, at, bits, lowest, beyond, factor, weight, row, sums
            )
            not_zero += found & np.uint64(0xFFFFFFFF)
            of_kept += found >> np.uint64(32)
            of_scaled += found >> np.uint64(32)
            continue
        _subtract_group(values, start + at, is_float16, base, at, row)
        if dropping == 1:
            bits = _kept_by_magnitude(row, at, element, limits, places)
        lanes = ~np.uint64(0)
        if at + GROUP > size:
            lanes >>= np.uint64(at + GROUP - size)
        was = not_zero_of_group(row, at) & lanes
        not_zero += ones_of(was)
        of_kept += ones_of(was & bits)
        if scaling == 1:
            multiply_group(row, at, factor)
        elif scaling == 2:
            divide_group(row, at, factor)
        clear_of_group(row, at, bits & lanes)  # not before: zero times an infinite factor is none
        of_scaled += ones_of(not_zero_of_group(row, at) & lanes)
        multiply_group(row, at, weight)
        if election == 2:
            count_signs_of_group(row, at, sums)
        else:
            add_group(row, at, sums)
    return np.int64(not_zero), np.int64(of_kept), np.int64(of_scaled)


@njit(nogil=True, cache=True)
def _change(row: Array, size: int, scaling: int, factor: Any) -> None:
    """Multiply (1) or divide (2) by a factor."""
    if scaling == 1:
        for at in range(0, size, GROUP):
            multiply_group(row, at, factor)
    elif scaling == 2:
        for at in range(0, size, GROUP):
            divide_group(row, at, factor)


@njit(nogil=True, cache=True, inline="always")
def _round_to_bfloat16(row: Array, words: Array) -> None:
    """To nearest even, NaNs canonical."""
    for at in range(words.size):
        bits = bits_of(np.float32(row[at]))
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        words[at] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)
