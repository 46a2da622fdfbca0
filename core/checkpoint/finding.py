"""Where the weights of a model are: which of the files in its folder belong together, and which are taken.

transformers, diffusers and Mistral each have names of their own. A *family* is one set of weights: a single
file, files that an index names, or the parts `-00001-of-00003` of a set, with the same name, variant ("fp16")
and format. What transformers would load is taken first.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.checkpoint.conversions import quoted
from core.checkpoint.unreadable import is_left_over, refuse_adapter, refuse_file, refuse_folder
from core.errors import CheckpointError, os_error_text
from core.small_files import is_there, parse_json, read_if_there, read_small
from core.text import cut, is_text, shown

__all__ = [
    "ADAPTER_CONFIG_NAME",
    "ADAPTER_NAMES",
    "ENDINGS",
    "SINGLE_NAME",
    "Weights",
    "find_weights",
    "has_adapter",
    "has_weights",
    "names_in",
    "read_index",
    "read_object",
    "resolve_folder",
    "weight_map",
]

SINGLE_NAME = "model.safetensors"

ADAPTER_CONFIG_NAME = "adapter_config.json"
ADAPTER_NAMES = ("adapter_model.safetensors", "adapter_model.bin")
"""What peft calls the weights of an adapter; the first one is taken where both are there."""

_MAX_INDEX_BYTES, _MAX_INDEX_PARTS = 20_000_000, 300_000
"""An index has one part a tensor. The largest models known have some 140,000, in 14 MB."""

_OF_LIBRARIES = ("model", "pytorch_model", "diffusion_pytorch_model")
"""What transformers and diffusers call weights. Others are taken where there is nothing else."""

_OF_MISTRAL = "consolidated"
ENDINGS = (".safetensors", ".bin", ".pt", ".pth")

_OF_OTHERS = 4
"""The rank of weights that neither transformers nor diffusers would load."""

_FILE = re.compile(
    r"(?P<stem>.+?)(?:[-_](?P<part>\d{1,9})-of-(?P<parts>\d{1,9}))?(?:\.(?P<variant>(?![\w-]*-\d+-of-\d)[\w-]{1,40}))?"
    r"\.(?P<format>safetensors|bin|pth?)"
)
_INDEX = re.compile(
    r"(?P<stem>.+?)(?:\.(?P<before>[\w-]{1,40}))?\.(?P<format>safetensors|bin|pth?)"
    r"\.index(?:\.(?P<after>[\w-]{1,40}))?\.json"
)
_MOST_FILES = 20_000
_MOST_NAMED = 5
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")


@dataclass(frozen=True)
class Weights:
    """The files of one model.

    Attributes:
        folder: where they and what belongs to them are.
        files: their paths from there on, with slashes.
        index: the file that each tensor is in, by its name; None where there is no index.
        index_path: of the index, or None.
        stem: how the weights are called, without parts, variant and ending.
    """

    folder: Path
    files: tuple[str, ...]
    index: dict[str, str] | None
    index_path: Path | None
    stem: str

    @property
    def weights_name(self) -> str:
        """How an output's files of weights are called, so that the same library finds them."""
        return self.stem if self.stem in ("diffusion_pytorch_model", _OF_MISTRAL) else "model"


@dataclass
class _Family:
    stem: str
    variant: str | None
    is_pickle: bool
    single: str | None = None
    index: str | None = None
    parts: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def some_name(self) -> str:
        return self.single or self.index or self.parts[0][2]

    @property
    def rank(self) -> int:
        """What is taken first has the lowest."""
        if self.stem in _OF_LIBRARIES:
            return (2 if self.variant else 0) + self.is_pickle
        return (_OF_OTHERS if self.stem == _OF_MISTRAL else 6) + self.is_pickle


