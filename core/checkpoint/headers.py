"""What a file of weights says of its tensors; the header of a safetensors file, checked to the last byte.

Format: eight bytes with the header's length (little-endian), the header (JSON), the data. Source:
https://huggingface.co/docs/safetensors. A file that this module accepts has every tensor's bytes
inside it, without overlaps and without holes.
Files that torch.save wrote are read by core.checkpoint.pickles.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import xxhash

from core.checkpoint.files import FileState, ReadFile
from core.checkpoint.kinds import refuse_other_kinds
from core.checkpoint.pickles import is_pickle_name, read_pickle_header
from core.checkpoint.stored import MAX_DIMENSIONS, ShardHeader, StoredTensor, is_count, name_problem
from core.dtypes import DTYPES, DType
from core.errors import CheckpointError
from core.small_files import parse_json
from core.text import shown

__all__ = [
    "MAX_HEADER_BYTES",
    "ShardHeader",
    "StoredTensor",
    "encode_header",
    "read_header",
    "read_header_again",
]

_REMEMBERED = 16_384
"""Headers: of fifty models of two hundred files each, and more."""

MAX_HEADER_BYTES = 25_000_000
"""A quarter of what the safetensors library allows itself: that much can take gigabytes when it is parsed."""

_MAX_HEADER_PARTS = 500_000
"""Lists, objects and commas: some eight a tensor. The largest files known have a twentieth of that."""


def read_header(path: Path) -> ShardHeader:
    """Parse and check what `path`, a safetensors file or one of torch.save, says of its tensors.

    No weights are read.

    A file that the system says is the same as before is not read again.

    Raises:
        CheckpointError: the file cannot be read, or is damaged in any way.
    """
    try:
        state = FileState.of(path.stat())
    except (OSError, ValueError):
        return _read_header.__wrapped__(path, None)  # which says what is wrong
    with _LOCKS[hash(path) % len(_LOCKS)]:
        return _read_header(path, state)


def read_header_again(path: Path) -> ShardHeader:
    """The same, from the file itself, whatever is remembered. Raises as `read_header`."""
    return _read_header.__wrapped__(path, None)


_LOCKS = tuple(threading.Lock() for _ in range(64))
"""Two threads that want the same header at once do not both parse it."""


@lru_cache(maxsize=_REMEMBERED)
def _read_header(path: Path, state: FileState | None) -> ShardHeader:
    if is_pickle_name(path.name):
        return read_pickle_header(path)
    with ReadFile(path) as file:
        if file.size_bytes < 8:
            raise _damaged(path, f"it has only {file.size_bytes} bytes")
        prefix = bytearray(8)
        file.read_into(memoryview(prefix), 0)
        length = int.from_bytes(prefix, "little")
        if length > MAX_HEADER_BYTES or 8 + length > file.size_bytes or not length:
            refuse_other_kinds(file, "safetensors")
        if length > MAX_HEADER_BYTES:
            raise _damaged(path, f"its header claims {length:,} bytes")
        if 8 + length > file.size_bytes:
            raise _damaged(path, f"its header claims {length:,} bytes and the file has {file.size_bytes:,}")
        raw = bytearray(length)
        file.read_into(memoryview(raw), 8)
        tensors = _parse(path, raw, data_start=8 + length, file_size=file.size_bytes)
        hasher = xxhash.xxh3_128(bytes(prefix))
        hasher.update(raw)
        digest = hasher.hexdigest()
        return ShardHeader(path, file.state, digest, tensors)


def encode_header(tensors: dict[str, tuple[DType, tuple[int, ...], int, int]]) -> bytes:
    """The first bytes of a safetensors file, up to its data: name -> (dtype, shape, begin, end)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, (dtype, shape, begin, end) in tensors.items():
        header[name] = {"dtype": dtype.name, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _parse(path: Path, raw: bytearray, *, data_start: int, file_size: int) -> tuple[StoredTensor, ...]:
    try:
        header = parse_json(raw, _MAX_HEADER_PARTS, _unique_keys)
    except _RepeatedKey as error:
        raise _damaged(path, f"{shown(error.key)} stands twice in its header", error.key) from error
    except ValueError as error:
        raise _damaged(path, f"its header {error}") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a JSON object")
    header.pop("__metadata__", None)
    tensors = [_entry(path, name, entry, data_start) for name, entry in header.items()]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.size_bytes))
    position = data_start
    for tensor in tensors:
        if tensor.offset != position:
            raise _damaged(
                path, f"the data of tensor {tensor.name!r} overlaps another or leaves a gap", tensor.name
            )
        position += tensor.size_bytes
        if position > file_size:
            raise CheckpointError(
                f"{path} is truncated: tensor {tensor.name!r} ends at byte {position:,} "
                f"and the file has {file_size:,}",
                hint="copy or download the file again",
                path=path,
                tensor=tensor.name,
            )
    if position != file_size:
        raise _damaged(path, f"{file_size - position:,} bytes at its end belong to no tensor")
    return tuple(tensors)


def _entry(path: Path, name: str, entry: Any, data_start: int) -> StoredTensor:
    if (problem := name_problem(name)) is not None:
        raise _damaged(path, problem)
    if not isinstance(entry, dict):
        raise _damaged(path, f"the entry of tensor {name!r} is not an object", name)
    dtype_name, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype_name, str):
        raise _damaged(path, f"tensor {name!r} has no dtype", name)
    if dtype_name not in DTYPES:
        raise CheckpointError(
            f"tensor {name!r} of {path} is stored as {shown(dtype_name)}, which Paramosaic cannot read",
            hint="use a checkpoint that is not quantised: F64, F32, F16, BF16, F8_E4M3 or F8_E5M2",
            path=path,
            tensor=name,
        )
    if not isinstance(shape, list) or not all(is_count(size) for size in shape):
        raise _damaged(path, f"the shape of tensor {name!r} is not a list of sizes", name)
    if len(shape) > MAX_DIMENSIONS:
        raise _damaged(path, f"tensor {name!r} has {len(shape):,} dimensions", name)
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(is_count(at) for at in offsets):
        raise _damaged(path, f"the data offsets of tensor {name!r} are not two numbers", name)
    dtype = DTYPES[dtype_name]
    size = prod(shape) * dtype.itemsize
    if offsets[1] - offsets[0] != size:
        raise _damaged(
            path,
            f"tensor {name!r} has {offsets[1] - offsets[0]:,} bytes where its shape and dtype need {size:,}",
            name,
        )
    return StoredTensor(name, dtype, tuple(shape), path, data_start + offsets[0], size)


class _RepeatedKey(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RepeatedKey(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return result


def _damaged(path: Path, what: str, tensor: str | None = None) -> CheckpointError:
    return CheckpointError(
        f"{path} is not a sound safetensors file: {what}",
        hint="copy or download the file again",
        path=path,
        tensor=tensor,
    )
