"""Which of 64 deltas are zero, and which of 64 numbers are large, in the few instructions that it takes."""

from __future__ import annotations

from typing import Any

from numba import types

from core.kernels.cpu.instructions import GROUP, flags_as_word, instruction, load, pointer, repeat

__all__ = ["above_of_64", "changed_of_64"]


@instruction
def changed_of_64(typing_context: Any, words: Any, base: Any, at: Any, magnitude_mask: Any) -> Any:
    """Of the 64 words from `at` on, which differ from the base's and are not zeros of two signs."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a = load(builder, pointer(context, builder, signature.args[0], arguments[0], arguments[2]))
        b = load(builder, pointer(context, builder, signature.args[1], arguments[1], arguments[2]))
        magnitudes = builder.and_(builder.or_(a, b), repeat(builder, arguments[3]))
        not_zero = builder.icmp_unsigned("!=", magnitudes, magnitudes.type([0] * GROUP))
        changed = builder.and_(builder.icmp_unsigned("!=", a, b), not_zero)
        return flags_as_word(builder, changed)

    return types.uint64(words, base, types.intp, words.dtype), generate


@instruction
def above_of_64(typing_context: Any, words: Any, at: Any, mask: Any, limit: Any) -> Any:
    """Of the 64 unsigned words from `at` on, which are above `limit` in the bits of `mask`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = load(builder, pointer(context, builder, signature.args[0], arguments[0], arguments[1]))
        masked = builder.and_(numbers, repeat(builder, arguments[2]))
        above = builder.icmp_unsigned(">", masked, repeat(builder, arguments[3]))
        return flags_as_word(builder, above)

    return types.uint64(words, types.intp, words.dtype, words.dtype), generate
