"""The rows of the table of rules, and the rules that they stand for. No Qt.

A recipe's filters are parts of tensor names, so layers 4 to 7 are four rules there: one for
"model.layers.4." and so on. In the table they are one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from core.checkpoint.names import layer_of
from core.methods import MethodSpec, ParameterSpec, ParameterValue
from core.recipe.rules import tensors_hit
from gui.document.merge_setup import Rule

__all__ = ["Layers", "RuleRow", "TensorNames", "rows_of", "ruled_parameters", "rules_of"]


@dataclass(frozen=True)
class Layers:
    """The layers from `first` to `last` of a stack, "model.layers"."""

    stack: str
    first: int
    last: int

    @property
    def filters(self) -> tuple[str, ...]:
        return tuple(f"{self.stack}.{layer}." for layer in range(self.first, self.last + 1))


@dataclass(frozen=True)
class RuleRow:
    """One row of the table.

    Attributes:
        parameter: the name of the parameter that it sets.
        model: the sub-model that it is for; None for all.
        where: a part of tensor names, "" for all tensors; or layers.
        value: one number, or the numbers of a gradient over the layers.
    """

    parameter: str
    model: Path | None
    where: str | Layers
    value: tuple[ParameterValue, ...]

    @property
    def filters(self) -> tuple[str, ...]:
        """Of the rules that it stands for."""
        return self.where.filters if isinstance(self.where, Layers) else (self.where,)


class TensorNames:
    """The names of a model's tensors, and which of them rules are for; remembers what it has found.

    Attributes:
        all: the names; none while they are not known.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.all = tuple(names)
        self._hits: dict[str, tuple[str, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.all)

    @cached_property
    def stacks(self) -> Mapping[str, int]:
        """The last layer of each stack of layers."""
        last: dict[str, int] = {}
        for name in self.all:
            place = layer_of(name)
            if place is not None:
                last[place[0]] = max(last.get(place[0], 0), place[1])
        return last

    def hit_by(self, filters: Iterable[str]) -> tuple[str, ...]:
        """The names that one of `filters` is a part of."""
        found: dict[str, None] = {}
        for text in filters:
            if text not in self._hits:
                self._hits[text] = tensors_hit(text, self.all)
            found.update(dict.fromkeys(self._hits[text]))
        return tuple(found)


def rules_of(rows: Iterable[RuleRow]) -> tuple[Rule, ...]:
    """The rules that `rows` stand for, in the order in which they are tried."""
    return tuple(Rule(row.parameter, row.model, text, row.value) for row in rows for text in row.filters)


def rows_of(rules: Iterable[Rule], tensors: TensorNames) -> tuple[RuleRow, ...]:
    """The rows that stand for `rules`; neighbours that differ in the layer only are one row.

    Which filters stand for layers is seen from the names of the tensors; without them none does.
    """
    rows: list[RuleRow] = []
    for rule in rules:
        row = RuleRow(rule.parameter, rule.model, _where(rule.filter, tensors), rule.value)
        joined = _joined(rows[-1], row) if rows else None
        if joined is not None:
            rows[-1] = joined
        else:
            rows.append(row)
    return tuple(rows)


def _where(text: str, tensors: TensorNames) -> str | Layers:
    place = layer_of(f"{text}x") if text.endswith(".") else None
    if place is None or place[0] not in tensors.stacks or text != f"{place[0]}.{place[1]}.":
        return text
    return Layers(place[0], place[1], place[1])


def _joined(row: RuleRow, after: RuleRow) -> RuleRow | None:
    """Both as one row, where that means the same."""
    where, more = row.where, after.where
    if not isinstance(where, Layers) or not isinstance(more, Layers):
        return None
    if more.first != where.last + 1 or replace(after, where=replace(more, first=where.first)) != replace(
        row, where=replace(where, last=more.last)
    ):
        return None
    return replace(row, where=replace(where, last=more.last))


def ruled_parameters(method: MethodSpec) -> tuple[ParameterSpec, ...]:
    """The parameters that can differ between tensors, those of the whole merge first."""
    numbers = [spec for spec in method.parameters if spec.is_number]
    return tuple(sorted(numbers, key=lambda spec: spec.scope == "model"))
