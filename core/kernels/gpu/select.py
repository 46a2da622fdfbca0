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

__all__ = ["select_kernel"]


@triton.jit
def _nonzero(words, FIELDS: tl.constexpr):
    """1 in every field that is not zero. uint32."""
    if FIELDS == 2:
        # Adding 0x7fff carries into the field's own top bit unless the other bits are all zero.
        return ((((words & 0x7FFF7FFF) + 0x7FFF7FFF) | words) >> 15) & 0x00010001
    else:
        return (words != 0).to(tl.uint32)


@triton.jit
def _at_least(words, LIMIT: tl.constexpr, MAGNITUDE: tl.constexpr, FIELDS: tl.constexpr):
    """1 in every field whose magnitude bits, as an integer, are >= LIMIT. uint32."""
    if FIELDS == 2:
        lifted = (words & (MAGNITUDE * 0x00010001)) + (0x8000 - LIMIT) * 0x00010001
        return (lifted >> 15) & 0x00010001
    else:
        return ((words & MAGNITUDE) >= LIMIT).to(tl.uint32)


@triton.jit
def _any_at_least(words, LIMIT: tl.constexpr, MAGNITUDE: tl.constexpr, FIELDS: tl.constexpr):
    """Whether a field of the four tensors `words` has a magnitude >= LIMIT. Cheaper than counting."""
    if FIELDS == 2:
        found = (words[0] & (MAGNITUDE * 0x00010001)) + (0x8000 - LIMIT) * 0x00010001
        for lane in tl.static_range(1, 4):
            found |= (words[lane] & (MAGNITUDE * 0x00010001)) + (0x8000 - LIMIT) * 0x00010001
        return tl.max(found & 0x80008000) != 0
    else:
        largest = words[0] & MAGNITUDE
        for lane in tl.static_range(1, 4):
            largest = tl.maximum(largest, words[lane] & MAGNITUDE)
        return tl.max(largest) >= LIMIT


@triton.jit
def _sum_fields(flags):
    """The sum of all fields of four tensors of flags. A 16-bit field holds it: a tile is smaller."""
    total = tl.sum((flags[0] + flags[1] + flags[2] + flags[3]).to(tl.int32))
    return (total & 0xFFFF) + (total >> 16)


@triton.jit
def _load_lanes(words, LANE: tl.constexpr, WORD: tl.constexpr):
    """A tile as four tensors, one a lane, of unsigned words."""
    return (
        tl.load(words).to(WORD, bitcast=True),
        tl.load(words + LANE).to(WORD, bitcast=True),
        tl.load(words + 2 * LANE).to(WORD, bitcast=True),
        tl.load(words + 3 * LANE).to(WORD, bitcast=True),
    )


