"""Where every tensor of the output goes: shard files, their headers and offsets, before any work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.checkpoint.headers import encode_header
from core.checkpoint.model import SINGLE_NAME
from core.dtypes import DType

__all__ = ["OutputTensor", "Placement", "ShardLayout", "index_json", "lay_out"]

_MOST_TENSORS = 20_000
"""In one file: of names of a thousand characters that is a header of 20 MB, less than MAX_HEADER_BYTES."""


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor to be written."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a tensor's first byte goes: the number of its shard, and the offset in that file."""

    shard: int
    offset: int


@dataclass(frozen=True)
class ShardLayout:
    """One output file: its name, its first bytes, its whole size, and the tensors in it."""

    file_name: str
    header: bytes
    size_bytes: int
    tensors: tuple[str, ...]


def lay_out(
    tensors: Sequence[OutputTensor], shard_size_bytes: int
) -> tuple[tuple[ShardLayout, ...], dict[str, Placement]]:
    """Distribute `tensors`, in order, over files of at most `shard_size_bytes` of data each.

    A tensor larger than that gets a file of its own, and no file gets more tensors than are read back.
    Within a file wider types come first, so that
    every tensor is aligned to its element size, as the safetensors library has it.
    """
    groups: list[list[OutputTensor]] = [[]]
    filled = 0
    for tensor in tensors:
        group = groups[-1]
        if group and (filled + tensor.size_bytes > shard_size_bytes or len(group) == _MOST_TENSORS):
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.size_bytes
    shards = []
    placements: dict[str, Placement] = {}
    for number, group in enumerate(groups):
        name = SINGLE_NAME
        if len(groups) > 1:
            name = f"model-{number + 1:05d}-of-{len(groups):05d}.safetensors"
        entries = {}
        position = 0
        for tensor in sorted(group, key=lambda tensor: -tensor.dtype.itemsize):
            end = position + tensor.size_bytes
            entries[tensor.name] = (tensor.dtype, tensor.shape, position, end)
            position = end
        header = encode_header(entries)
        for tensor_name, (_, _, begin, _) in entries.items():
            placements[tensor_name] = Placement(number, len(header) + begin)
        shards.append(ShardLayout(name, header, len(header) + position, tuple(entries)))
    return tuple(shards), placements


def index_json(shards: Sequence[ShardLayout]) -> bytes:
    """The content of model.safetensors.index.json for several shards."""
    weight_map: Mapping[str, str] = {name: shard.file_name for shard in shards for name in shard.tensors}
    total = sum(shard.size_bytes - len(shard.header) for shard in shards)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
