"""The keys of a recipe: those that are understood, and what to say of the others, all of them at once.

mergekit passes over keys and parameters that it does not know. Here each is refused as what it is: a key of
mergekit's that is not supported, an option of its command line, a parameter in the wrong place, or a slip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any

from core.errors import RecipeError
from core.methods import METHODS, MethodSpec
from core.recipe.foreign_keys import (
    MERGEKIT_KEYS,
    MERGEKIT_OPTIONS,
    OTHER_FILES,
    REFERENCE_KEYS,
)
from core.recipe.foreign_parameters import CHOICES, NO_EFFECT, is_choice_of, is_idle
from core.recipe.reasons import MOST, Reasons, UnknownKey
from core.text import nearest, shown

__all__ = [
    "ENTRY_KEYS",
    "KEYS",
    "Maker",
    "Obstacle",
    "find_obstacles",
    "note_unknown",
    "obstacle_of",
    "refuse_other_file",
    "refuse_unknown",
]

KEYS = (
    "merge_method",
    "base_model",
    "models",
    "slices",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "seed",
    "zero_tolerance",
    "nonfinite",
    "vocab",
    "missing",
    "chat_template",
    "modules",
    "stages",
)
ENTRY_KEYS = ("model", "parameters", "lora", "revision")
_SAID_ONLY = frozenset({"name", "metadata"})
"""What mergekit lets a file say beside the merge."""


@dataclass(frozen=True)
class Obstacle:
    """A key that is in the way.

    Attributes:
        key: as a sentence shows it.
        sentence: what it is.
        hint: what to do.
        field, entry: its address, as errors have it.
    """

    key: str
    sentence: str
    hint: str
    field: str | None = None
    entry: int | None = None


Maker = Callable[[], Obstacle]
"""Says what an obstacle is when it is asked: looking for the nearest of all keys takes its time."""


def note_unknown(makers: Iterable[Maker], reasons: Reasons) -> None:
    """Note every obstacle among `reasons`: what the first are, and how many there are beside."""
    every = iter(makers)
    for maker in islice(every, MOST):
        found = maker()
        error = UnknownKey(found.sentence, hint=found.hint, field=found.field, entry=found.entry)
        error.key = found.key
        reasons.found.append(error)
    reasons.more += sum(1 for _ in every)


def obstacle_of(error: RecipeError, key: str) -> Maker:
    """What `error` says of `key`."""
    return lambda: Obstacle(key, error.message, error.hint or "", error.field, error.entry)


def refuse_unknown(data: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    """Refuse the keys of `data` that are not `known`, with the nearest known ones.

    Args:
        data: what the recipe holds there.
        known: the keys that are understood.
        where: begins the sentence.
    """
    known = tuple(known)
    reasons = Reasons()
    note_unknown((partial(_unknown, key, known, where) for key in data if key not in known), reasons)
    reasons.refuse()


def find_obstacles(
    data: Mapping[Any, Any], method: MethodSpec | None, entry_keys: tuple[str, ...] = ENTRY_KEYS
) -> Iterator[Maker]:
    """The keys of a recipe, of its parameters and of its models that are not understood.

    Args:
        data: the recipe.
        method: None for one that is not known, whose parameters are not looked at.
        entry_keys: those of a model.
    """
    for key in data:
        if key not in KEYS and key not in _SAID_ONLY and not is_choice_of(method, key):
            yield partial(_of_recipe, key, method)
    for field in ("base_model", "tokenizer_source"):
        yield from _in_reference(data.get(field), field, field, None)
    yield from _in_parameters(data.get("parameters"), method, "parameters", ("merge", "model"), None)
    models = data.get("models")
    for number, item in enumerate(models if isinstance(models, list) else ()):
        if not isinstance(item, dict):
            continue
        where = f"models, entry {number + 1}"
        for key in item:
            if key not in entry_keys:
                yield partial(_of_entry, key, method, f"{where}: ", number, entry_keys)
        yield from _in_reference(item.get("model"), f"{where}: model", "models", number)
        inside = item.get("parameters")
        yield from _in_parameters(inside, method, f"{where}: parameters", ("model",), number)


def refuse_other_file(data: Mapping[Any, Any]) -> None:
    """Refuse what is the file of another program, whose keys say so."""
    for keys, what, hint in OTHER_FILES:
        if "models" not in data and all(key in data for key in keys):
            raise RecipeError(f"the recipe is {what}", hint=hint, field=keys[0])


# -- one key


def _of_recipe(key: Any, method: MethodSpec | None) -> Obstacle:
    field = key if isinstance(key, str) else None
    name = _name(key)
    if name in MERGEKIT_KEYS:
        what, hint = MERGEKIT_KEYS[name]
        sentence = f"the key {shown(key)} of mergekit is not supported yet: {what}"
        return Obstacle(shown(key), sentence, hint, field)
    if name in MERGEKIT_OPTIONS:
        sentence = f"{shown(key)} is an option of mergekit's command line, without effect in its files"
        return Obstacle(shown(key), sentence, MERGEKIT_OPTIONS[name], field)
    if name in CHOICES and method is not None:
        sentence = f"{method.name} has no parameter {shown(key)}: it belongs to {', '.join(_having(name))}"
        return Obstacle(shown(key), sentence, f"{method.name} does nothing of the kind", field)
    if _is_parameter(name, method):
        sentence = f"{shown(key)} is a parameter, and stands outside of parameters"
        return Obstacle(shown(key), sentence, f"write it as `parameters: {{{name}: …}}`", field)
    choices = (one for one in CHOICES if is_choice_of(method, one))
    return _unknown(key, (*KEYS, *choices), "", also=MERGEKIT_KEYS, field=field)


def _of_entry(
    key: Any, method: MethodSpec | None, where: str, entry: int, known: tuple[str, ...]
) -> Obstacle:
    name = _name(key)
    if name in REFERENCE_KEYS:
        what, hint = REFERENCE_KEYS[name]
        sentence = f"{where}the key {shown(key)} of mergekit is not supported yet: {what}"
    elif name == "layer_range":
        sentence = f"{where}{shown(key)} stands in the sources of slices, and not under models"
        hint = "write `slices: [{sources: [{model: FOLDER, layer_range: [0, 16]}]}]` in the place of models"
    elif _is_parameter(name, method):
        sentence = f"{where}{shown(key)} is a parameter, and stands outside of the entry's parameters"
        hint = f"write it as `parameters: {{{name}: …}}` below the model"
    elif name in ("path", "name", "source_model"):
        sentence, hint = f"{where}unknown key {shown(key)}", "did you mean 'model'?"
    else:
        return _unknown(key, known, where, also=REFERENCE_KEYS, entry=entry, field="models")
    return Obstacle(shown(key), sentence, hint, "models", entry)


def _in_reference(value: Any, where: str, field: str, entry: int | None) -> Iterator[Maker]:
    """The keys of mergekit's long form of a model: {model: {path, revision}, lora, override_architecture}."""
    if not isinstance(value, dict) or not value.keys() & {"model", "path"}:
        return
    inner, lora = value.get("model"), value.get("lora")
    for part, known in (
        (value, ("model" if "model" in value else "path", "lora", "revision")),
        (inner if isinstance(inner, dict) else {}, ("path", "lora", "revision")),
        (lora if isinstance(lora, dict) else {}, ("path", "revision")),
    ):
        for key, given in part.items():
            if key not in known and not (given is None and key in REFERENCE_KEYS):
                yield partial(_of_reference, key, known, f"{where}: ", field, entry)


