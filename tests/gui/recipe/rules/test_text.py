"""What can be typed into the table of rules, and how it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.methods import METHODS, ParameterSpec
from gui.recipe.rules.rows import Layers, TensorNames
from gui.recipe.rules.text import Refused, value_text, values_from_text, where_from_text, where_text

SELECTION = METHODS["parameter_selection"]
N, WEIGHT = (SELECTION.parameter(name) for name in ("resamples", "weight"))
assert N is not None
assert WEIGHT is not None
TENSORS = TensorNames(f"model.layers.{at}.mlp.up_proj.weight" for at in range(12))
TOWERS = TensorNames(
    [*(f"vision.blocks.{at}.w" for at in range(4)), *(f"text.layers.{at}.w" for at in range(6))]
)


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        ("mlp", "mlp"),
        ("  layers.4. ", "layers.4."),
        ("", ""),
        ("*", ""),
        ("Everywhere", ""),
        ("layer 3", Layers("model.layers", 3, 3)),
        ("Layers 4-7", Layers("model.layers", 4, 7)),
        ("layers 4 – 7", Layers("model.layers", 4, 7)),
        ("layers 0 to 11", Layers("model.layers", 0, 11)),
        ("layer 3 of model.layers", Layers("model.layers", 3, 3)),
        ('"layers 4-7"', "layers 4-7"),
    ],
)
def test_where_a_rule_holds_is_typed(typed: str, where: str | Layers) -> None:
    assert where_from_text(typed, TENSORS) == where


@pytest.mark.parametrize(
    ("typed", "tensors", "reason"),
    [
        ("layers 4-12", TENSORS, "There is no layer 12: they are numbered from 0 to 11."),
        ("layers 7-4", TENSORS, "The first layer of a range comes before the last."),
        (
            "layers 4, 6",
            TENSORS,
            "Write “layer 3”, “layers 4-7” or “mlp, layers 4-7”; other layers are another rule.",
        ),
        ("layer 3 of text.layers", TENSORS, "There are no layers of text.layers, only of model.layers."),
        (
            "layer 3",
            TOWERS,
            "Say of what, such as “layer 3 of vision.blocks”: there is vision.blocks and text.layers.",
        ),
        (
            "layer 3",
            TensorNames(),
            "Which layers there are is known as soon as the models are chosen and read.",
        ),
        (
            "layer 3",
            TensorNames(["w"]),
            "The names of the tensors say nothing of layers; give a part of their names.",
        ),
        (
            "layer 1 of layers",
            TensorNames(["layers.1.w", "vision.layers.1.w"]),
            "Filters cannot tell these layers from vision.layers.1.w, whose name holds “layers.” too.",
        ),
    ],
)
def test_layers_that_cannot_be_meant_are_refused(typed: str, tensors: TensorNames, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        where_from_text(typed, tensors)
    assert str(refused.value) == reason


def test_layers_of_one_of_several_stacks_are_named() -> None:
    where = where_from_text("layers 1-2 of text.layers", TOWERS)
    assert where == Layers("text.layers", 1, 2)
    assert where_text(where, TOWERS) == "layers 1-2 of text.layers"
    assert TOWERS.hit_by(where.filters) == ("text.layers.1.w", "text.layers.2.w")


@given(
    st.text("layers 3-\"'*.of to", max_size=12)
    | st.sampled_from(["everywhere", "Layer 3", "layers 4-7"])
    | st.builds(
        lambda first, more: Layers("model.layers", first, first + more), st.integers(0, 5), st.integers(0, 6)
    )
)
def test_what_is_shown_is_read_as_what_was_meant(where: str | Layers) -> None:
    assert where_from_text(where_text(where, TENSORS), TENSORS) == where


@pytest.mark.parametrize(
    ("typed", "spec", "value"),
    [
        ("4", N, (4,)),
        ("4.0", N, (4,)),
        ("1,5", N, (1, 5)),
        ("0.5", WEIGHT, (0.5,)),
        ("0.2, 0.8", WEIGHT, (0.2, 0.8)),
        ("0.2,0.8", WEIGHT, (0.2, 0.8)),
        ("0.2 … 1 … 0.8", WEIGHT, (0.2, 1.0, 0.8)),
        ("0.2...0.8", WEIGHT, (0.2, 0.8)),
        ("1,2,3", WEIGHT, (1.0, 2.0, 3.0)),
    ],
)
def test_a_number_or_a_gradient_is_typed(typed: str, spec: ParameterSpec, value: tuple[float, ...]) -> None:
    read = values_from_text(typed, spec)
    assert read == value
    assert {type(number) for number in read} == {int if spec is N else float}
    for between in (" … ", ", "):
        assert values_from_text(value_text(read, between), spec) == value


@pytest.mark.parametrize(
    ("typed", "spec", "reason"),
    [
        ("", N, "Give a number, or several for a gradient over the layers."),
        ("abc", N, "The value is a whole number from 0 to 100, not “abc”."),
        ("1.5", N, "The value is a whole number, written in digits only."),
        ("101", N, "The value is at most 100."),
        ("0.2, -1", WEIGHT, "The value is at least 0."),
        ("0,5", WEIGHT, "Write 0.5 for one number, or “0; 5” for a gradient."),
        ("0,2; 0,8", WEIGHT, "The value is written 0.2: decimals follow a point."),
        ("0.2; ", WEIGHT, "The value is missing: give a number of at least 0."),
        ("inf", WEIGHT, "The value is a number that ends somewhere, not inf."),
    ],
)
def test_what_is_no_value_is_refused(typed: str, spec: ParameterSpec, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        values_from_text(typed, spec)
    assert str(refused.value) == reason
