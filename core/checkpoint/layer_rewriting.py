"""The config of a model that is put together from layers of others.

What it says layer by layer follows the layers. What it says by their numbers, as "every sixth one is of
another kind", is written out as a list where the family has one, or must be true of the result as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from core.checkpoint.layer_config import (
    COUNTS,
    LABELS,
    PLACES,
    LayerChoice,
    is_per_layer,
    layer_counts,
    numbers_of_layers,
    within,
)
from core.checkpoint.layer_kinds import (
    COVERED_BY,
    FROM_THE_END,
    PERIODS,
    THRESHOLDS,
    Rule,
    goes_by_number,
    is_of_period,
    listed_kinds,
    listed_numbers,
)
from core.errors import IncompatibleError

__all__ = ["rewritten_layers"]

_DENSE, _STEP = "mlp_only_layers", "decoder_sparse_step"
_FIRST, _LAST, _EACH = "moe_layer_start_index", "moe_layer_end_index", "moe_layer_interval"


def rewritten_layers(config: dict[str, Any], layers: Sequence[LayerChoice]) -> list[str]:
    """Change `config` so that it is that of a model of `layers`.

    Args:
        config: of a model of layers, whose number it says.
        layers: where each layer of the result comes from, in order.

    Returns sentences for the user.

    Raises:
        IncompatibleError: it goes by the numbers of layers, and cannot say of these of which kind they are.
    """
    stack = next(iter(layer_counts(config).values()), None)
    if stack is None:
        return []
    holder, way = _holder(config, stack)
    family = holder.get("model_type") or config.get("model_type")
    rewriting = _Rewriting(holder, stack, family, [(within(one.config, way), one.layer) for one in layers])
    rewriting.counts_and_lists()
    rewriting.lists_left_out()
    rewriting.layers_without_experts()
    rewriting.range_of_experts()
    rewriting.kinds_by_number()
    if goes_by_number(holder) and any(at != one.layer for at, one in enumerate(layers)):
        return [
            "models of this kind compute with the number of each layer: one that has another number in the "
            "result than in its model does not compute there what it did"
        ]
    return []


class _Rewriting:
    """The part of a config that is about layers, on its way to that of a model of other layers.

    `own` are, for each layer of the result, the same part of its model's config and its number there.
    """

    def __init__(
        self, holder: dict[str, Any], stack: int, family: Any, own: Sequence[tuple[Mapping[str, Any], int]]
    ) -> None:
        self._holder, self._stack, self._family, self._own = holder, stack, family, own
        self._before = dict(holder)

    def counts_and_lists(self) -> None:
        """What it says layer by layer."""
        holder = self._holder
        for key, value in self._before.items():
            if key in COUNTS:
                if value == self._stack:
                    holder[key] = len(self._own)
            elif key in LABELS:
                continue
            elif is_per_layer(key, value, self._stack):
                chosen = [_entry(other, key, value, layer) for other, layer in self._own]
                holder[key] = "".join(chosen) if isinstance(value, str) else chosen
            elif (numbers := numbers_of_layers(key, value, self._stack)) is not None:
                own = [_numbers(other.get(key)) for other, _ in self._own]
                holder[key] = _where(
                    layer in (numbers if one is None else one)
                    for one, (_, layer) in zip(own, self._own, strict=True)
                )
        if "attention_types" in holder and isinstance(holder.get("attention_layers"), list):
            holder["attention_types"] = [[holder["attention_layers"], 1]]  # of GPT-Neo, which reads these

    def lists_left_out(self) -> None:
        """What goes by the number of a layer in its family, where the config does not list it."""
        rules_of = ((listed_kinds(self._family), False), (listed_numbers(self._family), True))
        for rules, are_numbers in rules_of:
            for key, rule in rules.items():
                chosen = [_by_rule(key, rule, other, layer, are_numbers) for other, layer in self._own]
                if None in chosen:
                    continue
                without = {name: value for name, value in self._holder.items() if name != key}
                said = isinstance(self._before.get(key), list) and len(self._before[key]) >= (
                    1 if are_numbers else self._stack
                )
                if said or chosen != [rule(at, without) for at in range(len(chosen))]:
                    self._holder[key] = _where(chosen) if are_numbers else chosen

    def layers_without_experts(self) -> None:
        """Of Qwen's: every layer that is named, and those between the ones that a period names."""
        if _DENSE not in self._before and not str(self._family).startswith("qwen"):
            return
        dense = []
        for other, layer in self._own:
            named, step = _numbers(other.get(_DENSE)) or [], max(_whole(other, _STEP, 1), 1)
            dense.append(layer in named or (layer + 1) % step != 0)
        if any(dense) or _DENSE in self._before:
            self._holder[_DENSE] = _where(dense)
        if _STEP in self._before:
            self._holder[_STEP] = 1

    def range_of_experts(self) -> None:
        """Of Ernie's: from one layer to another every one, or one of so many, has experts."""
        if type(self._before.get(_FIRST)) is not int:
            return
        found = []
        for other, layer in self._own:
            last = _whole(other, _LAST, -1)
            among = _whole(other, _FIRST, 1) <= layer <= (last if last >= 0 else self._stack)
            found.append(among and (layer + 1) % max(_whole(other, _EACH, 1), 1) == 0)
        every = max(_whole(self._before, _EACH, 1), 1)
        where = _where(found)
        first, last = (where[0], where[-1]) if where else (len(found), len(found))
        for at, (flag, (_, layer)) in enumerate(zip(found, self._own, strict=True)):
            if flag != (first <= at <= last and (at + 1) % every == 0):
                raise _cannot_say(_FIRST, self._before[_FIRST], at, layer)
        self._holder[_FIRST], self._holder[_LAST] = first, last

    def kinds_by_number(self) -> None:
        """What goes by the number of a layer and cannot be written layer by layer."""
        for key in THRESHOLDS:
            if type(value := self._before.get(key)) is int:
                self._threshold(key, value)
        for key in PERIODS:
            value = self._holder.get(key)
            if type(value) is int and value > 0 and not self._is_listed(key):
                self._period(key, value)
        if shared := _whole(self._before, FROM_THE_END, 0):
            raise _cannot_say(FROM_THE_END, shared, 0, self._own[0][1])

    def _threshold(self, key: str, value: int) -> None:
        flags = [layer < _whole(other, key, value) for other, layer in self._own]
        self._holder[key] = flags.index(False) if False in flags else len(flags)
        if self._is_listed(key) or (
            key == "max_window_layers" and not self._holder.get("use_sliding_window")
        ):
            return
        for at, (before, flag) in enumerate(pairwise(flags), start=1):
            if flag and not before:
                way = f"let every slice but the first begin with layer {value} or a later one"
                raise _cannot_say(key, value, at, self._own[at][1], way)

    def _period(self, key: str, value: int) -> None:
        for at, (other, layer) in enumerate(self._own):
            own = is_of_period(key, layer, other, max(_whole(other, key, value), 1))
            if own != is_of_period(key, at, self._holder, value):
                way = f"let each slice begin a multiple of {value} layers before or after where it began"
                raise _cannot_say(key, value, at, layer, way)

    def _is_listed(self, key: str) -> bool:
        return isinstance(self._holder.get(COVERED_BY.get(key, "")), list)


