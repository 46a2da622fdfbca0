"""What the fields say as a value, and as a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import OutputError, RecipeError, load_recipe, parse_recipe
from core.methods import METHODS, ParameterSpec
from core.recipe.tokenizer_section import TokenizerSection, TokenRow
from core.recipe.writing import recipe_as_dict
from gui.document.merge_setup import MergeSetup, ModelChoice, Rule, first_missing, form_parameters
from gui.document.opening import setup_of_recipe
from gui.document.output_names import free_name
from gui.document.recipe_files import save_recipe

BASE, ONE, TWO, THREE = (Path(f"/models/{name}") for name in ("base", "run-1", "run-2", "run-3"))
MACHINE = MergeSetup("linear", None, (), 0, out="/out", device="cpu", threads=3, shard_size_bytes=10**9)
SETUP = replace(
    MACHINE,
    method="parameter_selection",
    base=BASE,
    models=(ModelChoice(ONE), ModelChoice(TWO, 0.5), ModelChoice(THREE)),
    k=3,
    parameters={"resamples": 4},
    seed=7,
)


def test_the_first_k_that_are_enabled_take_part() -> None:
    models = (ModelChoice(ONE, enabled=False), ModelChoice(TWO), ModelChoice(THREE))
    assert [choice.folder for choice in replace(SETUP, models=models, k=1).taking_part] == [TWO]
    recipe = replace(SETUP, models=models, k=2).recipe()
    assert [entry.path for entry in recipe.models] == [TWO, THREE]


def test_everything_that_has_a_field_comes_back() -> None:
    setup = replace(
        SETUP,
        seed=2**64 - 1,
        dtype="float32",
        out_dtype="bfloat16",
        zero_tolerance=1e-6,
        nonfinite="error",
        tokenizer_source=TWO,
        tokenizer=TokenizerSection((TokenRow("<x>", TWO),), 64),
        missing="from_base",
    )
    assert setup_of_recipe(setup.recipe(), MACHINE) == setup


def test_rules_come_before_the_plain_value() -> None:
    setup = replace(
        SETUP,
        rules=(
            Rule("resamples", None, "mlp", (9,)),
            Rule("weight", None, "embed", (0.0, 1.0)),
            Rule("weight", TWO, "", (0.0, 1.0, 0.5)),
        ),
    )
    data = recipe_as_dict(setup.recipe())
    assert data["parameters"] == {"resamples": [{"filter": "mlp", "value": 9}, {"value": 4}]}
    for_all = {"filter": "embed", "value": [0.0, 1.0]}
    assert [entry["parameters"]["weight"] for entry in data["models"]] == [
        [for_all, {"value": 1.0}],
        [for_all, {"value": [0.0, 1.0, 0.5]}],
        [for_all, {"value": 1.0}],
    ]


def test_a_rule_for_all_sub_models_stays_one_rule() -> None:
    rules = (Rule("weight", None, "embed", (2.0,)), Rule("weight", TWO, "mlp", (3.0,)))
    setup = replace(SETUP, rules=rules)
    assert setup_of_recipe(setup.recipe(), MACHINE) == setup


def test_rules_of_another_method_are_kept_out_of_the_recipe() -> None:
    setup = replace(SETUP, method="linear", parameters={}, rules=(Rule("resamples", None, "mlp", (9,)),))
    assert "resamples" not in str(recipe_as_dict(setup.recipe()))


numbers = st.floats(0.125, 8, width=16)
filters = st.sampled_from(["mlp", "embed", "layers.1.", "*", None])


def settings(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Everything that a recipe may say for a parameter."""
    value = values | st.lists(values, min_size=1, max_size=3)
    condition = st.builds(
        lambda hits, value: {"value": value} | ({} if hits is None else {"filter": hits}), filters, value
    )
    return value | st.lists(condition, min_size=1, max_size=3)


