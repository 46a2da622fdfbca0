"""What can be typed into the table of rules, and how it is shown there. No Qt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.checkpoint.names import layer_of
from core.errors import RecipeError
from core.methods import ParameterSpec, ParameterValue
from gui.failure import sentence
from gui.recipe.rules.rows import Layers, TensorNames
from gui.words import number_from_text, weight_text

__all__ = ["Refused", "value_problem", "value_text", "values_from_text", "where_from_text", "where_text"]

_LAYERS = re.compile(
    r"layers?\s+(?P<first>[0-9]{1,9})(?:\s*(?:[-–]|\bto\b)\s*(?P<last>[0-9]{1,9}))?(?:\s+of\s+(?P<stack>\S+))?",
    re.IGNORECASE,
)
_EVERYWHERE = ("", "*", "everywhere")


class Refused(ValueError):
    """What was typed is not valid; the text is one sentence for a person."""


def where_text(where: str | Layers, tensors: TensorNames) -> str:
    """What `where_from_text` reads as `where`."""
    if isinstance(where, Layers):
        many = f"layers {where.first}-{where.last}" if where.first != where.last else f"layer {where.first}"
        return many if len(tensors.stacks) <= 1 else f"{many} of {where.stack}"
    quoted = len(where) > 1 and where[0] == where[-1] == '"'
    if where and (quoted or _is_special(where) or where != where.strip()):
        return f'"{where}"'
    return where


def where_from_text(text: str, tensors: TensorNames) -> str | Layers:
    """What is meant by "mlp", "layer 3" or "layers 4-7"; words in quotes are a part of names in any case.

    Raises:
        Refused: there are no such layers, or it is not known whether there are.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text.casefold() in _EVERYWHERE:
        return ""
    if not _is_special(text):
        return text
    found = _LAYERS.fullmatch(text)
    if found is None:
        raise Refused("Write “layer 3”, “layers 4-7”, or a part of the tensors' names.")
    first = int(found["first"])
    layers = Layers(_stack(found["stack"], tensors), first, int(found["last"] or first))
    _check_layers(layers, tensors)
    return layers


def _is_special(text: str) -> bool:
    """Whether `text` is more than a part of names."""
    return text.casefold() in _EVERYWHERE or re.match(r"layers?\s", text, re.IGNORECASE) is not None


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
    number = number_from_text(text)
    if number is None:
        raise Refused(f"“{text.strip()}” is no number." if text.strip() else "A number is missing.")
    whole = spec.kind == "int" and number.is_integer()
    problem = value_problem((int(number) if whole else number,), spec)
    if problem is not None:
        raise Refused(problem)
    return int(number) if whole else number


def value_problem(value: Sequence[ParameterValue], spec: ParameterSpec) -> str | None:
    """Why the parameter cannot have this value, as a sentence."""
    try:
        for number in value:
            spec.check(number, "the value")
    except RecipeError as error:
        return sentence(error.message)
    return None
