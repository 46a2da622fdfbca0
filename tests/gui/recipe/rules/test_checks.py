"""Which rules do nothing, and why."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.methods import METHODS
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.recipe.rules.checks import check_rows
from gui.recipe.rules.rows import Layers, RuleRow, TensorNames, rules_of

SELECTION = METHODS["parameter_selection"]
BASE, ONE, TWO, THREE = (Path(f"/models/{name}") for name in ("base", "run-1", "run-2", "run-3"))
SETUP = MergeSetup(
    "parameter_selection",
    BASE,
    tuple(ModelChoice(folder) for folder in (ONE, TWO, THREE)),
    2,
    {"resamples": 4},
    seed=7,
)
NAMES = (
    "model.embed_tokens.weight",
    *(
        f"model.layers.{layer}.{part}.weight"
        for layer in range(12)
        for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
    ),
    "model.norm.weight",
)
TENSORS = TensorNames(NAMES)


def problems(*rows: RuleRow, tensors: TensorNames = TENSORS) -> list[str | None]:
    names = {ONE: "run-1", TWO: "run-2", THREE: "run-3"}
    return [finding.problem for finding in check_rows(rows, SELECTION, names, [ONE, TWO], tensors)]


def weight(model: Path | None, where: str, value: float = 2.0) -> RuleRow:
    return RuleRow("weight", model, where, (value,))


def test_a_rule_that_does_nothing_says_why() -> None:
    assert problems(weight(None, "gate")) == ["No tensor has “gate” in its name."]
    assert problems(RuleRow("resamples", None, Layers("model.layers", 90, 91), (1,))) == [
        "There are no such layers."
    ]
    assert problems(weight(THREE, "mlp")) == ["run-3 takes no part in the merge."]
    assert problems(weight(Path("/models/run-9"), "mlp")) == ["run-9 is not in the list of sub-models."]
    assert problems(weight(None, "mlp", -1.0)) == ["The value is -1.0, and must be at least 0."]
    assert problems(weight(None, "gate"), tensors=TensorNames()) == [None]


@pytest.mark.parametrize(
    ("rows", "hidden"),
    [
        ([weight(None, "mlp"), weight(None, "mlp.up")], [False, True]),
        ([weight(None, "mlp.up"), weight(None, "mlp")], [False, False]),
        ([weight(None, ""), weight(ONE, "mlp")], [False, True]),
        ([weight(ONE, ""), weight(None, "mlp")], [False, False]),  # it is left to run-2
        ([weight(ONE, ""), weight(TWO, "mlp"), weight(None, "mlp")], [False, False, True]),
        ([weight(ONE, "mlp"), weight(TWO, "mlp")], [False, False]),
        ([weight(ONE, "mlp"), weight(ONE, "mlp")], [False, True]),
        ([weight(None, "mlp.up"), weight(None, "mlp.down"), weight(None, "mlp")], [False, False, True]),
        ([weight(None, ""), RuleRow("resamples", None, "mlp", (1,))], [False, False]),
    ],
)
def test_a_rule_that_rows_above_leave_nothing_is_found(rows: list[RuleRow], hidden: list[bool]) -> None:
    assert [problem is not None for problem in problems(*rows)] == hidden


def test_a_rule_is_hidden_exactly_where_the_recipe_is_the_same_without_it() -> None:
    wheres = ["", "mlp", "layers.1.", "mlp.up"]
    all_rows = [
        weight(model, where, 3.0 + at) for at, where in enumerate(wheres) for model in (None, ONE, TWO)
    ]
    for first in all_rows:
        for second in all_rows:
            setup = replace(SETUP, rules=rules_of([first, second]))
            values = [
                [part.recipe().values_for(name, 0.0) for name in NAMES]
                for part in (setup, replace(setup, rules=rules_of([first])))
            ]
            hidden = problems(first, second)[1] is not None
            same = values[0] == values[1]
            assert hidden == same or first.value == second.value


def test_ten_thousand_tensors_take_a_few_milliseconds_a_rule() -> None:
    tensors = TensorNames(f"model.layers.{at // 100}.mlp.experts.{at % 100}.w" for at in range(10_000))
    rows = [RuleRow("resamples", None, f"experts.{at}.", (1,)) for at in range(20)]
    started = time.perf_counter()
    findings = check_rows(rows, SELECTION, {}, [ONE], tensors)
    assert time.perf_counter() - started < 1.0
    assert {len(finding.hits) for finding in findings} == {100}
