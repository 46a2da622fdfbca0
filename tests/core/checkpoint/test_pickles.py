"""Files of torch.save: every tensor is where torch has it, and what they name is never run."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.checkpoint.headers import ShardHeader, read_header, read_header_again
from core.checkpoint.model import open_checkpoint
from core.errors import CheckpointError


def _tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    several = torch.randn(10, generator=generator)
    parameter = torch.nn.Parameter(torch.randn(2, 3, generator=generator))
    noted = torch.nn.Parameter(torch.randn(3, generator=generator))
    noted.note = 3  # type: ignore[attr-defined]
    plain = torch.randn(2, generator=generator)
    plain.note = 3  # type: ignore[attr-defined]
    return {
        "f32": torch.randn(3, 4, generator=generator),
        "part": several[2:6],
        "rest": several[6:].view(2, 2),
        "bf16": torch.randn(5, generator=generator).bfloat16(),
        "f16": torch.randn(5, generator=generator).half(),
        "f64": torch.randn(2, generator=generator).double(),
        "f8": torch.randn(4, generator=generator).to(torch.float8_e4m3fn),
        "f8, other": torch.randn(4, generator=generator).to(torch.float8_e5m2),
        "u16": torch.arange(4).to(torch.uint16),
        "i64": torch.arange(4),
        "bool": torch.tensor([True, False, True]),
        "number": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "one row of columns": torch.randn(4, 1, generator=generator).t(),
        "parameter": parameter,
        "noted parameter": noted,
        "noted": plain,
    }


def _check(header: ShardHeader, tensors: dict[str, torch.Tensor]) -> None:
    content = header.path.read_bytes()
    assert {tensor.name for tensor in header.tensors} == set(tensors)
    for stored in header.tensors:
        tensor = tensors[stored.name].detach()
        assert stored.shape == tuple(tensor.shape)
        assert f"torch.{stored.dtype.torch_name}" == str(tensor.dtype)
        data = content[stored.offset : stored.offset + stored.size_bytes]
        whole = tensor.contiguous().view(-1).view(torch.uint8) if tensor.numel() else torch.zeros(0)
        assert data == bytes(whole.tolist())
    assert [stored.offset for stored in header.tensors] == sorted(stored.offset for stored in header.tensors)


def _rewritten(
    path: Path, change: Callable[[str, bytes], bytes] = lambda name, data: data, **how: Any
) -> None:
    """The archive again, as another program packs it."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    zip64 = how.pop("force_zip64", False)
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, data in members:
            with archive.open(name, "w", force_zip64=zip64) as file:
                file.write(change(name, data))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_type_and_kind_of_tensor(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(_tensors(), path, pickle_protocol=protocol)
    _check(read_header(path), _tensors())


def test_offsets_are_those_of_the_local_headers(tmp_path: Path) -> None:
    """zip64 fields in them are of other lengths than those of the directory."""
    path = tmp_path / "x.pt"
    torch.save(_tensors(), path)
    before = read_header(path)
    _rewritten(path, force_zip64=True)
    after = read_header_again(path)
    _check(after, _tensors())
    assert after.digest != before.digest
    assert read_header_again(path) == after


def test_what_trainers_keep_around_the_weights(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 3)}},
        "groups": [{"lr": 0.1}],
    }
    for key in ("state_dict", "model", "module"):
        path = tmp_path / f"{key}.pth"
        others = {"args": argparse.Namespace(lr=0.1), "epoch": 3, "optimizer": optimizer}
        torch.save({key: module.state_dict(), **others}, path)
        _check(read_header(path), dict(module.state_dict()))


def test_names_of_the_same_bytes(tmp_path: Path) -> None:
    shared, other = torch.randn(4, 2), torch.randn(2)
    tensors = {"embed": shared, "norm": other, "head": shared, "flat": shared.view(8), "third": shared}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.shared == {"head": "embed", "third": "embed"}
    assert set(checkpoint.tensors) == set(tensors)
    assert checkpoint.weights_name == "model"


