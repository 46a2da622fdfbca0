"""Parsers of what others made: headers, indices, configs, tokenizers, recipes. See targets.py."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from feeding import plain, target
from ground import Ground

from core import plan_merge
from core.checkpoint.companions import Givers, companion_files
from core.checkpoint.headers import encode_header, read_header_again
from core.checkpoint.model import Checkpoint, open_checkpoint
from core.checkpoint.private_paths import PrivatePaths
from core.errors import CheckpointError, MergeError, OutputError, RecipeError
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe
from core.recipe.writing import recipe_as_dict
from core.text import is_text

# -- models


@target("header", "bytes", Ground.headers, CheckpointError)
def _header(ground: Ground, data: bytes) -> None:
    """A whole file."""
    path = ground.folder / "model.safetensors"
    path.write_bytes(data)
    header = read_header_again(path)
    end = 8 + int.from_bytes(data[:8], "little")
    assert header.size_bytes == len(data)
    for tensor in header.tensors:
        assert tensor.offset == end
        assert is_text(tensor.name)
        assert len(tensor.shape) <= 64
        end += tensor.size_bytes
    assert end == len(data)
    begin = header.tensors[0].offset if header.tensors else end
    entries = {
        tensor.name: (
            tensor.dtype,
            tensor.shape,
            tensor.offset - begin,
            tensor.offset - begin + tensor.size_bytes,
        )
        for tensor in header.tensors
    }
    path.write_bytes(encode_header(entries) + data[begin:])
    again = read_header_again(path).tensors
    assert [(one.name, one.dtype, one.shape, one.size_bytes) for one in again] == [
        (one.name, one.dtype, one.shape, one.size_bytes) for one in header.tensors
    ]


@target("header text", "json", Ground.header_texts, CheckpointError)
def _header_text(ground: Ground, text: bytes) -> None:
    """The header alone, of the length that it has, and as much data as it seems to speak of."""
    size = 0
    with contextlib.suppress(
        ValueError, RecursionError, AttributeError, TypeError, LookupError, OverflowError
    ):
        ends = [
            entry["data_offsets"][1] for name, entry in json.loads(text).items() if name != "__metadata__"
        ]
        size = int(min(max(ends), 100_000))
    _header(ground, len(text).to_bytes(8, "little") + text + bytes(max(0, size)))


def _check_model(checkpoint: Checkpoint) -> None:
    assert checkpoint.tensors
    for name, tensor in checkpoint.tensors.items():
        assert tensor.name == name
        assert tensor.path.parent == checkpoint.folder
    assert checkpoint.architecture is None or is_text(checkpoint.architecture)
    assert checkpoint.ties_embeddings in (True, False)
    assert checkpoint.hidden_layers is None or 0 < checkpoint.hidden_layers < 2**31


@target("index", "json", Ground.indices, CheckpointError)
def _index(ground: Ground, data: bytes) -> None:
    (ground.sharded / "model.safetensors.index.json").write_bytes(data)
    _check_model(open_checkpoint(ground.sharded))


@target("config", "json", Ground.configs, CheckpointError)
def _config(ground: Ground, data: bytes) -> None:
    folder = ground.model("configured")
    (folder / "config.json").write_bytes(data)
    _check_model(open_checkpoint(folder))
    config = json.loads(_copied(folder, "config.json") or b"")
    text = config.get("text_config")
    assert 5 in (config.get("vocab_size"), text.get("vocab_size") if isinstance(text, dict) else None)
    assert plain(PrivatePaths([folder]).without(config)) == plain(config)


def _copied(folder: Path, name: str) -> bytes | None:
    """What becomes of a small file of a model in the output; None where it is copied as it is or left out."""
    files = companion_files(
        Givers((folder,)), vocabulary=5, dtype_name="float32", unties=True, inputs=[folder]
    ).files
    for file in files.values():
        assert file.size_bytes == sum(map(len, file.chunks()))
    if name in files:
        return files[name].data
    with pytest.raises((ValueError, RecursionError)):  # what is whole is not left out
        json.loads((folder / name).read_bytes())
    return None


@target("tokenizer", "json", Ground.tokenizers, CheckpointError)
def _tokenizer(ground: Ground, data: bytes) -> None:
    """Where it is sound, it stays so, has no path any more and every token."""
    folder = ground.model("tokenized")
    (folder / "tokenizer.json").write_bytes(data)
    found = _copied(folder, "tokenizer.json")
    if found is None:
        return
    assert PrivatePaths([folder]).of_tokenizer(found) in (None, found)  # NaN is not equal to itself
    try:
        before = json.loads(data)
    except (ValueError, RecursionError):  # in what is neither parsed nor changed
        return
    assert _vocabulary(json.loads(found)) in (_vocabulary(before), None)


def _vocabulary(value: Any) -> Any:
    model = value.get("model") if isinstance(value, dict) else None
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    return plain(vocabulary) if isinstance(vocabulary, dict | list) else None


@target("tokenizer config", "json", Ground.tokenizer_configs, CheckpointError)
def _tokenizer_config(ground: Ground, data: bytes) -> None:
    folder = ground.model("spoken")
    (folder / "tokenizer_config.json").write_bytes(data)
    found = _copied(folder, "tokenizer_config.json")
    if found is not None:
        private = PrivatePaths([folder])
        assert private.of_json(found) in (None, found)
        assert plain(json.loads(found)) == plain(private.without(json.loads(data)))


# -- recipes


@target("recipe", "yaml", Ground.recipes, RecipeError)
def _recipe(ground: Ground, data: bytes) -> None:
    """What is read is written so that it reads the same, as JSON and as the window saves it."""
    from gui.document.recipe_files import save_recipe

    path = ground.models / "recipe.yaml"
    path.write_bytes(data)
    recipe = load_recipe(path)
    said = recipe_as_dict(recipe)
    assert recipe_as_dict(parse_recipe(json.loads(json.dumps(said, allow_nan=False)), path.parent)) == said
    with contextlib.suppress(OutputError):
        save_recipe(recipe, path)
        assert recipe_as_dict(load_recipe(path)) == said
    with contextlib.suppress(MergeError):
        for tensor in plan_merge(recipe).tensors:
            assert tensor.job is None or tensor.job.models == len(recipe.models)
