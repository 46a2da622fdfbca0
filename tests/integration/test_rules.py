"""Merges whose values differ from tensor to tensor, beside plain merges with each tensor's values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safetensors.torch import load_file

from core import RecipeError, parse_recipe, plan_merge, read_record, run_merge, verify_output
from core.deltas.findings import findings_of_record
from core.deltas.measures import expected_on_zero_delta

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
SHAPES = {
    EMBEDDING: (64, 8),
    **{f"model.layers.{layer}.{part}.weight": (90, 70) for layer in range(3) for part in ("mlp", "attn")},
    NORM: (8,),
}
CONFIG = {"model_type": "llama", "vocab_size": 64, "torch_dtype": "bfloat16", "num_hidden_layers": 3}


def make_models(workshop: Any, **options: Any) -> None:
    for seed, name in enumerate(("base", "a", "b")):
        workshop.model(name, seed=seed, **{"shapes": SHAPES, "config": CONFIG} | options)


def data(method: str, *weights: Any, **parameters: Any) -> dict[str, Any]:
    return {
        "merge_method": method,
        "base_model": "base",
        "models": [
            {"model": name} | ({} if weight is None else {"parameters": {"weight": weight}})
            for name, weight in zip("ab", weights, strict=True)
        ],
        "parameters": parameters,
        "seed": 3,
    }


def merged(workshop: Any, recipe: dict[str, Any], name: str) -> tuple[Any, dict[str, Any]]:
    """The record, and the tensors as bytes."""
    out = workshop.folder / name
    record = run_merge(plan_merge(parse_recipe(recipe, workshop.folder)), out, device="cpu", threads=2)
    assert read_record(out) == record
    verify_output(out)
    tensors = load_file(out / "model.safetensors")
    return record, {key: tensor.view(-1).float().numpy().tobytes() for key, tensor in tensors.items()}


def check_each_tensor(workshop: Any, recipe: dict[str, Any]) -> None:
    """Each tensor of the ruled merge is that of a plain merge with the values that the ledger says."""
    plan = plan_merge(parse_recipe(recipe, workshop.folder))
    record, tensors = merged(workshop, recipe, "ruled")
    counts = {tensor.name: tensor for tensor in record.tensors}
    assert len({entry.values for entry in plan.ledger}) > 3
    for number, values in enumerate(dict.fromkeys(entry.values for entry in plan.ledger)):
        merge_wide = dict(values)
        weights = merge_wide.pop("weight")
        plain_record, plain = merged(
            workshop, data(recipe["merge_method"], *weights, **merge_wide), f"plain-{number}"
        )
        for entry, tensor in zip(plan.ledger, plain_record.tensors, strict=True):
            if entry.values == values:
                assert tensors[entry.name] == plain[entry.name], entry.name
                ruled = counts[entry.name]
                assert (ruled.zero_after_draw, ruled.selected) == (tensor.zero_after_draw, tensor.selected)
                assert (ruled.digest, ruled.weights, tensor.weights) == (tensor.digest, weights, None)


def test_each_tensor_is_selected_with_its_own_values(workshop: Any) -> None:
    make_models(workshop)
    rules = [{"filter": "mlp", "value": [0, 2, 7]}, {"filter": "norm", "value": 9}, {"value": 1}]
    check_each_tensor(workshop, data("parameter_selection", [1.0, 3.0], None, resamples=rules))


def test_each_tensor_is_averaged_with_its_own_weights(workshop: Any) -> None:
    make_models(workshop)
    check_each_tensor(
        workshop, data("linear", [0.0, 1.0], [{"filter": "attn", "value": [1, -0.5]}], weight=2.0)
    )


def test_the_curve_goes_on_where_a_tensor_has_no_more_draws(workshop: Any) -> None:
    make_models(workshop)
    recipe = data("parameter_selection", None, None, resamples=[{"filter": "mlp", "value": 4}, {"value": 1}])
    record, _ = merged(workshop, recipe, "ruled")
    findings = findings_of_record(record)
    assert findings is not None
    curve = findings.part().drawn
    assert curve is not None
    assert curve.expected_left is not None
    elements = sum(tensor.elements for tensor in record.tensors)
    for draw in range(5):
        left = sum(
            tensor.zero_after_draw[min(draw, len(tensor.zero_after_draw) - 1)] for tensor in record.tensors
        )
        assert curve.left[draw] == left / elements
        expected = sum(
            expected_on_zero_delta(tensor.changed_by, draws := len(tensor.zero_after_draw))[
                min(draw, draws - 1)
            ]
            for tensor in record.tensors
        )
        assert curve.expected_left[draw] == pytest.approx(expected / elements, rel=1e-12)
        assert curve.left[draw] == pytest.approx(curve.expected_left[draw], abs=0.02)
    assert len(curve.left) == 5


@pytest.mark.parametrize(
    ("weights", "equal"),
    [
        ((None, None), True),
        (([1, 2], [1, 2]), True),
        (([1, 2], [{"filter": "", "value": [1, 2]}]), True),
        (([1, 2], None), False),
        (([{"filter": "mlp", "value": 2}], None), False),
        (([{"filter": "mlp", "value": 1}], None), True),
        ((1, 2), False),
    ],
)
def test_weights_are_equal_when_they_are_in_every_tensor(workshop: Any, weights: Any, equal: bool) -> None:
    make_models(workshop)
    recipe = data("parameter_selection", *weights)
    assert plan_merge(parse_recipe(recipe, workshop.folder)).draws_equally is equal
    record, _ = merged(workshop, recipe, "out")
    assert record.draws_equally is equal
    findings = findings_of_record(record)
    assert findings is not None
    drawn = findings.part().drawn
    assert drawn is not None
    assert (drawn.expected_left is not None) is equal


def test_the_plan_says_what_each_tensor_gets(workshop: Any) -> None:
    make_models(workshop)
    recipe = workshop.folder / "recipe.yaml"
    rules = [
        {"filter": "mlp", "value": 4},
        {"filter": "mpl", "value": 2},
        {"filter": "layers.1.mlp", "value": 3},
    ]
    recipe.write_text(json.dumps(data("parameter_selection", [0.25, 0.75], None, resamples=rules)))
    said = workshop.run("plan", recipe)
    assert said.status == 0
    assert "n = 1 to 4" in said.stdout
    assert "values   weight 0.25 1, resamples 1: model.embed_tokens.weight and 2 more\n" in said.stdout
    assert "values   weight 0.5 1, resamples 4: model.layers.1.mlp.weight\n" in said.stdout
    assert "warning  the filter 'mpl' of parameters.resamples hits no tensor\n" in said.stdout
    assert (
        "the filter 'layers.1.mlp' of parameters.resamples hits only tensors that an entry before"
        in said.stdout
    )
    ledger = json.loads(workshop.run("plan", recipe, "--json").stdout)["ledger"]
    values = {row["name"]: row["values"] for row in ledger}
    assert values["model.layers.2.mlp.weight"] == {"weight": [0.75, 1.0], "resamples": 4}
    assert values[NORM] == {"weight": [0.25, 1.0], "resamples": 1}
    assert workshop.run("merge", recipe, "--out", workshop.folder / "out").status == 0
    card = (workshop.folder / "out" / "README.md").read_text()
    assert "- `a`, weight 0.25 to 0.75\n- `b`, weight 1\n" in card
    assert "value: 4" in card


def test_many_sets_of_values_are_not_all_written_out(workshop: Any) -> None:
    shapes = {f"model.layers.{layer}.mlp.weight": (8, 8) for layer in range(30)}
    make_models(workshop, shapes=shapes, config={"model_type": "llama", "num_hidden_layers": 30})
    recipe = workshop.folder / "recipe.yaml"
    recipe.write_text(json.dumps(data("parameter_selection", [0.0, 1.0], 1.0)))
    lines = [line for line in workshop.run("plan", recipe).stdout.splitlines() if line.startswith("values")]
    assert len(lines) == 8
    assert "and 23 other sets of values" in lines[-1]


def test_a_filter_of_a_sub_model_that_hits_nothing_names_it(workshop: Any) -> None:
    make_models(workshop)
    recipe = data("parameter_selection", None, [{"filter": "mpl", "value": 2}])
    warnings = plan_merge(parse_recipe(recipe, workshop.folder)).warnings
    assert "the filter 'mpl' of parameters.weight of b hits no tensor" in warnings


def test_weights_are_checked_in_every_tensor(workshop: Any) -> None:
    make_models(workshop)
    for method, rules, said in (
        ("parameter_selection", ([0, 1], [0, 1]), "all zero"),
        ("linear", ([1, 1], [{"filter": "layers.2.mlp", "value": -1}]), "cannot be normalised"),
    ):
        recipe = parse_recipe(data(method, *rules), workshop.folder)
        with pytest.raises(RecipeError, match=said) as raised:
            plan_merge(recipe)
        named = EMBEDDING if said == "all zero" else "model.layers.2.mlp.weight"
        assert raised.value.message.startswith(
            f"tensor {named!r}, by the rules of parameters.weight: the weights"
        )


def test_a_tied_head_follows_the_rules_of_its_embedding(workshop: Any) -> None:
    make_models(workshop, shapes={**SHAPES, HEAD: (64, 8)}, config={**CONFIG, "tie_word_embeddings": True})
    rules = [{"filter": "embed", "value": 5}, {"filter": "lm_head", "value": 2}, {"value": 1}]
    plan = plan_merge(parse_recipe(data("parameter_selection", None, None, resamples=rules), workshop.folder))
    jobs = {tensor.output.name: tensor.job for tensor in plan.tensors}
    assert (jobs[EMBEDDING].parameters["resamples"], jobs[HEAD].parameters["resamples"]) == (5, 5)
    assert "the filter 'lm_head' of parameters.resamples hits no tensor" in plan.warnings


def test_the_configs_number_of_layers_counts(workshop: Any) -> None:
    make_models(workshop, config={"model_type": "llama", "text_config": {"num_hidden_layers": 2}})
    plan = plan_merge(
        parse_recipe(data("parameter_selection", None, None, resamples=[0, 10]), workshop.folder)
    )
    jobs = {tensor.output.name: tensor.job for tensor in plan.tensors}
    assert [jobs[f"model.layers.{layer}.mlp.weight"].parameters["resamples"] for layer in range(3)] == [
        0,
        10,
        10,
    ]