def names_in(folder: Path) -> list[str]:
    """The names in `folder`, in order, without hidden ones. Raises CheckpointError: it cannot be read."""
    try:
        names = os.listdir(folder)
    except (OSError, ValueError) as error:
        text = os_error_text(error) if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"cannot read {folder}: {text}", path=folder) from error
    return sorted(name for name in names if not name.startswith("."))


def resolve_folder(place: Path) -> Path:
    """The folder of the model that `place` leads to: itself, the parent of a file, the snapshot of a folder
    in the Hub's cache, or the only checkpoint of a training run.

    Raises:
        CheckpointError: there is nothing, or more than one answer.
    """
    if _is_file(place):
        return place.parent
    names = names_in(place)
    if has_weights(names) or has_adapter(names):
        return place
    if "snapshots" in names and ("refs" in names or "blobs" in names or place.name.startswith("models--")):
        return _snapshot(place)
    runs = [name for name in names if _CHECKPOINT.fullmatch(name) and _is_folder(place / name)]
    if len(runs) > 1:
        runs.sort(key=lambda name: int(name.removeprefix("checkpoint-")))
        raise CheckpointError(
            f"{place} holds {len(runs)} checkpoints of a training run ({_listed(runs)}) "
            "and no model of its own",
            hint=f"name the one you want, such as the last: {place / runs[-1]}",
            path=place,
        )
    return place / runs[0] if runs else place


def has_weights(names: Sequence[str]) -> bool:
    """Whether files of weights are among `names`."""
    return bool(_families(names))


def has_adapter(names: Sequence[str]) -> bool:
    """Whether among `names` are those of an adapter, and of no whole model that a library would load."""
    if not any(name in names for name in (ADAPTER_CONFIG_NAME, *ADAPTER_NAMES)):
        return False
    return min((family.rank for family in _families(names)), default=_OF_OTHERS) >= _OF_OTHERS


def find_weights(place: Path, names: Sequence[str] | None = None) -> Weights:
    """The weights of the model in the folder `place`, or in the file that it is.

    Args:
        place: a folder, as `resolve_folder` gives it, or a file of weights.
        names: what is in the folder, where that is known.

    Raises:
        CheckpointError: there is no model that can be read, with what there is and what to do.
    """
    if names is None:
        if _is_file(place):
            return _of_file(place)
        names = names_in(place)
    families = _families(names)
    best = min((family.rank for family in families), default=None)
    if best is None or best >= _OF_OTHERS:
        refuse_adapter(place, names)
    if best is None:
        refuse_folder(place, names)
    taken = [family for family in families if family.rank == best]
    if len(taken) > 1 and best in (0, 1):
        taken = [min(taken, key=lambda family: _OF_LIBRARIES.index(family.stem))]
    if len(taken) > 1:
        _refuse_several(place, taken)
    return _of_family(place, taken[0])


def read_index(path: Path) -> dict[str, str]:
    """The file that each tensor is in, as the index `path` says, from its folder on.

    Raises:
        CheckpointError: it is no index, or names what is no file in its folder.
    """
    index = weight_map(path)
    if not isinstance(index, dict) or not index or not all(isinstance(file, str) for file in index.values()):
        raise CheckpointError(f"{path} has no weight_map", hint="copy or download the file again", path=path)
    files = set(index.values())
    if len(files) > _MOST_FILES:
        raise CheckpointError(f"{path} names {len(files):,} files, too many for a model", path=path)
    inside = {file: _inside(path, file) for file in files}
    return {name: inside[file] for name, file in index.items()}


def weight_map(path: Path) -> Any:
    """What the index `path` has as its weight_map; None where there is no index, or none in it.

    Raises:
        CheckpointError: there is something of its name that is no index.
    """
    return (read_object(path, _MAX_INDEX_BYTES, _MAX_INDEX_PARTS) or {}).get("weight_map")


def read_object(path: Path, most_bytes: int, most_parts: int) -> dict[str, Any] | None:
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


