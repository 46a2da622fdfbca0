"""What the loops over task vectors do to GROUP elements at a time: flags by magnitude, drop masks, products.

Arrays of elements hold a multiple of GROUP of them; `at` is where the group begins.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from core.draws import BLOCK, DROPPING_STREAM
from core.kernels.cpu.instructions import (
    GROUP,
    constant,
    flags_as_word,
    instruction,
    load,
    pointer,
    repeat,
    store,
    variable,
)
from core.kernels.cpu.vectors import QUADS, generator_of, philox, quads_from

__all__ = [
    "STEP",
    "add_elected_of_group",
    "add_group",
    "add_kept_magnitudes",
    "add_kept_of_group",
    "add_kept_squares",
    "add_product_of_group",
    "beyond_of_group",
    "clear_of_group",
    "count_signs_of_group",
    "divide_group",
    "draw_kept",
    "draw_kept_by_element",
    "multiply_group",
    "not_zero_of_group",
    "products_of_tile",
    "reaches_of_group",
    "subtract_group",
    "subtract_half_group",
    "widen_group",
    "widen_half_group",
]

_I64 = ir.IntType(64)


def _magnitudes(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """The bits of GROUP floating-point numbers without their signs."""
    numbers = load(builder, pointer(context, builder, kind, array, at))
    bits = numbers.type.element.width
    return builder.and_(numbers, constant(numbers.type.element, GROUP, (1 << (bits - 1)) - 1))


@instruction
def not_zero_of_group(typing_context: Any, row: Any, at: Any) -> Any:
    """A bit for each of the numbers that is not zero; a NaN is not."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        magnitudes = _magnitudes(context, builder, signature.args[0], *arguments)
        zeros = constant(magnitudes.type.element, GROUP, 0)
        return flags_as_word(builder, builder.icmp_unsigned("!=", magnitudes, zeros))

    return types.uint64(row, types.int64), generate


@instruction
def reaches_of_group(typing_context: Any, row: Any, at: Any, limit: Any) -> Any:
    """A bit for each of the numbers whose magnitude, as bits, is `limit` or more."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, limit = arguments
        magnitudes = _magnitudes(context, builder, signature.args[0], array, at)
        word = magnitudes.type.element
        limit = builder.trunc(limit, word) if word.width < 64 else limit
        return flags_as_word(builder, builder.icmp_unsigned(">=", magnitudes, repeat(builder, limit)))

    return types.uint64(row, types.int64, types.uint64), generate


@instruction
def beyond_of_group(typing_context: Any, values: Any, at: Any, mask: Any, limit: Any) -> Any:
    """A bit for each of the numbers or words whose bits in `mask`, a uint64, are `limit` or more."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, mask, limit = arguments
        words = load(builder, pointer(context, builder, signature.args[0], array, at))
        kind = words.type.element
        if kind.width < 64:
            mask, limit = builder.trunc(mask, kind), builder.trunc(limit, kind)
        masked = builder.and_(words, repeat(builder, mask))
        return flags_as_word(builder, builder.icmp_unsigned(">=", masked, repeat(builder, limit)))

    return types.uint64(values, types.int64, types.uint64, types.uint64), generate