@given(
    resamples=settings(st.integers(0, 9)),
    weight=st.none() | settings(numbers),
    weights=st.lists(st.none() | settings(numbers), min_size=1, max_size=3),
)
def test_a_recipe_means_the_same_when_it_comes_from_the_fields(
    resamples: Any, weight: Any, weights: list[Any]
) -> None:
    asked = parse_recipe(
        {
            "merge_method": "parameter_selection",
            "base_model": str(BASE),
            "models": [
                {"model": str(folder)} | ({"parameters": {"weight": own}} if own is not None else {})
                for folder, own in zip((ONE, TWO, THREE), weights, strict=False)
            ],
            "parameters": {"resamples": resamples} | ({"weight": weight} if weight is not None else {}),
        },
        Path("/"),
    )
    setup = setup_of_recipe(asked, MACHINE)
    shown = setup.recipe()
    for tensor in ("embed_tokens", "layers.1.mlp", "layers.2.mlp", "layers.2.attn"):
        for position in (0.0, 0.25, 1.0):
            assert shown.values_for(tensor, position) == asked.values_for(tensor, position)
    assert setup_of_recipe(shown, MACHINE) == setup


def test_a_parameter_of_sub_models_without_a_column_is_one_value_with_exceptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    density = ParameterSpec("density", "float", "model", 1.0, "Density", "Kept share.", "", 0.0, 1.0)
    selection = METHODS["parameter_selection"]
    odd = replace(selection, name="odd", parameters=(*selection.parameters, density))
    monkeypatch.setitem(METHODS, "odd", odd)
    setup = replace(SETUP, method="odd", parameters={"resamples": 4, "density": 0.25})
    assert recipe_as_dict(setup.recipe())["parameters"]["density"] == 0.25
    for rules in (
        (),
        (Rule("density", None, "mlp", (0.5,)),),
        (Rule("density", None, "mlp", (0.5,)), Rule("density", TWO, "", (0.75,))),
        (Rule("density", TWO, "mlp", (0.0, 1.0)), Rule("density", None, "", (1.0, 0.5))),
    ):
        ruled = replace(setup, rules=rules)
        again = setup_of_recipe(ruled.recipe(), MACHINE)
        assert again.rules == rules
        assert again.recipe() == ruled.recipe()


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("parameter_selection", ["resamples"]),
        ("linear", ["normalize"]),
        ("task_arithmetic", ["lambda", "normalize"]),
        ("slerp", ["t"]),
    ],
)
def test_a_form_asks_for_all_but_the_weights(method: str, names: list[str]) -> None:
    assert [spec.name for spec in form_parameters(METHODS[method])] == names


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"base": None}, "base"),
        ({"models": ()}, "models"),
        ({"models": (ModelChoice(ONE, enabled=False),)}, "models"),
        ({"base": TWO}, "models"),
        ({"seed": None}, "seed"),
        ({"out": ""}, "out"),
    ],
)
def test_what_is_missing_names_its_field(change: dict[str, Any], target: str) -> None:
    assert first_missing(SETUP) is None
    missing = first_missing(replace(SETUP, **change))
    assert missing is not None
    assert missing[1] == target


def test_an_average_needs_no_base() -> None:
    assert first_missing(replace(SETUP, method="linear", base=None)) is None


def test_a_setup_without_a_seed_is_no_recipe_of_a_method_that_draws() -> None:
    with pytest.raises(RecipeError, match="seed") as refused:
        replace(SETUP, seed=None).recipe()
    assert refused.value.field == "seed"
    average = replace(SETUP, method="linear", parameters={"normalize": True}, seed=None)
    assert first_missing(average) is None
    assert average.recipe().seed == 0


@pytest.mark.parametrize(
    ("least", "most", "k", "sentence"),
    [
        (1, 1, 1, None),
        (1, 1, 3, "Made up takes exactly 1 sub-model: of the 3 that take part, untick 2."),
        (2, None, 1, "Made up takes 2 sub-models or more: raise K to 2."),
        (2, None, 2, None),
        (1, 2, 3, "Made up takes 1 to 2 sub-models: of the 3 that take part, untick 1."),
    ],
)
def test_a_method_says_how_many_sub_models_it_takes(
    monkeypatch: pytest.MonkeyPatch, least: int, most: int | None, k: int, sentence: str | None
) -> None:
    odd = replace(METHODS["slerp"], name="odd", title="Made up", least_models=least, most_models=most)
    monkeypatch.setitem(METHODS, "odd", odd)
    setup = replace(SETUP, method="odd", k=k, parameters={})
    assert first_missing(setup) == (None if sentence is None else (sentence, "models"))
    if sentence is not None:
        with pytest.raises(RecipeError) as refused:
            setup.recipe()
        assert refused.value.field == "models"


