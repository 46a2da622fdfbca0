"""Slices: a model that is put together from layers of others, as mergekit 0.1.5 has them.

A recipe lists, instead of models, the slices of its result in order. Each slice has sources: models, and of
each the layers that it gives, all equally many, which are merged with one another. What stands before the
layers comes from the sources of the first slice, what stands after them from those of the last. A slice may
have parameters and a base of its own; gradients begin anew in each.

Every slice is a recipe of its own over its sources, its *part*: planning merges the parts one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import MergeError, RecipeError, addressed
from core.methods import MethodSpec
from core.recipe.keys import ENTRY_KEYS, Maker, Obstacle, find_obstacles, obstacle_of
from core.recipe.models import ModelEntry, place_of, read_models, read_parameters
from core.recipe.reasons import Reasons, in_one, reasons_of
from core.recipe.recipe import Slice, SliceSource
from core.recipe.references import read_path
from core.recipe.rules import ParameterSetting, parameters_data
from core.text import shown

__all__ = [
    "models_of_slices",
    "read_slices",
    "slice_obstacles",
    "slices_data",
]

_KEYS = ("sources", "parameters", "base_model")
_WITHOUT_EFFECT = "residual_weight"
"""mergekit reads it and does nothing with it."""

_TWICE = (
    "leave one of them out; to merge layers of one model with one another, make a copy of it in a document "
    "of its own (name: NAME, merge_method: passthrough), and list that"
)

_MOST_LAYERS = 100_000
_WHOLE = re.compile("[0-9]{1,6}")


def read_slices(value: Any, method: MethodSpec, folder: Path) -> tuple[Slice, ...]:
    """The slices in `value`, whose keys were looked at before (see `slice_obstacles`).

    Raises:
        RecipeError: one is none; with the address "slices" and the entry of the slice.
    """
    with addressed(field="slices"):
        if not isinstance(value, list) or not value:
            raise RecipeError(
                "slices is not a list of slices",
                hint="write `- sources: [{model: FOLDER, layer_range: [0, 16]}]` for each slice",
            )
        reasons = Reasons()
        slices = []
        for at, item in enumerate(value):
            with reasons.noted():
                slices.append(_slice(item, at, method, folder))
        reasons.refuse()
        return tuple(slices)


def slice_obstacles(data: Mapping[Any, Any], method: MethodSpec | None) -> Iterator[Maker]:
    """The keys in slices that are not understood, as `core.recipe.keys.find_obstacles` has them."""
    slices = data.get("slices")
    for at, item in enumerate(slices if isinstance(slices, list) else ()):
        if not isinstance(item, dict):
            continue
        for key in item:
            if key not in (*_KEYS, _WITHOUT_EFFECT):
                hint = f"the keys of a slice are: {', '.join(_KEYS)}"
                error = RecipeError(f"{_where(at)}: unknown key {shown(key)}", hint=hint)
                yield obstacle_of(_addressed(error, at), shown(key))
        for maker in find_obstacles(_as_models(item), method, (*ENTRY_KEYS, "layer_range")):
            yield partial(_obstacle, maker, at)


def models_of_slices(
    slices: Sequence[Slice], method: MethodSpec, base: Path | None
) -> tuple[tuple[Slice, ...], tuple[ModelEntry, ...]]:
    """The slices with one spelling for each folder, and the models of all of them, each once.

    A model that is nowhere anything but the recipe's base is none of these, where the method reads it.
    """
    spelling = {place_of(base): base} if base is not None else {}
    models: dict[Path, None] = {}

    def known(path: Path) -> Path:
        return spelling.setdefault(place_of(path), path)

    result = []
    for one in slices:
        sources = tuple(
            replace(source, model=replace(source.model, path=known(source.model.path)))
            for source in one.sources
        )
        own = None if one.base is None else known(one.base)
        result.append(replace(one, sources=sources, base=own))
        listed = [source.model.path for source in sources]
        if method.reads_base:  # the base of one slice may be a sub-model of another
            listed = [path for path in listed if path != (own or base)]
        if own is not None and own != base:
            listed.append(own)
        models |= dict.fromkeys(listed)
    return tuple(result), tuple(map(ModelEntry, models))


def slices_data(slices: Sequence[Slice], shown_as: Any) -> list[dict[str, Any]]:
    """The plain values that `read_slices` reads as `slices`; `shown_as` says what to write for a folder."""
    result = []
    for one in slices:
        data: dict[str, Any] = {
            "sources": [
                {"model": shown_as(source.model.path), "layer_range": list(source.layers)}
                | parameters_data(source.model.parameters)
                for source in one.sources
            ]
        }
        if one.base is not None:
            data["base_model"] = shown_as(one.base)
        result.append(data | parameters_data(one.parameters))
    return result


def _slice(item: Any, at: int, method: MethodSpec, folder: Path) -> Slice:
    where = _where(at)
    try:
        if not isinstance(item, dict):
            raise RecipeError(f"{where} is not a mapping", hint="write it as `- sources: […]`")
        sources = item.get("sources")
        if not isinstance(sources, list) or not sources:
            raise RecipeError(
                f"{where} has no list of sources",
                hint="write `sources: [{model: FOLDER, layer_range: [0, 16]}]`",
            )
        reasons = Reasons()
        entries: tuple[ModelEntry, ...] = ()
        with reasons.noted():
            entries = read_models(_as_models(item)["models"], method, folder, None, twice=_TWICE)
        ranges = []
        for n, source in enumerate(sources, start=1):
            with reasons.noted():
                ranges.append(_layers(source, f"{where}, source {n}"))
        counts = [last - first for first, last in ranges]
        if len(set(counts)) > 1:
            other = next(n for n, count in enumerate(counts) if count != counts[0])
            error = RecipeError(
                f"{where}: its sources have different numbers of layers, source 1 has {counts[0]} "
                f"({_range_text(ranges[0])}) and source {other + 1} has {counts[other]} "
                f"({_range_text(ranges[other])})",
                hint="give all sources of a slice equally many layers; layers of one alone are a slice too",
            )
            reasons.found.append(error)
        parameters: dict[str, ParameterSetting] = {}
        with reasons.noted():
            parameters = read_parameters(item.get("parameters"), method, f"{where}: parameters")
        base = None
        if item.get("base_model") is not None:
            with reasons.noted():
                base = read_path(item["base_model"], folder, f"{where}: base_model")
        reasons.refuse()
        return Slice(
            tuple(SliceSource(entry, layers) for entry, layers in zip(entries, ranges, strict=True)),
            parameters,
            base,
        )
    except RecipeError as error:
        every = [_addressed(one, at) for one in reasons_of(error)]
        raise in_one(every) from error


def _layers(source: Any, where: str) -> tuple[int, int]:
    value = source.get("layer_range") if isinstance(source, dict) else None
    if value is None:
        raise RecipeError(
            f"{where} names no layer_range", hint="write `layer_range: [0, 16]` for its first 16 layers"
        )
    numbers = [_whole(one) for one in value] if isinstance(value, list) else []
    if len(numbers) != 2 or not all(one is not None and 0 <= one <= _MOST_LAYERS for one in numbers):
        raise RecipeError(
            f"{where}: layer_range must be two whole numbers, not {shown(value)}",
            hint="the first layer, counted from 0, and the one after the last: [0, 16] are 16 layers",
        )
    first, last = (one or 0 for one in numbers)
    if first >= last:
        raise RecipeError(
            f"{where}: layer_range [{first}, {last}] has no layers",
            hint="the first layer, counted from 0, and the one after the last: [0, 16] are 16 layers",
        )
    return first, last


def _whole(value: Any) -> int | None:
    """A whole number, which mergekit takes in quotes and with a point too."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _range_text(layers: tuple[int, int]) -> str:
    return f"[{layers[0]}, {layers[1]}]"


def _as_models(item: Mapping[Any, Any]) -> dict[str, Any]:
    """A slice as a recipe that lists its sources as models."""
    sources = item.get("sources")
    entries = sources if isinstance(sources, list) else []
    return {"models": entries} | {key: item[key] for key in ("parameters", "base_model") if key in item}


def _where(at: int) -> str:
    return f"slices, entry {at + 1}"


def _said_of_sources(sentence: str, at: int) -> str:
    """What was said of models and parameters of a recipe, said of a slice."""
    for said, meant in (("models, entries ", "sources "), ("models, entry ", "source ")):
        if sentence.startswith(said):
            return f"{_where(at)}, {meant}{sentence.removeprefix(said)}"
    return sentence if sentence.startswith("slices, ") else f"{_where(at)}: {sentence}"


def _addressed(error: MergeError, at: int) -> RecipeError:
    return RecipeError(_said_of_sources(error.message, at), hint=error.hint, field="slices", entry=at)


def _obstacle(maker: Maker, at: int) -> Obstacle:
    found = maker()
    return replace(found, sentence=_said_of_sources(found.sentence, at), field="slices", entry=at)
