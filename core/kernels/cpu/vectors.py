"""What selection does to GROUP elements at a time, in the few instructions that it takes.

Arrays of elements hold a multiple of GROUP of them; `at` is where the group begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from core.draws import BLOCK, SELECTION_STREAM
from core.kernels.cpu.instructions import (
    GROUP,
    call,
    constant,
    flags_as_word,
    instruction,
    load,
    pointer,
    repeat,
    store,
    variable,
)

__all__ = [
    "LISTED",
    "QUADS",
    "apply_group",
    "count_bytes",
    "draw_listed",
    "draw_picks",
    "draw_words",
    "generator_of",
    "halves",
    "lowest_bit",
    "mark_group",
    "mark_group_exactly",
    "odd_of_group",
    "overlap_of_group",
    "pending_of_group",
    "philox",
    "picks_by_limits",
    "quads_from",
    "take_group",
]

QUADS = 16
"""So many Philox calls at a time: with more, processors without 512-bit registers run out of them."""

LISTED = QUADS
"""So many elements of a list are drawn at a time."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def generator_of(generate: Callable[[Any, Any, Any, list[Any]], Any]) -> Any:
    """Of an instruction that returns nothing."""

    def generate_and_return(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        generate(context, builder, signature, arguments)
        return context.get_dummy_value()

    return generate_and_return


# -- vectors -------------------------------------------------------------------------------------------------


def _rows(context: Any, builder: Any, array_type: Any, array: Any, first: Any, at: Any) -> tuple[Any, Any]:
    """The address of array[first, at], and the bytes from there to array[first + 1, at]."""
    parts = context.make_array(array_type)(context, builder, array)
    stride = builder.extract_value(parts.strides, 0)
    start = builder.ptrtoint(builder.gep(parts.data, [at]), _I64)
    return builder.add(start, builder.mul(first, stride)), stride


# -- marks ---------------------------------------------------------------------------------------------------


@instruction
def odd_of_group(typing_context: Any, words: Any, at: Any, magnitude_mask: Any, first_nonfinite: Any) -> Any:
    """A bit for each of the words that is a zero or not finite."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, mask, limit = arguments
        numbers = load(builder, pointer(context, builder, signature.args[0], array, at))
        one = limit.type(1)
        below = builder.sub(builder.and_(numbers, repeat(builder, mask)), repeat(builder, one))
        odd = builder.icmp_unsigned(">=", below, repeat(builder, builder.sub(limit, one)))
        return flags_as_word(builder, odd)

    return types.uint64(words, types.int64, words.dtype, words.dtype), generate


def _marking(exactly: bool) -> Any:
    @instruction
    def mark(
        typing_context: Any,
        models: Any,
        first: Any,
        count: Any,
        base: Any,
        at: Any,
        magnitude_mask: Any,
        infinity: Any,
        row: Any,
        row_at: Any,
        changed: Any,
        seen: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            models, first, count, base, at, mask, infinity, row, row_at, changed, seen = arguments
            kinds = signature.args
            start, stride = _rows(context, builder, kinds[0], models, first, at)
            pointer_type = pointer(context, builder, kinds[3], base, at).type
            b = load(builder, pointer(context, builder, kinds[3], base, at))
            word = b.type.element
            magnitudes, infinities = repeat(builder, mask), repeat(builder, infinity)
            b_is_nan = builder.icmp_unsigned(">", builder.and_(b, magnitudes), infinities)
            counts = builder.gep(context.make_array(kinds[9])(context, builder, changed).data, [first])
            seen_at = pointer(context, builder, kinds[10], seen, _I64(0))
            address = variable(builder, start)
            bit = variable(builder, constant(_I16, GROUP, 1))
            marks = variable(builder, constant(_I16, GROUP, 0))
            union = variable(builder, load(builder, seen_at))
            with cgutils.for_range(builder, count) as loop:
                a = load(builder, builder.inttoptr(builder.load(address), pointer_type))
                flags = builder.icmp_unsigned("!=", a, b)
                if exactly:
                    either = builder.and_(builder.or_(a, b), magnitudes)
                    flags = builder.and_(flags, builder.icmp_unsigned("!=", either, constant(word, GROUP, 0)))
                    a_is_nan = builder.icmp_unsigned(">", builder.and_(a, magnitudes), infinities)
                    flags = builder.or_(flags, builder.or_(a_is_nan, b_is_nan))
                bits = builder.load(bit)
                marked = builder.select(flags, bits, constant(_I16, GROUP, 0))
                builder.store(builder.or_(builder.load(marks), marked), marks)
                builder.store(builder.add(bits, bits), bit)
                builder.store(builder.or_(builder.load(union), a), union)
                builder.store(builder.add(builder.load(address), stride), address)
                counter = builder.gep(counts, [loop.index])
                found = builder.ctpop(flags_as_word(builder, flags))
                builder.store(builder.add(builder.load(counter), found), counter)
            store(builder, builder.load(union), seen_at)
            store(builder, builder.load(marks), pointer(context, builder, kinds[7], row, row_at))

        signature = types.void(
            models,
            types.int64,
            types.int64,
            base,
            types.int64,
            models.dtype,
            models.dtype,
            row,
            types.int64,
            changed,
            seen,
        )
        return signature, generator_of(generate)

    return mark


mark_group = _marking(exactly=False)
"""Set bit i of row[row_at ...] where sub-model first + i differs from the base, of up to 16 of them.

(models, first, count, base, at, magnitude_mask, infinity, row, row_at, changed, seen). Adds to `changed` [K]
how many there were, and the bits of all words to `seen` [GROUP]. For a group in which the base has neither
zeros nor numbers that are not finite, and no sub-model has a NaN.
"""

mark_group_exactly = _marking(exactly=True)
"""The same for any group."""


@instruction
def overlap_of_group(
    typing_context: Any, mask: Any, number: Any, at: Any, overlap: Any, overlap_at: Any
) -> Any:
    """Add the number of bits that are set in each of mask[number, at ...] to the bytes `overlap`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        mask, number, at, overlap, overlap_at = arguments
        start, _ = _rows(context, builder, signature.args[0], mask, number, at)
        pointer_type = ir.VectorType(_I16, GROUP).as_pointer()
        bits = call(builder, "llvm.ctpop", load(builder, builder.inttoptr(start, pointer_type)))
        target = pointer(context, builder, signature.args[3], overlap, overlap_at)
        added = builder.add(load(builder, target), builder.trunc(bits, ir.VectorType(_I8, GROUP)))
        store(builder, added, target)

    signature = types.void(mask, types.int64, types.int64, overlap, types.int64)
    return signature, generator_of(generate)


@instruction
def count_bytes(typing_context: Any, values: Any, size: Any, value: Any) -> Any:
    """How many of the first `size` bytes, at most BLOCK, a multiple of GROUP, are `value`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, size, value = arguments
        wanted = repeat(builder, builder.trunc(value, _I8))
        counts = variable(builder, constant(_I8, GROUP, 0))  # BLOCK / GROUP < 256
        with cgutils.for_range(builder, builder.lshr(size, _I64(GROUP.bit_length() - 1))) as loop:
            at = builder.mul(loop.index, _I64(GROUP))
            found = load(builder, pointer(context, builder, signature.args[0], values, at))
            equal = builder.sext(builder.icmp_unsigned("==", found, wanted), wanted.type)
            builder.store(builder.sub(builder.load(counts), equal), counts)
        wide = builder.zext(builder.load(counts), ir.VectorType(_I16, GROUP))
        return builder.zext(call(builder, "llvm.vector.reduce.add", wide, _I16), _I64)

    return types.int64(values, types.int64, types.int64), generate


# -- draws ---------------------------------------------------------------------------------------------------


def quads_from(builder: Any, first: Any, at: Any) -> Any:
    """The numbers of QUADS calls from number first + at on."""
    steps = ir.Constant(ir.VectorType(_I64, QUADS), list(range(QUADS)))
    return builder.add(repeat(builder, builder.add(first, at), QUADS), steps)


def philox(
    builder: Any, first: Any, quads: Any, draw: Any, k0: Any, k1: Any, stream: int = SELECTION_STREAM
) -> list[Any]:
    """The four words of the calls number `quads` of the block that begins with `first`, in 64 bits each."""
    low, half = constant(_I64, QUADS, 0xFFFFFFFF), constant(_I64, QUADS, 32)
    multiplier0, multiplier1 = (constant(_I64, QUADS, number) for number in (0xD2511F53, 0xCD9E8D57))
    c0 = builder.and_(quads, low)
    c1 = repeat(builder, builder.lshr(first, _I64(32)), QUADS)
    c2 = repeat(builder, builder.zext(builder.trunc(draw, _I32), _I64), QUADS)
    c3: Any = constant(_I64, QUADS, stream)
    key0, key1 = builder.trunc(k0, _I32), builder.trunc(k1, _I32)
    for _ in range(10):
        # What is above the low halves is not looked at, so that it need not be cleared on the way.
        product0 = builder.mul(builder.and_(c0, low), multiplier0)
        product1 = builder.mul(builder.and_(c2, low), multiplier1)
        keys0, keys1 = (repeat(builder, builder.zext(key, _I64), QUADS) for key in (key0, key1))
        c0 = builder.xor(builder.xor(builder.lshr(product1, half), c1), keys0)
        c2 = builder.xor(builder.xor(builder.lshr(product0, half), c3), keys1)
        c1, c3 = product1, product0
        key0, key1 = builder.add(key0, _I32(0x9E3779B9)), builder.add(key1, _I32(0xBB67AE85))
    return [builder.and_(word, low) for word in (c0, c1, c2, c3)]


def halves(builder: Any, vectors: list[Any], kind: Any, odd: int) -> list[Any]:
    """Half of the numbers of `kind` in the vectors: each second one from `odd` on, two vectors in one."""
    size = vectors[0].type.count * vectors[0].type.element.width // kind.width
    cast = [builder.bitcast(vector, ir.VectorType(kind, size)) for vector in vectors]
    places = ir.Constant(ir.VectorType(_I32, size), list(range(odd, 2 * size, 2)))
    return [builder.shuffle_vector(cast[i], cast[i + 1], places) for i in range(0, len(cast), 2)]


@instruction
def draw_picks(
    typing_context: Any, first: Any, at: Any, draw: Any, k0: Any, k1: Any, models: Any, picks: Any
) -> Any:
    """The sub-models that calls number first + at ... of GROUP draw, for equal weights: (word * K) >> 32.

    `first` is the first call of a block, `picks` [BLOCK] are its picks by element.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        first, at, draw, k0, k1, models, picks = arguments
        count = repeat(builder, builder.zext(builder.trunc(models, _I32), _I64), QUADS)
        scaled: list[list[Any]] = [[], [], [], []]
        for quad in range(0, GROUP, QUADS):
            words = philox(
                builder, first, quads_from(builder, first, builder.add(at, _I64(quad))), draw, k0, k1
            )
            for lane, word in enumerate(words):
                scaled[lane].append(builder.mul(word, count))
        for lane, products in enumerate(scaled):
            found = halves(builder, halves(builder, products, _I32, 1), _I16, 0)
            lane_at = builder.add(at, _I64(lane * (BLOCK // 4)))
            for part, vector in enumerate(found):
                part_at = builder.add(lane_at, _I64(part * 4 * QUADS))
                size = vector.type.count
                store(builder, vector, pointer(context, builder, signature.args[6], picks, part_at, size))

    signature = types.void(
        types.uint64, types.int64, types.int64, types.uint64, types.uint64, types.int64, picks
    )
    return signature, generator_of(generate)


@instruction
def draw_words(typing_context: Any, first: Any, at: Any, draw: Any, k0: Any, k1: Any, words: Any) -> Any:
    """The words of calls number first + at ... of 2 QUADS; `words` [BLOCK] are the block's by element."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        first, at, draw, k0, k1, target = arguments
        drawn = [
            philox(builder, first, quads_from(builder, first, builder.add(at, _I64(quad))), draw, k0, k1)
            for quad in (0, QUADS)
        ]
        for lane, words in enumerate(zip(*drawn, strict=True)):
            (vector,) = halves(builder, list(words), _I32, 0)
            lane_at = builder.add(at, _I64(lane * (BLOCK // 4)))
            size = vector.type.count
            store(builder, vector, pointer(context, builder, signature.args[5], target, lane_at, size))

    signature = types.void(types.uint64, types.int64, types.int64, types.uint64, types.uint64, words)
    return signature, generator_of(generate)


@instruction
def draw_listed(
    typing_context: Any, first: Any, elements: Any, at: Any, draw: Any, k0: Any, k1: Any, words: Any
) -> Any:
    """The words of the LISTED elements of a block that elements[at ...] lists, into words[at ...]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        first, elements, at, draw, k0, k1, target = arguments
        wide = ir.VectorType(_I64, QUADS)
        listed = load(builder, pointer(context, builder, signature.args[1], elements, at, QUADS))
        lanes = builder.lshr(listed, constant(_I16, QUADS, (BLOCK // 4).bit_length() - 1))
        within = builder.zext(builder.and_(listed, constant(_I16, QUADS, BLOCK // 4 - 1)), wide)
        words = philox(builder, first, builder.or_(repeat(builder, first, QUADS), within), draw, k0, k1)
        word = words[0]
        for lane in range(1, 4):
            here = builder.icmp_unsigned("==", lanes, constant(_I16, QUADS, lane))
            word = builder.select(here, words[lane], word)
        narrow = builder.trunc(word, ir.VectorType(_I32, QUADS))
        store(builder, narrow, pointer(context, builder, signature.args[6], target, at, QUADS))

    signature = types.void(
        types.uint64, elements, types.int64, types.int64, types.uint64, types.uint64, words
    )
    return signature, generator_of(generate)


@instruction
def picks_by_limits(typing_context: Any, words: Any, at: Any, limits: Any, always: Any, picks: Any) -> Any:
    """The drawn sub-models for unequal weights: `always` and the number of `limits` below the word."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        words, at, limits, always, picks = arguments
        array = context.make_array(signature.args[2])(context, builder, limits)
        drawn = load(builder, pointer(context, builder, signature.args[0], words, at))
        found = variable(builder, repeat(builder, builder.trunc(always, _I32)))
        with cgutils.for_range(builder, builder.extract_value(array.shape, 0)) as loop:
            limit = repeat(builder, builder.load(builder.gep(array.data, [loop.index])))
            above = builder.zext(builder.icmp_unsigned(">", drawn, limit), drawn.type)
            builder.store(builder.add(builder.load(found), above), found)
        narrow = builder.trunc(builder.load(found), ir.VectorType(_I16, GROUP))
        store(builder, narrow, pointer(context, builder, signature.args[4], picks, at))

    return types.void(words, types.int64, limits, types.int64, picks), generator_of(generate)


@instruction
def apply_group(
    typing_context: Any, mask: Any, mask_at: Any, at: Any, picks: Any, chosen: Any, pending: Any
) -> Any:
    """Let pending elements take their picks; they stay pending where the mask bit is clear.

    `pending` is all ones for those, or 0. Returns how many still are.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask, mask_at, at, picks, chosen, pending = arguments
        kinds = signature.args
        pick = load(builder, pointer(context, builder, kinds[3], picks, at))
        chosen_at = pointer(context, builder, kinds[4], chosen, at)
        pending_at = pointer(context, builder, kinds[5], pending, at)
        zeros = constant(_I16, GROUP, 0)
        was = builder.icmp_unsigned("!=", load(builder, pending_at), zeros)
        store(builder, builder.select(was, pick, load(builder, chosen_at)), chosen_at)
        rows = builder.extract_value(context.make_array(kinds[0])(context, builder, mask).shape, 0)
        start, stride = _rows(context, builder, kinds[0], mask, _I64(0), mask_at)
        shift = builder.and_(pick, constant(_I16, GROUP, 15))
        number = builder.lshr(pick, constant(_I16, GROUP, 4))
        first = load(builder, builder.inttoptr(start, zeros.type.as_pointer()))
        bits = variable(builder, first)
        with cgutils.for_range(builder, builder.sub(rows, _I64(1))) as loop:
            index = builder.add(loop.index, _I64(1))
            address = builder.add(start, builder.mul(index, stride))
            row = load(builder, builder.inttoptr(address, zeros.type.as_pointer()))
            here = builder.icmp_unsigned("==", number, repeat(builder, builder.trunc(index, _I16)))
            builder.store(builder.select(here, row, builder.load(bits)), bits)
        changed = builder.and_(builder.lshr(builder.load(bits), shift), constant(_I16, GROUP, 1))
        still = builder.and_(was, builder.icmp_unsigned("==", changed, zeros))
        store(builder, builder.sext(still, zeros.type), pending_at)
        return builder.ctpop(flags_as_word(builder, still))

    return types.int64(mask, types.int64, types.int64, picks, chosen, pending), generate


@instruction
def pending_of_group(
    typing_context: Any, mask: Any, mask_at: Any, at: Any, pending: Any, untouched: Any
) -> Any:
    """A bit for each pending element that some sub-model changed, or for all where `untouched` is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask, mask_at, at, pending, untouched = arguments
        kinds = signature.args
        zeros = constant(_I16, GROUP, 0)
        rows = builder.extract_value(context.make_array(kinds[0])(context, builder, mask).shape, 0)
        start, stride = _rows(context, builder, kinds[0], mask, _I64(0), mask_at)
        bits = variable(builder, repeat(builder, builder.trunc(untouched, _I16)))
        with cgutils.for_range(builder, rows) as loop:
            address = builder.add(start, builder.mul(loop.index, stride))
            row = load(builder, builder.inttoptr(address, zeros.type.as_pointer()))
            builder.store(builder.or_(builder.load(bits), row), bits)
        found = builder.and_(
            builder.icmp_unsigned("!=", builder.load(bits), zeros),
            builder.icmp_unsigned(
                "!=", load(builder, pointer(context, builder, kinds[3], pending, at)), zeros
            ),
        )
        return flags_as_word(builder, found)

    return types.uint64(mask, types.int64, types.int64, pending, types.int64), generate


@instruction
def lowest_bit(typing_context: Any, word: Any) -> Any:
    """The place of the lowest bit that is set in the uint64 `word`, which is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


# -- values --------------------------------------------------------------------------------------------------


@instruction
def take_group(
    typing_context: Any,
    models: Any,
    at: Any,
    chosen: Any,
    chosen_at: Any,
    lanes: Any,
    merged: Any,
    selected: Any,
) -> Any:
    """Copy each word from its chosen sub-model; count the choices of the elements in `lanes`, a bit each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        models, at, chosen, chosen_at, lanes, merged, selected = arguments
        kinds = signature.args
        count = builder.extract_value(context.make_array(kinds[0])(context, builder, models).shape, 0)
        start, stride = _rows(context, builder, kinds[0], models, _I64(0), at)
        target = pointer(context, builder, kinds[5], merged, at)
        choice = load(builder, pointer(context, builder, kinds[2], chosen, chosen_at))
        counts = context.make_array(kinds[6])(context, builder, selected).data
        address = variable(builder, start)
        number = variable(builder, constant(_I16, GROUP, 0))
        taken = variable(builder, constant(target.type.pointee.element, GROUP, 0))
        with cgutils.for_range(builder, count) as loop:
            values = load(builder, builder.inttoptr(builder.load(address), target.type))
            here = builder.icmp_unsigned("==", choice, builder.load(number))
            builder.store(builder.select(here, values, builder.load(taken)), taken)
            builder.store(builder.add(builder.load(number), constant(_I16, GROUP, 1)), number)
            builder.store(builder.add(builder.load(address), stride), address)
            counter = builder.gep(counts, [loop.index])
            found = builder.ctpop(builder.and_(flags_as_word(builder, here), lanes))
            builder.store(builder.add(builder.load(counter), found), counter)
        store(builder, builder.load(taken), target)

    signature = types.void(models, types.int64, chosen, types.int64, types.uint64, merged, selected)
    return signature, generator_of(generate)