@pytest.mark.parametrize("vocab", ["union", "base", None])
def test_whose_tokens_the_result_has_comes_back(vocab: str | None) -> None:
    setup = replace(SETUP, vocab=vocab)
    assert recipe_as_dict(setup.recipe()).get("vocab") == vocab
    assert setup_of_recipe(setup.recipe(), MACHINE) == setup


@pytest.mark.parametrize("sliced", [False, True])
def test_adapters_also_on_what_is_merged_first_come_back(tmp_path: Path, sliced: bool) -> None:
    for name in ("base", "a", "b"):
        (tmp_path / name).mkdir()
    first = {"name": "first", "merge_method": "linear", "models": [{"model": "base"}]}
    models: list[dict[str, Any]] = [{"model": "first+a+b"}, {"model": "base", "lora": "a"}]
    data: dict[str, Any] = {"merge_method": "linear", "stages": [first], "models": models}
    if sliced:
        del data["models"]
        data["slices"] = [{"sources": [{**one, "layer_range": [0, 2]} for one in models]}]
    recipe = parse_recipe(data, tmp_path)
    setup = setup_of_recipe(recipe, MACHINE)
    assert [choice.folder for choice in setup.models] == [entry.path for entry in recipe.models]
    again = setup.recipe()
    assert [entry.path for entry in again.models] == [entry.path for entry in recipe.models]
    assert (again.slices, again.stages) == (recipe.slices, recipe.stages)
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    text = (tmp_path / "recipe.yaml").read_text()
    assert "model: first+a+b\n" in text
    assert "model: base+a\n" in text


def test_weights_of_sliced_models_stay_in_the_list() -> None:
    def part(*layers: tuple[Path, int, int], **parameters: float) -> dict[str, Any]:
        sources = [{"model": str(path), "layer_range": [first, last]} for path, first, last in layers]
        return {"sources": sources, "parameters": parameters}

    slices = [part((ONE, 0, 2), (TWO, 0, 2)), part((ONE, 2, 3), (THREE, 0, 1)), part((THREE, 1, 2), weight=3)]
    opened = setup_of_recipe(parse_recipe({"merge_method": "linear", "slices": slices}, Path("/")), MACHINE)
    weights = dict(zip((ONE, TWO, THREE), (0.25, 1.0, 2.0), strict=True))
    setup = replace(opened, models=tuple(replace(one, weight=weights[one.folder]) for one in opened.models))
    again = setup_of_recipe(setup.recipe(), MACHINE)
    assert {one.folder: one.weight for one in again.models} == {ONE: 0.25, TWO: 1.0, THREE: 1.0}
    for name in ("layers.0.mlp", "layers.3.mlp", "norm"):
        of_parts = [
            [part.values_for(name, 0.5).listed for part in one.recipe().parts] for one in (setup, again)
        ]
        assert of_parts[0] == of_parts[1]
    changed = replace(again, models=(replace(again.models[0], weight=0.5), *again.models[1:]))
    assert [one.values_for("norm", 0.5).listed for one in changed.recipe().parts] != of_parts[0]


def test_a_saved_recipe_is_short_and_relative(tmp_path: Path) -> None:
    models = tuple(ModelChoice(tmp_path / "models" / f"run-{number}") for number in (1, 2))
    setup = replace(
        SETUP, base=BASE, models=models, k=2, rules=(Rule("resamples", None, "mlp", (0, 4)),), dtype="float32"
    )
    save_recipe(setup.recipe(), tmp_path / "recipe.yaml")
    text = (tmp_path / "recipe.yaml").read_text()
    assert "  - model: models/run-1\n" in text
    assert "value: [0, 4]\n" in text
    assert list(yaml.safe_load(text))[:4] == ["merge_method", "base_model", "models", "parameters"]
    assert setup_of_recipe(load_recipe(tmp_path / "recipe.yaml"), MACHINE) == setup
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_recipe_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("the old one")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gui.document.recipe_files.os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        save_recipe(SETUP.recipe(), path)
    assert path.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_names_of_outputs_count_up(tmp_path: Path) -> None:
    out = tmp_path / "merged"
    assert free_name(out) == out
    out.mkdir()
    (tmp_path / "merged-2.partial").mkdir()
    assert free_name(out) == tmp_path / "merged-3"
    (tmp_path / "merged-3").mkdir()
    assert free_name(tmp_path / "merged-3") == tmp_path / "merged-4"
    (tmp_path / "llama-1").mkdir()
    assert free_name(tmp_path / "llama-1") == tmp_path / "llama-1-2"
