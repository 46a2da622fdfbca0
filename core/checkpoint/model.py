"""A model on disk: a folder with safetensors files, as transformers writes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.checkpoint.headers import ShardHeader, StoredTensor, read_header
from core.errors import CheckpointError, os_error_text
from core.text import is_text, shown

__all__ = [
    "CONFIG_NAME",
    "INDEX_NAME",
    "SINGLE_NAME",
    "Checkpoint",
    "hub_id",
    "model_names",
    "open_checkpoint",
    "read_json",
]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
CONFIG_NAME = "config.json"

_log = logging.getLogger(__name__)

_MAX_JSON_BYTES = 256_000_000


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
        classes = self.config.get("architectures")
        return str(classes[0]) if isinstance(classes, list) and classes else None

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
            if type(layers) is int and layers > 0:
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
    config_path = folder / CONFIG_NAME
    config = read_json(config_path) if config_path.exists() else None
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
    taken = [name for name, _ in dict.fromkeys(zip(names, places, strict=True))]
    names = [
        name if taken.count(name) == 1 else f"{place.parent.name}/{place.name}".strip("/")
        for name, place in zip(names, places, strict=True)
    ]
    numbers: dict[str, list[Path]] = {}
    for name, place in zip(names, places, strict=True):
        if place not in numbers.setdefault(name, []):
            numbers[name].append(place)
    return [
        name if (number := numbers[name].index(place) + 1) == 1 else f"{name} ({number})"
        for name, place in zip(names, places, strict=True)
    ]


def hub_id(folder: Path) -> str | None:
    """ "org/name" for .../models--org--name/snapshots/<revision>; None elsewhere."""
    parts = folder.absolute().parts
    if len(parts) >= 3 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].removeprefix("models--").replace("--", "/")
    return None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises CheckpointError when it is not one."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise CheckpointError(f"{path} is too large to be what its name says", path=path)
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not valid JSON", hint="copy or download the file again", path=path
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path} is not a JSON object", hint="copy or download the file again", path=path
        )
    return value


def _find_shards(folder: Path) -> tuple[list[Path], dict[str, str] | None]:
    try:
        exists = folder.exists()
    except OSError as error:
        raise CheckpointError(
            f"cannot read the model folder {folder}: {os_error_text(error)}", path=folder
        ) from error
    if not exists:
        hint = None
        if not folder.is_absolute() or len(folder.parts) > 2:
            hint = "check the path; a model on the Hub must be downloaded first"
        raise CheckpointError(f"the model folder {folder} does not exist", hint=hint, path=folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is a file, not a model folder", hint=f"name its folder: {folder.parent}", path=folder
        )
    if (folder / SINGLE_NAME).exists():
        return [folder / SINGLE_NAME], None
    if (folder / INDEX_NAME).exists():
        return _indexed_shards(folder)
    try:
        found = sorted(folder.glob("*.safetensors"))
        pickled = [*folder.glob("pytorch_model*.bin"), *folder.glob("*.pth")]
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {os_error_text(error)}", path=folder) from error
    if (folder / "adapter_config.json").exists():
        raise CheckpointError(
            f"{folder} holds an adapter (LoRA), not a whole model",
            hint="merge the adapter into its base model first, with peft's merge_and_unload",
            path=folder,
        )
    if len(found) == 1:
        if not is_text(found[0].name):
            raise CheckpointError(
                f"the file name of {found[0]} is not valid text",
                hint=f"call it {SINGLE_NAME}",
                path=found[0],
            )
        return found, None
    if found:
        raise CheckpointError(
            f"{folder} has {len(found)} safetensors files and no {INDEX_NAME}",
            hint=f"add the index, or keep one file and call it {SINGLE_NAME}",
            path=folder,
        )
    if pickled:
        raise CheckpointError(
            f"{folder} holds PyTorch pickles ({pickled[0].name}) and no safetensors file",
            hint="convert it: load it with transformers and save it again with save_pretrained",
            path=folder,
        )
    raise CheckpointError(
        f"{folder} holds no model: there is neither {SINGLE_NAME} nor {INDEX_NAME}",
        hint="choose the folder that holds the model's config.json and safetensors files",
        path=folder,
    )


def _indexed_shards(folder: Path) -> tuple[list[Path], dict[str, str]]:
    path = folder / INDEX_NAME
    index = read_json(path).get("weight_map")
    if not isinstance(index, dict) or not index or not all(isinstance(file, str) for file in index.values()):
        raise CheckpointError(f"{path} has no weight_map", hint="copy or download the file again", path=path)
    files = list(dict.fromkeys(index.values()))
    for file in files:
        if not file or Path(file).name != file or "\\" in file or file == ".." or len(file) > 255:
            raise CheckpointError(f"{path} names {shown(file)}, which is not a file name", path=path)
        if not (folder / file).is_file():
            raise CheckpointError(
                f"{path} names the shard {file}, which is missing",
                hint="copy or download the missing file",
                path=folder / file,
            )
    return [folder / file for file in sorted(files)], index


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
                f"{folder / INDEX_NAME} says that tensor {name!r} is in {file}, but it is not there",
                hint="copy or download the index and that shard again",
                path=folder / file,
                tensor=name,
            )
    return tensors