def _cannot_say(key: str, value: Any, at: int, layer: int, way: str | None = None) -> IncompatibleError:
    return IncompatibleError(
        f"config.json says {key}: {value}, which tells the kinds of layers by their numbers, and layer {at} "
        f"of the result, layer {layer} of its model, would be taken for one of another kind",
        hint=way or "merge whole models, under models",
        field="slices",
    )


def _by_rule(key: str, rule: Rule, other: Mapping[str, Any], layer: int, are_numbers: bool) -> Any:
    """What is said of a layer by the list in its own config, or else by the rule of its family."""
    own = other.get(key)
    if isinstance(own, list) and own and are_numbers:
        return layer in own
    return own[layer] if isinstance(own, list) and layer < len(own) else rule(layer, other)


def _holder(config: dict[str, Any], stack: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The part of the config that is about the layers, and the way to it."""
    for way in PLACES:
        part = within(config, way)
        if any(part.get(key) == stack for key in COUNTS):
            found = config
            for key in way:
                found = found[key]
            return found, way
    return config, ()


def _entry(other: Mapping[str, Any], key: str, value: Any, layer: int) -> Any:
    """What the config of the layer's own model says of it, or else the one that is taken."""
    own = other.get(key)
    if isinstance(own, type(value)) and layer < len(own):
        return own[layer]
    return value[layer] if layer < len(value) else value[-1]


def _whole(config: Mapping[str, Any], key: str, value: int) -> int:
    own = config.get(key)
    return own if type(own) is int else value


def _numbers(value: Any) -> list[int] | None:
    return value if isinstance(value, list) and all(type(one) is int for one in value) else None


def _where(flags: Iterable[Any]) -> list[int]:
    return [at for at, flag in enumerate(flags) if flag]
