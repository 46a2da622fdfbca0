"""Recipes of several merges, one after the other: a later one names what an earlier one makes.

In a file they are YAML documents, as mergekit-multimerge has them: each with a `name` but one, which is the
result. As one value they are the result's recipe with the key `stages`, a list of the others in the order in
which they are merged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.adapter_paths import join_adapters, split_adapters
from core.errors import MergeError, RecipeError
from core.recipe.reasons import Reasons
from core.recipe.recipe import Recipe, Stage
from core.text import is_text, shown

__all__ = [
    "beginnings",
    "documents_of",
    "in_folders",
    "in_stages",
    "joined",
    "moved",
    "on_stage",
    "parsed_stages",
    "with_seed",
]

_MOST = 100
_OF_MODELS = ("model", "base_model", "tokenizer_source", "path", "source")
_LONGEST_NAME = 100
_MADE = ".stages"
"""No folder that is there: one of a stage's name may be, and is another model, written as ./NAME."""


def joined(documents: Sequence[Any]) -> Any:
    """The documents of a file as the data of one recipe: that of the result, with the others as `stages`.

    Raises:
        RecipeError: it cannot be told which one is the result, two have one name, one needs itself, or one is
            of no use to the result.
    """
    if len(documents) == 1:
        return documents[0]
    if len(documents) > _MOST:
        raise RecipeError(f"the recipe holds {len(documents):,} documents", hint="write it in several files")
    for at, one in enumerate(documents):
        if not isinstance(one, dict):
            raise RecipeError(
                f"document {at + 1} is not a mapping of keys to values",
                hint="begin each with a line such as merge_method: linear",
            )
    unnamed = [at for at, one in enumerate(documents) if one.get("name") is None]
    if len(unnamed) > 1:
        places = " and ".join(str(at + 1) for at in unnamed[:2])
        raise RecipeError(
            f"documents {places} have no name, and one alone can be the result",
            hint="give every other one a line `name: NAME`, by which a later one lists it as a model",
            field="name",
        )
    last = unnamed[0] if unnamed else len(documents) - 1
    result = documents[last]
    others = [one for at, one in enumerate(documents) if at != last]
    return {**result, "stages": _in_order(others, result)}


def _in_order(stages: list[dict[Any, Any]], result: Mapping[Any, Any]) -> list[dict[Any, Any]]:
    """The stages, each after those that it reads."""
    by_name: dict[str, dict[Any, Any]] = {}
    for one in stages:
        name = read_name(one)
        if name in by_name:
            raise RecipeError(
                f"two documents have the name {shown(name)}", hint="give each its own", field="name"
            )
        by_name[name] = one
    done: dict[str, dict[Any, Any]] = {}

    def add(data: Mapping[Any, Any], waiting: tuple[str, ...]) -> None:
        for name in _named_in(data, by_name):
            if name in waiting:
                raise RecipeError(
                    f"the documents {', '.join(map(shown, waiting))} need one another's results"
                    if len(waiting) > 1
                    else f"the document {shown(name)} lists its own name as a model",
                    hint="a document may list those alone that are merged before it; a folder of the same "
                    f"name is written as ./{name}",
                    field="name",
                )
            if name not in done:
                add(by_name[name], (*waiting, name))
                done[name] = by_name[name]

    add(result, ())
    unused = [name for name in by_name if name not in done]
    if unused:
        raise RecipeError(
            f"the document {shown(unused[0])} is of no use to the result: no other one lists its name",
            hint="list it as a model, or write it into a file of its own",
            field="name",
        )
    return list(done.values())


def read_name(data: Mapping[Any, Any]) -> str:
    """The name of a stage.

    Raises:
        RecipeError: it has none, or one that is no name of a folder.
    """
    name = data.get("name")
    if not isinstance(name, str) or not _is_folder_name(name):
        raise RecipeError(
            f"the name {shown(name)} of a document cannot be that of a folder",
            hint=f"give it a short name without signs such as / and :, of {_LONGEST_NAME} characters at most",
            field="name",
        )
    return name


def _is_folder_name(name: str) -> bool:
    if not is_text(name) or not 0 < len(name) <= _LONGEST_NAME or name != name.strip():
        return False
    return name not in (".", "..") and not any(sign in name for sign in '/\\\0:*?"<>|\n')


def parsed_stages(
    data: Mapping[Any, Any], folder: Path, parse: Callable[[Any, Path], Recipe], reasons: Reasons
) -> tuple[tuple[Stage, ...], Mapping[Any, Any]]:
    """The stages in `data`, and the rest of it with paths in the place of their names.

    Args:
        data: of a recipe.
        folder: what relative paths are relative to.
        parse: what makes a recipe of the data of one.
        reasons: what `parse` raises is noted here, with the name of the stage, which is left out.

    Raises:
        RecipeError: as `joined`.
    """
    given = data.get("stages")
    if given is None:
        return (), data
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise RecipeError(
            "stages is not a list of recipes", hint="write each as a document with a name", field="stages"
        )
    result = {key: value for key, value in data.items() if key != "stages"}
    folders: dict[str, Path] = {}
    stages = []
    for one in _in_order(given, result):
        name = read_name(one)
        place = folder / _MADE / name
        with reasons.noted(), in_stages(name):
            if one.get("stages") is not None:
                raise RecipeError("it has stages of its own")
            stages.append(Stage(name, parse(_with_folders(one, folders), folder), place))
        folders[name] = place
    return tuple(stages), _with_folders(result, folders)


