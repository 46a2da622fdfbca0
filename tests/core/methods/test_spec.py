"""What a method says of itself: contradictions are refused, values are checked, texts and counts agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from core.errors import RecipeError
from core.kernels.interface import Values
from core.methods import METHODS
from core.methods.folds import gram
from core.methods.spec import Draws, MethodSpec, ParameterSpec


def parameter(name: str = "x", kind: str = "float", scope: str = "merge", default: Any = 1.0, **more: Any):
    return ParameterSpec(name, kind, scope, default, "Title", "Help.", **more)  # type: ignore[arg-type]


WEIGHT = parameter("weight", scope="model")
RESAMPLES = parameter("resamples", "int", default=1, minimum=0)
FOLD = gram(lambda job, products: {})


def method(**facts: Any) -> MethodSpec:
    known: dict[str, Any] = {
        "name": "made_up",
        "title": "Made up",
        "help": "Help.",
        "source": "nowhere",
        "parameters": (),
        "base": "needed",
        "load_arithmetic": lambda: pytest.fail("nobody asked for the arithmetic"),
    }
    return MethodSpec(**(known | facts))


# -- contradictions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"parameters": (WEIGHT, parameter()), "weight": "coefficient"},
        {"parameters": (WEIGHT,), "weight": "share"},
        {"parameters": (RESAMPLES,), "draws": Draws("resamples")},
        {"draws": Draws(), "counts": ("zero_after_draw", "selected")},
        {"counts": ("zero_delta", "changed_by")},
        {"folds": (FOLD,)},
        {"folds": lambda job: (FOLD,)},
        {"by_rows": True},
        {"by_rows": lambda values: True, "counts": lambda values: ("dropped",), "draws": Draws()},
        {"parameters": (parameter("mode", "choice", default="sum", choices=("sum", "count")),)},
    ],
)
def test_facts_that_agree_are_accepted(facts) -> None:
    assert method(**facts).name == "made_up"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"parameters": (parameter("a"), parameter("b"), parameter("a"))}, "stands twice"),
        ({"parameters": (WEIGHT,)}, "weight"),
        ({"weight": "share"}, "weight"),
        ({"parameters": (parameter("weight"),), "weight": "share"}, "weight"),
        ({"draws": Draws("resamples")}, "no parameter resamples"),
        ({"parameters": (parameter("resample"),), "draws": Draws("resamples")}, "no parameter resamples"),
        ({"counts": ("zero_deltas",)}, "counts are some of"),
        ({"counts": ("nonfinite",)}, "counts are some of"),
        ({"counts": ("zero_after_draw",)}, "draws"),
        ({"counts": ("selected",)}, "draws"),
    ],
)
def test_facts_that_contradict_each_other_are_refused(facts, said) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        method(**facts)
    assert str(refused.value).startswith("made_up: ")


@pytest.mark.parametrize(
    "wrong",
    [
        parameter(default="1"),
        parameter(default=True),
        parameter(default=math.nan),
        parameter(default=-1.0, minimum=0.0),
        parameter(default=2.0, maximum=1.0),
        parameter(kind="int", default=1.5),
        parameter(kind="flag", default=2),
        parameter(kind="choice", default="a", choices=("b", "c")),
        parameter(kind="choice", default="a"),
    ],
)
def test_a_default_that_its_own_parameter_refuses_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="the default of x"):
        method(parameters=(wrong,))


# -- values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("float", 0.25, 0.25),
        ("float", 3, 3.0),
        ("float", -0.0, -0.0),
        ("float", 10**300, 1e300),
        ("int", 3, 3),
        ("int", -(10**30), -(10**30)),
        ("flag", True, True),
        ("flag", False, False),
        ("flag", 1.0, True),
        ("flag", 0.0, False),
        ("flag", 1, True),
        ("flag", 0, False),
        ("choice", "sum", "sum"),
        ("choice", "count", "count"),
    ],
)
def test_values_become_the_parameters_type(kind, given, kept) -> None:
    default: Any = {"float": 1.0, "int": 1, "flag": True, "choice": "sum"}[kind]
    found = parameter(kind=kind, default=default, choices=("sum", "count")).check(given, "parameters.x")
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("float", "0.5", "a number"),
        ("float", True, "a number"),
        ("float", None, "a number"),
        ("float", math.nan, "a finite number"),
        ("float", math.inf, "a finite number"),
        ("float", -math.inf, "a finite number"),
        ("float", 10**400, "a finite number"),
        ("float", [0.5], "one value"),
        ("float", {"value": 0.5}, "one value"),
        ("int", 1.0, "a whole number"),
        ("int", 1.5, "a whole number"),
        ("int", False, "a number"),
        ("int", "1", "a number"),
        ("int", [1], "one value"),
        ("flag", 2, "true or false"),
        ("flag", 0.5, "true or false"),
        ("flag", -1, "true or false"),
        ("flag", math.nan, "true or false"),
        ("flag", "true", "true or false"),
        ("flag", None, "true or false"),
        ("flag", [True], "one value"),
        ("choice", "max", "sum or count"),
        ("choice", 1, "sum or count"),
        ("choice", True, "sum or count"),
        ("choice", None, "sum or count"),
        ("choice", ["sum"], "one value"),
        ("choice", {"sum": 1}, "one value"),
    ],
)
def test_other_values_are_refused_by_name(kind, given, said) -> None:
    default: Any = {"float": 1.0, "int": 1, "flag": True, "choice": "sum"}[kind]
    with pytest.raises(RecipeError, match=f"^models: entry 2: x must be {said}, not ") as refused:
        parameter(kind=kind, default=default, choices=("sum", "count")).check(given, "models: entry 2: x")
    assert refused.value.field == "x"


@pytest.mark.parametrize(
    ("minimum", "maximum", "low", "high", "said"),
    [
        (0, 1, -0.5, 1.5, "between 0 and 1"),
        (0, None, -1e-300, None, "at least 0"),
        (None, 0.5, None, 0.75, "at most 0.5"),
    ],
)
def test_bounds_are_inclusive(minimum, maximum, low, high, said) -> None:
    bounded = parameter(default=0.5, minimum=minimum, maximum=maximum)
    for bound in (minimum, maximum):
        assert bound is None or bounded.check(bound, "x") == bound
    for beyond in (low, high):
        if beyond is not None:
            with pytest.raises(RecipeError, match=f"must be {said}$") as refused:
                bounded.check(beyond, "x")
            assert refused.value.field == "x"


def test_whole_numbers_have_bounds_too() -> None:
    bounded = parameter(kind="int", default=1, minimum=0, maximum=100)
    assert [bounded.check(number, "x") for number in (0, 100)] == [0, 100]
    for beyond in (-1, 101, 10**400):
        with pytest.raises(RecipeError, match="between 0 and 100"):
            bounded.check(beyond, "x")


@pytest.mark.parametrize(
    ("given", "hint"),
    [("cuont", "did you mean 'count'?"), ("Sum", "did you mean 'sum'?"), ("xyz", None), (3, None)],
)
def test_a_near_miss_of_a_choice_gets_a_hint(given, hint) -> None:
    choice = parameter(kind="choice", default="sum", choices=("sum", "count"))
    with pytest.raises(RecipeError) as refused:
        choice.check(given, "x")
    assert refused.value.hint == hint


def test_what_text_calls_a_parameter() -> None:
    assert parameter("resamples", symbol="n").short == "n"
    assert parameter("resamples").short == "resamples"
    kinds = {kind: parameter(kind=kind).is_number for kind in ("float", "int", "flag", "choice")}
    assert kinds == {"float": True, "int": True, "flag": False, "choice": False}


# -- methods -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (1, None, "1 sub-model or more"),
        (2, None, "2 sub-models or more"),
        (1, 1, "exactly 1 sub-model"),
        (2, 2, "exactly 2 sub-models"),
        (1, 3, "1 to 3 sub-models"),
    ],
)
def test_how_many_sub_models_it_takes(least, most, text) -> None:
    assert method(least_models=least, most_models=most).models_text() == text


def test_how_often_an_element_is_drawn() -> None:
    values = Values.of(resamples=4)
    still = method()
    assert (still.resamples(values), still.most_draws(values)) == (None, 0)
    once = method(draws=Draws())
    assert (once.resamples(values), once.most_draws(values)) == (None, 1)
    again = method(draws=Draws("resamples"), parameters=(RESAMPLES,))
    assert (again.resamples(values), again.most_draws(values)) == (4, 5)
    assert again.most_draws(Values.of(resamples=0)) == 1


def test_whether_the_base_is_read() -> None:
    reads = {base: method(base=base).reads_base for base in ("needed", "allowed", "ignored")}
    assert reads == {"needed": True, "allowed": True, "ignored": False}


def test_parameters_are_found_by_name() -> None:
    made_up = method(parameters=(parameter("a"), parameter("b")))
    assert made_up.parameter("b") is made_up.parameters[1]
    assert made_up.parameter("c") is None


def test_values_go_together_where_a_method_says_nothing() -> None:
    assert method().check({"x": 1.0}, None) is None


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_defaults_go_together(name) -> None:
    spec = METHODS[name]
    assert spec.name == name
    values = {
        one.name: one.default if one.scope == "merge" else (one.default,) * 2 for one in spec.parameters
    }
    spec.check(values, None)
    assert spec.least_models <= (spec.most_models or math.inf)
    assert spec.title
    assert spec.help
    assert spec.source


# -- values by name ------------------------------------------------------------------------------------------


def test_values_are_a_mapping_in_their_order() -> None:
    values = Values.of(weight=[1.0, 0.5], normalize=True, mode="sum", n=3)
    assert isinstance(values, Mapping)
    assert list(values) == ["weight", "normalize", "mode", "n"]
    assert len(values) == 4
    assert values["weight"] == (1.0, 0.5)
    assert dict(values) == {"weight": (1.0, 0.5), "normalize": True, "mode": "sum", "n": 3}
    assert "n" in values
    assert "m" not in values
    assert values.get("m") is None
    with pytest.raises(KeyError):
        values["m"]


def test_texts_stay_texts_and_lists_become_tuples() -> None:
    values = Values.from_mapping({"lambda": 2.0, "modes": ["sum", "count"], "none": []})
    assert values.listed == (("lambda", 2.0), ("modes", ("sum", "count")), ("none", ()))
    assert Values.from_mapping(values) == values


def test_equal_values_are_equal_and_hash_alike() -> None:
    one, other = Values.of(weight=[1.0, 0.5], t=0.3), Values.of(weight=(1.0, 0.5), t=0.3)
    assert one == other
    assert hash(one) == hash(other)
    assert {one: "found"}[other] == "found"
    assert one != Values.of(weight=[1.0, 0.5], t=0.4)
    assert one != Values.of(weight=[0.5, 1.0], t=0.3)
    assert one != Values.of(weight=[1.0, 0.5])
    assert one != Values.of(t=0.3, weight=[1.0, 0.5])
    assert Values() == Values.of()
    assert len(Values()) == 0


def test_values_do_not_change() -> None:
    given = [1.0, 0.5]
    values = Values.of(weight=given)
    given.append(7.0)
    assert values["weight"] == (1.0, 0.5)
    with pytest.raises(AttributeError):
        values.listed = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        values["weight"] = (1.0,)  # type: ignore[index]


def test_words_belong_to_choices_and_a_method_to_a_group() -> None:
    assert (
        parameter(kind="choice", default="a", choices=("a", "b"), words=("one", "other")).words[1] == "other"
    )
    with pytest.raises(ValueError, match="each of the choices has words, or none has"):
        parameter(kind="choice", default="a", choices=("a", "b"), words=("one",))
    with pytest.raises(ValueError, match="a group is one of selection, "):
        method(group="mine")


def test_n_is_that_of_values_with_which_it_is_drawn_again() -> None:
    chosen = METHODS["task_vectors"]
    values = {spec.name: spec.default for spec in chosen.parameters} | {"resamples": 3}
    assert (chosen.resamples(values), chosen.draws_with(values)) == (None, False)
    dropping = values | {"sparsify": "random"}
    assert (chosen.resamples(dropping), chosen.draws_with(dropping)) == (None, True)
    selecting = values | {"combine": "selection"}
    assert (chosen.resamples(selecting), chosen.most_draws(selecting)) == (3, 4)
