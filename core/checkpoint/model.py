"""A model on disk: its config, and where every tensor lies in its files of weights."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from core.adapter_paths import split_adapters
from core.checkpoint.adapters import Adapter, read_adapter
from core.checkpoint.components import component_folders
from core.checkpoint.finding import (
    ADAPTER_NAMES,
    ENDINGS,
    SINGLE_NAME,
    Weights,
    find_weights,
    has_adapter,
    has_weights,
    names_in,
    read_object,
    resolve_folder,
    weight_map,
)
from core.checkpoint.headers import ShardHeader, StoredTensor, read_header
from core.checkpoint.pickles import is_pickle_name
from core.errors import CheckpointError, os_error_text
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

INDEX_NAME = "model.safetensors.index.json"
CONFIG_NAME = "config.json"

_OF_A_RUN = re.compile(r"order-\d{1,9}/(epoch-\d{1,9}|float32)")
"""Where `paramosaic train` saves models: the name of the folder itself is that of as many models as runs."""

_log = logging.getLogger(__name__)

_MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS = 4_000_000, 200_000
"""Configs with a hundred thousand labels are of that size; most have a few kilobytes."""

_MAX_KIND_CHARACTERS = 200

_RECIPE_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Checkpoint:
    """A model whose headers were read.

    Attributes:
        folder: where it, its config and its tokenizer are; of a single file the folder that it is in.
        name: how it is called in the window, the records and the model card; never a full path.
        config: its config.json, or None where it has none.
        shards: its files of weights.
        tensors: by name, in the order of the files and of the data in them.
        weights_name: how the files of weights of an output like it are called, without parts and ending.
        shared: names that stand for the same bytes as another of the same shape, and that one; only
            files of torch.save have such.
        components: folders in `folder` with weights of their own, and what their `weights_name` is. Their
            tensors are in `tensors` under the folder, a slash and their name.
        adapters: that make it, put on `under` in their order; empty for a model that is whole. Its shards are
            theirs alone.
        under: the model that they are put on, whose config and tensors it has; None for a whole model, and
            where it is not known yet: then the tensors are the adapters'.
    """

    folder: Path
    name: str
    config: dict[str, Any] | None
    shards: tuple[ShardHeader, ...]
    tensors: dict[str, StoredTensor] = field(repr=False)
    weights_name: str = "model"
    shared: Mapping[str, str] = field(default_factory=dict, repr=False)
    components: Mapping[str, str] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    under: Checkpoint | None = field(default=None, repr=False)

    def on(self, under: Checkpoint) -> Checkpoint:
        """These adapters, put on a model."""
        return replace(
            self,
            config=under.config,
            tensors=under.tensors,
            weights_name=under.weights_name,
            shared=under.shared,
            components=under.components,
            under=under,
        )

    @property
    def every_shard(self) -> tuple[ShardHeader, ...]:
        """Its files of weights, and those of the model under its adapters."""
        return (*self.under.every_shard, *self.shards) if self.under is not None else self.shards

    @property
    def adapter_text(self) -> str:
        """ "adapter on llama, rank 16"; "" for a whole model."""
        if not self.adapters:
            return ""
        kinds = " and ".join(dict.fromkeys(adapter.kind_text for adapter in self.adapters))
        many = f"{len(self.adapters)} adapters" if len(self.adapters) > 1 else "adapter"
        return f"{many} on {self.under.name}, {kinds}" if self.under is not None else f"{many}, {kinds}"

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
    """Read the headers and the config of a model; no weights are read.

    An adapter alone is not put on its base: see `Checkpoint.on`.

    Args:
        folder: where it is. It may also be a file of weights, a training run with one checkpoint in it, a
            model's folder in the Hub's cache, or a path with adapters (see core.adapter_paths).
        name: how to call it; None for its short name.

    Raises:
        CheckpointError: there is no model, a shard is missing, or a file is damaged.
    """
    try:
        checkpoint = _opened(folder, name)
    except OSError as error:  # of the system, where nobody below has put it into words
        raise CheckpointError(f"cannot read {folder}: {os_error_text(error)}", path=folder) from error
    _log.debug(
        "opened %s: %d files, %d tensors, %d bytes",
        folder,
        len(checkpoint.shards),
        len(checkpoint.tensors),
        checkpoint.size_bytes,
    )
    return checkpoint


def model_names(folders: Sequence[Path]) -> list[str]:
    """A short name for each model: its folder's name, or the Hub id of a folder in the Hub's cache.

    A file of weights, or the recipe that makes a model, is called without its ending.

    What a run of `paramosaic train` saved is called by its run as well, as "order-1/epoch-2".
    Different folders of the same name are told apart by the name of the folder they are in, or else
    by numbers: more of the path is nobody's business.
    """
    places = [folder.absolute() for folder in folders]
    names = ["+".join(map(_short_name, split_adapters(place))) for place in places]
    taken = Counter(name for name, _ in dict.fromkeys(zip(names, places, strict=True)))
    names = [
        name if taken[name] == 1 else "+".join(map(_longer_name, split_adapters(place)))
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


def _short_name(place: Path) -> str:
    if _OF_A_RUN.fullmatch(f"{place.parent.name}/{place.name}"):
        return _longer_name(place)
    return hub_id(place) or _own_name(place) or place.resolve().name


def _longer_name(place: Path) -> str:
    return f"{place.parent.name}/{_own_name(place)}".strip("/")


def _own_name(place: Path) -> str:
    if place.name.endswith(ENDINGS) or (place.suffix.lower() in _RECIPE_ENDINGS and not place.is_dir()):
        return place.stem
    return place.name


def hub_id(folder: Path) -> str | None:
    """ "org/name" for .../models--org--name and its snapshots/<revision>; None elsewhere."""
    parts = folder.absolute().parts
    if parts and parts[-1].startswith("models--"):
        return parts[-1].removeprefix("models--").replace("--", "/")
    if len(parts) >= 3 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].removeprefix("models--").replace("--", "/")
    return None


def read_config(folder: Path) -> dict[str, Any] | None:
    """What config.json of the model in `folder` says; None where there is no such file.

    Raises:
        CheckpointError: there is something of that name that is no config.
    """
    path = folder / CONFIG_NAME
    config = read_object(path, _MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS)
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


def read_weight_map(folder: Path) -> Any:
    """What the index in `folder` has as its weight_map; None where there is no index, or none in it.

    Raises:
        CheckpointError: there is something of its name that is no index.
    """
    return weight_map(folder / INDEX_NAME)


def _opened(place: Path, name: str | None) -> Checkpoint:
    model, *adapters = split_adapters(place)
    if adapters:
        return _stacked(place, model, adapters, name)
    folder = resolve_folder(place)
    if place.name in ADAPTER_NAMES or (os.path.isdir(place) and has_adapter(names_in(folder))):
        return _adapter(folder, name or model_names([place])[0])
    shards: list[ShardHeader] = []
    tensors: dict[str, StoredTensor] = {}
    weights_name, components = "model", {}
    if (is_file := not os.path.isdir(place)) or not (of_parts := component_folders(folder)).folders:
        weights = find_weights(place if is_file else folder)
        shards, tensors = _read(weights)
        weights_name = weights.weights_name
    else:
        if of_parts.with_own and has_weights(names_in(folder)):
            weights = find_weights(folder)
            shards, tensors = _read(weights)
            weights_name = weights.weights_name
        for part in of_parts.folders:
            weights = find_weights(folder / part)
            more, inner = _read(weights)
            shards += more
            components[part] = weights.weights_name
            for of_part, tensor in inner.items():
                tensors[f"{part}/{of_part}"] = replace(tensor, name=f"{part}/{of_part}")
    if not tensors:
        raise CheckpointError(f"{place} has no tensors in its files of weights", path=folder)
    return Checkpoint(
        folder,
        name or model_names([place])[0],
        read_config(folder),
        tuple(shards),
        tensors,
        weights_name,
        _shared(tensors),
        components,
    )


def _adapter(folder: Path, name: str) -> Checkpoint:
    adapter = read_adapter(folder)
    header = adapter.header
    tensors = {tensor.name: tensor for tensor in header.tensors}
    return Checkpoint(folder, name, None, (header,), tensors, adapters=(adapter,))


def _stacked(place: Path, model: Path, adapters: Sequence[Path], name: str | None) -> Checkpoint:
    """The model and the adapters that `place` names, one put on the other."""
    under = open_checkpoint(model)
    parts = [under] if under.adapters and under.under is None else []
    for folder in adapters:
        part = open_checkpoint(folder)
        if not part.adapters or part.under is not None:
            raise CheckpointError(
                f"{folder} is a whole model, and stands after a plus sign, where adapters stand",
                hint="list it as a model of its own, or name an adapter's folder there",
                path=folder,
            )
        parts.append(part)
    stack = replace(
        parts[-1],
        name=name or model_names([place])[0],
        shards=tuple(shard for part in parts for shard in part.shards),
        tensors={name: tensor for part in parts for name, tensor in part.tensors.items()},
        adapters=tuple(adapter for part in parts for adapter in part.adapters),
    )
    return stack if parts[0] is under else stack.on(under)


def _read(weights: Weights) -> tuple[list[ShardHeader], dict[str, StoredTensor]]:
    shards = [read_header(weights.folder / file) for file in weights.files]
    return shards, _gather(weights, shards)


def _gather(weights: Weights, shards: Sequence[ShardHeader]) -> dict[str, StoredTensor]:
    """The tensors of one set of files by name, as its index has them, where it has one."""
    index, folder = weights.index or {}, weights.folder
    file_of = {shard.path: file for shard, file in zip(shards, weights.files, strict=True)}
    tensors: dict[str, StoredTensor] = {}
    for shard in shards:
        for tensor in shard.tensors:
            if tensor.name in tensors and tensor.name not in index:
                raise CheckpointError(
                    f"tensor {tensor.name!r} stands in two shards of {folder}",
                    hint="keep the files of one model there, or add the index that says which is meant",
                    path=folder,
                    tensor=tensor.name,
                )
            if tensor.name not in tensors or index.get(tensor.name) == file_of[shard.path]:
                tensors[tensor.name] = tensor
    for name, file in index.items():
        if name not in tensors or file_of[tensors[name].path] != file:
            raise CheckpointError(
                f"{weights.index_path} says that tensor {shown(name)} is in {file}, but it is not there",
                hint="copy or download the index and that shard again",
                path=folder / file,
                tensor=name,
            )
    return tensors


def _shared(tensors: Mapping[str, StoredTensor]) -> dict[str, str]:
    """Names of the same bytes and shape in a file of torch.save: each but the first, and the first."""
    first: dict[tuple[Path, int, tuple[int, ...], str], str] = {}
    shared = {}
    for name, tensor in tensors.items():
        if tensor.size_bytes and is_pickle_name(tensor.path.name):
            place = (tensor.path, tensor.offset, tensor.shape, tensor.dtype.name)
            if first.setdefault(place, name) != name:
                shared[name] = first[place]
    return shared