def _is_file(place: Path) -> bool:
    """Whether it is a file. Raises CheckpointError where it is nothing that can be looked into."""
    try:
        return not stat.S_ISDIR(os.stat(place).st_mode)
    except FileNotFoundError:
        hint = None
        if not place.is_absolute() or len(place.parts) > 2:
            hint = "check the path; a model on the Hub must be downloaded first"
        what = "is a link that leads nowhere" if os.path.islink(place) else "does not exist"
        raise CheckpointError(f"the model folder {place} {what}", hint=hint, path=place) from None
    except (OSError, ValueError) as error:
        text = os_error_text(error) if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"cannot read the model folder {place}: {text}", path=place) from error


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _snapshot(place: Path) -> Path:
    """The snapshot that a model's folder in the Hub's cache means."""
    snapshots = [name for name in names_in(place / "snapshots") if _is_folder(place / "snapshots" / name)]
    if is_there(main := place / "refs" / "main", CheckpointError):
        name = read_small(main, 200, CheckpointError).decode("ascii", "replace").strip()
        if name in snapshots:
            return place / "snapshots" / name
    if len(snapshots) == 1:
        return place / "snapshots" / snapshots[0]
    if not snapshots:
        raise CheckpointError(
            f"{place} is a folder of the Hub's cache without a snapshot: nothing was downloaded to the end",
            hint="download the model again with `hf download`",
            path=place,
        )
    raise CheckpointError(
        f"{place} is a folder of the Hub's cache with {len(snapshots)} snapshots ({_listed(snapshots)}) "
        "and no main one among them",
        hint=f"name the one you want, such as {place / 'snapshots' / snapshots[0]}",
        path=place,
    )


# -- families


def _families(names: Sequence[str]) -> list[_Family]:
    families: dict[tuple[str, str | None, bool], _Family] = {}

    def family(stem: str, variant: str | None, kind: str) -> _Family:
        if variant is not None and stem not in (*_OF_LIBRARIES, _OF_MISTRAL):
            stem, variant = f"{stem}.{variant}", None
        key = (stem, variant, kind != "safetensors")
        return families.setdefault(key, _Family(*key))

    for name in names:
        if not name.endswith((*ENDINGS, ".json")) or name.startswith(".") or is_left_over(name):
            continue
        if (found := _INDEX.fullmatch(name)) is not None:
            family(found["stem"], found["after"] or found["before"], found["format"]).index = name
        elif (found := _FILE.fullmatch(name)) is not None:
            stem, variant = found["stem"], found["variant"]
            if found["part"] is None:
                family(stem, variant, found["format"]).single = name
                continue
            before, dot, after = stem.rpartition(
                "."
            )  # model.fp16-00001-of-00002, model.safetensors-00001-of-…
            if dot and variant is None and before in _OF_LIBRARIES:
                stem, variant = before, after if after not in ("safetensors", "bin") else None
            parts = family(stem, variant, found["format"]).parts
            parts.append((int(found["part"]), int(found["parts"]), name))
    return list(families.values())


def _refuse_several(folder: Path, families: Sequence[_Family]) -> None:
    names = [family.some_name for family in families]
    example = quoted(folder / names[0])
    if families[0].rank in (2, 3):
        raise CheckpointError(
            f"{folder} has several variants of its weights ({_listed(names)}) and no plain one",
            hint=f"name the one you want as the model, such as {example}",
            path=folder,
        )
    if families[0].stem == _OF_MISTRAL:
        raise CheckpointError(
            f"{folder} holds {len(names)} parts of a model that was cut for several devices "
            f"({_listed(names)}), each with a slice of every tensor",
            hint="take the model in the format of transformers, as it is on the Hub",
            path=folder,
        )
    kind = "safetensors" if not families[0].is_pickle else "PyTorch"
    index = f"{SINGLE_NAME}.index.json" if not families[0].is_pickle else "pytorch_model.bin.index.json"
    raise CheckpointError(
        f"{folder} has {len(names)} {kind} files and no {index}: {_listed(names)}",
        hint=f"name the one that is the model, such as {example}, or add the index if they are one model",
        path=folder,
    )


