"""What the user asked for: a mergekit YAML config with a few keys of our own, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from core.dtypes import DType
from core.kernels.interface import Values
from core.methods import MethodSpec, ParameterValue
from core.recipe.models import ModelEntry
from core.recipe.references import same_folder
from core.recipe.rules import ParameterSetting, Setting, chained
from core.recipe.tokenizer_section import TokenizerSection

__all__ = ["ModelEntry", "Recipe", "Slice", "SliceSource", "Stage"]


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
        idle: parameters of other methods that were given and change nothing; no part of what is asked.
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
    idle: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def parts(self) -> tuple[Recipe, ...]:
        """What is merged of whole models: this recipe itself, or one for each of its slices."""
        return tuple(_part(self, one) for one in self.slices) or (self,)

    @property
    def unites(self) -> bool:
        """Whether it asks for the tokens of all models, as `vocab: union` does."""
        return self.tokenizer_source is None and (self.vocab == "union" or self.tokenizer is not None)

    @property
    def tokens_key(self) -> str:
        """The key that says whose tokens the result has, where one does."""
        if self.vocab is not None:
            return "vocab"
        is_more = self.tokenizer is not None and self.tokenizer != TokenizerSection()
        return "tokenizer" if is_more else "tokenizer_source"

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

    @property
    def draws(self) -> bool:
        """Whether anything is drawn, so that the seed means something."""
        return any(part.method.draws_with(part._plain_values) for part in self.parts)

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


@dataclass(frozen=True)
class SliceSource:
    """Layers of one model.

    Attributes:
        model: the model, with the parameters that are given for it in this slice alone.
        layers: the first of them, and the one after the last; counted from 0.
    """

    model: ModelEntry
    layers: tuple[int, int]

    @property
    def count(self) -> int:
        return self.layers[1] - self.layers[0]


@dataclass(frozen=True)
class Slice:
    """Layers of the result that follow one another.

    Attributes:
        sources: what they are merged of, the base among them where it is listed; equally many layers each.
        parameters: what is given for the whole slice, checked.
        base: a base of this slice's own; None for the recipe's.
    """

    sources: tuple[SliceSource, ...]
    parameters: Mapping[str, ParameterSetting] = field(default_factory=dict)
    base: Path | None = None

    @property
    def count(self) -> int:
        """How many layers of the result it makes."""
        return self.sources[0].count

    def layers_of(self, folder: Path) -> tuple[int, int]:
        """The layers of the model in `folder`; of one that is no source those of the first source."""
        found = (one.layers for one in self.sources if one.model.path == folder)
        return next(found, self.sources[0].layers)


@dataclass(frozen=True)
class Stage:
    """A merge whose result a later one of the same recipe reads.

    Attributes:
        name: by which later ones call it.
        recipe: what is merged.
        folder: what stands for its result in the recipes of later ones; nothing needs to be there.
    """

    name: str
    recipe: Recipe
    folder: Path


def _part(recipe: Recipe, one: Slice) -> Recipe:
    """What is asked for the slice `one`, as a recipe without slices over whole models."""
    base = one.base or recipe.base
    models = tuple(
        source.model
        for source in one.sources
        if not (recipe.method.reads_base and base is not None and same_folder(source.model.path, base))
    )
    names = dict.fromkeys([*one.parameters, *recipe.parameters])
    parameters = {name: chained(one.parameters.get(name), recipe.parameters.get(name)) for name in names}
    known = {name: setting for name, setting in parameters.items() if setting is not None}
    return replace(recipe, models=models, base=base, parameters=known, slices=(), stages=())


def _value(setting: ParameterSetting | None, tensor: str, position: float) -> ParameterValue | None:
    return setting.value_for(tensor, position) if isinstance(setting, Setting) else setting
