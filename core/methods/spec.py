"""What a merge method is: facts about it, its parameters as data, and its arithmetic.

Whoever wants to know something of a method reads it here. Nothing goes by a method's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.dtypes import DType
from core.errors import RecipeError
from core.kernels.interface import COUNTS, Counts, MapJob, ParameterValue
from core.text import nearest, shown

if TYPE_CHECKING:
    from torch import Tensor

    from core.methods.folds import Fold

__all__ = ["GROUPS", "Arithmetic", "Draws", "MethodSpec", "ParameterSpec", "ParameterValue", "Preset"]

Arithmetic = Callable[[MapJob, int, "list[Tensor]", "Tensor | None"], "tuple[Tensor, Counts]"]
"""A method's map in plain torch, of one chunk: (job, first_element, models, base) -> (merged, counts).

`models` are K tensors [elements] of the merge dtype; `base` is one more, or None where the method reads no
base; `first_element` is the chunk's first element in its tensor, a multiple of draws.BLOCK but for methods
that go by rows. `merged` is of the output dtype.
"""


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of a method.

    Attributes:
        name: its key in a recipe.
        kind: "float", "int", "flag" or "choice".
        scope: "model" for one value a sub-model, "merge" for one value in all.
        default: the value where a recipe has none.
        title, help: for people.
        symbol: how one line of text calls it ("n", "λ"); the name where it is "".
        minimum, maximum: inclusive bounds; None where there is none.
        choices: the values of a "choice", in the order in which they are offered.
        words: what each of `choices` does, in a few words; none where their names say it.
        matters: whether it has an effect, from the values of the merge-wide parameters by name; None where it
            always has. One that has none may be given all the same.
    """

    name: str
    kind: Literal["float", "int", "flag", "choice"]
    scope: Literal["model", "merge"]
    default: ParameterValue
    title: str
    help: str
    symbol: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    matters: Callable[[Mapping[str, Any]], bool] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where there are words for other choices: a fault of the method's author."""
        if self.words and len(self.words) != len(self.choices):
            raise ValueError(f"{self.name}: each of the choices has words, or none has")

    def has_effect(self, values: Mapping[str, Any]) -> bool:
        """Whether its value changes anything beside these ones of the merge-wide parameters."""
        return self.matters is None or self.matters(values)

    @property
    def short(self) -> str:
        """What a line of text calls it."""
        return self.symbol or self.name

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers, so that they may change from layer to layer."""
        return self.kind in ("float", "int")

    def check(self, value: Any, where: str) -> ParameterValue:
        """`value` as this parameter's type. Raises RecipeError that names the field `where`."""
        if isinstance(value, list | dict):
            raise RecipeError(f"{where} must be one value, not {shown(value)}", field=self.name)
        if self.kind == "flag":
            # 1.0 and 0.0 are what programs write that know numbers only.
            if not isinstance(value, bool) and not (isinstance(value, int | float) and value in (0, 1)):
                raise RecipeError(f"{where} must be true or false, not {shown(value)}", field=self.name)
            return bool(value)
        if self.kind == "choice":
            if value not in self.choices or not isinstance(value, str):
                raise RecipeError(
                    f"{where} must be {' or '.join(self.choices)}, not {shown(value)}",
                    hint=nearest(value, self.choices),
                    field=self.name,
                )
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecipeError(f"{where} must be a number, not {shown(value)}", field=self.name)
        number: float | int = value
        if self.kind == "int":
            if not isinstance(value, int):
                raise RecipeError(f"{where} must be a whole number, not {shown(value)}", field=self.name)
        else:
            try:
                number = float(value)
            except OverflowError:
                number = float("inf")
            if not -float("inf") < number < float("inf"):
                raise RecipeError(f"{where} must be a finite number, not {shown(value)}", field=self.name)
        if (self.minimum is not None and number < self.minimum) or (
            self.maximum is not None and number > self.maximum
        ):
            raise RecipeError(f"{where} is {shown(value)}, and must be {self._range()}", field=self.name)
        return number

    def _range(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"between {self.minimum:g} and {self.maximum:g}"
        return f"at least {self.minimum:g}" if self.minimum is not None else f"at most {self.maximum:g}"


@dataclass(frozen=True)
class Draws:
    """That a method makes random choices, and so uses the seed.

    Attributes:
        resamples: the parameter that says how often a zero delta is drawn again; None where none does.
        most: from the values how often an element is drawn at most, where more than `resamples` decides.
    """

    resamples: str | None = None
    most: Callable[[Mapping[str, Any]], int] | None = None


@dataclass(frozen=True)
class Preset:
    """That a method is another, more general one, some of whose parameters are set.

    Parameters of the same name mean the same in both.

    Attributes:
        of: the name of the general method.
        sets: from the values of the preset's parameters to those that it sets in the general one.
        own: the parameters of the preset, flags and choices, that the general one does not have: `sets` reads
            them.
    """

    of: str
    sets: Callable[[Mapping[str, Any]], Mapping[str, ParameterValue]]
    own: tuple[str, ...] = ()


GROUPS = {
    "selection": "Selection and averages",
    "task_vectors": "Task vectors",
    "geometry": "Angles and distances",
    "single": "One sub-model",
    "other": "Others",
}
"""Kinds of methods, among which people look for one, and what they are called."""


def _never(values: Mapping[str, Any]) -> bool:
    return False


def _anything_goes(values: Mapping[str, Any], computing: DType | None) -> None:
    """Values that are right one by one are right together."""


@dataclass(frozen=True)
class MethodSpec:
    """A merge method.

    Attributes:
        name: its key in a recipe.
        title, help, source: for people.
        parameters: what it can be told.
        base: whether it needs a base, may use one, or does not read it ("ignored": a base only says then
            what is copied, and may be left out).
        load_arithmetic: imports torch and returns the method's map.
        weight: what its parameter `weight` means: "share" of the whole, "coefficient" of a term, or None
            where it has none.
        draws: whether it makes random choices and needs a seed; None for a method that does not.
        least_models, most_models: how many sub-models it takes, without the base; None for any number.
        counts: which of COUNTS it yields. A function of the values where these decide.
        by_rows: whether an element of the output depends on its whole row (the last dimension): the map and
            the readings get whole rows of `MapJob.row` elements then, and some of them more than once. A
            function of the values where these decide.
        folds: what it finds out of a whole tensor before it maps it, in order. A function of the job where
            parameters or types decide.
        check: raises RecipeError when values that are right one by one make no sense together; called with
            the values by name and the type in which the method computes, None before that is known.
        selects: whether it is parameter selection with these values, `weight` and `resamples` among them.
        same_everywhere: whether it gives the same bytes on every device and platform: not so where sines,
            exponentials and the like are computed by the platform's own mathematics.
        group: the one of GROUPS among which it is offered.
        preset: that it is another method with some parameters set; None where it is not.
    """

    name: str
    title: str
    help: str
    source: str
    parameters: tuple[ParameterSpec, ...]
    base: Literal["needed", "allowed", "ignored"]
    load_arithmetic: Callable[[], Arithmetic]
    weight: Literal["share", "coefficient"] | None = None
    draws: Draws | None = None
    least_models: int = 1
    most_models: int | None = None
    counts: tuple[str, ...] | Callable[[Mapping[str, Any]], tuple[str, ...]] = ()
    by_rows: bool | Callable[[Mapping[str, Any]], bool] = False
    folds: tuple[Fold, ...] | Callable[[MapJob], tuple[Fold, ...]] = ()
    check: Callable[[Mapping[str, Any], DType | None], None] = _anything_goes
    same_everywhere: bool = True
    selects: Callable[[Mapping[str, Any]], bool] = _never
    group: str = "other"
    preset: Preset | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where the facts contradict each other: a fault of the method's author."""
        names = [parameter.name for parameter in self.parameters]
        weight = self.parameter("weight")
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: a parameter stands twice")
        if (self.weight is None) != (weight is None) or (weight is not None and weight.scope != "model"):
            raise ValueError(
                f"{self.name}: a weight is a parameter of each sub-model, and `weight` its meaning"
            )
        if self.draws is not None and self.draws.resamples not in (None, *names):
            raise ValueError(f"{self.name}: there is no parameter {self.draws.resamples}")
        counts = () if callable(self.counts) else self.counts
        if not set(counts) <= set(COUNTS):
            raise ValueError(f"{self.name}: counts are some of {', '.join(COUNTS)}")
        if ("zero_after_draw" in counts or "selected" in counts) and self.draws is None:
            raise ValueError(f"{self.name}: only what draws can count draws")
        if self.most_models is not None and not 1 <= self.least_models <= self.most_models:
            raise ValueError(f"{self.name}: {self.least_models} to {self.most_models} sub-models are none")
        if self.group not in GROUPS:
            raise ValueError(f"{self.name}: a group is one of {', '.join(GROUPS)}")
        for parameter in self.parameters:
            try:
                parameter.check(parameter.default, parameter.name)
            except RecipeError as error:
                raise ValueError(f"{self.name}: the default of {error.message}") from error

    def parameter(self, name: str) -> ParameterSpec | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    @property
    def reads_base(self) -> bool:
        """Whether a base takes part in the arithmetic where there is one."""
        return self.base != "ignored"

    def folds_of(self, job: MapJob) -> tuple[Fold, ...]:
        """What it finds out of the tensor of `job` before it maps it, in order."""
        return self.folds(job) if callable(self.folds) else self.folds

    def counts_of(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Which of COUNTS it yields with these values."""
        return self.counts(values) if callable(self.counts) else self.counts

    def goes_by_rows(self, values: Mapping[str, Any]) -> bool:
        """Whether it gets whole rows with these values."""
        return self.by_rows(values) if callable(self.by_rows) else self.by_rows

    def models_text(self) -> str:
        """ "exactly 1 sub-model", "2 sub-models or more", "1 to 3 sub-models"."""
        least, most = self.least_models, self.most_models
        if most is None:
            return f"{least} sub-model{'s' if least != 1 else ''} or more"
        span = f"exactly {most}" if least == most else f"{least} to {most}"
        return f"{span} sub-model{'s' if most != 1 else ''}"

    def resamples(self, values: Mapping[str, Any]) -> int | None:
        """n of these values; None for a method that does not draw again, and where these do not."""
        if self.draws is None or self.draws.resamples is None:
            return None
        parameter = self.parameter(self.draws.resamples)
        assert parameter is not None  # __post_init__ has looked
        return int(values[parameter.name]) if parameter.has_effect(values) else None

    def draws_with(self, values: Mapping[str, Any]) -> bool:
        """Whether it makes random choices, and so uses the seed, with these values."""
        return self.most_draws(values) > 0

    def most_draws(self, values: Mapping[str, Any]) -> int:
        """How often an element is drawn at most; 0 for a method that does not draw."""
        if self.draws is None:
            return 0
        return self.draws.most(values) if self.draws.most is not None else 1 + (self.resamples(values) or 0)
