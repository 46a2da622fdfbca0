"""The tensors of a file that torch.save wrote, where they lie in it. Nothing that it names is run.

Since torch 1.6 such a file is a zip archive: `data.pkl` describes the value that was saved, every storage is
a member `data/<key>` as it was in memory, and `byteorder` says "little" or "big". Source:
torch/serialization.py. What cannot be read in place is refused with the command that converts it.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import xxhash

from core.checkpoint.conversions import to_safetensors
from core.checkpoint.files import ReadFile
from core.checkpoint.kinds import refuse_other_kinds
from core.checkpoint.pickle_machine import BadPickleError, ForeignNameError, PickledTensor, read_pickle
from core.checkpoint.stored import ShardHeader, StoredTensor, is_count, name_problem
from core.checkpoint.zip_members import BadZipError, Member, ZipDirectory, data_offset, read_directory
from core.dtypes import DTYPES, DType
from core.errors import CheckpointError
from core.text import shown

__all__ = ["is_pickle_name", "is_zip", "read_pickle_header"]

_SUFFIXES = (".bin", ".pt", ".pth")

_MAX_PICKLE_BYTES = 25_000_000
"""As much as a header of safetensors may have. A tensor takes some two hundred."""

_WRAPPERS = ("state_dict", "model", "module", "model_state_dict")
"""Under what training scripts keep the weights beside other things."""

_OF_TORCH = {dtype.torch_name: dtype for dtype in DTYPES.values()}


def is_pickle_name(name: str) -> bool:
    """Whether a file of this name is one that torch.save wrote."""
    return name.lower().endswith(_SUFFIXES)


def is_zip(start: bytes | bytearray) -> bool:
    """Whether a file that begins so is a zip archive."""
    return start[:4] == b"PK\x03\x04"


def read_pickle_header(path: Path) -> ShardHeader:
    """Find every tensor of the file `path`, which torch.save wrote.

    Raises:
        CheckpointError: the file cannot be read, is damaged, or holds what cannot be read in place.
    """
    with ReadFile(path) as file:
        start = bytearray(min(4, file.size_bytes))
        file.read_into(memoryview(start), 0)
        if not is_zip(start):
            refuse_other_kinds(file, "pickle")
            raise _damaged(path, "it does not begin as torch.save begins a file")
        try:
            return _Archive(file).header()
        except (BadZipError, BadPickleError) as error:
            raise _damaged(path, str(error)) from error
        except ForeignNameError as error:
            raise CheckpointError(
                f"{path} is a pickle that names {shown(error.name)}, which is no part of a model's weights "
                "and was not run",
                hint="only if you trust whoever made it, convert it, which runs what it names: "
                + to_safetensors(path, trusted=True),
                path=path,
            ) from error


class _Archive:
    """One file while it is read."""

    def __init__(self, file: ReadFile) -> None:
        self._file, self._path = file, file.path
        self._directory: ZipDirectory = read_directory(file)
        found = [name for name in self._directory.members if _is_description(name)]
        if not found:
            raise CheckpointError(
                f"{self._path} is a zip archive and not weights that torch.save wrote: it has no data.pkl",
                hint="unpack it first",
                path=self._path,
            )
        if len(found) > 1:
            raise BadZipError("it has several data.pkl")
        self._root = found[0].removesuffix("data.pkl")
        self._begins: dict[str, int] = {}
        """Where the storages begin in the file, by key."""

    def header(self) -> ShardHeader:
        members = self._directory.members
        if f"{self._root}constants.pkl" in members and any(
            name.startswith(f"{self._root}code/") for name in members
        ):
            raise CheckpointError(
                f"{self._path} is a program of TorchScript and not weights alone",
                hint=f"take its weights: {to_safetensors(self._path, script=True)}",
                path=self._path,
            )
        description = self._read(members[f"{self._root}data.pkl"], _MAX_PICKLE_BYTES)
        order = members.get(f"{self._root}byteorder")
        order_bytes = self._read(order, 100) if order is not None else b""
        if order_bytes.strip() not in (b"", b"little"):
            raise self._unreadable(f"is stored in {shown(order_bytes.decode('latin-1'))}-endian byte order")
        tensors = [self._stored(name, one) for name, one in self._tensors(read_pickle(description)).items()]
        self._check_overlaps()
        tensors.sort(key=lambda tensor: tensor.offset)
        digest = xxhash.xxh3_128()
        for part in (description, order_bytes, self._directory.raw):
            digest.update(part)
        return ShardHeader(self._path, self._file.state, digest.hexdigest(), tuple(tensors))

    def _read(self, member: Member, most_bytes: int) -> bytes:
        if member.size_bytes > most_bytes:
            raise BadZipError(f"its member {member.name!r} has {member.size_bytes:,} bytes")
        if not member.stored:
            raise self._compressed()
        buffer = bytearray(member.size_bytes)
        begin = data_offset(self._file, member, self._directory.offset)
        self._file.read_into(memoryview(buffer), begin)
        return bytes(buffer)

    def _tensors(self, value: Any) -> dict[str, PickledTensor]:
        """The dictionary of tensors in what was saved: itself, or the one that it holds."""
        if not isinstance(value, dict):
            raise CheckpointError(
                f"{self._path} holds no dictionary of tensors, but something else that torch.save wrote",
                hint="save the model's state_dict() with torch.save",
                path=self._path,
            )
        found = {"": value} if _holds_tensors(value) else {}
        found |= {
            key: inner
            for key, inner in value.items()
            if isinstance(key, str) and isinstance(inner, dict) and _holds_tensors(inner)
        }
        if len(found) > 1:
            names = ", ".join("tensors of its own" if not key else shown(key) for key in list(found)[:5])
            raise CheckpointError(
                f"{self._path} holds several sets of tensors: {names}",
                hint="save the one that is the model as a file of its own",
                path=self._path,
            )
        key = next(iter(found), None)
        if key is None or (key and key not in _WRAPPERS):
            what = "no tensors" if key is None else f"tensors under the key {shown(key)} only"
            raise CheckpointError(
                f"{self._path} holds {what}, and not the weights of a model",
                hint="choose the file or folder that holds the model's weights",
                path=self._path,
            )
        return {name: one for name, one in found[key].items() if isinstance(one, PickledTensor)}

    def _stored(self, name: str, tensor: PickledTensor) -> StoredTensor:
        path, shape = self._path, tensor.shape
        if (problem := name_problem(name)) is not None:
            raise _damaged(path, problem)
        if not all(is_count(size) for size in (*shape, tensor.offset)) or len(tensor.stride) != len(shape):
            raise _damaged(path, f"the shape of tensor {name!r} is not a list of sizes", name)
        dtype = _OF_TORCH.get(tensor.dtype)
        if dtype is None:
            raise CheckpointError(
                f"tensor {name!r} of {path} is stored as {tensor.dtype}, which Paramosaic cannot read",
                hint="use a checkpoint that is not quantised: F64, F32, F16, BF16, F8_E4M3 or F8_E5M2",
                path=path,
                tensor=name,
            )
        if not tensor.is_plain:
            raise self._unreadable(
                f"has tensor {name!r} as the conjugate or negative of what is stored", name
            )
        size = prod(shape) * dtype.itemsize
        if size and not _is_contiguous(shape, tensor.stride):
            raise self._unreadable(f"has tensor {name!r} not in one piece (it is a transposed view)", name)
        begin = self._begin(name, tensor, dtype)
        first = tensor.offset * dtype.itemsize
        if first + size > self._directory.members[f"{self._root}data/{tensor.storage.key}"].size_bytes:
            raise _damaged(path, f"tensor {name!r} reaches beyond its storage", name)
        return StoredTensor(name, dtype, shape, path, begin + first, size)

    def _begin(self, name: str, tensor: PickledTensor, dtype: DType) -> int:
        key = tensor.storage.key
        if key not in self._begins:
            member = self._directory.members.get(f"{self._root}data/{key}")
            if member is None:
                raise _damaged(self._path, f"the data of tensor {name!r} is missing in it", name)
            if not member.stored:
                raise self._compressed()
            itemsize = dtype.itemsize if tensor.storage.dtype is not None else 1
            if tensor.storage.numel * itemsize != member.size_bytes:
                raise _damaged(
                    self._path, f"the data of tensor {name!r} has {member.size_bytes:,} bytes", name
                )
            self._begins[key] = data_offset(self._file, member, self._directory.offset)
        return self._begins[key]

    def _check_overlaps(self) -> None:
        end = 0
        for begin, key in sorted((begin, key) for key, begin in self._begins.items()):
            if begin < end:
                raise BadZipError(f"its member 'data/{key}' overlaps another")
            end = begin + self._directory.members[f"{self._root}data/{key}"].size_bytes

    def _compressed(self) -> CheckpointError:
        return self._unreadable("is compressed, so its weights cannot be read in place")

    def _unreadable(self, how: str, tensor: str | None = None) -> CheckpointError:
        return CheckpointError(
            f"{self._path} {how}",
            hint=f"convert it: {to_safetensors(self._path)}",
            path=self._path,
            tensor=tensor,
        )


def _is_description(name: str) -> bool:
    return name == "data.pkl" or (name.endswith("/data.pkl") and name.count("/") == 1)


def _holds_tensors(value: dict[Any, Any]) -> bool:
    return any(isinstance(one, PickledTensor) for one in value.values())


def _is_contiguous(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    expected = 1
    for size, step in zip(reversed(shape), reversed(stride), strict=True):
        if size != 1 and step != expected:
            return False
        expected *= size
    return True


def _damaged(path: Path, what: str, tensor: str | None = None) -> CheckpointError:
    return CheckpointError(
        f"{path} is not a sound file of torch.save: {what}",
        hint="copy or download the file again",
        path=path,
        tensor=tensor,
    )
