"""Where every tensor of the output goes: shard files, their headers and offsets, before any work."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.checkpoint.headers import encode_header
from core.dtypes import DType

__all__ = ["OutputTensor", "Placement", "ShardLayout", "index_files", "lay_out"]

_PART = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")

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
    tensors: Sequence[OutputTensor],
    shard_size_bytes: int,
    *,
    weights_name: str = "model",
    components: Mapping[str, str] | None = None,
) -> tuple[tuple[ShardLayout, ...], dict[str, Placement]]:
    """Distribute `tensors`, in order, over files of at most `shard_size_bytes` of data each.

    A tensor larger than that gets a file of its own, and no file gets more tensors than are read back.
    Within a file wider types come first, so that
    every tensor is aligned to its element size, as the safetensors library has it.

    Args:
        tensors: what is written.
        shard_size_bytes: the most data of a file.
        weights_name: how the files are called, without parts and ending.
        components: folders with files of their own, and how these are called. The tensors in them have the
            folder and a slash before their name, which the file does not have.
    """
    of_folder: dict[str, list[OutputTensor]] = {}
    for tensor in tensors:
        folder = tensor.name.rpartition("/")[0] if components else ""
        of_folder.setdefault(folder if folder in (components or {}) else "", []).append(tensor)
    shards: list[ShardLayout] = []
    placements: dict[str, Placement] = {}
    for folder, inside in (of_folder or {"": []}).items():
        start = f"{folder}/" if folder else ""
        stem = start + ((components or {})[folder] if folder else weights_name)
        groups = _groups(inside, shard_size_bytes)
        for number, group in enumerate(groups, start=1):
            part = f"-{number:05d}-of-{len(groups):05d}" if len(groups) > 1 else ""
            entries = {}
            position = 0
            for tensor in sorted(group, key=lambda tensor: -tensor.dtype.itemsize):
                end = position + tensor.size_bytes
                entries[tensor.name.removeprefix(start)] = (tensor.dtype, tensor.shape, position, end)
                position = end
            header = encode_header(entries)
            for name, (_, _, begin, _) in entries.items():
                placements[start + name] = Placement(len(shards), len(header) + begin)
            names = tuple(start + name for name in entries)
            shards.append(ShardLayout(f"{stem}{part}.safetensors", header, len(header) + position, names))
    return tuple(shards), placements


def _groups(tensors: Sequence[OutputTensor], shard_size_bytes: int) -> list[list[OutputTensor]]:
    groups: list[list[OutputTensor]] = [[]]
    filled = 0
    for tensor in tensors:
        group = groups[-1]
        if group and (filled + tensor.size_bytes > shard_size_bytes or len(group) == _MOST_TENSORS):
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.size_bytes
    return groups


def index_files(shards: Sequence[ShardLayout]) -> dict[str, bytes]:
    """The index of each set of several shards, by its name ("model.safetensors.index.json")."""
    of_stem: dict[str, list[ShardLayout]] = {}
    for shard in shards:
        if found := _PART.search(shard.file_name):
            of_stem.setdefault(shard.file_name[: found.start()], []).append(shard)
    files = {}
    for stem, group in of_stem.items():
        start = len(stem.rpartition("/")[0]) + 1 if "/" in stem else 0
        weight_map = {name[start:]: shard.file_name[start:] for shard in group for name in shard.tensors}
        total = sum(shard.size_bytes - len(shard.header) for shard in group)
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        data = (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
        files[f"{stem}.safetensors.index.json"] = data
    return files