def _of_reference(key: Any, known: tuple[str, ...], where: str, field: str, entry: int | None) -> Obstacle:
    if key in REFERENCE_KEYS:
        what, hint = REFERENCE_KEYS[key]
        sentence = f"{where}the key {shown(key)} of mergekit is not supported yet: {what}"
        return Obstacle(shown(key), sentence, hint, field, entry)
    return _unknown(key, known, where, also=REFERENCE_KEYS, field=field, entry=entry)


def _in_parameters(
    value: Any, method: MethodSpec | None, where: str, scopes: tuple[str, ...], entry: int | None
) -> Iterator[Maker]:
    if method is None or not isinstance(value, dict):
        return
    for name in value:
        spec = method.parameter(name) if isinstance(name, str) else None
        if spec is None and (name in NO_EFFECT or is_idle(name, method)):
            continue
        if spec is None or spec.scope not in scopes:
            yield partial(_of_parameter, name, method, where, scopes, entry)


def _of_parameter(
    name: Any, method: MethodSpec, where: str, scopes: tuple[str, ...], entry: int | None
) -> Obstacle:
    known = [spec.name for spec in method.parameters if spec.scope in scopes]
    listed = f"it has: {', '.join(known)}" if known else "it has none"
    sentence = f"{where}: {method.name} has no parameter {shown(name)}"
    field = "parameters"
    if isinstance(name, str) and method.parameter(name) is not None:
        sentence, field = f"{where}: {name} is one value for the whole merge", name
        hint = "move it to the recipe's own parameters"
    elif name in KEYS:
        hint = "it is a key of the recipe: write it outside of parameters"
    elif others := _having(name):
        sentence += f": it belongs to {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}"
        hint = f"{method.name} does nothing of the kind; {listed}"
    else:
        hint = nearest(name, known) or listed
    return Obstacle(shown(name), sentence, hint, field, entry)


def _unknown(
    key: Any,
    known: Iterable[str],
    where: str,
    also: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    field: str | None = None,
    entry: int | None = None,
) -> Obstacle:
    """A slip; `also` are keys of mergekit's that may have been meant."""
    known = tuple(known)
    hint = nearest(key, (*known, *also)) or f"the keys are: {', '.join(known)}"
    meant = next((name for name in also if hint == f"did you mean {name!r}?"), None)
    if meant is not None:
        hint += f" In mergekit {': '.join(also[meant])}; the keys here are: {', '.join(known)}"
    return Obstacle(shown(key), f"{where}unknown key {shown(key)}", hint, field, entry)


def _name(key: Any) -> str:
    """A key as mergekit's files spell it; its command line has hyphens."""
    return key.strip("-").replace("-", "_") if isinstance(key, str) and len(key) < 100 else ""


def _is_parameter(name: str, method: MethodSpec | None) -> bool:
    return (method is not None and method.parameter(name) is not None) or bool(_having(name))


def _having(name: Any) -> list[str]:
    """The methods that have a parameter of that name."""
    return [one.name for one in METHODS.values() if isinstance(name, str) and one.parameter(name) is not None]