@instruction
def clear_of_group(typing_context: Any, row: Any, at: Any, kept: Any) -> Any:
    """Make +0 of the numbers whose bit in `kept` is clear."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        array, at, kept = arguments
        numbers, place = _numbers(context, builder, signature.args[0], array, at)
        flags = builder.bitcast(kept, ir.VectorType(ir.IntType(1), GROUP))
        _put(builder, builder.select(flags, numbers, _repeated(numbers.type, 0.0)), place)

    return types.void(row, types.int64, types.uint64), generator_of(generate)


# -- sums over sub-models ------------------------------------------------------------------------------------


def _numbers(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> tuple[Any, Any]:
    """GROUP floating-point numbers of an array, and the pointer to them."""
    number = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
    vector = ir.VectorType(number, GROUP)
    bits = pointer(context, builder, kind, array, at)
    place = builder.bitcast(bits, vector.as_pointer())
    return builder.load(place, align=bits.type.pointee.element.width // 8), place


def _put(builder: Any, numbers: Any, place: Any) -> None:
    builder.store(numbers, place, align=4 if numbers.type.element == ir.FloatType() else 8)


def _repeated(vector: Any, number: float) -> Any:
    return ir.Constant(vector, [ir.Constant(vector.element, number)] * GROUP)


def _changing(operation: str) -> Any:
    @instruction
    def change(typing_context: Any, row: Any, at: Any, factor: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            array, at, factor = arguments
            numbers, place = _numbers(context, builder, signature.args[0], array, at)
            _put(builder, getattr(builder, operation)(numbers, repeat(builder, factor)), place)

        return types.void(row, types.int64, row.dtype), generator_of(generate)

    return change


multiply_group = _changing("fmul")
"""row[at ...] *= factor, each product rounded. (row, at, factor)"""

divide_group = _changing("fdiv")
"""row[at ...] /= factor, each quotient rounded. (row, at, factor)"""


@instruction
def add_group(typing_context: Any, row: Any, at: Any, sums: Any) -> Any:
    """sums[at ...] += row[at ...], each sum rounded."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        row, at, sums = arguments
        numbers, _ = _numbers(context, builder, signature.args[0], row, at)
        before, place = _numbers(context, builder, signature.args[2], sums, at)
        _put(builder, builder.fadd(before, numbers), place)

    return types.void(row, types.int64, sums), generator_of(generate)


