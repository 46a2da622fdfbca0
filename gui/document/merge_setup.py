"""What the fields of the window say together, as one value, and how it becomes a recipe. No Qt."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core import Recipe, RecipeError, parse_recipe
from core.adapter_paths import join_adapters
from core.checkpoint.stage_folders import STAGES_END
from core.methods import METHODS, MethodSpec, ParameterSpec, ParameterValue
from core.plan.planning import DEFAULT_SHARD_SIZE_BYTES
from core.recipe.recipe import recipe_as_dict
from core.recipe.slices import Slice, SliceSource, slices_data
from core.recipe.stages import Stage, on_stage
from core.recipe.tokenizer_section import TokenizerSection, TokenizerWish, tokenizer_data
from gui.numbers import Unread

__all__ = [
    "MergeSetup",
    "ModelChoice",
    "Rule",
    "first_missing",
    "form_parameters",
    "free_name",
    "output_beside",
    "setup_of_recipe",
]

_WEIGHT = "weight"
"""The one parameter that has a column in the list of sub-models."""

_OF_THE_MACHINE = ("threads", "shard_size_bytes")
"""Fields of numbers that are no part of a recipe."""


@dataclass(frozen=True)
class ModelChoice:
    """One row of the list of sub-models.

    Attributes:
        folder: where it is.
        weight: its weight in the merge.
        enabled: whether it may take part.
        unread: what was typed as its weight since, and cannot be taken; None where all is well.
    """

    folder: Path
    weight: float = 1.0
    enabled: bool = True
    unread: Unread | None = None


@dataclass(frozen=True)
class Rule:
    """A value of one parameter of the method that holds for some tensors only.

    Attributes:
        parameter: its name.
        model: the sub-model that it is for; None for all, and for parameters of the whole merge.
        filter: a part of the names of the tensors that it is for; "" for all.
        value: one number, or the anchors of a gradient from the first layer to the last.
    """

    parameter: str
    model: Path | None
    filter: str
    value: tuple[ParameterValue, ...]


@dataclass(frozen=True)
class MergeSetup:
    """What is to be merged, as the fields say it. Undo keeps these.

    Attributes:
        method: the name of the merge method.
        base: the base's folder, or None.
        models: every row of the list of sub-models, also those that take no part.
        k: the first k enabled rows take part.
        parameters: the values of the method's form, by name.
        rules: exceptions from them; the first one that is for a tensor holds.
        seed: of the draws; None while the field holds no number. A method that draws nothing has no such
            field, and needs none.
        dtype, out_dtype: merge and output type as torch spells them; None for the models' own.
        zero_tolerance: |delta| that still counts as zero; None for exact equality.
        nonfinite: "pass" or "error".
        vocab: "union" or "base", or None where the recipe does not say it.
        tokenizer_source: the folder of the output's tokenizer; None for the first sub-model's.
        tokenizer: what the recipe says under mergekit's key of that name; None where it does not say it.
        missing: "error", "from_base" or "omit"; None where the recipe does not say it.
        slices: which layers of which models the result is put together of; () for all layers of all models.
        chat_template: "auto", the name of a built-in one or Jinja text; None for the models' own.
        stages: merges that come before, whose results are among the models; they are as a recipe said them.
        out: the output folder, "" for none.
        device: "auto", "cpu", "cuda:0", … . This one and those below are no part of a recipe.
        threads: None for as many as get the most done.
        shard_size_bytes: of one output file.
        overwrite: whether a finished merge that is in `out` already may be replaced.
        unread: what was typed into fields of numbers and cannot be taken, by their names here or the
            parameters'; the fields have the values that they had before. Such a set-up is no recipe.
    """

    method: str
    base: Path | None
    models: tuple[ModelChoice, ...]
    k: int
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    seed: int | None = 0
    dtype: str | None = None
    out_dtype: str | None = None
    zero_tolerance: float | None = None
    nonfinite: str = "pass"
    vocab: str | None = None
    tokenizer_source: Path | None = None
    tokenizer: TokenizerSection | None = None
    missing: str | None = None
    slices: tuple[Slice, ...] = ()
    chat_template: str | None = None
    stages: tuple[Stage, ...] = ()
    out: str = ""
    device: str = "auto"
    threads: int | None = None
    shard_size_bytes: int = DEFAULT_SHARD_SIZE_BYTES
    overwrite: bool = False
    unread: Mapping[str, Unread] = field(default_factory=dict)

    @classmethod
    def empty(cls, before: MergeSetup) -> MergeSetup:
        """A new recipe, to be run where `before` was."""
        return cls(
            method=next(iter(METHODS)),
            base=None,
            models=(),
            k=0,
            device=before.device,
            threads=before.threads,
            shard_size_bytes=before.shard_size_bytes,
        )

    @property
    def taking_part(self) -> tuple[ModelChoice, ...]:
        """The rows that are merged."""
        return tuple(choice for choice in self.models if choice.enabled)[: self.k]

    @property
    def described(self) -> MergeSetup:
        """The part of it that describes the merge: equal for two that differ in where and how they run."""
        return replace(
            self,
            out="",
            device="auto",
            threads=None,
            shard_size_bytes=DEFAULT_SHARD_SIZE_BYTES,
            overwrite=False,
            unread={name: one for name, one in self.unread.items() if name not in _OF_THE_MACHINE},
        )

    @property
    def unread_weights(self) -> Mapping[Path, Unread]:
        """What was typed as weights and cannot be taken, by the folders of those that take part."""
        if METHODS[self.method].weight is None:
            return {}
        return {choice.folder: choice.unread for choice in self.taking_part if choice.unread is not None}

    @property
    def as_read(self) -> MergeSetup:
        """The same with the last values that could be taken, so that something can be said of the rest."""
        seed = 0 if self.seed is None and "seed" in self.unread else self.seed
        models = tuple(replace(choice, unread=None) for choice in self.models)
        return replace(self, models=models, seed=seed, unread={})

    def recipe(self) -> Recipe:
        """The same as a recipe, checked by the engine, which looks at the folders. Raises RecipeError."""
        method = METHODS[self.method]
        for unread in (*self.unread.values(), *self.unread_weights.values()):
            raise RecipeError(unread.sentence)
        if self.seed is None and method.draws is not None:
            raise RecipeError("there is no seed", hint="give a whole number", field="seed")
        merge_wide, by_model = self._parameters()
        own = {choice.folder: own for choice, own in zip(self.taking_part, by_model, strict=True)}
        data: dict[str, Any] = {
            "merge_method": self.method,
            **self._sliced(own),
            "parameters": merge_wide,
            "seed": self.seed or 0,
            "dtype": self.dtype,
            "out_dtype": self.out_dtype,
            "zero_tolerance": self.zero_tolerance,
            "nonfinite": self.nonfinite,
            "missing": self.missing,
            "chat_template": self.chat_template,
        }
        wish = TokenizerWish(self.vocab, self.tokenizer_source, self.tokenizer)
        data |= tokenizer_data(wish, str)
        if self.base is not None:
            data["base_model"] = str(self.base)
        return replace(parse_recipe(data, Path.cwd()), stages=self.stages)

    def _sliced(self, own: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
        """The models that are merged, or the slices with what their models' rows say.

        Args:
            own: the parameters of each sub-model that takes part.

        Raises:
            RecipeError: a slice names a model that takes no part.
        """
        if not self.slices:
            return {
                "models": [
                    {"model": self._reference(folder)} | ({"parameters": given} if given else {})
                    for folder, given in own.items()
                ]
            }
        for entry, one in enumerate(self.slices):
            for folder in (source.model.path for source in one.sources):
                if folder not in own and folder != self.base:
                    raise RecipeError(
                        f"slice {entry + 1} takes layers of {folder.name}, which takes no part",
                        hint="tick it or add it to the sub-models, or take other layers",
                        field="slices",
                        entry=entry,
                    )
        data = slices_data(self.slices, self._reference)
        for one, written in zip(self.slices, data, strict=True):
            for source, said in zip(one.sources, written["sources"], strict=True):
                given = {**own.get(source.model.path, {}), **said.get("parameters", {})}
                if given and (source.model.path != self.base or not METHODS[self.method].reads_base):
                    said["parameters"] = given
        return {"slices": data}

    def _reference(self, folder: Path) -> str | dict[str, str]:
        """How a recipe names a model; adapters on one that is made first are not found by their path."""
        on = on_stage(folder, self.stages)
        if on is None or not on[1]:
            return str(folder)
        return {"model": str(on[0].folder), "lora": str(join_adapters(on[1][0], on[1][1:]))}

    def _parameters(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The values of the whole merge, and those of each sub-model that takes part."""
        merge_wide: dict[str, Any] = {}
        by_model: list[dict[str, Any]] = [{} for _ in self.taking_part]
        for spec in METHODS[self.method].parameters:
            if spec.scope == "merge":
                written = [self._written(spec, None, self.parameters.get(spec.name))]
            elif spec.name == _WEIGHT:
                written = []
                for own, choice in zip(by_model, self.taking_part, strict=True):
                    weight = self._written(spec, choice.folder, choice.weight)
                    if not self.slices or weight != spec.default:
                        own[spec.name] = weight
            else:
                written = [
                    self._written(spec, choice.folder, self.parameters.get(spec.name))
                    for choice in self.taking_part
                ]
                if any(value != written[0] for value in written):
                    for own, value in zip(by_model, written, strict=True):
                        own[spec.name] = spec.default if value is None else value
                    written = [self.parameters.get(spec.name)]
            if written and written[0] is not None:
                merge_wide[spec.name] = written[0]
        return merge_wide, by_model

    def _written(self, spec: ParameterSpec, model: Path | None, plain: ParameterValue | None) -> Any:
        """How a recipe says it: a value, a gradient, or a list of conditions; None for not at all."""
        conditions: list[dict[str, Any]] = []
        for rule in self.rules:
            if rule.parameter != spec.name or rule.model not in (None, model):
                continue
            value = list(rule.value) if len(rule.value) > 1 else rule.value[0]
            if rule.filter:
                conditions.append({"filter": rule.filter, "value": value})
            else:
                return [*conditions, {"value": value}] if conditions else value
        if not conditions:
            return plain
        return [*conditions, {"value": spec.default if plain is None else plain}]


