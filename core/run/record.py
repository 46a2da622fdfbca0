"""The run record: `paramosaic.json`, what a merge did, tensor by tensor."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from math import inf, isfinite, prod
from pathlib import Path
from typing import Any

from core.checkpoint.listed_files import FileRecord, is_digest, listed_files, run_id_of
from core.checkpoint.record_file import DIGEST_KEY, RECORD_NAME, SCHEMA_VERSION, open_record, record_bytes
from core.errors import VerificationError, merge_errors_only
from core.kernels.interface import Values
from core.methods import METHODS
from core.plan.merge_plan import CONTRACT
from core.run.record_values import (
    checked,
    checked_recipe,
    count,
    counts,
    moment,
    optional,
    parameters,
    texts,
)
from core.text import shown

__all__ = [
    "SCHEMA_VERSION",
    "FileRecord",
    "InputRecord",
    "RunRecord",
    "TensorRecord",
    "read_record",
    "software_versions",
]

_MAX_DIMENSIONS = 64


@dataclass(frozen=True)
class TensorRecord:
    """What one output tensor is and how it came about.

    Attributes:
        name, shape, dtype: as written.
        action: "merged" or "copied".
        elements: their number.
        zero_delta: [K] elements of each sub-model with zero delta.
        changed_by: [K+1] elements changed by exactly m sub-models, m = 0..K.
        zero_after_draw: [n+1] elements still on a zero delta after draw d.
        selected: [K] elements whose value came from sub-model i.
        nonfinite: [K+1] NaN and infinite elements of each input as stored, the base last; null for a
            base that is not there or was not read.
        digest: hex XXH3-128 of the XXH3-128 digests of its 256 KiB pieces.
        differs_in: for a copied tensor, the sub-models whose copy differs.
        tied_to: the tensor under whose name it draws, and why; None for its own.
        missing_in: the inputs that lack it.
        weights: [K] of this tensor, where the recipe's rules may make them differ between tensors.
        parameters: the same of the other parameters, by name.
        dropped: [K] elements of each sub-model with a delta that sparsifying set to zero.
        elected_against: [K] of those that are left, how many the election of a sign left out.

    A count that does not apply is None.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    action: str
    elements: int
    zero_delta: tuple[int, ...] | None
    changed_by: tuple[int, ...] | None
    zero_after_draw: tuple[int, ...] | None
    selected: tuple[int, ...] | None
    nonfinite: tuple[int | None, ...]
    digest: str
    differs_in: tuple[str, ...] = ()
    tied_to: tuple[str, str] | None = None
    missing_in: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    parameters: Values = field(default_factory=Values)
    dropped: tuple[int, ...] | None = None
    elected_against: tuple[int, ...] | None = None