@pytest.mark.parametrize("has_index", [True, False])
def test_parts(tmp_path: Path, has_index: bool) -> None:
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for name, key in zip(names, "ab", strict=True):
        torch.save({key: torch.ones(2)}, tmp_path / name)
    if has_index:
        index = {"weight_map": dict(zip("ab", names, strict=True))}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    checkpoint = open_checkpoint(tmp_path)
    assert {name: tensor.path.name for name, tensor in checkpoint.tensors.items()} == dict(
        zip("ab", names, strict=True)
    )


class _Runs:
    def __init__(self, what: tuple[Any, ...]) -> None:
        self.what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return self.what


def test_what_a_pickle_names_is_not_run(tmp_path: Path) -> None:
    path, canary = tmp_path / "pytorch_model.bin", tmp_path / "canary"
    torch.save({"w": torch.ones(2), "x": _Runs((os.mkdir, (str(canary),)))}, path)
    with pytest.raises(CheckpointError, match=r"names 'posix.mkdir', which is no part") as raised:
        open_checkpoint(tmp_path)
    assert "only if you trust" in str(raised.value.hint)
    assert not canary.exists()


def _legacy(path: Path) -> None:
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)


def _compressed(path: Path) -> None:
    torch.save({"w": torch.ones(2)}, path)
    _rewritten(path, compression=zipfile.ZIP_DEFLATED)


def _big_endian(path: Path) -> None:
    torch.save({"w": torch.ones(2)}, path)
    _rewritten(path, lambda name, data: b"big" if name.endswith("byteorder") else data)