def form_parameters(method: MethodSpec) -> tuple[ParameterSpec, ...]:
    """The parameters of `method` that its form asks for; the weights are in the list of sub-models."""
    return tuple(spec for spec in method.parameters if spec.name != _WEIGHT)


def setup_of_recipe(recipe: Recipe, before: MergeSetup) -> MergeSetup:
    """The fields that say `recipe`; what no recipe says stays as it was `before`.

    Rules that hold for every sub-model become one rule for all of them.
    """
    data = recipe_as_dict(recipe)
    given = data.get("parameters", {})
    none: dict[str, Any] = {}
    slices, common = _without_common_weights(recipe.slices, data.get("slices", ()))
    entries = data.get("models") or [{"parameters": common.get(one.path, none)} for one in recipe.models]
    own = [entry.get("parameters", none) for entry in entries]
    fields = {spec.name for spec in form_parameters(recipe.method)}
    parameters: dict[str, ParameterValue] = {}
    rules: list[Rule] = []
    weights = [1.0] * len(own)
    for spec in recipe.method.parameters:
        name = spec.name
        conditions, plain = _split(_conditions(given.get(name)), spec)
        if name in fields:
            parameters[name] = spec.default if plain is None else plain
        if spec.scope == "merge":
            rules += (Rule(name, None, *condition) for condition in conditions)
            continue
        by_model = []
        for at, values in enumerate(own):
            mine, my_plain = _split(
                _first([*_conditions(values.get(name)), *_conditions(given.get(name))]), spec
            )
            if name == _WEIGHT:
                weights[at] = float(spec.default if my_plain is None else my_plain)
            elif my_plain is not None and my_plain != plain:
                mine.append(("", (my_plain,)))
            by_model.append(mine)
        rules += _rules(name, [entry.path for entry in recipe.models], by_model)
    return replace(
        before,
        method=recipe.method.name,
        base=recipe.base,
        models=tuple(
            ModelChoice(entry.path, weight) for entry, weight in zip(recipe.models, weights, strict=True)
        ),
        k=len(recipe.models),
        parameters=parameters,
        rules=tuple(rules),
        seed=recipe.seed,
        dtype=recipe.dtype.torch_name if recipe.dtype else None,
        out_dtype=recipe.out_dtype.torch_name if recipe.out_dtype else None,
        zero_tolerance=recipe.zero_tolerance,
        nonfinite=recipe.nonfinite,
        vocab=recipe.vocab,
        tokenizer_source=None if recipe.vocab == "base" else recipe.tokenizer_source,
        tokenizer=recipe.tokenizer,
        missing=recipe.missing,
        slices=slices,
        chat_template=recipe.chat_template,
        stages=recipe.stages,
        overwrite=False,
        unread={},
    )


