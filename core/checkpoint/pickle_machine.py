"""What a pickle of torch's says, by a machine of our own that runs nothing of what the pickle names.

A pickle is a program for a stack machine: it names functions and says with what to call them. This one
knows the opcodes that Python's own picklers of protocols 2 to 5 write, and the few names below, and every
call makes a plain value: a dictionary, a description of a tensor, or a note that something is there. Any
other name or opcode is refused. Source: the comments in CPython's pickletools.py.

Dictionaries have text as keys only, of which Python's hashes cannot be foretold; a key of another kind is
something that equals itself alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from core.checkpoint.stored import MAX_DIMENSIONS
from core.dtypes import DTYPES
from core.text import shown

__all__ = ["BadPickleError", "ForeignNameError", "PickledTensor", "Storage", "read_pickle"]

_MAX_STEPS = 1_000_000
"""Opcodes. Some thirty-five a tensor; the largest files known have a twentieth of that."""

_MAX_INTEGER_BYTES = 32
_MOST_ARGUMENTS = 16
_MOST_KEY_CHARACTERS = 200
"""What is said once can be used at every step: nothing of its size may cost time each time."""


class BadPickleError(Exception):
    """It is damaged, or holds more than weights; the text goes on from the name of the file."""


class ForeignNameError(Exception):
    """It names something that no model's weights need."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of bytes that tensors are views of.

    Attributes:
        key: its name in the archive, after `data/`.
        dtype: of its elements, as torch spells it; None for mere bytes.
        numel: of its elements.
    """

    key: str
    dtype: str | None
    numel: int


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """A tensor as the pickle describes it. Nothing but the types of its parts was checked.

    Attributes:
        storage: what it is a view of.
        offset: of its first element in the storage, in elements.
        shape, stride: as torch has them, in elements.
        dtype: as torch spells it.
        is_plain: whether its bytes are its values, and not yet to be negated or conjugated.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    is_plain: bool


@dataclass(frozen=True, slots=True)
class _Name:
    module: str
    name: str


class _Something:
    """What is in the pickle and is no weight."""

    __slots__ = ()


class _Mark:
    __slots__ = ()


_MARK = _Mark()

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": None,
}
"""What the elements of torch's storage classes are."""

