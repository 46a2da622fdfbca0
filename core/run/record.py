"""The run record: `paramosaic.json`, what a merge did, tensor by tensor."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from core.checkpoint.output import RECORD_NAME
from core.errors import VerificationError, merge_errors_only, os_error_text
from core.kernels.interface import Values
from core.methods import METHODS
from core.text import shown

__all__ = [
    "CONTRACT",
    "SCHEMA_VERSION",
    "InputRecord",
    "RunRecord",
    "TensorRecord",
    "read_record",
    "software_versions",
]

SCHEMA_VERSION = 1

CONTRACT = {"draws": 1, "average": 2}
"""What a merge keeps to today. A record that does not say it was made by version 1 of both."""


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
        weights: [K] of this tensor, where the recipe's rules may make them differ between tensors.
        parameters: the same of the other parameters, by name.

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
    weights: tuple[float, ...] | None = None
    parameters: Values = field(default_factory=Values)


@dataclass(frozen=True)
class InputRecord:
    """One model that was read: its name, its role, its files with size and header digest."""

    name: str
    role: str
    files: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class RunRecord:
    """One finished merge.

    Attributes:
        schema_version: of this file's layout.
        recipe: as `core.recipe.recipe.recipe_as_dict` writes it, with names in the place of paths.
        inputs: the models.
        software: versions.
        device: what did the arithmetic.
        seconds: from the first weight read to the finished folder.
        bytes_read, bytes_written: of weights.
        tensors: every output tensor.
        contract: the versions of the contracts of draws and averages by which it was made.
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

    @property
    def draws_equally(self) -> bool:
        """Whether every sub-model was as likely to be drawn as any other, in every tensor that was drawn."""
        method = METHODS.get(str(self.recipe.get("merge_method")))
        if method is None or method.draws is None or method.weight != "share":
            return True
        common = (self.recipe.get("parameters") or {}).get("weight", 1.0)
        given = [(model.get("parameters") or {}).get("weight", common) for model in self.recipe["models"]]
        return all(weight == given[0] for weight in given) or all(
            tensor.weights is not None and len(set(tensor.weights)) == 1
            for tensor in self.tensors
            if tensor.action == "merged"
        )

    def to_json(self) -> bytes:
        """The content of `paramosaic.json`: one line a tensor."""
        head = {"schema_version": self.schema_version} | {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name not in {"tensors", "schema_version", "inputs"}
        }
        head["inputs"] = [asdict(entry) for entry in self.inputs]
        text = json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}")
        lines = ",\n".join(
            "    " + json.dumps(_tensor_data(tensor), ensure_ascii=False, separators=(", ", ": "))
            for tensor in self.tensors
        )
        return f'{text},\n  "tensors": [\n{lines}\n  ]\n}}\n'.encode()


@merge_errors_only()
def read_record(folder: str | Path) -> RunRecord:
    """The run record of the output in `folder`.

    Raises:
        VerificationError: there is none, or it is not one.
    """
    path = Path(folder) / RECORD_NAME
    try:
        data = json.loads(path.read_bytes())
        if data["schema_version"] != SCHEMA_VERSION:
            raise VerificationError(
                f"{path} is of schema version {shown(data['schema_version'])}, not {SCHEMA_VERSION}",
                hint="update Paramosaic",
                path=path,
            )
        tensors = tuple(_tensor(entry) for entry in _checked(data, "tensors", list))
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise ValueError("a tensor stands twice")
        return RunRecord(
            schema_version=data["schema_version"],
            recipe=_checked(data, "recipe", dict),
            inputs=tuple(_input(entry) for entry in _checked(data, "inputs", list)),
            software=_checked(data, "software", dict),
            device=_checked(data, "device", str),
            seconds=float(_checked(data, "seconds", int, float)),
            bytes_read=_checked(data, "bytes_read", int),
            bytes_written=_checked(data, "bytes_written", int),
            tensors=tensors,
            contract=_checked(data, "contract", dict) if "contract" in data else {"draws": 1, "average": 1},
        )
    except FileNotFoundError as error:
        raise VerificationError(
            f"{folder} holds no run record ({RECORD_NAME})",
            hint="name the output folder of a merge",
            path=path,
        ) from error
    except OSError as error:
        raise VerificationError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise VerificationError(
            f"{path} is not a run record: {what}", hint="the file was changed or damaged", path=path
        ) from error


def software_versions() -> dict[str, str]:
    """Versions of what takes part in a merge."""
    result = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in ("paramosaic", "numpy", "numba", "torch", "safetensors"):
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result


def _checked(entry: Mapping[str, Any], key: str, *types: type) -> Any:
    """The value of `key`, checked to be of one of `types`; a flag is not a number. Raises ValueError."""
    value = entry[key]
    if type(value) not in types:
        raise ValueError(f"{key} is {shown(value)}")
    return value


def _input(entry: Any) -> InputRecord:
    if not isinstance(entry, dict):
        raise ValueError(f"{shown(entry)} is no input")
    files = tuple(_checked(entry, "files", list))
    return InputRecord(_checked(entry, "name", str), _checked(entry, "role", str), files)


def _tensor_data(tensor: TensorRecord) -> dict[str, Any]:
    data = asdict(tensor)
    if tensor.weights is None:  # the recipe says them
        del data["weights"]
    data["parameters"] = dict(tensor.parameters)
    if not tensor.parameters:
        del data["parameters"]
    return data


def _tensor(entry: Any) -> TensorRecord:
    if not isinstance(entry, dict):
        raise ValueError(f"{shown(entry)} is no tensor")
    return TensorRecord(
        name=_checked(entry, "name", str),
        shape=_numbers(entry, "shape", int),
        dtype=_checked(entry, "dtype", str),
        action=_checked(entry, "action", str),
        elements=_checked(entry, "elements", int),
        zero_delta=_counts(entry, "zero_delta"),
        changed_by=_counts(entry, "changed_by"),
        zero_after_draw=_counts(entry, "zero_after_draw"),
        selected=_counts(entry, "selected"),
        nonfinite=_numbers(entry, "nonfinite", int, type(None)),
        digest=_checked(entry, "digest", str),
        differs_in=tuple(str(name) for name in entry.get("differs_in", ())),
        weights=_numbers(entry, "weights", float) if "weights" in entry else None,
        parameters=Values.from_mapping(_checked(entry, "parameters", dict) if "parameters" in entry else {}),
    )


def _counts(entry: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
    return None if entry[key] is None else _numbers(entry, key, int)


def _numbers(entry: Mapping[str, Any], key: str, *types: type) -> tuple[Any, ...]:
    values = _checked(entry, key, list)
    if any(type(value) not in types for value in values):
        raise ValueError(f"{key} of tensor {shown(entry['name'])} is {shown(values)}")
    return tuple(values)
