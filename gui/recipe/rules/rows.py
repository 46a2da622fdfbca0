"""The rows of the table of rules, and the rules that they stand for. No Qt.

A recipe's filters are parts of tensor names, so layers 4 to 7 are four rules there: one for
"model.layers.4." and so on; and "mlp" within them is one for "model.layers.4.mlp" and so on. In the table
they are one row.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """The layers from `first` to `last` of a stack, "model.layers", or some tensors in them.

    Attributes:
        stack, first, last: which layers.
        names: parts of the names of those that are meant, each of which is enough; () for all in the layers.
        beginnings: with `names`, what the names of those tensors begin with, up to the part: the filters
            that are for them and for no others.
    """

    stack: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()

    @property
    def filters(self) -> tuple[str, ...]:
        if self.names:
            return self.beginnings
        return tuple(f"{self.stack}.{layer}." for layer in range(self.first, self.last + 1))

    def with_names(self, names: Iterable[str], tensors: TensorNames) -> Layers:
        """Those of its tensors that have one of `names` in their names."""
        parts = tuple(names)
        found = (text for head in self.filters for text in tensors.beginnings(head, parts))
        return replace(self, names=parts, beginnings=tuple(found))


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
        self._in_layer: dict[str, list[str]] = {}
        self._beginnings: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

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

    def in_layer(self, head: str) -> Sequence[str]:
        """The names that begin with `head`, "model.layers.4."."""
        if not self._in_layer:
            for name in self.all:
                place = layer_of(name)
                if place is not None:
                    self._in_layer.setdefault(f"{place[0]}.{place[1]}.", []).append(name)
        return self._in_layer.get(head, ())

    def beginnings(self, head: str, parts: tuple[str, ...]) -> tuple[str, ...]:
        """What those names begin with, up to one of `parts`, that begin with `head` and have one in them."""
        if (head, parts) not in self._beginnings:
            found: dict[str, None] = {}
            for name in self.in_layer(head):
                ends = [name.find(part) + len(part) for part in parts if part in name]
                if ends:
                    found[name[: max(len(head), min(ends))]] = None
            least = [text for text in found if not any(text[:end] in found for end in range(1, len(text)))]
            self._beginnings[head, parts] = tuple(least)
        return self._beginnings[head, parts]

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
    waiting = list(rules)
    while waiting:
        rule = waiting[0]
        within = _within_layers(waiting, tensors)
        if within is not None:
            rows.append(RuleRow(rule.parameter, rule.model, within, rule.value))
            del waiting[: len(within.filters)]
            continue
        del waiting[0]
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


def _within_layers(rules: Sequence[Rule], tensors: TensorNames) -> Layers | None:
    """The tensors of layers that the first of `rules` are for, as many as are one row; None for none."""
    places: list[tuple[str, int, str]] = []
    for rule in rules:
        if replace(rule, filter="") != replace(rules[0], filter=""):
            break
        place = _place(rule.filter, tensors)
        if place is None or (places and (place[0] != places[0][0] or place[1] < places[-1][1])):
            break
        places.append(place)
    ends = [at for at, place in enumerate(places, 1) if at == len(places) or places[at][1] > place[1]]
    for end in reversed(ends):
        taken = places[:end]
        layers = Layers(taken[0][0], taken[0][1], taken[-1][1])
        for names in _guesses([tail for _, _, tail in taken]):
            if _are_all(rules[:end], layers, names, tensors):
                return layers.with_names(names, tensors)
    return None


def _are_all(rules: Sequence[Rule], layers: Layers, names: tuple[str, ...], tensors: TensorNames) -> bool:
    """Whether `rules` are for what has `names` in `layers`; known at the first layer where they are not."""
    at = 0
    for head in layers.filters:
        found = tensors.beginnings(head, names)
        if tuple(rule.filter for rule in rules[at : at + len(found)]) != found:
            return False
        at += len(found)
    return at == len(rules)


def _place(text: str, tensors: TensorNames) -> tuple[str, int, str] | None:
    """(stack, layer, the rest) of a filter that begins as the names of tensors in a layer do."""
    for stack in tensors.stacks:
        found = re.match(rf"{re.escape(stack)}\.([0-9]{{1,9}})\.(.+)", text)
        if found is not None and str(int(found[1])) == found[1]:
            return stack, int(found[1]), found[2]
    return None


def _guesses(tails: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Parts of names that may stand for all of `tails`, the shortest first."""
    every = list(dict.fromkeys(tails))
    ends = itertools.takewhile(
        lambda column: len(set(column)) == 1, zip(*(t[::-1] for t in every), strict=False)
    )
    common = "".join(column[0] for column in ends)[::-1].lstrip("._")
    for one in (common.rpartition(".")[2], common):
        if one:
            yield (one,)
    yield tuple(dict.fromkeys(tail.rpartition(".")[2] or tail for tail in every))
    yield tuple(every)


def _joined(row: RuleRow, after: RuleRow) -> RuleRow | None:
    """Both as one row, where that means the same."""
    where, more = row.where, after.where
    if not isinstance(where, Layers) or not isinstance(more, Layers) or where.names or more.names:
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
