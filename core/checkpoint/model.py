"""A model on disk: a folder with safetensors files, as transformers writes it."""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from core.checkpoint.headers import ShardHeader, StoredTensor, read_header
from core.errors import CheckpointError, os_error_text
from core.small_files import is_there, parse_json, read_if_there
from core.text import is_text, shown

__all__ = [
    "CONFIG_NAME",
    "INDEX_NAME",
    "SINGLE_NAME",
    "Checkpoint",
    "file_names",
    "hub_id",
    "model_names",
    "open_checkpoint",
    "read_config",
    "read_weight_map",
]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
CONFIG_NAME = "config.json"

_log = logging.getLogger(__name__)

_MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS = 4_000_000, 200_000
"""Configs with a hundred thousand labels are of that size; most have a few kilobytes."""

_MAX_INDEX_BYTES, _MAX_INDEX_PARTS = 20_000_000, 300_000
"""An index has one part a tensor. The largest models known have some 140,000, in 14 MB."""

_MAX_KIND_CHARACTERS = 200


@dataclass(frozen=True)
class Checkpoint:
    """A model whose headers were read.

    Attributes:
        folder: where it is.
        name: how it is called in the window, the records and the model card; never a full path.
        config: its config.json, or None where it has none.
        shards: its safetensors files.
        tensors: by name, in the order of the files and of the data in them.
    """

    folder: Path
    name: str
    config: dict[str, Any] | None
    shards: tuple[ShardHeader, ...]
    tensors: dict[str, StoredTensor] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of weights."""
        return sum(tensor.size_bytes for tensor in self.tensors.values())

    @property
    def architecture(self) -> str | None:
        """What kind of model config.json says it is ("llama"), or None."""
        if self.config is None:
            return None
        model_type = self.config.get("model_type")
        if isinstance(model_type, str):
            return model_type
        classes = _first(self.config.get("architectures"))
        return classes[0] if classes and isinstance(classes[0], str) else None

    @property
    def ties_embeddings(self) -> bool:
        """Whether config.json says that the head is the input embedding."""
        config = self.config or {}
        text = config.get("text_config")
        return config.get("tie_word_embeddings") is True or (
            "tie_word_embeddings" not in config
            and isinstance(text, dict)
            and text.get("tie_word_embeddings") is True
        )

    @property
    def hidden_layers(self) -> int | None:
        """How many layers config.json says there are, or None."""
        config = self.config or {}
        for part in (config, config.get("text_config")):
            layers = part.get("num_hidden_layers") if isinstance(part, dict) else None
            if type(layers) is int and 0 < layers < 2**31:
                return layers
        return None


def open_checkpoint(folder: Path, name: str | None = None) -> Checkpoint:
    """Read the headers and the config of the model in `folder`; no weights are read.

    Raises:
        CheckpointError: there is no model, a shard is missing, or a file is damaged.
    """
    paths, index = _find_shards(folder)
    shards = tuple(read_header(path) for path in paths)
    tensors = _gather(folder, shards, index)
    if not tensors:
        raise CheckpointError(f"{folder} has no tensors in its safetensors files", path=folder)
    config = read_config(folder)
    checkpoint = Checkpoint(folder, name or model_names([folder])[0], config, shards, tensors)
    _log.debug(
        "opened %s: %d files, %d tensors, %d bytes", folder, len(shards), len(tensors), checkpoint.size_bytes
    )
    return checkpoint


def model_names(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder: its own name, or the Hub id of a folder in the Hub's cache.

    Different folders of the same name are told apart by the name of the folder they are in, or else
    by numbers: more of the path is nobody's business.
    """
    places = [folder.absolute() for folder in folders]
    names = [hub_id(place) or place.name or place.resolve().name for place in places]
    taken = Counter(name for name, _ in dict.fromkeys(zip(names, places, strict=True)))
    names = [
        name if taken[name] == 1 else f"{place.parent.name}/{place.name}".strip("/")
        for name, place in zip(names, places, strict=True)
    ]
    numbers: dict[str, dict[Path, int]] = {}
    for name, place in zip(names, places, strict=True):
        of_name = numbers.setdefault(name, {})
        of_name.setdefault(place, len(of_name) + 1)
    return [
        name if (number := numbers[name][place]) == 1 else f"{name} ({number})"
        for name, place in zip(names, places, strict=True)
    ]


def hub_id(folder: Path) -> str | None:
    """ "org/name" for .../models--org--name/snapshots/<revision>; None elsewhere."""
    parts = folder.absolute().parts
    if len(parts) >= 3 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].removeprefix("models--").replace("--", "/")
    return None


def read_config(folder: Path) -> dict[str, Any] | None:
    """What config.json of the model in `folder` says; None where there is no such file.

    Raises:
        CheckpointError: there is something of that name that is no config.
    """
    path = folder / CONFIG_NAME
    config = _read_object(path, _MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS)
    if config is not None:
        for kind in (config.get("model_type"), *_first(config.get("architectures"))):
            if isinstance(kind, str) and (len(kind) > _MAX_KIND_CHARACTERS or not is_text(kind)):
                raise CheckpointError(f"{path} calls the model {shown(kind)}, which is not a name", path=path)
    return config


def _first(value: Any) -> list[Any]:
    return value[:1] if isinstance(value, list) else []


