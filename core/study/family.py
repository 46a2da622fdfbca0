"""What a study looks at: the base, each sub-model, and the merges of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.checkpoint.model import model_names
from core.draws import MAX_SEED
from core.dtypes import DType
from core.errors import RecipeError
from core.methods import METHODS
from core.recipe.models import ModelEntry
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe, Stage
from core.recipe.references import same_folder
from core.recipe.rules import ParameterSetting
from core.recipe.stages import on_stage
from core.recipe.writing import recipe_as_dict

__all__ = ["LAMBDAS", "Family", "StudyModel", "family_of", "float32_family", "recipe_models", "seeds_of"]

LAMBDAS = (1.0, 1.25, 1.5, 2.0, 3.0)
"""By which a control multiplies a task vector; the first leaves it as it is."""


@dataclass(frozen=True)
class StudyModel:
    """A model to be measured.

    Attributes:
        key: unique in a study, as "selection-n4-seed1".
        name: what people call it.
        folder: where it is, or BASE+ADAPTER; None of one that has to be merged first.
        recipe: how it is merged; None of one that is there.
    """

    key: str
    name: str
    folder: Path | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Family:
    """The base and the K sub-models of a recipe, and how merges of them are asked for.

    All weights are equal, as in the paper (arXiv:2410.03743, section 2.2). What the recipe says of types, of
    tokens and of missing tensors holds for all merges; its method and its parameters for none.

    Attributes:
        plain: the recipe without its method's parameters and its slices.
        base: the base's folder.
        models: those of the sub-models, K of them.
        names: of the sub-models. [K]
        prefix: before the keys of its models.
        words: after the names of its models.
    """

    plain: Recipe
    base: Path
    models: tuple[Path, ...]
    names: tuple[str, ...]
    prefix: str = ""
    words: str = ""

    # -- what is there

    def base_model(self) -> StudyModel:
        return self._given("base", "base", self.base)

    def singles(self) -> tuple[StudyModel, ...]:
        """The K sub-models."""
        return tuple(
            self._given(f"{self.prefix}single-{number}", f"{name}{self.words}", model)
            for number, (name, model) in enumerate(zip(self.names, self.models, strict=True), start=1)
        )

    # -- merges

    def average(self, members: Sequence[int] | None = None, out_dtype: DType | None = None) -> StudyModel:
        """The uniform average of all sub-models, or of those of the numbers `members`."""
        chosen = range(len(self.models)) if members is None else sorted(members)
        of_all = len(chosen) == len(self.models)
        key = "average" if of_all else "average-of-" + "-".join(str(one + 1) for one in chosen)
        name = "average" if of_all else "average of " + ", ".join(self.names[one] for one in chosen)
        if len(chosen) == 1:
            return self.singles()[chosen[0]]
        wanted = self._asked("linear", [self.models[one] for one in chosen])
        if out_dtype is not None:
            key, name = f"{key}-{out_dtype.torch_name}", f"{name} in {out_dtype.torch_name}"
            wanted = replace(wanted, out_dtype=out_dtype)
        return self._merge(key, name, wanted)

    def selection(self, n: int, seed: int) -> StudyModel:
        """Parameter selection with n resamples."""
        asked = self._asked("parameter_selection", self.models, {"resamples": n})
        name = f"selection{f' + n = {n}' if n else ''}, seed {seed}"
        return self._merge(f"selection-n{n}-seed{seed}", name, replace(asked, seed=seed))

    def scaled_average(self, factor: float) -> StudyModel:
        """The base and the mean of all task vectors, multiplied by `factor`.

        Of factor 1 it is `average`, but that it goes by way of the differences: each is rounded, and where
        the sub-models' type is narrow the last digit may be another.
        """
        asked = self._asked("task_arithmetic", self.models, {"lambda": factor, "normalize": True})
        return self._merge(f"average-x{factor:g}", f"average × {factor:g}", asked)

    def scaled_single(self, number: int, factor: float) -> StudyModel:
        """The base and the task vector of one sub-model, counted from 0, multiplied by `factor`."""
        asked = self._asked("task_arithmetic", [self.models[number]], {"lambda": factor})
        return self._merge(f"single-{number + 1}-x{factor:g}", f"{self.names[number]} × {factor:g}", asked)

    def _given(self, key: str, name: str, path: Path) -> StudyModel:
        """A model that is there, or adapters on one; the result of a stage, which is merged first."""
        if on_stage(path, self.plain.stages) is None:
            return StudyModel(key, name, folder=path)
        alone = replace(self._asked("passthrough", [path]), base=None)
        return StudyModel(key, name, recipe=_checked(alone))

    def _merge(self, key: str, name: str, recipe: Recipe) -> StudyModel:
        return StudyModel(f"{self.prefix}{key}", f"{name}{self.words}", recipe=_checked(recipe))

    def _asked(
        self, method: str, models: Sequence[Path], parameters: Mapping[str, ParameterSetting] | None = None
    ) -> Recipe:
        entries = tuple(ModelEntry(model) for model in models)
        asked = replace(self.plain, method=METHODS[method], models=entries, parameters=parameters or {})
        return replace(asked, stages=_needed(asked))


def family_of(recipe: Recipe) -> Family:
    """The base and the sub-models that `recipe` names.

    Raises:
        RecipeError: there is no base, or no sub-model.
    """
    base = recipe.base or next((one.base for one in recipe.slices if one.base is not None), None)
    if base is None:
        raise RecipeError(
            "a study needs the base that the models were made from, and the recipe names none",
            hint="add base_model: the folder of the base",
            field="base_model",
        )
    models = tuple(entry.path for entry in recipe.models if not same_folder(entry.path, base))
    if not models:
        raise RecipeError("the recipe has no sub-model beside its base", field="models")
    plain = replace(recipe, base=base, parameters={}, slices=(), idle=())
    return Family(plain, base, models, tuple(model_names(list(models))))


def float32_family(family: Family, folders: Sequence[Path]) -> Family:
    """Sub-models that were saved as float32, merged as those of `family` are.

    Raises:
        RecipeError: they cannot be merged.
    """
    entries = tuple(ModelEntry(folder.absolute()) for folder in folders)
    plain = replace(family.plain, models=entries, dtype=None, out_dtype=None)
    models = tuple(entry.path for entry in entries)
    names = tuple(model_names(list(models)))
    return Family(plain, family.base, models, names, "float32-", " (float32)")


def recipe_models(recipe: Recipe, ns: Sequence[int], seeds: Sequence[int]) -> tuple[StudyModel, ...]:
    """The recipe as it was written, with each seed where it draws; () where it is a row anyway."""
    if _is_a_row(recipe, ns):
        return ()
    title = recipe.method.title
    if not recipe.draws:
        return (StudyModel("recipe", title, recipe=recipe),)
    return tuple(
        StudyModel(f"recipe-seed{seed}", f"{title}, seed {seed}", recipe=replace(recipe, seed=seed))
        for seed in seeds
    )


def seeds_of(recipe: Recipe, count: int) -> tuple[int, ...]:
    """The recipe's seed and those that follow it."""
    return tuple((recipe.seed + one) % (MAX_SEED + 1) for one in range(count))


