"""Slices as rows of a table, a row for each source, and changes of them. No Qt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.recipe.models import ModelEntry
from core.recipe.recipe import Slice, SliceSource
from core.recipe.rules import ParameterSetting, Setting
from gui.words import weight_text

__all__ = [
    "Refused",
    "SliceRow",
    "added",
    "joined",
    "layers_from_text",
    "moved",
    "own_text",
    "removed",
    "rows_of",
    "shifted",
    "with_layers",
    "with_model",
]

_RANGE = re.compile(r"(?:layers?\s+)?(\d{1,5})(?:\s*(?:-|–|to)\s*(\d{1,5}))?")


class Refused(Exception):
    """What was typed is no range of layers; a sentence says why."""


@dataclass(frozen=True)
class SliceRow:
    """One source of a slice.

    Attributes:
        slice, source: which one, from 0.
        first: the first layer of the result that the slice makes.
        count: how many it makes.
        layers: of the source's model: the first, and the one after the last.
        model: the folder of that model.
        values: what is given for it alone in this slice, then what is given for the whole slice, as text.
    """

    slice: int
    source: int
    first: int
    count: int
    layers: tuple[int, int]
    model: Path
    values: str


def rows_of(slices: Sequence[Slice]) -> tuple[SliceRow, ...]:
    """A row for each source, in order."""
    rows = []
    first = 0
    for at, one in enumerate(slices):
        for number, source in enumerate(one.sources):
            given = [own_text(source.model.parameters)]
            given += [own_text(one.parameters)] if number == 0 else []
            given += [f"base {one.base.name}"] if one.base is not None and number == 0 else []
            values = "; ".join(filter(None, given))
            rows.append(SliceRow(at, number, first, one.count, source.layers, source.model.path, values))
        first += one.count
    return tuple(rows)


def layers_from_text(text: str) -> tuple[int, int]:
    """The first layer and the one after the last of "0-15" or "3". Raises Refused."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise Refused("Give the first and the last layer, such as 0-15.")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first:
        raise Refused(f"The last layer, {last}, is before the first, {first}.")
    return first, last + 1


def own_text(parameters: Mapping[str, ParameterSetting]) -> str:
    """ "scale o_proj 0, else 1; weight 0.5"."""
    return "; ".join(f"{name} {_setting_text(setting)}" for name, setting in parameters.items())


def with_layers(slices: Sequence[Slice], row: SliceRow, layers: tuple[int, int]) -> tuple[Slice, ...]:
    """The slices with other layers in `row`; the other sources of its slice give as many from their first."""
    one = slices[row.slice]
    count = layers[1] - layers[0]
    sources = tuple(
        replace(source, layers=layers if at == row.source else (source.layers[0], source.layers[0] + count))
        for at, source in enumerate(one.sources)
    )
    return _with(slices, row.slice, replace(one, sources=sources))


def with_model(slices: Sequence[Slice], row: SliceRow, model: Path) -> tuple[Slice, ...]:
    """The slices with the same layers of another model in `row`."""
    one = slices[row.slice]
    if any(source.model.path == model for at, source in enumerate(one.sources) if at != row.source):
        raise Refused(f"{model.name} gives layers to this slice already.")
    sources = list(one.sources)
    entry = sources[row.source].model
    sources[row.source] = replace(sources[row.source], model=replace(entry, path=model))
    return _with(slices, row.slice, replace(one, sources=tuple(sources)))


def removed(slices: Sequence[Slice], row: SliceRow) -> tuple[Slice, ...]:
    """The slices without the source in `row`, and without its slice where it has no other."""
    one = slices[row.slice]
    sources = tuple(source for at, source in enumerate(one.sources) if at != row.source)
    if sources:
        return _with(slices, row.slice, replace(one, sources=sources))
    return (*slices[: row.slice], *slices[row.slice + 1 :])


def added(
    slices: Sequence[Slice], after: SliceRow | None, models: Sequence[Path], layers: int
) -> tuple[Slice, ...]:
    """The slices with one more, after that of `after`: the same layers of the model that comes next.

    Args:
        slices: what there is.
        after: a row; None for the end.
        models: the models to choose from; at least one.
        layers: how many layers the first slice of all gets.
    """
    if not slices:
        return (Slice((SliceSource(ModelEntry(models[0]), (0, max(layers, 1))),)),)
    at = len(slices) - 1 if after is None else after.slice
    taken = [source.model.path for source in slices[at].sources]
    known = [models.index(path) for path in taken if path in models]
    model = models[(known[-1] + 1) % len(models)] if known else models[0]
    new = Slice((SliceSource(ModelEntry(model), slices[at].sources[0].layers),))
    return (*slices[: at + 1], new, *slices[at + 1 :])


def joined(slices: Sequence[Slice], row: SliceRow, models: Sequence[Path]) -> tuple[Slice, ...]:
    """The slices with a further source in that of `row`: the same layers of the next model that is not in it.

    Raises:
        Refused: every model gives layers to the slice already.
    """
    one = slices[row.slice]
    taken = [source.model.path for source in one.sources]
    model = next((path for path in models if path not in taken), None)
    if model is None:
        raise Refused("Every sub-model gives layers to this slice already.")
    source = SliceSource(ModelEntry(model), one.sources[row.source].layers)
    return _with(slices, row.slice, replace(one, sources=(*one.sources, source)))


def moved(slices: Sequence[Slice], row: SliceRow, by: int) -> tuple[Slice, ...]:
    """The slices with that of `row` one place up (`by` -1) or down (1)."""
    result = list(slices)
    result.insert(row.slice + by, result.pop(row.slice))
    return tuple(result)


def shifted(slices: Sequence[Slice], at: int, by: int) -> tuple[Slice, ...]:
    """The slices with the edge after slice `at` moved by so many layers of the result, as far as that goes:
    one of the two gets more layers of its models at that edge, the other one fewer, and one at least."""
    left, right = slices[at], slices[at + 1]
    least = max(1 - left.count, *(-source.layers[0] for source in right.sources))
    by = max(least, min(by, right.count - 1))
    longer = tuple(
        replace(source, layers=(source.layers[0], source.layers[1] + by)) for source in left.sources
    )
    shorter = tuple(
        replace(source, layers=(source.layers[0] + by, source.layers[1])) for source in right.sources
    )
    both = (replace(left, sources=longer), replace(right, sources=shorter))
    return (*slices[:at], *both, *slices[at + 2 :])


def _with(slices: Sequence[Slice], at: int, one: Slice) -> tuple[Slice, ...]:
    return (*slices[:at], one, *slices[at + 1 :])


def _setting_text(setting: ParameterSetting) -> str:
    if not isinstance(setting, Setting):
        return _value_text(setting)
    parts: list[str] = []
    for condition in setting.conditions:
        value = " → ".join(map(_value_text, condition.values))
        where = condition.filter if condition.filter not in (None, "", "*") else None
        parts.append(f"{where} {value}" if where else f"else {value}" if parts else value)
    return ", ".join(parts)


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return weight_text(value) if isinstance(value, int | float) else str(value)
