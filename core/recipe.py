"""What the user asked for: a mergekit YAML config with a few keys of our own, as frozen values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from core.draws import MAX_SEED
from core.dtypes import DType, dtype_from_recipe_name
from core.errors import RecipeError, os_error_text
from core.methods import METHODS, MethodSpec, ParameterValue
from core.text import is_text, shown

__all__ = ["ModelEntry", "Recipe", "load_recipe", "parse_recipe", "recipe_as_dict"]

_KEYS = (
    "merge_method",
    "base_model",
    "models",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "seed",
    "zero_tolerance",
    "nonfinite",
    "vocab",
)
_MERGEKIT_KEYS = ("slices", "modules", "tokenizer", "chat_template", "metadata", "name")
"""Keys of mergekit that mean something there and are not supported here."""

_MAX_RECIPE_BYTES = 100_000
"""Hundreds of sub-models. A larger file is something else, and would take seconds to parse."""


@dataclass(frozen=True)
class ModelEntry:
    """A sub-model as the recipe names it.

    Attributes:
        path: its folder.
        parameters: the values given for it alone, checked.
    """

    path: Path
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """What is to be merged, and how. Made by `load_recipe` or `parse_recipe`, which check it.

    Attributes:
        method: the merge method.
        models: the sub-models in order; K of them.
        base: the base's folder, or None.
        parameters: the values given for the whole merge, checked.
        seed: of the draws, 0 <= seed < 2**64.
        dtype, out_dtype: merge and output type; None for the models' own.
        zero_tolerance: |delta| that still counts as zero; None for exact equality.
        nonfinite: "pass" or "error".
        vocab: "union" or "base".
        tokenizer_source: the folder whose config and tokenizer go into the output; None for the
            first sub-model's.
    """

    method: MethodSpec
    models: tuple[ModelEntry, ...]
    base: Path | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    seed: int = 0
    dtype: DType | None = None
    out_dtype: DType | None = None
    zero_tolerance: float | None = None
    nonfinite: str = "pass"
    vocab: str = "union"
    tokenizer_source: Path | None = None

    def value(self, name: str) -> ParameterValue:
        """The merge-wide parameter `name`: the recipe's value, or the method's default."""
        spec = self.method.parameter(name)
        if spec is None:
            raise KeyError(name)
        return self.parameters.get(name, spec.default)

    def values_by_model(self, name: str) -> tuple[ParameterValue, ...]:
        """The per-model parameter `name` for each sub-model: its own value, the recipe's, or the default."""
        default = self.value(name)
        return tuple(entry.parameters.get(name, default) for entry in self.models)

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """The weight of each sub-model as given. [K]"""
        return tuple(float(value) for value in self.values_by_model("weight"))

    @property
    def resamples(self) -> int:
        """n; 0 for a method that does not draw."""
        return int(self.value("resamples")) if self.method.parameter("resamples") else 0


