"""Parameter selection on a GPU (Triton): marks, counts, draws and takes in one pass over the inputs.

Bit for bit what core.kernels.cpu.selection computes. A program of one warp takes tiles that lie in one draw
block: the same run of quads in each of its four lanes, so that one Philox call serves four elements of
the tile and each lane is loaded as one contiguous piece. Two 16-bit elements share a 32-bit register
as long as they can ("fields"), because integer instructions, not bytes, are what the kernel runs out
of. 8-bit elements come widened to 16 bits with their bits as they are.

Loads have no bounds checks: rows are padded to whole draw blocks with zeros, which no sub-model
changed and no count sees.
"""

# No `from __future__ import annotations`: Triton reads the parameters' annotations. What is below is
# compiled by Triton, with types and tuples of its own, which the usual checks do not know.
# mypy: ignore-errors
# ruff: noqa: RUF005

import triton
import triton.language as tl

from core.kernels.gpu.drawing import philox, pick
from core.kernels.gpu.fields import (
    any_at_least,
    at_least,
    count_at_least,
    histogram,
    load_lanes,
    nonzero,
    start_of,
    sum_fields,
)

__all__ = ["DRAWS", "select_kernel"]

DRAWS = 128
"""Counts of zero_after_draw that there is room for."""


@triton.jit
def _mark(
    marks,
    base,
    compared,
    overlap,
    row,
    first,
    last,
    word_stride,
    limit,
    infinity,
    magnitude,
    FIELDS: tl.constexpr,
    LANE: tl.constexpr,
    WORD: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Which of the sub-models first..last, up to 16, changed what of a tile.

    Returns four tensors of masks, a bit a sub-model; `overlap` plus how many changed each element; and [16]
    int32, how many elements each of them changed. What is not finite is counted in `row`.
    """
    bins = tl.arange(0, 16)
    changed = tl.zeros((16,), tl.int32)
    zero = overlap[0] * 0
    mask = (zero, zero, zero, zero)
    bit = tl.full((), 1, tl.uint32)
    # The next sub-models are on their way while one is compared: waiting for them is what takes the time.
    for model in tl.range(first, last, num_stages=STAGES):
        words = load_lanes(marks + model * word_stride, LANE, WORD)
        f0 = nonzero((words[0] ^ base[0]) & compared[0], FIELDS)
        f1 = nonzero((words[1] ^ base[1]) & compared[1], FIELDS)
        f2 = nonzero((words[2] ^ base[2]) & compared[2], FIELDS)
        f3 = nonzero((words[3] ^ base[3]) & compared[3], FIELDS)
        if any_at_least(words, limit, magnitude, FIELDS):
            # Rare. A NaN differs from everything; one of the base alone has other bits anyhow.
            f0 |= at_least(words[0], infinity + 1, magnitude, FIELDS)
            f1 |= at_least(words[1], infinity + 1, magnitude, FIELDS)
            f2 |= at_least(words[2], infinity + 1, magnitude, FIELDS)
            f3 |= at_least(words[3], infinity + 1, magnitude, FIELDS)
            tl.atomic_add(row + model, count_at_least(words, limit, magnitude, FIELDS), sem="relaxed")
        changed += tl.where(bins == model - first, sum_fields((f0, f1, f2, f3)), 0)
        mask = (mask[0] + f0 * bit, mask[1] + f1 * bit, mask[2] + f2 * bit, mask[3] + f3 * bit)
        overlap = (overlap[0] + f0, overlap[1] + f1, overlap[2] + f2, overlap[3] + f3)
        bit = bit * 2
    return mask, overlap, changed


@triton.jit
def _changed(mask, masks, model, MANY: tl.constexpr, WORDS: tl.constexpr):
    """The mask of the sub-models drawn for one field of a lane, with the drawn one's bit last in the field.

    Where there are MANY it comes from `masks`, [groups, 4, WORDS] from the lane's first on.
    """
    if MANY:
        mask = tl.load(masks + (model >> 4) * (4 * WORDS)).to(tl.uint32, bitcast=True)
        model = model & 15
    return mask >> model


@triton.jit
def _look_up(mask, masks, chosen, FIELDS: tl.constexpr, MANY: tl.constexpr, WORDS: tl.constexpr):
    """1 in the last bit of every field whose chosen sub-model changed it; the other bits say nothing."""
    if FIELDS == 2:
        low = _changed(mask, masks, chosen & 0xFFFF, MANY, WORDS)
        return (low & 0xFFFF) | (_changed(mask, masks, chosen >> 16, MANY, WORDS) & 0xFFFF0000)
    else:
        return _changed(mask, masks, chosen, MANY, WORDS)


@triton.jit(
    do_not_specialize=[
        "elements",
        "models",
        "resamples",
        "steps",
        "tiles",
        "replicas",
        "magnitude",
        "infinity",
        "first_nonfinite",
        "first_block",
        "key",
    ]
)
def select_kernel(
    marks,
    values,
    output,
    counts,
    limits,
    guide,
    masks,
    elements,
    stride: tl.int64,
    models,
    resamples,
    steps,
    tiles,
    replicas,
    magnitude,
    infinity,
    first_nonfinite,
    first_block: tl.int64,
    key: tl.int64,
    FIELDS: tl.constexpr,
    WORDS: tl.constexpr,
    STAGES: tl.constexpr,
    MANY: tl.constexpr,
    EQUAL: tl.constexpr,
):
    """Parameter selection of a chunk: mark, count, draw, take, tile by tile.

    What differs between types of one width, numbers of sub-models and of draws is no constant, so that they
    share compiled code.

    Args:
        marks: [models + 1, stride] elements as words of FIELDS elements: int32, or int64 for 64-bit elements.
            What differs from the last row, the base, is changed.
        values: [models, stride] what is taken, an element a word: int16, int32 or int64.
        output: [stride] the merged elements, as words of FIELDS elements.
        counts: [replicas, models + 1 + 3 * bins + 128] int32, added to: nonfinite, changed, changed_by,
            selected, zero_after_draw, with bins = `models` rounded up to 16. Where these are 16, changed_by
            16 falls to changed_by 0. Padding is counted as selected from the first sub-model. Programs use
            replicas in turn, lest they queue for one address.
        limits, guide, steps: the thresholds of unequal weights; see `drawing.pick`.
        masks: [programs, bins / 16, 4, WORDS] int32 for the program's own use where there are MANY.
        elements: of the chunk that count; the rest of `stride` is padding.
        resamples: n.
        tiles: 4 * FIELDS * WORDS elements each.
        magnitude, infinity, first_nonfinite: of the type, as words; see DType.
        first_block: the number of the chunk's first draw block in the tensor.
        key: the Philox key, (k1 << 32) | k0.
        WORDS: of a tile's lane.
        STAGES: sub-models whose words are on their way to a tile at one time.
        MANY: whether there may be more than 16 sub-models.
        EQUAL: whether all weights are.
    """
    EACH: tl.constexpr = 0x00010001 if FIELDS == 2 else 1
    WORD: tl.constexpr = tl.uint64 if marks.dtype.element_ty == tl.int64 else tl.uint32
    LANE: tl.constexpr = 1024 // FIELDS
    PARTS: tl.constexpr = LANE // WORDS
    groups = (models + 15) // 16
    row = counts + (tl.program_id(0) % replicas) * (models + 1 + 48 * groups + 128)
    changed_row = row + (models + 1)
    overlap_row = changed_row + 16 * groups
    selected_row = overlap_row + 16 * groups
    draws_row = selected_row + 16 * groups
    columns = tl.arange(0, WORDS)
    bins = tl.arange(0, 16)
    changed_total = tl.zeros((16,), tl.int32)
    overlap_total = tl.zeros((16,), tl.int32)
    selected_total = tl.zeros((16,), tl.int32)
    zero_total = tl.zeros((16,), tl.int32)
    stride = stride.to(tl.int64)  # the interpreter takes no notice of the annotation
    word_stride = stride // FIELDS
    key_low = key.to(tl.int64) & 0xFFFFFFFF
    key_high = (key.to(tl.int64) >> 32) & 0xFFFFFFFF
    magnitude = magnitude.to(WORD) * EACH
    infinity = infinity.to(WORD)
    limit = first_nonfinite.to(WORD)
    own_masks = masks + tl.program_id(0) * (groups * (4 * WORDS)) + columns

    base_words = marks + models * word_stride + columns
    base = load_lanes(base_words + start_of(tl.program_id(0), LANE, WORDS), LANE, WORD)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        block = tile // PARTS
        part = tile % PARTS
        first_word = start_of(tile, LANE, WORDS)
        tile_marks = marks + first_word + columns
        # Where the base is zero, a sign alone is no change; elsewhere every bit counts.
        compared = ()
        overlap = ()
        for lane in tl.static_range(4):
            is_number = nonzero(base[lane] & magnitude, FIELDS).to(WORD)
            # The sign bit is the one above the magnitude's.
            compared = compared + (is_number * (magnitude // EACH + 1) | magnitude,)
            overlap = overlap + (tl.zeros((WORDS,), tl.uint32),)

        mask = overlap
        if MANY:
            for group in range(groups):
                mask, overlap, changed = _mark(
                    tile_marks,
                    base,
                    compared,
                    overlap,
                    row,
                    16 * group,
                    tl.minimum(16 * group + 16, models),
                    word_stride,
                    limit,
                    infinity,
                    magnitude,
                    FIELDS,
                    LANE,
                    WORD,
                    STAGES,
                )
                for lane in tl.static_range(4):
                    at = own_masks + (4 * group + lane) * WORDS
                    tl.store(at, mask[lane].to(tl.int32, bitcast=True))
                tl.atomic_add(changed_row + 16 * group + bins, changed, sem="relaxed")
            for group in range(groups):
                found = histogram(overlap, group, FIELDS, MANY)
                tl.atomic_add(overlap_row + 16 * group + bins, found, sem="relaxed")
            tl.debug_barrier()  # other threads look masks up than have stored them
        else:
            mask, overlap, changed = _mark(
                tile_marks,
                base,
                compared,
                overlap,
                row,
                models * 0,
                models,
                word_stride,
                limit,
                infinity,
                magnitude,
                FIELDS,
                LANE,
                WORD,
                STAGES,
            )
            changed_total += changed
            overlap_total += histogram(overlap, 0, FIELDS, MANY)

        # Only now, because a branch before would wait for the base before any sub-model is on its way.
        if any_at_least(base, limit, magnitude, FIELDS):
            tl.atomic_add(row + models, count_at_least(base, limit, magnitude, FIELDS), sem="relaxed")

        quad = ((first_block.to(tl.int64) + block) << 10) + part * (WORDS * FIELDS)
        # Zero, of what was loaded: it has Triton draw in the order in which the threads hold that. They would
        # exchange what they drew otherwise, in each draw.
        in_order = ((base[0] >> (WORD.primitive_bitwidth - 1)) >> 1).to(tl.uint32)
        quad_low = (quad & 0xFFFFFFFF).to(tl.uint32) + ((columns * FIELDS).to(tl.uint32) | in_order)
        quad_high = (quad >> 32).to(tl.uint32)
        first_element = block * 4096 + part * (WORDS * FIELDS) + columns * FIELDS
        valid = ()
        chosen = ()
        for lane in tl.static_range(4):
            inside = (first_element + lane * 1024 < elements).to(tl.uint32)
            if FIELDS == 2:
                inside |= (first_element + (lane * 1024 + 1) < elements).to(tl.uint32) << 16
            valid = valid + (inside,)
            chosen = chosen + (tl.zeros((WORDS,), tl.uint32),)
        pending = valid
        draw = tl.full((), 0, tl.int32)
        left = tl.full((), 1, tl.int32)
        while (draw <= resamples) & (left > 0):
            random = philox(quad_low, quad_high, draw, key_low, key_high)
            picks = pick(random, models, limits, guide, steps, EQUAL)
            if FIELDS == 2:
                random = philox(quad_low + 1, quad_high, draw, key_low, key_high)
                picks_next = pick(random, models, limits, guide, steps, EQUAL)
            now_chosen = ()
            now_pending = ()
            for lane in tl.static_range(4):
                picked = picks[lane]
                if FIELDS == 2:
                    picked |= picks_next[lane] << 16
                through = pending[lane] * 0xFFFF
                taken = (chosen[lane] & ~through) | (picked & through)
                settled = _look_up(mask[lane], own_masks + lane * WORDS, taken, FIELDS, MANY, WORDS)
                now_chosen = now_chosen + (taken,)
                now_pending = now_pending + (pending[lane] & ~settled,)
            chosen = now_chosen
            pending = now_pending
            left = sum_fields(pending)
            zero_total += tl.where(bins == draw, left, 0)
            if draw >= 16:
                tl.atomic_add(draws_row + draw, left, sem="relaxed")
            draw += 1

        # The next tile's base comes while this one's values do.
        following = tl.minimum(tile + tl.num_programs(0), tiles - 1)
        base = load_lanes(base_words + start_of(following, LANE, WORDS), LANE, WORD)
        for lane in tl.static_range(4):
            at = values + (first_element + lane * 1024)
            merged = tl.load(at + (chosen[lane] & 0xFFFF).to(tl.int64) * stride)
            if FIELDS == 2:
                second = tl.load(at + 1 + (chosen[lane] >> 16).to(tl.int64) * stride)
                merged = merged.to(tl.uint16, bitcast=True).to(tl.uint32)
                merged |= second.to(tl.uint16, bitcast=True).to(tl.uint32) << 16
                merged = merged.to(tl.int32, bitcast=True)
            tl.store(output + first_word + lane * LANE + columns, merged)
        if MANY:
            for group in range(groups):
                found = histogram(chosen, group, FIELDS, MANY)
                tl.atomic_add(selected_row + 16 * group + bins, found, sem="relaxed")
            tl.debug_barrier()  # before the next tile's masks take the place of these
        else:
            selected_total += histogram(chosen, 0, FIELDS, MANY)

    tl.atomic_add(draws_row + bins, zero_total, sem="relaxed")
    if not MANY:
        tl.atomic_add(changed_row + bins, changed_total, sem="relaxed")
        tl.atomic_add(overlap_row + bins, overlap_total, sem="relaxed")
        tl.atomic_add(selected_row + bins, selected_total, sem="relaxed")