@dataclass(frozen=True)
class InputRecord:
    """One model that was read.

    Attributes:
        name: of it.
        role: "base", "sub-model", or "under": what only adapters were put on.
        files: with size and header digest; of adapters their own.
        adapter: what was put on which model, in words; "" for a whole model.
        configs: the digest of each adapter's config.
    """

    name: str
    role: str
    files: tuple[Mapping[str, Any], ...]
    adapter: str = ""
    configs: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """One finished merge.

    Attributes:
        schema_version: of this file's layout.
        recipe: as `core.recipe.recipe.recipe_as_dict` writes it, with names in the place of paths.
        inputs: the models.
        software: versions.
        device: what did the arithmetic.
        device_why: why that, as "cpu: the merge would be over before the card is ready"; "" in a record that
            does not say.
        seconds: from the first weight read to the finished folder.
        bytes_read, bytes_written: of weights.
        tensors: every output tensor.
        contract: the versions of the contracts of draws and averages by which it was made.
        run_id: what the staging folder and its journal were known by: letters, digits and "-", at most 64;
            None in a record of schema 1.
        started: when the merge began, UTC, as ISO 8601 writes it; None in a record of schema 1.
        warnings: what the plan and the merge warned of, as sentences.
        not_looked_at: what would have been warned of and was not looked at, as nothing counts it.
        files: every file of the output but the record itself; none in a record of schema 1.
    """

    recipe: Mapping[str, Any]
    inputs: tuple[InputRecord, ...]
    software: Mapping[str, str]
    device: str
    seconds: float
    bytes_read: int
    bytes_written: int
    tensors: tuple[TensorRecord, ...] = field(repr=False)
    contract: Mapping[str, int] = field(default_factory=lambda: dict(CONTRACT))
    schema_version: int = SCHEMA_VERSION
    run_id: str | None = None
    started: str | None = None
    warnings: tuple[str, ...] = ()
    not_looked_at: tuple[str, ...] = ()
    device_why: str = ""
    files: tuple[FileRecord, ...] = field(default=(), repr=False)

    @property
    def draws_equally(self) -> bool:
        """Whether every sub-model was as likely to be drawn as any other, in every tensor that was drawn."""
        method = METHODS.get(str(self.recipe.get("merge_method")))
        if method is None or method.draws is None or method.weight != "share":
            return True
        common = (self.recipe.get("parameters") or {}).get("weight", 1.0)
        models = self.recipe.get("models", ())
        given = [(model.get("parameters") or {}).get("weight", common) for model in models]
        return (bool(given) and all(weight == given[0] for weight in given)) or all(
            tensor.weights is not None and len(set(tensor.weights)) == 1
            for tensor in self.tensors
            if tensor.action == "merged"
        )

    def to_json(self) -> bytes:
        """The content of `paramosaic.json`: one line a file and a tensor, the tensors last."""
        head: dict[str, Any] = {
            "schema_version": self.schema_version,
            "run_id": self.run_id,
            "started": self.started,
            DIGEST_KEY: None,
            "files": [file.data() for file in self.files],
        }
        rest = [item.name for item in fields(self) if item.name not in {*head, "tensors", "inputs"}]
        head |= {name: getattr(self, name) for name in rest}
        head["inputs"] = [
            {"name": entry.name, "role": entry.role, "files": list(map(dict, entry.files))}
            | ({"adapter": entry.adapter, "configs": list(entry.configs)} if entry.adapter else {})
            for entry in self.inputs
        ]
        return record_bytes(head, map(_tensor_data, self.tensors))


@merge_errors_only()
def read_record(folder: str | Path) -> RunRecord:
    """The run record of the output in `folder`.

    Raises:
        VerificationError: there is none, it is not one, or it is not as it was written.
    """
    folder = Path(folder)
    with open_record(folder, VerificationError) as file:
        head = file.head
        version = head["schema_version"]
        if type(version) is not int or version not in (1, SCHEMA_VERSION):
            path = folder / RECORD_NAME
            raise VerificationError(
                f"{path} is of schema version {shown(version)}, not {SCHEMA_VERSION}",
                hint="update Paramosaic",
                path=path,
            )
        seconds = float(checked(head, "seconds", int, float))
        if not 0 <= seconds < inf:
            raise ValueError(f"seconds is {seconds}")
        inputs = tuple(_input(entry) for entry in checked(head, "inputs", list))
        k = sum(entry.role == "sub-model" for entry in inputs)
        tensors = tuple(_tensor(entry, k) for entry in file.tensors())
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise ValueError("a tensor stands twice")
        return RunRecord(
            schema_version=version,
            run_id=run_id_of(head),
            started=moment(head, "started"),
            files=listed_files(head["files"]) if version > 1 else (),
            recipe=checked_recipe(head),
            inputs=inputs,
            software=_software(head),
            device=checked(head, "device", str),
            seconds=seconds,
            bytes_read=count(head, "bytes_read"),
            bytes_written=count(head, "bytes_written"),
            tensors=tensors,
            contract=_contract(head),
            warnings=texts(head, "warnings") if "warnings" in head else (),
            not_looked_at=texts(head, "not_looked_at") if "not_looked_at" in head else (),
            device_why=optional(head, "device_why", str) or "",
        )


def software_versions() -> dict[str, str]:
    """Versions of what takes part in a merge."""
    result = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in ("paramosaic", "numpy", "numba", "torch", "safetensors"):
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result


def _software(head: Mapping[str, Any]) -> dict[str, str]:
    software: dict[str, str] = checked(head, "software", dict)
    for name in software:
        checked(software, name, str)
    return software