@triton.jit
def _add_histogram(histogram, fields, BINS: tl.constexpr, FIELDS: tl.constexpr):
    """`histogram` [BINS] plus how often each value is in the fields of four tensors.

    Each thread counts in the 16 nibbles of a 64-bit word, which hold the tile's at most eight fields
    of one column; the sums over the columns go two bins to a 32-bit sum.
    """
    bins = tl.arange(0, BINS)
    for group in tl.static_range(BINS // 16):
        nibbles = (fields[0] * 0).to(tl.uint64)
        for lane in tl.static_range(4):
            for field in tl.static_range(FIELDS):
                value = (fields[lane] >> (16 * field)) & 0xFFFF
                one = tl.full(value.shape, 1, tl.uint64) << ((value & 15) * 4).to(tl.uint64)
                if BINS > 16:
                    one = tl.where((value >> 4) == group, one, 0)
                nibbles += one
        for at in tl.static_range(4):
            spread = (nibbles >> (4 * at)) & 0x000F000F000F000F
            low = tl.sum((spread & 0xFFFFFFFF).to(tl.int32))
            high = tl.sum((spread >> 32).to(tl.int32))
            first = 16 * group + at
            histogram += tl.where(bins == first, low & 0xFFFF, 0)
            histogram += tl.where(bins == first + 4, low >> 16, 0)
            histogram += tl.where(bins == first + 8, high & 0xFFFF, 0)
            histogram += tl.where(bins == first + 12, high >> 16, 0)
    return histogram


@triton.jit
def _philox(quad_low, quad_high, draw, key_low, key_high):
    """The four words of the Philox calls of some quads and one draw, one a lane; see core.draws.

    tl.philox gives the same words. This multiplies once for both halves of a product, and it spends
    most of its time on that.
    """
    c0 = quad_low
    c1 = quad_high
    c2 = draw.to(tl.uint32)
    c3 = c2 * 0  # the stream of selection
    for _ in tl.static_range(10):
        product0 = c0.to(tl.uint64) * 0xD2511F53
        product1 = c2.to(tl.uint64) * 0xCD9E8D57
        c0 = (product1 >> 32).to(tl.uint32) ^ c1 ^ key_low.to(tl.uint32)
        c1 = product1.to(tl.uint32)
        c2 = (product0 >> 32).to(tl.uint32) ^ c3 ^ key_high.to(tl.uint32)
        c3 = product0.to(tl.uint32)
        key_low = (key_low + 0x9E3779B9) & 0xFFFFFFFF
        key_high = (key_high + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


@triton.jit
def _pick(word, models, limits, always, EQUAL: tl.constexpr, STEPS: tl.constexpr):
    """The drawn sub-models of random words.

    For unequal weights a binary search in `limits`, which holds the thresholds T >= 1 as T - 1 and is
    filled up to 2**STEPS - 1 with the largest word; `always` thresholds are 0.
    """
    if EQUAL:
        return tl.umulhi(word, models.to(tl.uint32))
    else:
        below = word * 0
        for step in tl.static_range(STEPS):
            probe = below + (1 << (STEPS - 1 - step))
            limit = tl.load(limits + (probe - 1)).to(tl.uint32, bitcast=True)
            below = tl.where(word > limit, probe, below)
        return below + always.to(tl.uint32)


@triton.jit
def _look_up(masks, chosen, FIELDS: tl.constexpr, GROUPS: tl.constexpr):
    """1 in every field whose chosen sub-model changed it. masks: GROUPS tensors, 16 models each."""
    model = chosen & 0xFFFF
    mask = masks[0]
    for group in tl.static_range(1, GROUPS):
        mask = tl.where((model >> 4) == group, masks[group], mask)
    found = (mask >> (model & 15)) & 1
    if FIELDS == 2:
        model = chosen >> 16
        mask = masks[0]
        for group in tl.static_range(1, GROUPS):
            mask = tl.where((model >> 4) == group, masks[group], mask)
        found |= ((mask >> ((model & 15) + 16)) & 1) << 16
    return found


@triton.jit(do_not_specialize=["elements", "first_block", "key", "models", "resamples", "always", "tiles"])
def select_kernel(
    marks,
    marked_base,
    values,
    output,
    counts,
    limits,
    elements,
    stride: tl.int64,
    first_block: tl.int64,
    key: tl.int64,
    models,
    resamples,
    always,
    tiles,
    MAGNITUDE: tl.constexpr,
    INFINITY: tl.constexpr,
    FIRST_NONFINITE: tl.constexpr,
    FIELDS: tl.constexpr,
    WORDS: tl.constexpr,
    GROUPS: tl.constexpr,
    BINS: tl.constexpr,
    DRAWS: tl.constexpr,
    EQUAL: tl.constexpr,
    STEPS: tl.constexpr,
    REPLICAS: tl.constexpr,
):
    """Parameter selection of a chunk: mark, count, draw, take, tile by tile.

    Args:
        marks: [models, stride] elements, compared with `marked_base` [stride] to see what changed, as
            words of FIELDS elements: int32, or int64 for 64-bit elements.
        values: [models, stride] what is taken, an element a word: int16, int32 or int64.
        output: [stride] the merged elements, as words of FIELDS elements.
        counts: [REPLICAS, 4 * BINS + DRAWS] int32, added to: nonfinite, changed, changed_by from 1 on,
            selected, zero_after_draw. Programs use replicas in turn, lest they queue for one address.
        limits, always: the thresholds of unequal weights; see `_pick`.
        elements: of the chunk that count; the rest of `stride` is padding.
        first_block: the number of the chunk's first draw block in the tensor.
        key: the Philox key, (k1 << 32) | k0.
        resamples: n.
        tiles: 4 * FIELDS * WORDS elements each.
        MAGNITUDE, INFINITY, FIRST_NONFINITE: of the type, as words; see DType.
        WORDS: of a tile's lane.
        GROUPS: of up to 16 sub-models. BINS: more than `models`. DRAWS: more than `resamples`.
        EQUAL: whether all weights are. STEPS: of the search otherwise.
    """
    EACH: tl.constexpr = 0x00010001 if FIELDS == 2 else 1
    WORD: tl.constexpr = tl.uint64 if MAGNITUDE > 0xFFFFFFFF else tl.uint32
    LANE: tl.constexpr = 1024 // FIELDS
    PARTS: tl.constexpr = LANE // WORDS
    row_length: tl.constexpr = 4 * BINS + DRAWS
    row = counts + (tl.program_id(0) % REPLICAS) * row_length
    columns = tl.arange(0, WORDS)
    bins = tl.arange(0, BINS)
    draws = tl.arange(0, DRAWS)
    changed_total = tl.zeros((BINS,), tl.int32)
    overlap_total = tl.zeros((BINS,), tl.int32)
    selected_total = tl.zeros((BINS,), tl.int32)
    zero_total = tl.zeros((DRAWS,), tl.int32)
    stride = stride.to(tl.int64)  # the interpreter takes no notice of the annotation
    word_stride = stride // FIELDS
    key_low = key.to(tl.int64) & 0xFFFFFFFF
    key_high = (key.to(tl.int64) >> 32) & 0xFFFFFFFF

    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        block = tile // PARTS
        part = tile % PARTS
        first_word = block * (4 * LANE) + part * WORDS
        base = _load_lanes(marked_base + first_word + columns, LANE, WORD)
        if _any_at_least(base, FIRST_NONFINITE, MAGNITUDE, FIELDS):
            flags = ()
            for lane in tl.static_range(4):
                flags = flags + (_at_least(base[lane], FIRST_NONFINITE, MAGNITUDE, FIELDS),)
            tl.atomic_add(row + models, _sum_fields(flags), sem="relaxed")

        # Where the base is zero, a sign alone is no change; elsewhere every bit counts.
        compared = ()
        overlap = ()
        for lane in tl.static_range(4):
            is_number = _nonzero(base[lane] & (MAGNITUDE * EACH), FIELDS).to(WORD)
            compared = compared + (is_number * (MAGNITUDE + 1) | (MAGNITUDE * EACH),)
            overlap = overlap + (tl.zeros((WORDS,), tl.uint32),)

        masks = ((), (), (), ())
        for group in tl.static_range(GROUPS):
            none = tl.zeros((WORDS,), tl.uint32)
            mask = (none, none, none, none)
            bit = tl.full((), 1, tl.uint32)
            for model in range(16 * group, tl.minimum(models, 16 * group + 16)):
                words = _load_lanes(marks + model * word_stride + first_word + columns, LANE, WORD)
                f0 = _nonzero((words[0] ^ base[0]) & compared[0], FIELDS)
                f1 = _nonzero((words[1] ^ base[1]) & compared[1], FIELDS)
                f2 = _nonzero((words[2] ^ base[2]) & compared[2], FIELDS)
                f3 = _nonzero((words[3] ^ base[3]) & compared[3], FIELDS)
                if _any_at_least(words, FIRST_NONFINITE, MAGNITUDE, FIELDS):
                    # Rare. A NaN differs from everything; one of the base alone has other bits anyhow.
                    f0 |= _at_least(words[0], INFINITY + 1, MAGNITUDE, FIELDS)
                    f1 |= _at_least(words[1], INFINITY + 1, MAGNITUDE, FIELDS)
                    f2 |= _at_least(words[2], INFINITY + 1, MAGNITUDE, FIELDS)
                    f3 |= _at_least(words[3], INFINITY + 1, MAGNITUDE, FIELDS)
                    flags = ()
                    for lane in tl.static_range(4):
                        flags = flags + (_at_least(words[lane], FIRST_NONFINITE, MAGNITUDE, FIELDS),)
                    tl.atomic_add(row + model, _sum_fields(flags), sem="relaxed")
                flags = (f0, f1, f2, f3)
                changed_total += tl.where(bins == model, _sum_fields(flags), 0)
                mask = (mask[0] + f0 * bit, mask[1] + f1 * bit, mask[2] + f2 * bit, mask[3] + f3 * bit)
                overlap = (overlap[0] + f0, overlap[1] + f1, overlap[2] + f2, overlap[3] + f3)
                bit = bit * 2
            masks = (
                masks[0] + (mask[0],),
                masks[1] + (mask[1],),
                masks[2] + (mask[2],),
                masks[3] + (mask[3],),
            )
        overlap_total = _add_histogram(overlap_total, overlap, BINS, FIELDS)

        quad = ((first_block.to(tl.int64) + block) << 10) + part * (WORDS * FIELDS)
        quad_low = (quad & 0xFFFFFFFF).to(tl.uint32) + (columns * FIELDS).to(tl.uint32)
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
            random = _philox(quad_low, quad_high, draw, key_low, key_high)
            if FIELDS == 2:
                random_next = _philox(quad_low + 1, quad_high, draw, key_low, key_high)
            now_chosen = ()
            now_pending = ()
            for lane in tl.static_range(4):
                picks = _pick(random[lane], models, limits, always, EQUAL, STEPS)
                if FIELDS == 2:
                    picks |= _pick(random_next[lane], models, limits, always, EQUAL, STEPS) << 16
                through = pending[lane] * 0xFFFF
                taken = (chosen[lane] & ~through) | (picks & through)
                now_chosen = now_chosen + (taken,)
                now_pending = now_pending + (pending[lane] & ~_look_up(masks[lane], taken, FIELDS, GROUPS),)
            chosen = now_chosen
            pending = now_pending
            left = _sum_fields(pending)
            zero_total += tl.where(draws == draw, left, 0)
            draw += 1

        counted = ()
        for lane in tl.static_range(4):
            at = values + (first_element + lane * 1024)
            merged = tl.load(at + (chosen[lane] & 0xFFFF).to(tl.int64) * stride)
            if FIELDS == 2:
                second = tl.load(at + 1 + (chosen[lane] >> 16).to(tl.int64) * stride)
                merged = merged.to(tl.uint16, bitcast=True).to(tl.uint32)
                merged |= second.to(tl.uint16, bitcast=True).to(tl.uint32) << 16
                merged = merged.to(tl.int32, bitcast=True)
            tl.store(output + first_word + lane * LANE + columns, merged)
            # Padding falls into a bin that no sub-model has.
            counted = counted + (chosen[lane] + (valid[lane] ^ EACH) * models.to(tl.uint32),)
        selected_total = _add_histogram(selected_total, counted, BINS, FIELDS)

    tl.atomic_add(row + BINS + bins, changed_total, sem="relaxed")
    tl.atomic_add(row + 2 * BINS + bins, overlap_total, sem="relaxed")
    tl.atomic_add(row + 3 * BINS + bins, selected_total, sem="relaxed")
    tl.atomic_add(row + 4 * BINS + draws, zero_total, sem="relaxed")