def file_names(folder: Path, *patterns: str) -> list[str]:
    """The names in `folder` that match one of `patterns`, in order.

    Raises:
        CheckpointError: the folder cannot be read.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {os_error_text(error)}", path=folder) from error
    return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))


def _read_object(path: Path, most_bytes: int, most_parts: int) -> dict[str, Any] | None:
    """The JSON object in `path`; None where nothing has that name. Raises CheckpointError."""
    hint = "copy or download the file again"
    data = read_if_there(path, most_bytes, CheckpointError)
    if data is None:
        return None
    try:
        value = parse_json(data, most_parts)
    except ValueError as error:
        raise CheckpointError(f"{path} {error}", hint=hint, path=path) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object", hint=hint, path=path)
    return value


def _find_shards(folder: Path) -> tuple[list[Path], dict[str, str] | None]:
    _check_folder(folder)
    if is_there(folder / SINGLE_NAME, CheckpointError):
        return [folder / SINGLE_NAME], None
    if is_there(folder / INDEX_NAME, CheckpointError):
        return _indexed_shards(folder)
    found = file_names(folder, "*.safetensors")
    pickled = file_names(folder, "pytorch_model*.bin", "*.pth")
    if is_there(folder / "adapter_config.json", CheckpointError):
        raise CheckpointError(
            f"{folder} holds an adapter (LoRA), not a whole model",
            hint="merge the adapter into its base model first, with peft's merge_and_unload",
            path=folder,
        )
    if len(found) == 1:
        path = folder / found[0]
        if not is_text(found[0]):
            raise CheckpointError(
                f"the file name of {path} is not valid text", hint=f"call it {SINGLE_NAME}", path=path
            )
        return [path], None
    if found:
        raise CheckpointError(
            f"{folder} has {len(found)} safetensors files and no {INDEX_NAME}",
            hint=f"add the index, or keep one file and call it {SINGLE_NAME}",
            path=folder,
        )
    if pickled:
        raise CheckpointError(
            f"{folder} holds PyTorch pickles ({pickled[0]}) and no safetensors file",
            hint="convert it: load it with transformers and save it again with save_pretrained",
            path=folder,
        )
    raise CheckpointError(
        f"{folder} holds no model: there is neither {SINGLE_NAME} nor {INDEX_NAME}",
        hint="choose the folder that holds the model's config.json and safetensors files",
        path=folder,
    )


def _check_folder(folder: Path) -> None:
    """Refuse what is no folder and leads to none."""
    try:
        mode = os.stat(folder).st_mode
    except FileNotFoundError:
        hint = None
        if not folder.is_absolute() or len(folder.parts) > 2:
            hint = "check the path; a model on the Hub must be downloaded first"
        what = "is a link that leads nowhere" if os.path.islink(folder) else "does not exist"
        raise CheckpointError(f"the model folder {folder} {what}", hint=hint, path=folder) from None
    except (OSError, ValueError) as error:
        text = os_error_text(error) if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"cannot read the model folder {folder}: {text}", path=folder) from error
    if not stat.S_ISDIR(mode):
        raise CheckpointError(
            f"{folder} is a file, not a model folder", hint=f"name its folder: {folder.parent}", path=folder
        )


def read_weight_map(folder: Path) -> Any:
    """What the index in `folder` has as its weight_map; None where there is no index, or none in it.

    Raises:
        CheckpointError: there is something of its name that is no index.
    """
    return (_read_object(folder / INDEX_NAME, _MAX_INDEX_BYTES, _MAX_INDEX_PARTS) or {}).get("weight_map")


def _indexed_shards(folder: Path) -> tuple[list[Path], dict[str, str]]:
    path = folder / INDEX_NAME
    index = read_weight_map(folder)
    if not isinstance(index, dict) or not index or not all(isinstance(file, str) for file in index.values()):
        raise CheckpointError(f"{path} has no weight_map", hint="copy or download the file again", path=path)
    files = sorted(set(index.values()))
    for file in files:
        if not _is_file_name(file):
            raise CheckpointError(f"{path} names {shown(file)}, which is not a file name", path=path)
        if not is_there(folder / file, CheckpointError):
            raise CheckpointError(
                f"{path} names the shard {file}, which is missing",
                hint="copy or download the missing file",
                path=folder / file,
            )
    return [folder / file for file in files], index


def _is_file_name(name: str) -> bool:
    """Whether it names something in a folder, on any system."""
    return (
        name not in ("", ".", "..")
        and not any(character in name for character in "/\\\0")
        and is_text(name)
        and len(name.encode()) <= 255
    )


def _gather(
    folder: Path, shards: Sequence[ShardHeader], index: dict[str, str] | None
) -> dict[str, StoredTensor]:
    tensors: dict[str, StoredTensor] = {}
    for shard in shards:
        for tensor in shard.tensors:
            if tensor.name in tensors and (index is None or tensor.name not in index):
                raise CheckpointError(
                    f"tensor {tensor.name!r} stands in two shards of {folder}",
                    path=folder,
                    tensor=tensor.name,
                )
            if tensor.name not in tensors or (index or {}).get(tensor.name) == shard.path.name:
                tensors[tensor.name] = tensor
    for name, file in (index or {}).items():
        if name not in tensors or tensors[name].path.name != file:
            raise CheckpointError(
                f"{folder / INDEX_NAME} says that tensor {shown(name)} is in {file}, but it is not there",
                hint="copy or download the index and that shard again",
                path=folder / file,
                tensor=name,
            )
    return tensors