def _without_common_weights(
    slices: Sequence[Slice], data: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Slice, ...], dict[Path, dict[str, Any]]]:
    """`slices` without the weights that a model has alike in all of them, and those weights: they belong into
    the list of models, where they can be changed for all slices at once.

    Args:
        slices: of a recipe.
        data: the same as the recipe's file says them.
    """
    said: dict[Path, list[Any]] = {}
    for one, written in zip(slices, data, strict=True):
        for source, entry in zip(one.sources, written["sources"], strict=True):
            alone = (
                _WEIGHT not in one.parameters
            )  # or else it would hold where the list says the usual weight
            own = entry.get("parameters", {}).get(_WEIGHT) if alone else None
            said.setdefault(source.model.path, []).append(own)
    common = {
        path: {_WEIGHT: weights[0]}
        for path, weights in said.items()
        if weights[0] is not None and all(weight == weights[0] for weight in weights)
    }
    return tuple(
        replace(one, sources=tuple(_without(source, common) for source in one.sources)) for one in slices
    ), common


def _without(source: SliceSource, common: Mapping[Path, Any]) -> SliceSource:
    """`source` without the weight that its model has in `common`."""
    if source.model.path not in common:
        return source
    rest = {name: value for name, value in source.model.parameters.items() if name != _WEIGHT}
    return replace(source, model=replace(source.model, parameters=rest))