def load_recipe(path: str | Path) -> Recipe:
    """Read and check the recipe in `path`; relative model paths are relative to its folder.

    Raises:
        RecipeError: with one sentence that names the file and the field.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise RecipeError(f"{path} is a folder, not a recipe", hint="name a YAML file", path=path)
        with path.open("rb") as file:
            content = file.read(_MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {os_error_text(error)}", path=path) from error
    if len(content) > _MAX_RECIPE_BYTES:
        raise RecipeError(f"{path} is too large for a recipe", hint="name a YAML file", path=path)
    try:
        data = yaml.load(content.decode(), Loader=_Loader)  # a SafeLoader
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text", hint="name a YAML file", path=path) from error
    except Exception as error:  # its constructors raise what they like: KeyError, AttributeError, ...
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        problem = getattr(error, "problem", None) or "a value that cannot be understood"
        if isinstance(error, yaml.reader.ReaderError):
            problem = f"the character U+{error.character:04X} is not allowed"
        elif isinstance(error, RecursionError):
            problem = "it is nested too deeply"
        raise RecipeError(f"{path}{where} is not valid YAML: {problem}", path=path) from error
    try:
        return parse_recipe(data, path.absolute().parent)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error.message}", hint=error.hint, path=path) from error


def parse_recipe(data: Any, folder: Path) -> Recipe:
    """The recipe in `data`, a mapping with the keys of a recipe file.

    Args:
        data: what the YAML file holds.
        folder: what relative paths are relative to.

    Raises:
        RecipeError: with one sentence that names the field.
    """
    if not isinstance(data, dict):
        raise RecipeError(
            "the recipe is not a mapping of keys to values",
            hint="begin with a line such as merge_method: linear",
        )
    _refuse_unknown(data, _KEYS, "", unsupported=_MERGEKIT_KEYS)
    method = _method(data.get("merge_method"))
    base = _path(data["base_model"], folder, "base_model") if data.get("base_model") is not None else None
    if method.needs_base and base is None:
        raise RecipeError(
            f"merge_method {method.name} needs a base_model", hint="add base_model: the folder of the base"
        )
    parameters = _parameters(data.get("parameters"), method, "parameters", scopes=("merge", "model"))
    models = _models(data.get("models"), method, folder)
    if method.needs_base and base is not None:
        models = tuple(entry for entry in models if not _same_folder(entry.path, base))
    if not models:
        raise RecipeError("there is no sub-model to merge (K = 0)", hint="list at least one under models")
    recipe = Recipe(
        method=method,
        models=models,
        base=base,
        parameters=parameters,
        seed=_seed(data.get("seed")),
        dtype=_dtype(data, "dtype"),
        out_dtype=_dtype(data, "out_dtype"),
        zero_tolerance=_zero_tolerance(data.get("zero_tolerance")),
        nonfinite=_choice(data, "nonfinite", ("pass", "error")),
        vocab=_choice(data, "vocab", ("union", "base")),
        tokenizer_source=_tokenizer_source(data.get("tokenizer_source"), base, folder),
    )
    per_model = {
        spec.name: recipe.values_by_model(spec.name) for spec in method.parameters if spec.scope == "model"
    }
    merge_wide = {spec.name: recipe.value(spec.name) for spec in method.parameters if spec.scope == "merge"}
    method.check(per_model, merge_wide)
    return recipe


def recipe_as_dict(recipe: Recipe, names: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """The recipe as plain values that `parse_recipe` and mergekit's YAML understand.

    Args:
        recipe: what to write down.
        names: what to write in the place of each folder; None for the folders themselves.
    """

    def shown(path: Path) -> str:
        return names[path] if names is not None else str(path)

    result: dict[str, Any] = {"merge_method": recipe.method.name}
    if recipe.base is not None:
        result["base_model"] = shown(recipe.base)
    result["models"] = [
        {"model": shown(entry.path)} | ({"parameters": dict(entry.parameters)} if entry.parameters else {})
        for entry in recipe.models
    ]
    if recipe.parameters:
        result["parameters"] = dict(recipe.parameters)
    result["seed"] = recipe.seed
    for key in ("dtype", "out_dtype"):
        dtype = getattr(recipe, key)
        if dtype is not None:
            result[key] = dtype.torch_name
    if recipe.zero_tolerance is not None:
        result["zero_tolerance"] = recipe.zero_tolerance
    result["nonfinite"] = recipe.nonfinite
    result["vocab"] = recipe.vocab
    if recipe.tokenizer_source is not None:
        result["tokenizer_source"] = shown(recipe.tokenizer_source)
    return result


class _Loader(yaml.SafeLoader):
    """YAML with numbers such as 1e-3, which YAML 1.1 takes for text, and without repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the SafeLoader refuses it
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def _method(name: Any) -> MethodSpec:
    if name is None:
        raise RecipeError("merge_method is missing", hint=f"one of: {', '.join(METHODS)}")
    if not isinstance(name, str) or name not in METHODS:
        raise RecipeError(
            f"merge_method {shown(name)} is not supported",
            hint=_nearest(name, METHODS) or f"one of: {', '.join(METHODS)}",
        )
    return METHODS[name]


def _models(value: Any, method: MethodSpec, folder: Path) -> tuple[ModelEntry, ...]:
    if value is None:
        value = []
    if not isinstance(value, list):
        raise RecipeError("models is not a list", hint="write one line `- model: FOLDER` for each sub-model")
    entries = []
    for at, item in enumerate(value, start=1):
        where = f"models, entry {at}"
        if not isinstance(item, dict):
            raise RecipeError(f"{where} is not a mapping", hint="write it as `- model: FOLDER`")
        _refuse_unknown(item, ("model", "parameters"), f"{where}: ")
        if item.get("model") is None:
            raise RecipeError(f"{where} names no model", hint="write it as `- model: FOLDER`")
        path = _path(item["model"], folder, f"{where}: model")
        parameters = _parameters(item.get("parameters"), method, f"{where}: parameters", scopes=("model",))
        entries.append(ModelEntry(path, parameters))
    return tuple(entries)