_DTYPES = {dtype.torch_name for dtype in DTYPES.values()} | {
    *("complex128", "complex32", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
}

_NOT_WEIGHTS = {
    "torch": {"Size", "device", "Tensor", *_DTYPES},
    "torch._tensor": {"Tensor"},
    "torch.nn.parameter": {"Parameter", "Buffer"},
    "torch.torch_version": {"TorchVersion"},
    "torch.serialization": {"_get_layout"},
    "collections": {"Counter", "defaultdict", "deque"},
    "argparse": {"Namespace"},
    "types": {"SimpleNamespace"},
    "datetime": {"datetime", "date", "timedelta"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "_codecs": {"encode"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"scalar", "_reconstruct"},
    "numpy._core.multiarray": {"scalar", "_reconstruct"},
}
_NOT_WEIGHTS["builtins"] = _NOT_WEIGHTS["__builtin__"] = {
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object"),
    *("range", "set", "slice", "str", "tuple"),
}
"""What training scripts keep beside weights: losses, dates, options. It is noted and not made."""


def read_pickle(data: bytes) -> Any:
    """The value that `data` describes: dictionaries, lists, tuples, text, numbers and PickledTensors.

    Raises:
        ForeignNameError: it names what is none of a model's weights.
        BadPickleError: it is damaged, or too much.
    """
    try:
        return _Machine(data).run()
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise BadPickleError("its data.pkl is damaged") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadPickleError(f"its data.pkl has {shown(value)} where text belongs")
    return value


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > MAX_DIMENSIONS:
        raise BadPickleError("its data.pkl has a tensor of a shape that is none")
    if not all(type(size) is int for size in value):
        raise BadPickleError("its data.pkl has a tensor whose shape is not a list of sizes")
    return tuple(value)


def _number(value: Any) -> int:
    if type(value) is not int:
        raise BadPickleError(f"its data.pkl has {shown(value)} where a number belongs")
    return value


# -- calls: what torch would call with the same arguments


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> PickledTensor:
    """torch._utils._rebuild_tensor and _v2: `more` is requires_grad, hooks and, rarely, metadata."""
    if not isinstance(storage, Storage):
        raise BadPickleError("its data.pkl has a tensor without a storage")
    is_plain = len(more) < 3 or not more[2]
    dtype = storage.dtype or "uint8"
    return PickledTensor(storage, _number(offset), _sizes(size), _sizes(stride), dtype, is_plain)


def _rebuild_tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *more: Any
) -> PickledTensor:
    """torch._utils._rebuild_tensor_v3, for the types that have no storage class of their own."""
    if not isinstance(dtype, _Name) or dtype.name not in _DTYPES:
        raise BadPickleError("its data.pkl has a tensor without an element type")
    return replace(_rebuild_tensor(storage, offset, size, stride, grad, hooks, *more), dtype=dtype.name)


def _same(data: Any, *more: Any) -> Any:
    """torch._utils._rebuild_parameter and _with_state: the tensor is the parameter's."""
    return data


def _rebuild_from_type(call: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """torch._tensor._rebuild_from_type_v2: a tensor with attributes of its own."""
    if call == _Name("torch._tensor", "_rebuild_from_type_v2"):
        raise BadPickleError("its data.pkl has a tensor within a tensor")
    return _call(call, arguments)


def _ordered_dict(*arguments: Any) -> dict[Any, Any]:
    """Empty: the picklers fill it afterwards."""
    if arguments:
        raise BadPickleError("its data.pkl has a dictionary as torch does not write them")
    return {}


_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _same,
    ("torch._utils", "_rebuild_parameter_with_state"): _same,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
}


def _name(module: str, name: str) -> _Name:
    found = _Name(module, name)
    is_storage = name in _STORAGES and module in ("torch", "torch.storage", "torch.cuda")
    if not (is_storage or (module, name) in _CALLS or name in _NOT_WEIGHTS.get(module, ())):
        raise ForeignNameError(f"{module}.{name}")
    return found


def _call(name: Any, arguments: Any) -> Any:
    if not isinstance(name, _Name) or not isinstance(arguments, tuple) or len(arguments) > _MOST_ARGUMENTS:
        raise BadPickleError("its data.pkl calls what is no function")
    function = _CALLS.get((name.module, name.name))
    if function is None:
        return _Something()
    try:
        return function(*arguments)
    except TypeError as error:
        raise BadPickleError(f"its data.pkl calls {name.name} with other arguments than torch") from error


def _key(value: Any) -> Any:
    return value if isinstance(value, str) else _Something()


class _Machine:
    """One pickle, and what the machine holds while it is read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        data, stack, memo, steps = self._data, self._stack, self._memo, _STEPS
        for _ in range(_MAX_STEPS):
            at = self._at
            code = data[at]
            self._at = at + 1
            step = steps.get(code)
            if step is not None:
                step(self)
            elif code == 0x71:  # BINPUT; it and the next two are two thirds of all, so they are done here
                memo[data[at + 1]] = stack[-1]
                self._at = at + 2
            elif code == 0x68:  # BINGET
                if data[at + 1] not in memo:
                    raise BadPickleError("its data.pkl is damaged")
                stack.append(memo[data[at + 1]])
                self._at = at + 2
            elif code == 0x4B:  # BININT1
                stack.append(data[at + 1])
                self._at = at + 2
            elif code == 0x2E:  # STOP
                return stack.pop()
            else:
                raise BadPickleError(f"its data.pkl has the opcode {code:#04x}, which torch does not write")
        raise BadPickleError(f"its data.pkl has more than {_MAX_STEPS:,} steps, too many for a model")

    def take(self, size: int) -> bytes:
        begin = self._at
        self._at = end = begin + size
        if end > len(self._data):
            raise BadPickleError("its data.pkl ends too early")
        return self._data[begin:end]

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def count(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int) -> int:
        if size > _MAX_INTEGER_BYTES:
            raise BadPickleError(f"its data.pkl has a number of {size:,} bytes")
        return int.from_bytes(self.take(size), "little", signed=True)

    def text(self, size: int) -> str:
        return self.take(self.count(size)).decode("utf-8", "surrogatepass")

    def line(self) -> str:
        end = self._data.find(b"\n", self._at, self._at + 1_000)
        if end < 0:
            raise BadPickleError("its data.pkl is damaged")
        line = self._data[self._at : end].decode()
        self._at = end + 1
        return line

    def after_mark(self) -> list[Any]:
        stack = self._stack
        at = len(stack) - 1
        while stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise BadPickleError("its data.pkl is damaged")
        items = stack[at + 1 :]
        del stack[at:]
        return items

    def memorise(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def recall(self, number: int) -> None:
        if number not in self._memo:
            raise BadPickleError("its data.pkl is damaged")
        self._stack.append(self._memo[number])

    def named(self, module: str, name: str) -> None:
        self.push(_name(module, name))

    def named_by_stack(self) -> None:
        name, module = _text(self._stack.pop()), _text(self._stack.pop())
        self.named(module, name)

    def reduce(self) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        self.push(_call(name, arguments))

    def reduce_with_keywords(self) -> None:
        self._stack.pop()
        self.reduce()

    def exchange(self, items: list[Any]) -> None:
        """Keep only that there was something."""
        self.push(_Something())

    def build(self) -> None:
        """The attributes of an object, of which none is a weight."""
        self._stack.pop()

    def set_items(self, items: list[Any]) -> None:
        holder = self._stack[-1]
        if isinstance(holder, dict):
            holder.update((_key(items[at]), items[at + 1]) for at in range(0, len(items) - 1, 2))
        elif not isinstance(holder, _Something):
            raise BadPickleError("its data.pkl is damaged")

    def append_items(self, items: list[Any]) -> None:
        holder = self._stack[-1]
        if isinstance(holder, list):
            holder.extend(items)
        elif not isinstance(holder, _Something):
            raise BadPickleError("its data.pkl is damaged")

    def top(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise BadPickleError("its data.pkl is damaged")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def persistent(self) -> None:
        """A storage, which stands outside the pickle: ("storage", class, key, location, elements)."""
        value = self._stack.pop()
        if not (isinstance(value, tuple) and len(value) >= 5 and value[0] == "storage"):
            raise BadPickleError("its data.pkl refers to something that is no storage")
        kind = value[1]
        if not isinstance(kind, _Name) or kind.name not in _STORAGES:
            raise BadPickleError("its data.pkl has a storage of no known class")
        key = _text(value[2])
        if len(key) > _MOST_KEY_CHARACTERS:
            raise BadPickleError("its data.pkl has a storage of no name")
        self.push(Storage(key, _STORAGES[kind.name], _number(value[4])))


_STEPS: dict[int, Callable[[_Machine], Any]] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    0x28: lambda m: m.push(_MARK),
    0x30: lambda m: m.top(1),  # POP
    0x31: lambda m: m.after_mark(),  # POP_MARK
    0x4E: lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    0x4A: lambda m: m.push(m.signed(4)),  # BININT
    0x4D: lambda m: m.push(m.count(2)),
    0x8A: lambda m: m.push(m.signed(m.count(1))),  # LONG1
    0x8B: lambda m: m.push(m.signed(m.count(4))),
    0x47: lambda m: m.push(struct.unpack(">d", m.take(8))[0]),  # BINFLOAT
    0x58: lambda m: m.push(m.text(4)),  # BINUNICODE
    0x8C: lambda m: m.push(m.text(1)),
    0x8D: lambda m: m.push(m.text(8)),
    0x55: lambda m: m.push(m.take(m.count(1)).decode("latin-1")),  # SHORT_BINSTRING, of Python 2
    0x54: lambda m: m.push(m.take(m.count(4)).decode("latin-1")),
    0x42: lambda m: m.push(m.take(m.count(4))),  # BINBYTES
    0x43: lambda m: m.push(m.take(m.count(1))),
    0x8E: lambda m: m.push(m.take(m.count(8))),
    0x96: lambda m: m.push(m.take(m.count(8))),  # BYTEARRAY8
    0x5D: lambda m: m.push([]),
    0x61: lambda m: m.append_items(m.top(1)),
    0x65: lambda m: m.append_items(m.after_mark()),
    0x29: lambda m: m.push(()),
    0x85: lambda m: m.push(tuple(m.top(1))),
    0x86: lambda m: m.push(tuple(m.top(2))),
    0x87: lambda m: m.push(tuple(m.top(3))),
    0x74: lambda m: m.push(tuple(m.after_mark())),
    0x7D: lambda m: m.push({}),
    0x73: lambda m: m.set_items(m.top(2)),
    0x75: lambda m: m.set_items(m.after_mark()),
    0x8F: lambda m: m.push(_Something()),  # EMPTY_SET
    0x90: lambda m: m.append_items(m.after_mark()),  # ADDITEMS
    0x91: lambda m: m.exchange(m.after_mark()),  # FROZENSET
    0x72: lambda m: m.memorise(m.count(4)),  # LONG_BINPUT
    0x94: lambda m: m.memorise(len(m._memo)),
    0x6A: lambda m: m.recall(m.count(4)),  # LONG_BINGET
    0x63: lambda m: m.named(m.line(), m.line()),  # GLOBAL
    0x93: _Machine.named_by_stack,
    0x52: _Machine.reduce,
    0x81: _Machine.reduce,  # NEWOBJ
    0x92: _Machine.reduce_with_keywords,  # NEWOBJ_EX
    0x62: _Machine.build,
    0x51: _Machine.persistent,
}
"""By opcode, but for those in `_Machine.run`. Of protocols 0 and 1, torch never wrote the others."""
