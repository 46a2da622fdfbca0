"""What loops tell LLVM directly: instructions that numba has no words for, and what they are made of.

LLVM divides the vectors into what the processor has. Loops over single elements are not compiled to these
instructions, or only where the compiler happens to see it, after seconds.

numba's disk cache goes by the caller's file alone. So a file whose loops use instructions says in
`_INSTRUCTIONS` which version of them it is compiled with: a test has that changed when they change, and
with it the file, so that nobody goes on with what was compiled before.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "GROUP",
    "bits_of",
    "call",
    "constant",
    "flags_as_word",
    "float32_of_bits",
    "instruction",
    "load",
    "ones_of",
    "pointer",
    "repeat",
    "store",
    "variable",
]

GROUP = 64
"""So many elements make one bit each of a word of the machine."""


def instruction(generator: Any) -> Any:
    """intrinsic, of which type checkers would believe that it is called with a typing context."""
    return intrinsic(generator)


# -- vectors, while code is generated ------------------------------------------------------------------------


def constant(kind: Any, size: int, number: int) -> Any:
    return ir.Constant(ir.VectorType(kind, size), [number] * size)


def repeat(builder: Any, number: Any, size: int = GROUP) -> Any:
    """A vector of `size` times `number`."""
    one = builder.insert_element(
        ir.Constant(ir.VectorType(number.type, size), ir.Undefined), number, ir.IntType(32)(0)
    )
    return builder.shuffle_vector(one, one, constant(ir.IntType(32), size, 0))


def pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any, size: int = GROUP) -> Any:
    """To the vector of `size` numbers from array[at] on."""
    data = context.make_array(array_type)(context, builder, array).data
    kind = ir.VectorType(ir.IntType(array_type.dtype.bitwidth), size)
    return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())


def load(builder: Any, pointer: Any) -> Any:
    return builder.load(pointer, align=pointer.type.pointee.element.width // 8)


def store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, pointer, align=vector.type.element.width // 8)


def call(builder: Any, name: str, vector: Any, returned: Any = None) -> Any:
    """One of LLVM's functions of a vector, which returns another, or a number."""
    kind = ir.FunctionType(returned or vector.type, [vector.type])
    name = f"{name}.v{vector.type.count}i{vector.type.element.width}"
    function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(function, [vector])


def variable(builder: Any, value: Any) -> Any:
    """Memory that holds `value` at first; LLVM makes a register of it."""
    place: Any = cgutils.alloca_once_value(builder, value)  # type: ignore[no-untyped-call]
    return place


def flags_as_word(builder: Any, flags: Any) -> Any:
    """GROUP flags as a word."""
    return builder.bitcast(flags, ir.IntType(64))


# -- instructions of single numbers --------------------------------------------------------------------------


@intrinsic
def float32_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 whose bits are the uint32 `bits`; unlike a view, it leaves a loop vectorised."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


@instruction
def ones_of(typing_context: Any, word: Any) -> Any:
    """How many bits of the uint64 `word` are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@instruction
def bits_of(typing_context: Any, value: Any) -> Any:
    """The bits of a float32 or float64, as an unsigned integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(signature.return_type.bitwidth))

    return (types.uint32 if value == types.float32 else types.uint64)(value), generate