def _of_family(folder: Path, family: _Family) -> Weights:
    if family.single is not None:
        if not is_text(family.single):
            path = folder / family.single
            raise CheckpointError(
                f"the file name of {path} is not valid text", hint=f"call it {SINGLE_NAME}", path=path
            )
        return Weights(folder, (family.single,), None, None, family.stem)
    if family.index is not None:
        return _of_index(folder / family.index, family.stem)
    _check_parts(folder, family)
    return Weights(folder, tuple(name for _, _, name in sorted(family.parts)), None, None, family.stem)


def _of_index(path: Path, stem: str) -> Weights:
    index, folder = read_index(path), path.parent
    files = sorted(set(index.values()))
    there = set(names_in(folder))
    for file in files:
        if file not in there and not is_there(folder / file, CheckpointError):
            raise CheckpointError(
                f"{path} names the shard {file}, which is missing",
                hint="copy or download the missing file",
                path=folder / file,
            )
    return Weights(folder, tuple(files), index, path, stem)


def _check_parts(folder: Path, family: _Family) -> None:
    """Refuse parts of which some are missing."""
    counts = sorted({parts for _, parts, _ in family.parts})
    if len(counts) > 1:
        raise CheckpointError(
            f"{folder} holds parts of several sets, of {' and of '.join(map(str, counts[:_MOST_NAMED]))} "
            "files, and no index",
            hint="keep the files of one set, or download the index",
            path=folder,
        )
    there = {part: name for part, _, name in family.parts}
    first = 0 if 0 in there else 1
    missing = [number for number in range(first, first + min(counts[0], 100_000)) if number not in there]
    if missing:
        pattern = next(iter(there.values()))
        names = [_numbered(pattern, number) for number in missing[:_MOST_NAMED]]
        raise CheckpointError(
            f"{folder} lacks {len(missing)} of the {counts[0]} parts of its weights: "
            f"{_listed(names, len(missing))}",
            hint="copy or download what is missing",
            path=folder,
        )


def _numbered(name: str, number: int) -> str:
    """The name of another part of the same set."""
    return re.sub(r"(\d+)(-of-\d+)", lambda found: f"{number:0{len(found[1])}}{found[2]}", name, count=1)


def _of_file(path: Path) -> Weights:
    """The model that one file is."""
    folder, name = path.parent, path.name
    if (index := _INDEX.fullmatch(name)) is not None:
        return _of_index(path, index["stem"])
    found = _FILE.fullmatch(name)
    if found is None or is_left_over(name) or name.startswith("adapter_model."):
        refuse_file(path)
    if found is not None and found["part"] is not None and int(found["parts"]) > 1:
        raise CheckpointError(
            f"{path} is one of {int(found['parts'])} parts of a model",
            hint=f"name its folder: {folder}",
            path=path,
        )
    stem = found["stem"] if found is not None else path.stem
    return Weights(folder, (name,), None, None, stem)


def _inside(path: Path, file: str) -> str:
    """The path from the index's folder on that it gives as `file`, which leads nowhere else."""
    parts = [part for part in file.split("/") if part != "."]
    if not parts or file.endswith("/.") or not all(_is_file_name(part) for part in parts):
        raise CheckpointError(f"{path} names {shown(file)}, which is not a file name", path=path)
    return "/".join(parts)


def _is_file_name(name: str) -> bool:
    """Whether it names something in a folder, on any system."""
    return (
        name not in ("", ".", "..")
        and not any(character in name for character in "/\\\0:")
        and is_text(name)
        and len(name.encode()) <= 255
    )


def _listed(names: Sequence[str], count: int | None = None) -> str:
    count = len(names) if count is None else count
    text = ", ".join(cut(name, 80) for name in names[:_MOST_NAMED])
    return text if count <= _MOST_NAMED else f"{text} and {count - _MOST_NAMED} more"