def _is_a_row(recipe: Recipe, ns: Sequence[int]) -> bool:
    """Whether it asks for the average, or the selection with one of `ns`, of whole models of equal weight."""
    if recipe.slices or recipe.ruled or recipe.method.name not in ("linear", "parameter_selection"):
        return False
    if recipe.base is not None and any(same_folder(entry.path, recipe.base) for entry in recipe.models):
        return False
    for spec in recipe.method.parameters:
        value = recipe.plain_value(spec.name)
        if spec.name == "weight":
            as_usual = len(set(value)) == 1 and value[0] > 0
        elif spec.name == "resamples":
            as_usual = value in ns
        else:
            values = value if isinstance(value, tuple) else (value,)
            as_usual = all(one == spec.default for one in values)
        if not as_usual:
            return False
    return True


def _needed(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages whose results `recipe` reads, and those that these read: others are refused."""
    needed: dict[str, Stage] = {}
    waiting = [recipe]
    while waiting:
        one = waiting.pop()
        sources = [source.model.path for each in one.slices for source in each.sources]
        for path in (one.base, *(entry.path for entry in one.models), *sources):
            found = None if path is None else on_stage(path, recipe.stages)
            if found is not None and found[0].name not in needed:
                needed[found[0].name] = found[0]
                waiting.append(found[0].recipe)
    return tuple(stage for stage in recipe.stages if stage.name in needed)


def _checked(recipe: Recipe) -> Recipe:
    """The same recipe, read again: what no merge could be made by is refused as it is in a file.

    Raises:
        RecipeError: with one sentence that names the field.
    """
    return parse_recipe(recipe_as_dict(recipe), Path.cwd())
