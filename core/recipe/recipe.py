"""What the user asked for: a mergekit YAML config with a few keys of our own, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from core.dtypes import DType
from core.errors import RecipeError, addressed, merge_errors_only
from core.kernels.interface import Values
from core.methods import MethodSpec, ParameterValue
from core.recipe.chat_template import read_chat_template
from core.recipe.fields import (
    read_choice,
    read_dtype,
    read_seed,
    read_zero_tolerance,
)
from core.recipe.keys import find_obstacles, note_unknown, refuse_other_file
from core.recipe.method_name import read_method
from core.recipe.models import ModelEntry, read_models, read_parameters
from core.recipe.modules import without_modules
from core.recipe.named_bases import common_base
from core.recipe.reasons import Reasons
from core.recipe.references import read_path
from core.recipe.rules import ParameterSetting, Setting, setting_data
from core.recipe.slices import (
    Slice,
    models_of_slices,
    part_of,
    read_slices,
    slice_obstacles,
    slices_data,
)
from core.recipe.stages import Stage, on_stage, parsed_stages
from core.recipe.tokenizer_section import TokenizerSection, TokenizerWish, read_tokenizer, tokenizer_data

__all__ = ["ModelEntry", "Recipe", "folders_of", "parse_recipe", "recipe_as_dict"]

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Recipe:
    """What is to be merged, and how. Made by `load_recipe` or `parse_recipe`, which check it.

    Attributes:
        method: the merge method.
        models: the sub-models in order; K of them.
        base: the base's folder, or None.
        parameters: what is given for the whole merge, checked.
        seed: of the draws, 0 <= seed < 2**64.
        dtype, out_dtype: merge and output type; None for the models' own.
        zero_tolerance: |delta| that still counts as zero; None for exact equality.
        nonfinite: "pass" or "error".
        vocab: "union" or "base" where the recipe says one, else None.
        tokenizer_source: the folder whose tokens the result has, and whose config and tokenizer go into the
            output; None for the first sub-model's, and for a union.
        tokenizer: what the recipe says under this key of mergekit's beside its source; with it, and without
            a tokenizer_source, the tokens of all models are united. None where it does not say it.
        missing: what becomes of a tensor that not every model has: "error", "from_base" or "omit"; None for
            the rules that hold where the recipe says nothing.
        slices: of which layers of which models the result is put together; () for whole models. `models` are
            all that they name then, without parameters.
        chat_template: "auto", the name of a built-in one or Jinja text; None for the models' own.
        stages: merges whose results this one reads, in order.
    """

    method: MethodSpec
    models: tuple[ModelEntry, ...]
    base: Path | None = None
    parameters: Mapping[str, ParameterSetting] = field(default_factory=dict)
    seed: int = 0
    dtype: DType | None = None
    out_dtype: DType | None = None
    zero_tolerance: float | None = None
    nonfinite: str = "pass"
    vocab: str | None = None
    tokenizer_source: Path | None = None
    tokenizer: TokenizerSection | None = None
    missing: str | None = None
    slices: tuple[Slice, ...] = ()
    chat_template: str | None = None
    stages: tuple[Stage, ...] = ()

    @cached_property
    def parts(self) -> tuple[Recipe, ...]:
        """What is merged of whole models: this recipe itself, or one for each of its slices."""
        return tuple(part_of(self, one) for one in self.slices) or (self,)

    @property
    def unites(self) -> bool:
        """Whether it asks for the tokens of all models, as `vocab: union` does."""
        return self.tokenizer_source is None and (self.vocab == "union" or self.tokenizer is not None)

    @cached_property
    def ruled(self) -> tuple[str, ...]:
        """The parameters that a gradient, a condition or slices may make differ between tensors."""
        every = [self.parameters, *(entry.parameters for entry in self.models)]
        found = {name for given in every for name, value in given.items() if isinstance(value, Setting)}
        for one in self.slices:
            found |= {name for source in one.sources for name in source.model.parameters} | {*one.parameters}
        return tuple(spec.name for spec in self.method.parameters if spec.name in found)

    def values_for(self, tensor: str, position: float) -> Values:
        """What each parameter is for one tensor, by name; of a sub-model's parameter K values.

        A sub-model's own value comes first, then the recipe's, then the method's default; a setting that
        has no condition for the tensor is passed over.

        Args:
            tensor: its name, which filters are compared with.
            position: in its stack of layers; see `core.checkpoint.names.layer_positions`.
        """
        if not self.ruled:
            return self._plain_values
        return self._values(tensor, position)

    def plain_value(self, parameter: str) -> Any:
        """The value of `parameter` for every tensor ([K] of a sub-model's); None where tensors differ."""
        return None if parameter in self.ruled else self._plain_values[parameter]

    @property
    def resamples(self) -> int | None:
        """n; None for a method that does not draw again, and where it may differ between tensors."""
        draws = self.method.draws
        if draws is None or draws.resamples is None or draws.resamples in self.ruled:
            return None
        return self.method.resamples(self._plain_values)

    @cached_property
    def _plain_values(self) -> Values:
        return self._values("", 0.0)

    def _values(self, tensor: str, position: float) -> Values:
        found: dict[str, ParameterValue | tuple[ParameterValue, ...]] = {}
        for spec in self.method.parameters:
            common = _value(self.parameters.get(spec.name), tensor, position)
            if common is None:
                common = spec.default
            if spec.scope == "merge":
                found[spec.name] = common
                continue
            own = (_value(entry.parameters.get(spec.name), tensor, position) for entry in self.models)
            found[spec.name] = tuple(common if value is None else value for value in own)
        return Values.from_mapping(found)


@merge_errors_only()
def parse_recipe(data: Any, folder: Path) -> Recipe:
    """The recipe in `data`, a mapping with the keys of a recipe file.

    Args:
        data: what the YAML file holds.
        folder: what relative paths are relative to.

    Raises:
        RecipeError: with one sentence that names the field, and its address.
    """
    if not isinstance(data, dict):
        raise RecipeError(
            "the recipe is not a mapping of keys to values",
            hint="begin with a line such as merge_method: linear",
        )
    refuse_other_file(data)
    return _Reading(data, folder).recipe()


class _Reading:
    """One pass over the data of a recipe, which notes every reason against it and raises them as one."""

    def __init__(self, data: Mapping[Any, Any], folder: Path) -> None:
        self._data, self._folder = data, folder
        self._reasons = Reasons()

    def recipe(self) -> Recipe:
        stages: tuple[Stage, ...] = ()
        with self._reasons.noted():
            self._data = without_modules(self._data)
        with self._reasons.noted():
            stages, self._data = parsed_stages(self._data, self._folder, parse_recipe, self._reasons)
        recipe = self._own(stages)
        self._reasons.refuse()
        assert recipe is not None  # else there is a reason
        _check_parts(recipe)
        return recipe

    def _own(self, stages: tuple[Stage, ...]) -> Recipe | None:
        """What is said beside `stages`; None where the method is not known."""
        data, folder, read = self._data, self._folder, self._read
        method = read(lambda: read_method(data.get("merge_method")))
        note_unknown(chain(find_obstacles(data, method), slice_obstacles(data, method)), self._reasons)
        base = read(partial(_read_base, data, folder))
        fields: dict[str, Any] = {
            "seed": read(lambda: read_seed(data.get("seed"))) or 0,
            "dtype": read(lambda: read_dtype(data, "dtype")),
            "out_dtype": read(lambda: read_dtype(data, "out_dtype")),
            "zero_tolerance": read(lambda: read_zero_tolerance(data.get("zero_tolerance"))),
            "nonfinite": read(lambda: read_choice(data, "nonfinite", ("pass", "error"))) or "pass",
            "missing": read(lambda: read_choice(data, "missing", ("error", "from_base", "omit"))),
            "chat_template": read(lambda: read_chat_template(data.get("chat_template"))),
        }
        if data.get("models") is not None and data.get("slices") is not None:
            self._note(
                "models and slices are both there, and each says what is merged",
                "keep models to merge all layers, or slices to say which",
                "slices",
            )
        if method is None:
            return None
        parameters = read(lambda: read_parameters(data.get("parameters"), method, "parameters")) or {}
        before = len(self._reasons.found) if "modules" not in data else -1
        slices: tuple[Slice, ...] = ()
        if data.get("slices") is not None:
            slices = read(lambda: read_slices(data["slices"], method, folder)) or ()
            slices, models = models_of_slices(slices, method, base)
        else:
            models = read(lambda: read_models(data.get("models"), method, folder, base)) or ()
            if models and method.base == "needed" and data.get("base_model") is None:
                base = read(lambda: common_base([entry.path for entry in models]))
                models = read(lambda: read_models(data.get("models"), method, folder, base)) or ()
        is_read = len(self._reasons.found) == before
        has_bases = bool(slices) and all(one.base for one in slices)
        is_missing = base is None and data.get("base_model") is None and not has_bases
        if method.base == "needed" and is_missing and is_read:
            hint = _base_hint(method, data.get("models"))
            self._note(f"merge_method {method.name} needs a base_model", hint, "base_model")
        elif not models and is_read:
            self._note("there is no sub-model to merge (K = 0)", "list at least one under models", "models")
        if fields["missing"] == "from_base" and data.get("base_model") is None:
            self._note(
                "missing is from_base, and the recipe has no base_model",
                "add base_model: the folder of the base, or write missing: omit to leave such tensors out",
                "missing",
            )
        folders = [entry.path for entry in models]
        wish = read(lambda: read_tokenizer(data, base, folder, folders)) or TokenizerWish()
        fields |= {"vocab": wish.vocab, "tokenizer_source": wish.source, "tokenizer": wish.section}
        return Recipe(method, models, base, parameters, slices=slices, stages=stages, **fields)

    def _read(self, read: Callable[[], _Value]) -> _Value | None:
        with self._reasons.noted():
            return read()
        return None

    def _note(self, sentence: str, hint: str, field: str) -> None:
        self._reasons.found.append(RecipeError(sentence, hint=hint, field=field))


def _read_base(data: Mapping[Any, Any], folder: Path) -> Path | None:
    with addressed(field="base_model"):
        value = data.get("base_model")
        return None if value is None else read_path(value, folder, "base_model")


def _check_parts(recipe: Recipe) -> None:
    """Refuse what no model could be merged by: too many of them, or values that make no sense together."""
    reasons = Reasons()
    for at, part in enumerate(recipe.parts):
        with reasons.noted():
            _check_part(recipe, at, part)
    reasons.refuse()


def _check_part(recipe: Recipe, at: int, part: Recipe) -> None:
    try:
        _check_number(part.method, len(part.models))
        if not part.ruled:  # else the values of each tensor are checked when it is planned
            part.method.check(part.values_for("", 0.0), None)
    except RecipeError as error:
        if not recipe.slices:
            raise
        raise RecipeError(
            f"slices, entry {at + 1}: {error.message}",
            hint=error.hint and error.hint.replace("under models", "under its sources"),
            field="slices",
            entry=at,
        ) from error


def recipe_as_dict(recipe: Recipe, names: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """The recipe as plain values that `parse_recipe` and mergekit's YAML understand.

    Args:
        recipe: what to write down.
        names: what to write in the place of each folder; None for the folders themselves.
    """

    def own(path: Path) -> str:
        return names[path] if names is not None else str(path)

    def shown(path: Path) -> str:
        on = on_stage(path, recipe.stages)
        if on is None or (on[1] and path in (names or {})):
            return own(path)
        return "+".join([on[0].name, *map(own, on[1])])

    data = _as_dict(recipe, shown)
    if recipe.stages:
        data["stages"] = [{"name": stage.name} | _as_dict(stage.recipe, shown) for stage in recipe.stages]
    return data


def folders_of(recipe: Recipe) -> tuple[Path, ...]:
    """Every folder that `recipe` names, also in its slices and its stages, whose results are none.

    A model with adapters on it is one; of adapters on the result of a stage each is.
    """
    found: dict[Path, None] = {}
    for one in (recipe, *(stage.recipe for stage in recipe.stages)):
        paths = [one.base, *(entry.path for entry in one.models), one.tokenizer_source]
        paths += [source.model.path for each in one.slices for source in each.sources]
        paths += [each.base for each in one.slices]
        for path in (path for path in paths if path is not None):
            on = on_stage(path, recipe.stages)
            found |= dict.fromkeys((path,) if on is None else on[1])
    return tuple(found)


def _as_dict(recipe: Recipe, shown: Callable[[Path], str]) -> dict[str, Any]:
    result: dict[str, Any] = {"merge_method": recipe.method.name}
    if recipe.base is not None:
        result["base_model"] = shown(recipe.base)
    if recipe.slices:
        result["slices"] = slices_data(recipe.slices, shown)
    else:
        result["models"] = [
            {"model": shown(entry.path)}
            | ({"parameters": _parameters_data(entry.parameters)} if entry.parameters else {})
            for entry in recipe.models
        ]
    if recipe.parameters:
        result["parameters"] = _parameters_data(recipe.parameters)
    result["seed"] = recipe.seed
    for key in ("dtype", "out_dtype"):
        dtype = getattr(recipe, key)
        if dtype is not None:
            result[key] = dtype.torch_name
    if recipe.zero_tolerance is not None:
        result["zero_tolerance"] = recipe.zero_tolerance
    result["nonfinite"] = recipe.nonfinite
    wish = TokenizerWish(recipe.vocab, recipe.tokenizer_source, recipe.tokenizer)
    result |= tokenizer_data(wish, shown)
    if recipe.missing is not None:
        result["missing"] = recipe.missing
    if recipe.chat_template is not None:
        result["chat_template"] = recipe.chat_template
    return result


def _check_number(method: MethodSpec, models: int) -> None:
    least, most = method.least_models, method.most_models
    if models >= least and (most is None or models <= most):
        return
    beside = " beside the base" if method.reads_base else ""
    there = "there is 1" if models == 1 else f"there are {models}"
    raise RecipeError(
        f"merge_method {method.name} takes {method.models_text()}{beside}, and {there}",
        hint=f"list {least - models} more under models"
        if models < least
        else f"leave {models - (most or 0)} of them out",
        field="models",
    )


def _base_hint(method: MethodSpec, models: Any) -> str:
    """What to do where a base is missing: with mergekit, models may list it beside the sub-models."""
    most = method.most_models
    if isinstance(models, list) and most is not None and len(models) == most + 1:
        return f"name one of the {len(models)} models as base_model too; it may stay under models"
    return "add base_model: the folder of the base"


def _parameters_data(parameters: Mapping[str, ParameterSetting]) -> dict[str, Any]:
    return {name: setting_data(setting) for name, setting in parameters.items()}


def _value(setting: ParameterSetting | None, tensor: str, position: float) -> ParameterValue | None:
    return setting.value_for(tensor, position) if isinstance(setting, Setting) else setting
