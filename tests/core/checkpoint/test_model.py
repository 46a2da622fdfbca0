"""A model folder: what has a name and is no file is an error, never absent; the too large is refused."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint.headers import encode_header, read_header
from core.checkpoint.model import model_names, open_checkpoint, read_config
from core.dtypes import DTYPES
from core.errors import CheckpointError

WEIGHTS = encode_header({"w": (DTYPES["F32"], (2,), 0, 8)}) + bytes(8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of one file."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def _in_its_place(path: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    make: dict[str, Callable[[], None]] = {
        "nowhere": lambda: path.symlink_to("gone"),
        "circle": lambda: path.symlink_to(path.name),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
    }
    make[kind]()


@pytest.mark.parametrize("kind", ["nowhere", "circle", "pipe", "folder", "device"])
@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.safetensors.index.json", "config.json", "s.safetensors"]
)
def test_what_has_a_name_and_is_no_file(folder: Path, name: str, kind: str) -> None:
    """Beside files that would do in its place, if it were not there."""
    (folder / "only.safetensors").write_bytes(WEIGHTS)
    index = folder / "model.safetensors.index.json"
    if name != "model.safetensors":
        index.write_text(json.dumps({"weight_map": {"w": "s.safetensors"}}))
    if name == "s.safetensors":
        (folder / "model.safetensors").unlink()
    if name == index.name:
        (folder / "model.safetensors").unlink()
    _in_its_place(folder / name, kind)
    with pytest.raises(CheckpointError, match=str(folder / name)):
        open_checkpoint(folder)


def test_weights_and_folders_may_be_links(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "model.safetensors").symlink_to("../elsewhere")
    (tmp_path / "link").symlink_to(folder)
    assert list(open_checkpoint(tmp_path / "link").tensors) == ["w"]


def test_a_folder_that_is_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(CheckpointError, match=f"{tmp_path / 'link'} is a link that leads nowhere"):
        open_checkpoint(tmp_path / "link")


def test_a_null_character_in_a_path() -> None:
    with pytest.raises(CheckpointError, match="null"):
        open_checkpoint(Path("/a\0b"))


@pytest.mark.parametrize(
    ("name", "size"), [("config.json", 4_000_001), ("model.safetensors.index.json", 20_000_001)]
)
def test_files_too_large_to_be_what_they_are_called(folder: Path, name: str, size: int) -> None:
    (folder / "model.safetensors").rename(folder / "s.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"w": "s.safetensors"}}')
    with (folder / name).open("wb") as file:
        file.truncate(size)
    with pytest.raises(CheckpointError, match=f"{name} is too large to be what its name says"):
        open_checkpoint(folder)


@pytest.mark.parametrize("part", [b"{},", b"1,", b"["])
def test_headers_of_more_parts_than_tensors_need(folder: Path, part: bytes) -> None:
    text = b"[" + part * (24_000_000 // len(part)) + b"1]"
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    before = time.process_time()
    with pytest.raises(CheckpointError, match="its header has more than 500,000 parts"):
        read_header(path)
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"model_type": "x" * 1000}, "is not a name"),
        ({"architectures": ["x" * 1000]}, "is not a name"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "is nested too deeply"),
        (b'{"a":' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
    ids=["long kind", "long class", "deep", "long number", "no end"],
)
def test_configs_that_are_none(folder: Path, config: Any, problem: str) -> None:
    content = config if isinstance(config, bytes) else json.dumps(config).encode()
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"config.json .*{problem}") as raised:
        read_config(folder)
    assert len(raised.value.message) < 500


def test_a_number_of_layers_that_is_none(folder: Path) -> None:
    (folder / "config.json").write_text('{"num_hidden_layers": 1' + "0" * 400 + "}")
    assert open_checkpoint(folder).hidden_layers is None


def test_names_of_thousands_of_models() -> None:
    folders = [Path(f"/data/{number % 100}/checkpoint") for number in range(5_000)]
    folders += [Path(f"/data/models/run-{number}") for number in range(5_000)]
    before = time.process_time()
    names = model_names(folders)
    assert time.process_time() - before < 2
    assert names[:2] == ["0/checkpoint", "1/checkpoint"]
    assert names[100] == "0/checkpoint"
    assert names[-1] == "run-4999"