def _parameters(
    value: Any, method: MethodSpec, where: str, scopes: tuple[str, ...]
) -> dict[str, ParameterValue]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RecipeError(f"{where} is not a mapping of names to values")
    known = [spec.name for spec in method.parameters if spec.scope in scopes]
    result: dict[str, ParameterValue] = {}
    for name, given in value.items():
        spec = method.parameter(name) if isinstance(name, str) else None
        if spec is None:
            raise RecipeError(
                f"{where}: {method.name} has no parameter {shown(name)}",
                hint=_nearest(name, known) or f"it has: {', '.join(known)}",
            )
        if spec.scope not in scopes:
            raise RecipeError(
                f"{where}: {name} is one value for the whole merge",
                hint="move it to the recipe's own parameters",
            )
        result[spec.name] = spec.check(given, f"{where}.{name}")
    return result


def _path(value: Any, folder: Path, where: str) -> Path:
    if isinstance(value, dict) and isinstance(value.get("model"), dict):  # mergekit's long form
        _refuse_unknown(value, ("model",), f"{where}: ", unsupported=("lora", "override_architecture"))
        _refuse_unknown(value["model"], ("path",), f"{where}: ", unsupported=("revision",))
        value = value["model"].get("path")
    if not isinstance(value, str) or not value:
        raise RecipeError(f"{where} must be the path of a model folder, not {shown(value)}")
    if not is_text(value):
        raise RecipeError(f"{where} {shown(value)} is not valid text", hint="rename the folder")
    if "\0" in value:
        raise RecipeError(f"{where} {shown(value)} is not a path")
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise RecipeError(
            f"{where} {shown(value)} is in the home folder of someone who is not known here",
            hint="write the whole path, or ./ before a folder whose name begins with ~",
        ) from None
    return path if path.is_absolute() else folder / path


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)  # whatever the spelling, on disks that ignore case as well
    except (OSError, ValueError):
        return one == other


def _seed(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise RecipeError(f"seed must be a whole number from 0 to {MAX_SEED}, not {shown(value)}")
    return value


def _dtype(data: Mapping[str, Any], key: str) -> DType | None:
    value = data.get(key)
    if value is None:
        return None
    dtype = dtype_from_recipe_name(value) if isinstance(value, str) else None
    if dtype is None:
        raise RecipeError(
            f"{key} {shown(value)} is not supported",
            hint="one of: float64, float32, bfloat16, float16, float8_e4m3fn, float8_e5m2",
        )
    return dtype


def _zero_tolerance(value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
    except OverflowError:
        number = -1.0
    if not isfinite(number) or number < 0:
        raise RecipeError(f"zero_tolerance must be a finite number that is not negative, not {shown(value)}")
    return number


def _choice(data: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = data.get(key)
    if value is None:
        return choices[0]
    if value not in choices:
        raise RecipeError(f"{key} must be {' or '.join(choices)}, not {shown(value)}")
    return str(value)


def _tokenizer_source(value: Any, base: Path | None, folder: Path) -> Path | None:
    if value is None:
        return None
    if value == "base":
        if base is None:
            raise RecipeError("tokenizer_source is base, and the recipe has no base_model")
        return base
    if value == "union":
        raise RecipeError(
            "tokenizer_source: union is not supported",
            hint="leave it out for the first sub-model's tokenizer, or name a model folder",
        )
    return _path(value, folder, "tokenizer_source")


def _refuse_unknown(
    data: Mapping[Any, Any], known: Iterable[str], where: str, unsupported: Iterable[str] = ()
) -> None:
    for key in data:
        if key in known:
            continue
        if key in unsupported:
            raise RecipeError(
                f"{where}the key {key!r} of mergekit is not supported",
                hint="name whole models under models" if key in {"slices", "modules"} else "leave it out",
            )
        raise RecipeError(
            f"{where}unknown key {shown(key)}",
            hint=_nearest(key, known) or f"the keys are: {', '.join(known)}",
        )


def _nearest(name: Any, known: Iterable[str]) -> str | None:
    if not isinstance(name, str):
        return None
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else None