_Condition = tuple[str, tuple[ParameterValue, ...]]
"""A filter, and the value where it hits."""


def _conditions(value: Any) -> list[_Condition]:
    """What a recipe says of a parameter, as conditions in the order in which they are tried."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [("", (value,))]
    if not any(isinstance(item, Mapping) for item in value):
        return [("", tuple(value))]
    result = []
    for item in value:
        hits = item.get("filter")
        number = item["value"]
        result.append(
            ("" if hits in (None, "*") else hits, tuple(number) if isinstance(number, list) else (number,))
        )
    return _first(result)


def _first(conditions: list[_Condition]) -> list[_Condition]:
    """Without those that are never reached."""
    for at, (hits, _) in enumerate(conditions):
        if not hits:
            return conditions[: at + 1]
    return conditions


def _split(
    conditions: list[_Condition], spec: ParameterSpec
) -> tuple[list[_Condition], ParameterValue | None]:
    """The conditions, and the one number that holds where none of them hits; None where one always does."""
    if not conditions or conditions[-1][0]:
        return conditions, spec.default
    if len(conditions[-1][1]) == 1:
        return conditions[:-1], conditions[-1][1][0]
    return conditions, None


def _rules(name: str, folders: Sequence[Path], by_model: Sequence[list[_Condition]]) -> list[Rule]:
    """One rule for what all sub-models begin with, rules of each one's own, one for what all end with."""
    first = _common(by_model)
    rest = [conditions[first:] for conditions in by_model]
    last = _common([conditions[::-1] for conditions in rest])
    rules = [Rule(name, None, *condition) for condition in by_model[0][:first]]
    for folder, conditions in zip(folders, rest, strict=True):
        rules += (Rule(name, folder, *condition) for condition in conditions[: len(conditions) - last])
    rules += (Rule(name, None, *condition) for condition in rest[0][len(rest[0]) - last :])
    return rules