def _contract(head: Mapping[str, Any]) -> dict[str, int]:
    if "contract" not in head:
        return {"draws": 1, "average": 1}
    contract: dict[str, int] = checked(head, "contract", dict)
    for name in contract:
        count(contract, name)
    return contract


def _input(entry: Any) -> InputRecord:
    if not isinstance(entry, dict):
        raise ValueError(f"{shown(entry)} is no input")
    files = tuple(checked(entry, "files", list))
    if not all(isinstance(file, dict) for file in files):
        raise ValueError(f"the files of an input are {shown(files)}")
    return InputRecord(
        checked(entry, "name", str),
        checked(entry, "role", str),
        files,
        checked(entry, "adapter", str) if "adapter" in entry else "",
        texts(entry, "configs") if "configs" in entry else (),
    )


def _tensor_data(tensor: TensorRecord) -> dict[str, Any]:
    data = {name: getattr(tensor, name) for name in _TENSOR_FIELDS}
    if tensor.weights is None:  # the recipe says them
        del data["weights"]
    for name in ("tied_to", "missing_in"):
        if not data[name]:
            del data[name]
    data["parameters"] = dict(tensor.parameters)
    if not tensor.parameters:
        del data["parameters"]
    return data


def _tensor(entry: Any, k: int) -> TensorRecord:
    """Raises ValueError, KeyError or TypeError where it is not one of a merge of `k` sub-models."""
    if not isinstance(entry, dict):
        raise ValueError(f"{shown(entry)} is no tensor")
    name, shape, elements = checked(entry, "name", str), counts(entry, "shape"), count(entry, "elements")
    if prod(shape[:_MAX_DIMENSIONS]) != elements or len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"tensor {shown(name)} has the shape {shown(shape)} and {elements:,} elements")
    if not is_digest(entry["digest"]):
        raise ValueError(f"digest is {shown(entry['digest'])}")
    return TensorRecord(
        name=name,
        shape=shape,
        dtype=checked(entry, "dtype", str),
        action=checked(entry, "action", str),
        elements=elements,
        zero_delta=_counts(entry, "zero_delta", k),
        changed_by=_counts(entry, "changed_by", k + 1),
        zero_after_draw=_counts(entry, "zero_after_draw"),
        selected=_counts(entry, "selected", k),
        dropped=_counts(entry, "dropped", k) if "dropped" in entry else None,
        elected_against=_counts(entry, "elected_against", k) if "elected_against" in entry else None,
        nonfinite=_nonfinite(entry, k + 1),
        digest=entry["digest"],
        differs_in=texts(entry, "differs_in"),
        tied_to=_tied_to(entry),
        missing_in=texts(entry, "missing_in") if "missing_in" in entry else (),
        weights=_weights(entry, k) if "weights" in entry else None,
        parameters=Values.from_mapping(parameters(entry)),
    )


def _tied_to(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    if "tied_to" not in entry:
        return None
    found = texts(entry, "tied_to")
    if len(found) != 2:
        raise ValueError(f"tied_to of tensor {shown(entry['name'])} is {shown(found)}")
    return found[0], found[1]


def _counts(entry: Mapping[str, Any], key: str, length: int | None = None) -> tuple[int, ...] | None:
    found = None if entry[key] is None else counts(entry, key, length)
    if found == ():
        raise ValueError(f"{key} of tensor {shown(entry['name'])} is empty")
    return found


def _nonfinite(entry: Mapping[str, Any], length: int) -> tuple[int | None, ...]:
    values = checked(entry, "nonfinite", list)
    known = {"name": entry["name"], "nonfinite": [0 if value is None else value for value in values]}
    counts(known, "nonfinite", length)
    return tuple(values)


def _weights(entry: Mapping[str, Any], length: int) -> tuple[float, ...]:
    values = checked(entry, "weights", list)
    if len(values) != length or not all(type(value) is float and isfinite(value) for value in values):
        raise ValueError(f"weights of tensor {shown(entry['name'])} is {shown(values)}")
    return tuple(values)


_TENSOR_FIELDS = tuple(item.name for item in fields(TensorRecord))