@instruction
def count_signs_of_group(typing_context: Any, row: Any, at: Any, sums: Any) -> Any:
    """Add 1 to sums[at ...] where row[at ...] is above zero, and -1 where it is below."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        row, at, sums = arguments
        numbers, _ = _numbers(context, builder, signature.args[0], row, at)
        before, place = _numbers(context, builder, signature.args[2], sums, at)
        zeros, ones = _repeated(numbers.type, 0.0), _repeated(numbers.type, 1.0)
        above = builder.select(builder.fcmp_ordered(">", numbers, zeros), ones, zeros)
        below = builder.select(builder.fcmp_ordered("<", numbers, zeros), ones, zeros)
        _put(builder, builder.fadd(before, builder.fsub(above, below)), place)

    return types.void(row, types.int64, sums), generator_of(generate)


@instruction
def add_elected_of_group(
    typing_context: Any,
    rows: Any,
    at: Any,
    signs: Any,
    multipliers: Any,
    shares: Any,
    mix: Any,
    total: Any,
    elected: Any,
) -> Any:
    """The sums of what has the elected sign, times its multiplier, and of the shares of that.

    rows [K, ...]: numbers that take part where they are above zero and signs[at ...] is not below, or below
    zero and `signs` is not at or above. Sets mix[at ...] and total[at ...]; adds to elected [K] how many took
    part.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        rows, at, signs, multipliers, shares, mix, total, elected = arguments
        kinds = signature.args
        sign, _ = _numbers(context, builder, kinds[2], signs, at)
        vector = sign.type
        zeros = _repeated(vector, 0.0)
        positive = builder.fcmp_ordered(">=", sign, zeros)
        width = kinds[2].dtype.bitwidth
        words = ir.VectorType(ir.IntType(width), GROUP)
        flip = builder.select(positive, words([0] * GROUP), words([1 << (width - 1)] * GROUP))
        parts = context.make_array(kinds[0])(context, builder, rows)
        count, stride = builder.extract_value(parts.shape, 0), builder.extract_value(parts.strides, 0)
        factors, weights = (
            context.make_array(kind)(context, builder, array).data
            for kind, array in ((kinds[3], multipliers), (kinds[4], shares))
        )
        counters = context.make_array(kinds[7])(context, builder, elected).data
        address = variable(builder, builder.ptrtoint(builder.gep(parts.data, [at]), _I64))
        sums, weighing = variable(builder, zeros), variable(builder, zeros)
        with cgutils.for_range(builder, count) as loop:
            here = builder.load(address)
            numbers = builder.load(builder.inttoptr(here, vector.as_pointer()), align=width // 8)
            turned = builder.bitcast(builder.xor(builder.bitcast(numbers, words), flip), vector)
            taking_part = builder.fcmp_ordered(">", turned, zeros)
            before = builder.load(sums)
            factor = repeat(builder, builder.load(builder.gep(factors, [loop.index])))
            added = builder.fadd(before, builder.fmul(factor, numbers))
            builder.store(builder.select(taking_part, added, before), sums)
            weight = repeat(builder, builder.load(builder.gep(weights, [loop.index])))
            before = builder.load(weighing)
            builder.store(builder.select(taking_part, builder.fadd(before, weight), before), weighing)
            counter = builder.gep(counters, [loop.index])
            found = builder.ctpop(flags_as_word(builder, taking_part))
            builder.store(builder.add(builder.load(counter), found), counter)
            builder.store(builder.add(here, stride), address)
        for array, kind, values in ((mix, kinds[5], sums), (total, kinds[6], weighing)):
            _, place = _numbers(context, builder, kind, array, at)
            _put(builder, builder.load(values), place)

    signature = types.void(rows, types.int64, signs, multipliers, shares, mix, total, elected)
    return signature, generator_of(generate)


# -- values --------------------------------------------------------------------------------------------------


def _widened(context: Any, builder: Any, kind: Any, array: Any, at: Any, number: Any, is_half: bool) -> Any:
    """GROUP values as floating-point numbers of type `number`: exact. Integers are words of bfloat16."""
    loaded = load(builder, pointer(context, builder, kind, array, at))
    if not isinstance(kind.dtype, types.Integer):
        stored = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        values = builder.bitcast(loaded, ir.VectorType(stored, GROUP))
        return values if stored == number else builder.fpext(values, ir.VectorType(number, GROUP))
    word, single = ir.IntType(32), ir.VectorType(ir.FloatType(), GROUP)
    wide = builder.zext(loaded, ir.VectorType(word, GROUP))
    if not is_half:
        values = builder.bitcast(builder.shl(wide, constant(word, GROUP, 16)), single)
    else:  # moved to the exponents of float32, which scales subnormals as well; Inf and NaN have the last one
        magnitude = builder.shl(builder.and_(wide, constant(word, GROUP, 0x7FFF)), constant(word, GROUP, 13))
        sign = builder.shl(builder.and_(wide, constant(word, GROUP, 0x8000)), constant(word, GROUP, 16))
        bits = builder.or_(magnitude, sign)
        scale = ir.Constant(single, [ir.Constant(ir.FloatType(), 2.0**112)] * GROUP)
        scaled = builder.fmul(builder.bitcast(bits, single), scale)
        beyond = builder.bitcast(builder.or_(bits, constant(word, GROUP, 0x7F800000)), single)
        is_finite = builder.icmp_unsigned("<", magnitude, constant(word, GROUP, 0x7C00 << 13))
        values = builder.select(is_finite, scaled, beyond)
    return values if number == ir.FloatType() else builder.fpext(values, ir.VectorType(number, GROUP))


def _loading(with_base: bool, is_half: bool) -> Any:
    @instruction
    def fill(typing_context: Any, values: Any, at: Any, base: Any, row: Any, row_at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            values, at, base, row, row_at = arguments
            number = ir.FloatType() if signature.args[3].dtype == types.float32 else ir.DoubleType()
            found = _widened(context, builder, signature.args[0], values, at, number, is_half)
            if with_base:
                before = load(builder, pointer(context, builder, signature.args[2], base, row_at))
                found = builder.fsub(found, builder.bitcast(before, found.type))
            place = pointer(context, builder, signature.args[3], row, row_at)
            store(builder, builder.bitcast(found, place.type.pointee), place)

        return types.void(values, types.int64, base, row, types.int64), generator_of(generate)

    return fill


widen_group = _loading(with_base=False, is_half=False)
"""row[row_at ...] = values[at ...]. (values, at, base, row, row_at); the base is not looked at.

Values are floating-point numbers, or words of bfloat16; rows are of the same type or a wider one.
"""

widen_half_group = _loading(with_base=False, is_half=True)
"""The same of words of float16."""

subtract_group = _loading(with_base=True, is_half=False)
"""row[row_at ...] = values[at ...] - base[row_at ...], rounded once; the base is of the row's type."""

subtract_half_group = _loading(with_base=True, is_half=True)
"""The same of words of float16."""


@instruction
def add_product_of_group(
    typing_context: Any, values: Any, at: Any, base: Any, factor: Any, sums: Any, sums_at: Any
) -> Any:
    """sums[sums_at ...] += factor * (values[at ...] - base[sums_at ...]), each step rounded.

    Values are floating-point numbers, or words of bfloat16. Without a base where it has no elements.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        values, at, base, factor, sums, sums_at = arguments
        kinds = signature.args
        before, place = _numbers(context, builder, kinds[4], sums, sums_at)
        found = _widened(context, builder, kinds[0], values, at, before.type.element, is_half=False)
        origin, _ = _numbers(context, builder, kinds[2], base, sums_at)
        product = builder.fmul(repeat(builder, factor), builder.fsub(found, origin))
        _put(builder, builder.fadd(before, product), place)

    return types.void(values, types.int64, base, base.dtype, sums, types.int64), generator_of(generate)


@instruction
def add_kept_of_group(
    typing_context: Any,
    values: Any,
    at: Any,
    base: Any,
    row_at: Any,
    kept: Any,
    lowest: Any,
    beyond: Any,
    factor: Any,
    weight: Any,
    row: Any,
    sums: Any,
) -> Any:
    """row = weight * (factor * (values - base)) of what is kept, else 0; sums += row; each step rounded.

    Kept is what has its bit in `kept` and reaches the magnitude `lowest` and not `beyond`, as bits; see
    reaches_of_group. The base, the row and the sums begin at row_at.

    Returns:
        How many of the differences were not zero, and, times 2**32, how many of these are kept.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, at, base, row_at, kept, lowest, beyond, factor, weight, row, sums = arguments
        kinds = signature.args
        before, sums_place = _numbers(context, builder, kinds[10], sums, row_at)
        origin, _ = _numbers(context, builder, kinds[2], base, row_at)
        _, row_place = _numbers(context, builder, kinds[9], row, row_at)
        width = kinds[9].dtype.bitwidth
        word = ir.IntType(width)
        found = _widened(context, builder, kinds[0], values, at, before.type.element, is_half=False)
        difference = builder.fsub(found, origin)
        bits = builder.bitcast(difference, ir.VectorType(word, GROUP))
        magnitudes = builder.and_(bits, constant(word, GROUP, (1 << (width - 1)) - 1))
        if width < 64:
            lowest, beyond = builder.trunc(lowest, word), builder.trunc(beyond, word)
        flags = builder.bitcast(kept, ir.VectorType(ir.IntType(1), GROUP))
        flags = builder.and_(flags, builder.icmp_unsigned(">=", magnitudes, repeat(builder, lowest)))
        flags = builder.and_(flags, builder.icmp_unsigned("<", magnitudes, repeat(builder, beyond)))
        not_zero = builder.icmp_unsigned("!=", magnitudes, constant(word, GROUP, 0))
        scaled = builder.fmul(repeat(builder, factor), difference)
        weighted = builder.fmul(repeat(builder, weight), scaled)
        result = builder.select(flags, weighted, _repeated(weighted.type, 0.0))
        _put(builder, result, row_place)
        _put(builder, builder.fadd(before, result), sums_place)
        all_bits = flags_as_word(builder, not_zero)
        kept_bits = builder.and_(all_bits, flags_as_word(builder, flags))
        counted = builder.shl(builder.ctpop(kept_bits), _I64(32))
        return builder.or_(builder.ctpop(all_bits), counted)

    signature = types.uint64(
        values,
        types.int64,
        base,
        types.int64,
        types.uint64,
        types.uint64,
        types.uint64,
        row.dtype,
        row.dtype,
        row,
        sums,
    )
    return signature, generate


# -- drop masks ----------------------------------------------------------------------------------------------


def _drawing_kept(by_element: bool) -> Any:
    @instruction
    def draw_kept(
        typing_context: Any,
        first: Any,
        at: Any,
        draw: Any,
        k0: Any,
        k1: Any,
        limits: Any,
        limits_at: Any,
        kept: Any,
        kept_at: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            first, at, draw, k0, k1, limits, limits_at, kept, kept_at = arguments
            small = builder.gep(
                context.make_array(signature.args[5])(context, builder, limits).data, [limits_at]
            )
            shared = repeat(builder, builder.zext(builder.load(small), _I64), QUADS)
            flags: list[list[Any]] = [[], [], [], []]
            for quad in range(0, GROUP, QUADS):
                calls = quads_from(builder, first, builder.add(at, _I64(quad)))
                words = philox(builder, first, calls, draw, k0, k1, DROPPING_STREAM)
                for lane, word in enumerate(words):
                    limit = shared
                    if by_element:
                        element = builder.add(builder.add(limits_at, at), _I64(lane * (BLOCK // 4) + quad))
                        place = pointer(context, builder, signature.args[5], limits, element, QUADS)
                        limit = builder.zext(load(builder, place), word.type)
                    above = builder.bitcast(builder.icmp_unsigned(">", word, limit), ir.IntType(QUADS))
                    flags[lane].append(builder.shl(builder.zext(above, _I64), _I64(quad)))
            data = context.make_array(signature.args[7])(context, builder, kept).data
            group = builder.add(kept_at, builder.lshr(at, _I64(GROUP.bit_length() - 1)))
            for lane, parts in enumerate(flags):
                word = parts[0]
                for part in parts[1:]:
                    word = builder.or_(word, part)
                place = builder.add(group, _I64(lane * (BLOCK // 4 // GROUP)))
                builder.store(word, builder.gep(data, [place]))

        signature = types.void(
            types.uint64,
            types.int64,
            types.int64,
            types.uint64,
            types.uint64,
            limits,
            types.int64,
            kept,
            types.int64,
        )
        return signature, generator_of(generate)

    return draw_kept


draw_kept = _drawing_kept(by_element=False)
"""Set the bits of the elements whose words are above limits[limits_at], of calls first + at ... of GROUP.

(first, at, draw, k0, k1, limits, limits_at, kept, kept_at). `first` is the first call of a block, whose bits
begin with kept[kept_at], a word for GROUP elements; limits are uint32.
"""

draw_kept_by_element = _drawing_kept(by_element=True)
"""The same with a limit for each element: those of the block begin with limits[limits_at]."""


# -- sums ----------------------------------------------------------------------------------------------------

_SUMS = 8
"""So many of the 64 lanes of a sum are added at a time: as many float64 as a vector of 512 bits holds."""

STEP = 64
"""Lanes of a sum: element l of a block is added to lane l % STEP."""


def _adding(squared: bool) -> Any:
    @instruction
    def add(
        typing_context: Any,
        values: Any,
        at: Any,
        base: Any,
        base_at: Any,
        groups: Any,
        kept: Any,
        kept_at: Any,
        lowest: Any,
        beyond: Any,
        lanes: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            values, at, base, base_at, groups, kept, kept_at, lowest, beyond, lanes = arguments
            kinds = signature.args
            width = kinds[2].dtype.bitwidth
            word, number = ir.IntType(width), ir.FloatType() if width == 32 else ir.DoubleType()
            double, bits = ir.VectorType(ir.DoubleType(), GROUP), ir.VectorType(word, GROUP)
            if width < 64:
                lowest, beyond = builder.trunc(lowest, word), builder.trunc(beyond, word)
            least, most = repeat(builder, lowest), repeat(builder, beyond)
            masks = context.make_array(kinds[5])(context, builder, kept)
            has_bits = builder.icmp_signed(">", builder.extract_value(masks.shape, 0), _I64(0))
            everything = cgutils.alloca_once_value(builder, _I64(-1))  # type: ignore[no-untyped-call]
            sums = context.make_array(kinds[9])(context, builder, lanes).data
            places = [
                builder.bitcast(builder.gep(sums, [_I64(half * STEP)]), double.as_pointer())
                for half in range(2)
            ]
            totals = [variable(builder, builder.load(place, align=8)) for place in places]
            with cgutils.for_range(builder, groups) as loop:
                offset = builder.mul(loop.index, _I64(GROUP))
                value_at, origin_at = builder.add(at, offset), builder.add(base_at, offset)
                found = _widened(context, builder, kinds[0], values, value_at, number, is_half=False)
                origin, _ = _numbers(context, builder, kinds[2], base, origin_at)
                magnitude = builder.and_(
                    builder.bitcast(builder.fsub(found, origin), bits), bits([(1 << (width - 1)) - 1] * GROUP)
                )
                place = builder.gep(masks.data, [builder.add(kept_at, loop.index)])
                flags = builder.load(builder.select(has_bits, place, everything))
                is_kept = builder.bitcast(flags, ir.VectorType(ir.IntType(1), GROUP))
                is_kept = builder.and_(is_kept, builder.icmp_unsigned(">=", magnitude, least))
                is_kept = builder.and_(is_kept, builder.icmp_unsigned("<", magnitude, most))
                terms = builder.bitcast(magnitude, ir.VectorType(number, GROUP))
                wide = terms if width == 64 else builder.fpext(terms, double)
                wide = builder.fmul(wide, wide) if squared else wide
                before, kept_before = (builder.load(total) for total in totals)
                builder.store(builder.fadd(before, wide), totals[0])
                added = builder.select(is_kept, builder.fadd(kept_before, wide), kept_before)
                builder.store(added, totals[1])
            for place, total in zip(places, totals, strict=True):
                builder.store(builder.load(total), place, align=8)

        signature = types.void(
            values,
            types.int64,
            base,
            types.int64,
            types.int64,
            kept,
            types.int64,
            types.uint64,
            types.uint64,
            lanes,
        )
        return signature, generator_of(generate)

    return add


add_kept_magnitudes = _adding(squared=False)
"""Add |values - base| to the lanes of a sum, and that of what is kept to those of another.

(values, at, base, base_at, groups, kept, kept_at, lowest, beyond, lanes), of so many groups. Kept is what has
its bit in kept[kept_at ...], a word a group, or where `kept` has no elements all, and reaches the magnitude
`lowest` and not `beyond`, as bits. The lanes [2, STEP] are float64.
"""

add_kept_squares = _adding(squared=True)
"""The same of squares."""


@instruction
def products_of_tile(
    typing_context: Any, rows: Any, i: Any, j: Any, steps: Any, lanes: Any, first_pair: Any, pair: Any
) -> Any:
    """Add the products of rows i, i + 1 with rows j, j + 1 to the lanes of four sums.

    Args:
        rows: [even, elements] float64 of which steps * STEP are looked at.
        lanes: [sums, STEP] float64; the products of row i go to sums first_pair and first_pair + 1, those of
            the row after it to pair and pair + 1.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        rows, i, j, steps, lanes, first_pair, pair = arguments
        double = ir.VectorType(ir.DoubleType(), _SUMS)
        parts = context.make_array(signature.args[0])(context, builder, rows)
        stride = builder.extract_value(parts.strides, 0)
        sums = context.make_array(signature.args[4])(context, builder, lanes).data

        def row_at(number: Any) -> Any:
            start = builder.ptrtoint(parts.data, _I64)
            return builder.add(start, builder.mul(number, stride))

        starts = [row_at(number) for number in (i, builder.add(i, _I64(1)), j, builder.add(j, _I64(1)))]
        pairs = [first_pair, builder.add(first_pair, _I64(1)), pair, builder.add(pair, _I64(1))]
        function = builder.function
        for lane in range(0, STEP, _SUMS):
            places = [
                builder.bitcast(
                    builder.gep(sums, [builder.add(builder.mul(number, _I64(STEP)), _I64(lane))]),
                    double.as_pointer(),
                )
                for number in pairs
            ]
            before = [builder.load(place, align=8) for place in places]
            entry = builder.block
            body, after = (function.append_basic_block(name) for name in ("tile.body", "tile.after"))
            builder.branch(body)
            builder.position_at_end(body)
            step = builder.phi(_I64)
            step.add_incoming(_I64(0), entry)
            totals = [builder.phi(double) for _ in places]
            for total, value in zip(totals, before, strict=True):
                total.add_incoming(value, entry)
            offset = builder.mul(builder.add(builder.mul(step, _I64(STEP)), _I64(lane)), _I64(8))
            values = [
                builder.load(builder.inttoptr(builder.add(start, offset), double.as_pointer()), align=8)
                for start in starts
            ]
            results = [
                builder.fadd(total, builder.fmul(values[left], values[right]))
                for total, (left, right) in zip(totals, [(0, 2), (0, 3), (1, 2), (1, 3)], strict=True)
            ]
            following = builder.add(step, _I64(1))
            step.add_incoming(following, body)
            for total, result in zip(totals, results, strict=True):
                total.add_incoming(result, body)
            builder.cbranch(builder.icmp_signed("<", following, steps), body, after)
            builder.position_at_end(after)
            for place, result in zip(places, results, strict=True):
                builder.store(result, place, align=8)

    signature = types.void(rows, types.int64, types.int64, types.int64, lanes, types.int64, types.int64)
    return signature, generator_of(generate)
