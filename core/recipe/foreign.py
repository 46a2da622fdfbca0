"""A recipe as far as it is understood, with a list of what is not.

The command line refuses a file with one thing in it that is not understood: what it would merge is not what
the file asks for. In the window a person sees what was taken over and what was not, and goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from core.errors import RecipeError, addressed, merge_errors_only
from core.methods import METHODS, MethodSpec
from core.recipe.chat_template import read_chat_template
from core.recipe.fields import (
    read_choice,
    read_dtype,
    read_seed,
    read_zero_tolerance,
)
from core.recipe.foreign_parameters import idle_parameters, with_choices_inside
from core.recipe.keys import Obstacle, find_obstacles, refuse_other_file
from core.recipe.method_name import read_method
from core.recipe.models import ModelEntry, place_of
from core.recipe.modules import without_modules
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe, Slice
from core.recipe.references import read_path, reference_in, same_folder
from core.recipe.rules import ParameterSetting, read_setting
from core.recipe.slices import models_of_slices, read_slices, slice_obstacles
from core.recipe.tokenizer_section import TokenizerWish, read_tokenizer
from core.text import shown

__all__ = ["UnderstoodRecipe", "understood_part"]

_MOST = 300
"""Of so many things it is said what they are: for each the nearest of all keys is looked for."""

_WEIGHT = "weight"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class UnderstoodRecipe:
    """What was understood of a recipe.

    Attributes:
        recipe: that part of it. Whether it can be merged was looked at only where nothing was left out.
        left_out: what was not understood, or why it cannot be merged; empty for a recipe that can.
    """

    recipe: Recipe
    left_out: tuple[Obstacle, ...] = ()


@merge_errors_only()
def understood_part(data: Any, folder: Path, stand_in: MethodSpec) -> UnderstoodRecipe:
    """What can be taken over of the recipe in `data`.

    Args:
        data: what the YAML file holds.
        folder: what relative paths are relative to.
        stand_in: the method in the place of one that is not known; of its parameters only the weights are
            taken over then, as others of the same name mean something else.

    Raises:
        RecipeError: as parse_recipe, where there is no model in it to go on from.
    """
    try:
        return UnderstoodRecipe(parse_recipe(data, folder))
    except RecipeError as error:
        if not isinstance(data, dict):
            raise
        refuse_other_file(data)
        refusal = error
    part = _Part(data, folder, stand_in).read()
    if not part.recipe.models:
        raise refusal
    if part.left_out:
        return part
    return replace(part, left_out=(Obstacle("", refusal.message, refusal.hint or "", refusal.field),))


class _Part:
    """One pass over the values of a recipe."""

    def __init__(self, data: Mapping[Any, Any], folder: Path, stand_in: MethodSpec) -> None:
        self._data, self._folder, self._stand_in = dict(data), folder, stand_in
        self._found: list[Obstacle] = []

    def read(self) -> UnderstoodRecipe:
        data = self._data
        if (inner := self._try(partial(without_modules, data))) is not None:
            self._data = data = dict(inner)
        listed = _listed_models(data)
        if listed is not None:
            data["models"] = listed
        known = self._try(partial(read_method, data.get("merge_method")))
        method = known or self._stand_in
        if known is not None:
            data = dict(self._try(partial(with_choices_inside, data, known)) or data)
        if known is None:
            self._found[-1] = self._say_what_stays(self._found[-1], method)
            self._note_parameters(data)
        makers = find_obstacles(data, known)
        self._found += [maker() for maker in islice(makers, _MOST)]
        more = sum(1 for _ in makers)
        base = self._try(partial(_read_base, data.get("base_model"), self._folder))
        slices = self._slices(known) if listed is not None else ()
        if listed is not None and not slices:
            self._say_what_is_listed()
        names = None if known is not None else (_WEIGHT,)
        models = () if slices else self._models(data.get("models"), method, base, names)
        if slices:
            slices, models = models_of_slices(slices, method, base)
        folders = [entry.path for entry in models]
        wish = self._try(partial(read_tokenizer, data, base, self._folder, folders)) or TokenizerWish()
        recipe = Recipe(
            method=method,
            models=models,
            base=base,
            parameters=self._parameters(data.get("parameters"), method, "parameters", names, None),
            seed=self._try(partial(read_seed, data.get("seed"))) or 0,
            dtype=self._try(partial(read_dtype, data, "dtype")),
            out_dtype=self._try(partial(read_dtype, data, "out_dtype")),
            zero_tolerance=self._try(partial(read_zero_tolerance, data.get("zero_tolerance"))),
            nonfinite=self._try(partial(read_choice, data, "nonfinite", ("pass", "error"))) or "pass",
            vocab=wish.vocab,
            tokenizer_source=wish.source,
            tokenizer=wish.section,
            missing=self._try(partial(read_choice, data, "missing", ("error", "from_base", "omit"))),
            slices=slices,
            chat_template=self._try(partial(read_chat_template, data.get("chat_template"))),
            idle=() if known is None else idle_parameters(data, known),
        )
        found = _gathered(self._found)
        if more:
            found.append(Obstacle("", f"{more:,} more things are not understood", ""))
        return UnderstoodRecipe(recipe, tuple(found))

    def _try(self, read: Callable[[], _Value | None]) -> _Value | None:
        """What `read` makes of a value; None where that is not understood, which is noted."""
        try:
            return read()
        except RecipeError as error:
            self._note(error)
            return None

    def _note(self, error: RecipeError) -> None:
        self._found.append(Obstacle("", error.message, error.hint or "", error.field, error.entry))

    # -- parameters

    def _parameters(
        self, value: Any, method: MethodSpec, where: str, names: tuple[str, ...] | None, entry: int | None
    ) -> dict[str, ParameterSetting]:
        """The settings in `value` that are understood; only those of `names`, unless that is None."""
        if value is not None and not isinstance(value, dict):
            self._found.append(
                Obstacle("", f"{where} is not a mapping of names to values", "", "parameters", entry)
            )
        result: dict[str, ParameterSetting] = {}
        for name, given in value.items() if isinstance(value, dict) else ():
            spec = method.parameter(name) if isinstance(name, str) else None
            if spec is None or (names is not None and name not in names):
                continue
            if entry is not None and spec.scope != "model":
                continue
            try:
                with addressed(field=spec.name, entry=entry):
                    result[spec.name] = read_setting(given, spec, f"{where}.{name}")
            except RecipeError as error:
                self._note(error)
        return result

    def _note_parameters(self, data: Mapping[Any, Any]) -> None:
        """Of a method that is not known all parameters but the weights are left out."""
        inside = [data.get("parameters"), *(item.get("parameters") for item in _items(data.get("models")))]
        names = dict.fromkeys(
            shown(name) for given in inside if isinstance(given, dict) for name in given if name != _WEIGHT
        )
        if names:
            what = "the parameter" if len(names) == 1 else "the parameters"
            which = f"{what} {', '.join(names)} of that method"
            self._found.append(Obstacle("", which, "only weights are taken over", "parameters"))

    # -- models

    def _models(
        self, value: Any, method: MethodSpec, base: Path | None, names: tuple[str, ...] | None
    ) -> tuple[ModelEntry, ...]:
        if value is not None and not isinstance(value, list):
            self._found.append(Obstacle("", "models is not a list", "", "models"))
        result: list[ModelEntry] = []
        places: dict[Any, int] = {}
        for number, item in enumerate(value if isinstance(value, list) else ()):
            where = f"models, entry {number + 1}"
            entry = self._try(partial(self._entry, item, method, where, names, number))
            if entry is None:
                self._leave_out(number)
                continue
            reads_base = method.reads_base or names is not None
            if base is not None and reads_base and same_folder(entry.path, base):
                continue  # mergekit's rule
            first = places.setdefault(place_of(entry.path), number)
            if first == number:
                result.append(entry)
            else:
                what = f"{where} is the same model as entry {first + 1}: {entry.path}"
                self._found.append(Obstacle("", what, "it is listed once", "models", None))
        return tuple(result)

    def _entry(
        self, item: Any, method: MethodSpec, where: str, names: tuple[str, ...] | None, number: int
    ) -> ModelEntry:
        with addressed(field="models", entry=number):
            if not isinstance(item, dict):
                raise RecipeError(f"{where}: {shown(item)} is not a mapping")
            path = read_path(reference_in(item), self._folder, f"{where}: model")
        parameters = self._parameters(item.get("parameters"), method, f"{where}: parameters", names, number)
        return ModelEntry(path, parameters)

    def _leave_out(self, number: int) -> None:
        """Say with what was noted of the model of an entry that it is left out."""
        for at, one in enumerate(self._found):
            if one.entry == number and one.field == "models":
                hint = "; ".join(filter(None, ("the model is left out", one.hint)))
                self._found[at] = replace(one, hint=hint)

    def _say_what_stays(self, unknown: Obstacle, method: MethodSpec) -> Obstacle:
        """With the method that is merged with instead in the sentence itself, as the first thing to know."""
        name = self._data.get("merge_method")
        what = "is missing" if name is None else f"{shown(name)} is not supported"
        hint = unknown.hint
        if not hint.startswith("did you mean"):
            hint = f"the methods here are: {', '.join(one.title for one in METHODS.values())}"
        return replace(unknown, sentence=f"merge_method {what}: the method stays {method.title}", hint=hint)

    def _slices(self, method: MethodSpec | None) -> tuple[Slice, ...]:
        """The slices, where all of them are understood; what is not is noted."""
        noted = len(self._found)
        self._found += [maker() for maker in islice(slice_obstacles(self._data, method), _MOST)]
        if method is None or len(self._found) > noted or self._data.get("slices") is None:
            return ()
        return self._try(partial(read_slices, self._data["slices"], method, self._folder)) or ()

    def _say_what_is_listed(self) -> None:
        hint = "the models that they name are listed, each with all of its layers"
        if any(one.get("parameters") for one in _items(self._data.get("slices"))):
            hint += "; the parameters that stand in slices themselves are left out"
        self._found.append(Obstacle("slices", "the slices are not taken over", hint, "slices"))


def _read_base(value: Any, folder: Path) -> Path | None:
    with addressed(field="base_model"):
        return None if value is None else read_path(value, folder, "base_model")


def _items(value: Any) -> list[dict[Any, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _listed_models(data: Mapping[Any, Any]) -> list[dict[Any, Any]] | None:
    """The models that slices or modules name, each once, as entries of models; None where there are none."""
    if data.get("models") is not None:
        return None
    parts: list[Mapping[Any, Any]] = [data]
    modules = data.get("modules")
    if isinstance(modules, dict):
        parts += [part for part in modules.values() if isinstance(part, dict)]
    entries: list[dict[Any, Any]] = []
    for part in parts:
        entries += _items(part.get("models"))
        for one in _items(part.get("slices")):
            entries += _items(one.get("sources"))
    found: dict[str, dict[Any, Any]] = {}
    for entry in entries:
        if "model" in entry:
            kept = {key: entry[key] for key in ("model", "parameters", "lora", "revision") if key in entry}
            found.setdefault(repr(entry["model"]), kept)
    return list(found.values()) or None


_ENTRY = re.compile(r"models, entry \d+")


def _gathered(found: Iterable[Obstacle]) -> list[Obstacle]:
    """With what is the same in several entries of models said once."""
    groups: dict[tuple[str, str], list[Obstacle]] = {}
    for one in found:
        bare = one.sentence if one.entry is None else _ENTRY.sub("models", one.sentence, count=1)
        groups.setdefault((bare, one.hint), []).append(one)
    result = []
    for (bare, _), members in groups.items():
        first = members[0]
        if len(members) > 1 and first.entry is not None:
            numbers = _numbers_text([one.entry + 1 for one in members if one.entry is not None])
            first = replace(first, sentence=bare.replace("models", f"models, entries {numbers}", 1))
        result.append(first)
    return result


def _numbers_text(numbers: list[int]) -> str:
    """ "1, 4 to 7 and 9"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else " and ".join(map(str, run)) for run in runs]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
