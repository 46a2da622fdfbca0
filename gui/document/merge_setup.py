"""What the fields of the window say together, as one value, and how it becomes a recipe. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core import Recipe, RecipeError, parse_recipe
from core.adapter_paths import join_adapters
from core.methods import METHODS, MethodSpec, ParameterSpec, ParameterValue
from core.plan.planning import DEFAULT_SHARD_SIZE_BYTES
from core.recipe.recipe import Slice, Stage
from core.recipe.slices import slices_data
from core.recipe.stages import on_stage
from core.recipe.tokenizer_section import TokenizerSection, TokenizerWish, tokenizer_data
from gui.numbers import Unread

__all__ = [
    "WEIGHT",
    "MergeSetup",
    "ModelChoice",
    "Rule",
    "first_missing",
    "form_parameters",
]

WEIGHT = "weight"
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
    def draws(self) -> bool:
        """Whether anything is drawn, so that there must be a seed."""
        method = METHODS[self.method]
        return method.draws_with(
            {**{spec.name: spec.default for spec in method.parameters}, **self.parameters}
        )

    @property
    def ruled_out(self) -> tuple[str, ...]:
        """The parameters of whose plain value rules leave nothing: they say it for every tensor and sub-model
        that takes part."""
        everywhere: dict[str, set[Path | None]] = {}
        for rule in self.rules:
            if not rule.filter:
                everywhere.setdefault(rule.parameter, set()).add(rule.model)
        folders = {choice.folder for choice in self.taking_part}
        return tuple(
            name for name, said in everywhere.items() if None in said or (folders and folders <= said)
        )

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
        for unread in (*self.unread.values(), *self.unread_weights.values()):
            raise RecipeError(unread.sentence)
        if self.seed is None and self.draws:
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
            elif spec.name == WEIGHT:
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
    return tuple(spec for spec in method.parameters if spec.name != WEIGHT)


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
    if setup.seed is None and setup.draws:
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