def _common(lists: Sequence[list[_Condition]]) -> int:
    """How many conditions all of `lists` begin with."""
    count = 0
    for conditions in zip(*lists, strict=False):
        if any(condition != conditions[0] for condition in conditions):
            break
        count += 1
    return count


def first_missing(setup: MergeSetup) -> tuple[str, str] | None:
    """The first thing without which there is no merge, as (sentence, name of the field); looks at no disk."""
    for name, unread in setup.unread.items():
        return unread.sentence, name
    for unread in setup.unread_weights.values():
        return unread.sentence, "models"
    method = METHODS[setup.method]
    if setup.base is None and method.base == "needed":
        return "Choose the base model.", "base"
    if not setup.models:
        return "Add at least one sub-model.", "models"
    if not setup.taking_part:
        return "Tick at least one sub-model: none takes part.", "models"
    if method.base == "needed" and any(choice.folder == setup.base for choice in setup.taking_part):
        return "The base is in the list of sub-models, too.", "models"
    wrong_number = "" if setup.slices else _number_problem(method, setup)  # each slice has its own
    if wrong_number:
        return wrong_number, "models"
    if setup.seed is None and method.draws is not None:
        return "Give a seed.", "seed"
    if not setup.out:
        return "Choose an output folder.", "out"
    return None


def _number_problem(method: MethodSpec, setup: MergeSetup) -> str:
    """Why the method does not take that many, and what to do about it; "" where it does."""
    takes = f"{method.title} takes {method.models_text()}"
    models, ticked = len(setup.taking_part), sum(choice.enabled for choice in setup.models)
    if models < method.least_models:
        if ticked >= method.least_models:
            return f"{takes}: raise K to {method.least_models}."
        verb = "tick" if len(setup.models) >= method.least_models else "add"
        return f"{takes}: {verb} {method.least_models - models} more."
    if method.most_models is not None and models > method.most_models:
        return f"{takes}: of the {models} that take part, untick {models - method.most_models}."
    return ""


def free_name(out: Path) -> Path:
    """`out`, or `out-2`, `out-3`, … : the first that neither exists nor is being written."""
    if not _taken(out):
        return out
    found = re.fullmatch(r"(.+)-(\d+)", out.name)
    stem, number = (found[1], int(found[2]) + 1) if found and int(found[2]) >= 2 else (out.name, 2)
    while _taken(candidate := out.with_name(f"{stem}-{number}")):
        number += 1
    return candidate


def output_beside(model: Path) -> Path:
    """Where a merge of `model` could go: beside it, or in the home folder where that cannot be written."""
    parent = model.absolute().parent
    if parent.name == "snapshots" or not os.access(parent, os.W_OK):  # not into the Hub's cache
        parent = Path.home()
    return free_name(parent / "merged")


def _taken(out: Path) -> bool:
    beside = [out.with_name(out.name + end) for end in (".partial", STAGES_END)]
    return any(map(os.path.lexists, [out, *beside]))