class in_stages:
    """A context in which errors are said of the stage of that name, and have the address "stages"."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, MergeError) or error.field == "stages":
            return
        for one in (error, *error.reasons):
            one.message = f"document {shown(self._name)}: {one.message}"
            one.args = (one.message,)
            one.field, one.entry = "stages", None


def documents_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The documents of a file that says the recipe `data`: its stages, then the result."""
    return [*data.get("stages", ()), {key: value for key, value in data.items() if key != "stages"}]


def beginnings(stages: Sequence[Stage]) -> list[str]:
    """The notes with which `stages`, and the merge after them, begin; none where there are none."""
    every = [*(stage.name for stage in stages), "the result"] if stages else []
    return [f"merge {number} of {len(every)}: {name}" for number, name in enumerate(every, start=1)]


def in_folders(recipe: Recipe, folders: Mapping[Path, Path]) -> Recipe:
    """`recipe` with other folders in the place of those that are keys of `folders`."""

    def real(path: Path) -> Path:
        return moved(path, folders)

    def given(path: Path | None) -> Path | None:
        return None if path is None else real(path)

    slices = tuple(
        replace(
            one,
            base=given(one.base),
            sources=tuple(
                replace(source, model=replace(source.model, path=real(source.model.path)))
                for source in one.sources
            ),
        )
        for one in recipe.slices
    )
    tokenizer = recipe.tokenizer
    if tokenizer is not None:
        rows = tuple(replace(row, model=given(row.model)) for row in tokenizer.tokens)
        tokenizer = replace(tokenizer, tokens=rows)
    return replace(
        recipe,
        models=tuple(replace(entry, path=real(entry.path)) for entry in recipe.models),
        base=given(recipe.base),
        tokenizer_source=given(recipe.tokenizer_source),
        tokenizer=tokenizer,
        slices=slices,
    )


def moved(path: Path, folders: Mapping[Path, Path]) -> Path:
    """What stands in the place of `path` where it, or the model under its adapters, is a key of `folders`."""
    if path in folders:
        return folders[path]
    on = _under(path, folders)
    return path if on is None else join_adapters(folders[on[0]], on[1])


def on_stage(path: Path, stages: Sequence[Stage]) -> tuple[Stage, tuple[Path, ...]] | None:
    """The stage whose result `path` is, and the adapters on it; None for a model that is there."""
    found = {stage.folder: stage for stage in stages}
    if path in found:
        return found[path], ()
    on = _under(path, found)
    return None if on is None else (found[on[0]], on[1])


def _under(path: Path, folders: Iterable[Path]) -> tuple[Path, tuple[Path, ...]] | None:
    """That of `folders` on which adapters are put in `path`, and the adapters."""
    text = str(path)
    if "+" not in text or os.path.lexists(path):
        return None
    for folder in folders:
        if text.startswith(f"{folder}+"):
            return folder, split_adapters(Path(text.removeprefix(f"{folder}+")))
    return None


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """`recipe` with another seed, in its stages as well."""
    stages = tuple(replace(stage, recipe=with_seed(stage.recipe, seed)) for stage in recipe.stages)
    return replace(recipe, seed=seed, stages=stages)


def _name_in(model: str, names: Container[str]) -> str | None:
    """The stage that a model is, or that adapters are put on in it; None for neither."""
    if model in names:
        return model
    ends = (at for at, sign in enumerate(model) if sign == "+")
    return next((model[:end] for end in ends if model[:end] in names), None)


def _with_folder(model: str, folders: Mapping[str, Path]) -> Any:
    """A path, or adapters and the path that they are put on in mergekit's long form."""
    name = _name_in(model, folders)
    if name is None:
        return model
    if name == model:
        return str(folders[name])
    return {"model": str(folders[name]), "lora": model.removeprefix(f"{name}+")}


def _named_in(data: Any, names: Mapping[str, Any]) -> list[str]:
    """Which of `names` stand where a model does."""
    found: dict[str, None] = {}

    def look(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key in _OF_MODELS and isinstance(inner, str):
                    if (name := _name_in(inner, names)) is not None:
                        found[name] = None
                elif key not in ("stages", "parameters"):
                    look(inner)

    look(data)
    return list(found)


def _with_folders(data: Any, folders: Mapping[str, Path]) -> Any:
    """`data` with folders in the place of names, where a model stands."""
    if isinstance(data, list):
        return [_with_folders(item, folders) for item in data]
    if not isinstance(data, dict):
        return data
    result = {}
    for key, value in data.items():
        if key in _OF_MODELS and isinstance(value, str):
            result[key] = _with_folder(value, folders)
        elif key == "parameters":
            result[key] = value
        else:
            result[key] = _with_folders(value, folders)
    return result