def _transposed(path: Path) -> None:
    torch.save({"model": {"w": torch.randn(3, 2).t()}}, path)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "legacy": (_legacy, "format of torch before 1.6"),
    "compressed": (_compressed, "is compressed"),
    "big-endian": (_big_endian, "'big'-endian"),
    "transposed": (_transposed, "tensor 'w' not in one piece"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_in_place(tmp_path: Path, kind: str) -> None:
    make, problem = REFUSED[kind]
    make(tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=problem) as raised:
        open_checkpoint(tmp_path)
    assert "python -c" in str(raised.value.hint)


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_the_command_that_converts(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "it's a model"
    folder.mkdir()
    REFUSED[kind][0](folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(folder)
    _, _, command = str(raised.value.hint).partition("python ")
    subprocess.run([sys.executable, *shlex.split(command)], check=True)
    assert list(open_checkpoint(folder).tensors) == ["w"]


@pytest.mark.parametrize(
    ("saved", "problem"),
    [
        ([torch.ones(2)], "holds no dictionary of tensors"),
        ({"epoch": 3}, "holds no tensors"),
        (
            {"model": {"a": torch.ones(2)}, "ema": {"a": torch.ones(2)}},
            "several sets of tensors: 'model', 'ema'",
        ),
        ({"a": torch.ones(2), "model": {"a": torch.ones(2)}}, "several sets of tensors"),
        ({"w": torch.ones(2, dtype=torch.complex128)}, "tensor 'w' of .* is stored as complex128"),
        ({"w": torch.ones(2, dtype=torch.complex64).conj()}, "tensor 'w' as the conjugate"),
        ({"x" * 1001: torch.ones(2)}, "has 1,001 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_holds_no_weights(tmp_path: Path, saved: Any, problem: str) -> None:
    torch.save(saved, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=problem) as raised:
        open_checkpoint(tmp_path)
    assert raised.value.hint


def _archive(path: Path, description: bytes, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", description)
        for key, data in members.items():
            archive.writestr(f"a/data/{key}", data)


def _one_tensor(
    *, key: str = "0", numel: int = 4, offset: int = 0, size: str = "(I4\nt", stride: int = 1
) -> bytes:
    """A pickle of one tensor of float32, with these values in the place of sound ones."""
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX" + len(key).to_bytes(4, "little") + key.encode()
    numbers = [b"J" + value.to_bytes(4, "little", signed=True) for value in (numel, offset, stride)]
    shape = size.encode().replace(b"I4\n", b"K\4")
    call = storage + b"X\3\0\0\0cpu" + numbers[0] + b"tQ" + numbers[1] + shape + numbers[2] + b"\x85\x89Ntb"
    return b"\x80\2}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(" + call[:-1] + b"Rs."


@pytest.mark.parametrize(
    ("description", "data", "problem"),
    [
        (_one_tensor(key="1"), bytes(16), "the data of tensor 'w' is missing"),
        (_one_tensor(offset=1), bytes(16), "reaches beyond its storage"),
        (_one_tensor(offset=-1), bytes(16), "is not a list of sizes"),
        (_one_tensor(numel=5), bytes(16), "has 16 bytes"),
        (_one_tensor(), bytes(12), "has 12 bytes"),
        (_one_tensor()[:-1], bytes(16), "data.pkl is damaged"),
        (_one_tensor()[:-9], bytes(16), "data.pkl"),
        (b"\x80\2N.", bytes(16), "no dictionary of tensors"),
        (b"\x80\2(lp0\n.", bytes(16), "opcode 0x6c"),
        (b"\x80\2X\xff\xff\xff\xffabc.", bytes(16), "ends too early"),
        (b"\x80\2" + b"N" * 1_000_001 + b".", bytes(16), "more than 1,000,000 steps"),
        (b"\x80\2" + bytes(25_000_000), bytes(16), "has 25,000,002 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_descriptions(tmp_path: Path, description: bytes, data: bytes, problem: str) -> None:
    path = tmp_path / "x.bin"
    _archive(path, _one_tensor(), **{"0": bytes(16)})
    assert read_header(path).tensors[0].shape == (4,)
    _archive(path, description, **{"0": data})
    with pytest.raises(CheckpointError, match=problem):
        read_header_again(path)


def test_any_byte_of_it_may_be_wrong(tmp_path: Path) -> None:
    """Whatever is changed, what is read lies in the file, or the file is refused."""
    path = tmp_path / "x.bin"
    torch.save({"a": torch.ones(2), "b": torch.ones(3)}, path)
    content = path.read_bytes()
    read = 0
    for at in range(0, len(content), 9):
        for piece in (b"\xff", b"\0", b"("):
            path.write_bytes(content[:at] + piece + content[at + 1 :])
            try:
                header = read_header_again(path)
            except CheckpointError as error:
                assert str(path) in error.message
                continue
            read += 1
            for stored in header.tensors:
                assert 0 <= stored.offset <= stored.offset + stored.size_bytes <= len(content)
    assert read > 50
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            read_header_again(path)


def test_pickles_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(pickle.dumps({"w": [1.0]}))
    with pytest.raises(CheckpointError, match=r"is a Python pickle and not weights that torch.save wrote"):
        read_header(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(CheckpointError, match=r"has no data.pkl"):
        read_header(path)


@pytest.mark.slow
def test_the_conversion_of_one_file_of_several_converts_them_all(tmp_path: Path) -> None:
    folder = tmp_path / "it's [here]"
    folder.mkdir()
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.weight": torch.arange(4.0)}
    torch.save({"a.weight": weights["a.weight"].T}, folder / "pytorch_model-00001-of-00002.bin")
    torch.save({"b.weight": weights["b.weight"]}, folder / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(CheckpointError) as refused:
        open_checkpoint(folder)
    command = str(refused.value.hint).partition("python -c")
    subprocess.run(f"{sys.executable} -c{command[2]}", shell=True, check=True, cwd=tmp_path)
    found = open_checkpoint(folder).tensors
    assert {name: tensor.shape for name, tensor in found.items()} == {"a.weight": (3, 2), "b.weight": (4,)}
