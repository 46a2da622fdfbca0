"""What can be typed into the table of rules, and how it is shown there. No Qt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from core.checkpoint.names import layer_of
from core.errors import RecipeError
from core.methods import ParameterSpec, ParameterValue
from gui.document.parameter_texts import number_kind
from gui.failure import sentence
from gui.numbers import Unread, read_number
from gui.recipe.rules.rows import Layers, TensorNames
from gui.words import weight_text

__all__ = ["Refused", "value_problem", "value_text", "values_from_text", "where_from_text", "where_text"]

_LAYERS = re.compile(
    r"(?<![\w.])layers?\s+(?P<first>[0-9]{1,9})(?:\s*(?:[-–]|\bto\b)\s*(?P<last>[0-9]{1,9}))?(?![\w.])"
    r"(?:\s+of\s+(?P<stack>[^\s,;]+))?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s,;]+|\b(?:and|or|in)\b", re.IGNORECASE)
"""What is between parts of names, and says nothing."""

_SEVERAL_IN_QUOTES = re.compile(r'"[^"]*"\s*,.*,\s*"[^"]*"')

_EVERYWHERE = ("", "*", "everywhere")


class Refused(ValueError):
    """What was typed is not valid; the text is one sentence for a person."""


def where_text(where: str | Layers, tensors: TensorNames) -> str:
    """What `where_from_text` reads as `where`."""
    if isinstance(where, Layers):
        many = f"layers {where.first}-{where.last}" if where.first != where.last else f"layer {where.first}"
        many = many if len(tensors.stacks) <= 1 else f"{many} of {where.stack}"
        return ", ".join([*map(_quoted, where.names), many])
    return _quoted(where)


def _quoted(name: str) -> str:
    """A part of names as it is typed, in quotes where it would be read as more than that."""
    quotes = len(name) > 1 and name[0] == name[-1] == '"'
    if name and (quotes or _is_special(name) or name != name.strip()):
        return f'"{name}"'
    return name


def where_from_text(text: str, tensors: TensorNames) -> str | Layers:
    """What is meant by "mlp", "layer 3", "layers 4-7" or "mlp, layers 4-7".

    Names beside layers are for the tensors in these layers that have one of them in their names. Words in
    quotes are a part of names in any case.

    Raises:
        Refused: there are no such layers or tensors, or it is not known whether there are.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"' and not _SEVERAL_IN_QUOTES.fullmatch(text):
        return text[1:-1]
    if text.casefold() in _EVERYWHERE:
        return ""
    if not _is_special(text):
        return text
    quoted, rest = re.findall(r'"([^"]+)"', text), re.sub(r'"[^"]*"', " ", text)
    found = list(_LAYERS.finditer(rest))
    names = [name for name in _BETWEEN.split(_LAYERS.sub(" ", rest)) if name and name not in _EVERYWHERE]
    if not (found or names or quoted) or any(
        name.casefold() in ("layer", "layers") or re.fullmatch(r"[-–0-9]+", name) for name in names
    ):
        raise Refused("Write “layer 3”, “layers 4-7” or “mlp, layers 4-7”; other layers are another rule.")
    if len(found) > 1:
        raise Refused("A rule is for one range of layers: add another rule for the others.")
    names += quoted
    if not found:
        raise Refused(f"Without layers a rule is for one name: add another rule for {names[-1]}.")
    first = int(found[0]["first"])
    layers = Layers(_stack(found[0]["stack"], tensors), first, int(found[0]["last"] or first))
    _check_layers(layers, tensors)
    return _within(layers, tuple(dict.fromkeys(names)), tensors) if names else layers


def _within(layers: Layers, names: tuple[str, ...], tensors: TensorNames) -> Layers:
    """Those of the tensors in `layers` that have one of `names`."""
    for name in names:
        if not layers.with_names([name], tensors).filters:
            where = where_text(replace(layers, names=()), tensors)
            raise Refused(f"No tensor in {where} has “{name}” in its name.")
    return layers.with_names(names, tensors)


def _is_special(text: str) -> bool:
    """Whether `text` is more than a part of names."""
    return (
        text.casefold() in _EVERYWHERE
        or re.search(r"(?<![\w.])layers?(?:\s|$)|[,;]", text, re.IGNORECASE) is not None
    )


def _stack(asked: str | None, tensors: TensorNames) -> str:
    if not tensors:
        raise Refused("Which layers there are is known as soon as the models are chosen and read.")
    stacks = list(tensors.stacks)
    if not stacks:
        raise Refused("The names of the tensors say nothing of layers; give a part of their names.")
    if asked is not None:
        if asked not in stacks:
            raise Refused(f"There are no layers of {asked}, only of {' and '.join(stacks)}.")
        return asked
    if len(stacks) > 1:
        raise Refused(f"Say of what, such as “layer 3 of {stacks[0]}”: there is {' and '.join(stacks)}.")
    return stacks[0]


def _check_layers(layers: Layers, tensors: TensorNames) -> None:
    last = tensors.stacks[layers.stack]
    if layers.first > layers.last:
        raise Refused("The first layer of a range comes before the last.")
    if layers.last > last:
        raise Refused(f"There is no layer {layers.last}: they are numbered from 0 to {last}.")
    for name in tensors.hit_by(layers.filters):
        place = layer_of(name)
        if place is None or place[0] != layers.stack:
            raise Refused(
                f"Filters cannot tell these layers from {name}, whose name holds “{layers.stack}.” too."
            )


def value_text(value: Sequence[ParameterValue], between: str = " … ") -> str:
    """ "4", "0.2 … 0.8"."""
    return between.join(str(one) if isinstance(one, int | str) else weight_text(one) for one in value)


def values_from_text(text: str, spec: ParameterSpec) -> tuple[ParameterValue, ...]:
    """The number, or the numbers of the gradient, that were typed: "4", "0.2, 0.8", "0.2 … 0.8".

    Raises:
        Refused: it is no number, or out of the parameter's range.
    """
    return tuple(_number(part, spec) for part in _parts(text.strip(), spec))


def _parts(text: str, spec: ParameterSpec) -> list[str]:
    if not text:
        raise Refused("Give a number, or several for a gradient over the layers.")
    if re.search(r"…|\.\.\.|;", text):
        return re.split(r"…|\.\.\.|;", text)
    if re.search(r",\s", text):
        return re.split(r",\s+", text)
    if spec.kind == "float" and re.fullmatch(r"[-−+]?[0-9]+,[0-9]+", text):
        one, two = text.split(",")
        raise Refused(f"Write {one}.{two} for one number, or “{one}; {two}” for a gradient.")
    return text.split(",")


def _number(text: str, spec: ParameterSpec) -> ParameterValue:
    read = read_number(text, number_kind(spec, "The value"))
    assert read is not None  # it may not be left out
    if isinstance(read, Unread):
        raise Refused(read.sentence)
    return read


def value_problem(value: Sequence[ParameterValue], spec: ParameterSpec) -> str | None:
    """Why the parameter cannot have this value, as a sentence."""
    try:
        for number in value:
            spec.check(number, "the value")
    except RecipeError as error:
        return sentence(error.message)
    return None
