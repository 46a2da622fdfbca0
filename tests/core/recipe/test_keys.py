"""Keys of mergekit's files and of other programs': all in the way are named at once, as what they are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.errors import RecipeError
from core.methods import METHODS
from core.recipe.doubts import recipe_warnings
from core.recipe.file import load_recipe
from core.recipe.foreign import understood_part
from core.recipe.parsing import parse_recipe
from core.recipe.writing import recipe_as_dict

HERE = Path("/recipes")
LINEAR: dict[str, Any] = {"merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}
TASKS = {**LINEAR, "merge_method": "task_arithmetic", "base_model": "base"}
SELECTION = {**TASKS, "merge_method": "parameter_selection"}


def refused(data: dict[str, Any]) -> RecipeError:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(data, HERE)
    assert "leave it out" not in str(raised.value.hint)
    return raised.value


def entry(**more: Any) -> dict[str, Any]:
    return {**LINEAR, "models": [{"model": "a"}, {"model": "b", **more}]}


class TestAllAtOnce:
    def test_of_every_level(self) -> None:
        data = {
            **TASKS,
            "residual_weight": 0.5,
            "seeed": 1,
            "parameters": {"density": 0.5, "resamples": 4, "lamda": 1},
            "models": [
                {"model": "a", "weight": 0.5},
                {"model": {"model": "b", "override_architecture": "c"}},
            ],
        }
        error = refused(data)
        assert error.message == (
            "6 things are not understood: the key 'residual_weight' of mergekit is not supported yet: it is "
            "a part of slices; unknown key 'seeed'; parameters: task_arithmetic has no "
            "parameter 'resamples': it belongs to parameter_selection, task_vectors; parameters: "
            "task_arithmetic has no parameter 'lamda'; models, entry 1: 'weight' is a parameter, and stands "
            "outside of the entry's parameters; models, entry 2: model: the key 'override_architecture' of "
            "mergekit is not supported yet: it says which table of names mergekit takes"
        )
        for hint in ("'seeed': did you mean 'seed'?", "'lamda': did you mean 'lambda'?", "take it out"):
            assert hint in str(error.hint)
        assert (error.field, error.entry) == ("residual_weight", None)

    def test_with_the_method(self) -> None:
        error = refused({"merge_method": "regmean", "slices": [{"layers": 3}], "dtype": "bfloat16"})
        assert error.message == (
            "2 things are not understood: merge_method 'regmean' is not supported; "
            "slices, entry 1: unknown key 'layers'"
        )
        assert str(error.hint).startswith("merge_method: one of: ")

    def test_one_alone_is_one_sentence(self) -> None:
        error = refused({**LINEAR, "dtyp": "float16"})
        assert (error.message, error.hint) == ("unknown key 'dtyp'", "did you mean 'dtype'?")

    def test_of_many_it_is_said_how_many(self) -> None:
        begun = time.perf_counter()
        error = refused({**LINEAR, **{f"seed{'x' * 60}{at}": 1 for at in range(50_000)}})
        assert time.perf_counter() - begun < 1
        assert error.message.startswith("50,000 things are not understood: ")
        assert error.message.endswith("; and 49,980 more")
        assert len(error.message) < 2000


class TestKeysOfMergekit:
    @pytest.mark.parametrize(
        ("key", "value", "what", "hint"),
        [
            ("lora", "x", "adapter", "`- model: MODEL+ADAPTER`"),
        ],
    )
    def test_of_a_recipe(self, key: str, value: Any, what: str, hint: str) -> None:
        error = refused({**LINEAR, key: value})
        assert error.message.startswith(f"the key '{key}' of mergekit is not supported yet: it ")
        assert what in error.message
        assert hint in str(error.hint)
        assert error.field == key

    @pytest.mark.parametrize(
        ("key", "hint"),
        [
            ("cuda", "--device"),
            ("random_seed", "`seed: NUMBER`"),
            ("random-seed", "`seed: NUMBER`"),
            ("out_shard_size", "--shard-size"),
            ("trust_remote_code", "no code that comes with a model is run"),
            ("allow_crimes", "different architectures"),
            ("--allow-crimes", "different architectures"),
            ("lora_merge_cache", "nothing depends on it"),
            ("lazy_unpickle", "nothing depends on it"),
        ],
    )
    def test_options_of_its_command_line(self, key: str, hint: str) -> None:
        error = refused({**LINEAR, key: True})
        assert error.message == (
            f"'{key}' is an option of mergekit's command line, without effect in its files"
        )
        assert hint in str(error.hint)

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"layer_range": [0, 8]}, "stands in the sources of slices"),
            ({"weight": 0.5}, "is a parameter, and stands outside of the entry's parameters"),
            ({"density": 0.5}, "is a parameter, and stands outside of the entry's parameters"),
        ],
    )
    def test_of_an_entry(self, more: dict[str, Any], said: str) -> None:
        error = refused(entry(**more))
        assert error.message.startswith("models, entry 2: ")
        assert said in error.message
        assert (error.field, error.entry) == ("models", 1)

    def test_a_parameter_outside_of_parameters(self) -> None:
        error = refused({**LINEAR, "normalize": False})
        assert error.message == "'normalize' is a parameter, and stands outside of parameters"
        assert error.hint == "write it as `parameters: {normalize: …}`"
        assert not parse_recipe({**LINEAR, "parameters": {"normalize": False}}, HERE).plain_value("normalize")

    def test_a_key_inside_of_parameters(self) -> None:
        error = refused({**LINEAR, "parameters": {"dtype": "float32"}})
        assert error.hint == "it is a key of the recipe: write it outside of parameters"

    def test_a_slip_for_one_that_is_not_supported(self) -> None:
        hint = str(refused({**LINEAR, "residual_wight": 1}).hint)
        assert hint.startswith("did you mean 'residual_weight'? In mergekit it is a part of slices")


class TestParametersOfOtherMethods:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (
                {**TASKS, "parameters": {"density": [0.5, 1], "rescale": "x"}},
                "density and rescale change nothing: task_arithmetic has no such parameters, and mergekit "
                "passes over them too",
            ),
            (
                entry(parameters={"weight": 2, "epsilon": 0.1}),
                "epsilon changes nothing: linear has no such parameter, and mergekit passes over it too",
            ),
            (
                {
                    "merge_method": "slerp",
                    "base_model": "a",
                    "slices": [
                        {
                            "sources": [
                                {"model": "a", "layer_range": [0, 2], "parameters": {"weight": 1}},
                                {"model": "b", "layer_range": [0, 2], "parameters": {"weight": 2}},
                            ],
                            "parameters": {"normalize": True},
                        }
                    ],
                },
                "normalize and weight change nothing: slerp has no such parameters, and mergekit passes over "
                "them too",
            ),
        ],
    )
    def test_that_mergekit_passes_over(self, data: dict[str, Any], said: str) -> None:
        recipe = parse_recipe(data, HERE)
        assert said in recipe_warnings(recipe)
        written = recipe_as_dict(recipe)
        assert not set(recipe.idle) & set(_parameter_names(written))
        assert parse_recipe(written, HERE) == recipe

    def test_that_mergekit_has_not(self) -> None:
        """mergekit passes over these too, and here they mean something."""
        error = refused({**LINEAR, "parameters": {"resamples": 4}})
        assert error.message == (
            "parameters: linear has no parameter 'resamples': it belongs to parameter_selection, task_vectors"
        )
        assert error.hint == "linear does nothing of the kind; it has: weight, normalize"
        assert "it belongs to" in refused({**LINEAR, "parameters": {"rescale_by": "norm"}}).message

    def test_of_a_method_that_mergekit_has_not(self) -> None:
        error = refused({**SELECTION, "parameters": {"epsilon": 0.1}})
        assert "parameter_selection has no parameter 'epsilon': it belongs to " in error.message
        assert error.hint == "parameter_selection does nothing of the kind; it has: weight, resamples"


class TestTheChoicesOfTaskVectors:
    CHOICES: ClassVar[dict[str, Any]] = {"sparsify": "magnitude", "elect": "count", "combine": "mean"}

    def test_stand_beside_the_method_or_among_its_parameters(self) -> None:
        vectors = {**TASKS, "merge_method": "task_vectors"}
        inside = {**vectors, "parameters": {"lambda": 0.5, **self.CHOICES}}
        recipe = parse_recipe(inside, HERE)
        assert {name: recipe.plain_value(name) for name in self.CHOICES} == self.CHOICES
        for outside in (
            {**vectors, **self.CHOICES, "parameters": {"lambda": 0.5}},
            {**vectors, **self.CHOICES, "parameters": {"lambda": 0.5, "elect": "count"}},
            {**inside, "sparsify": None, "elect": "count"},
        ):
            assert parse_recipe(outside, HERE) == recipe
            written = recipe_as_dict(parse_recipe(outside, HERE))
            assert written["parameters"] == inside["parameters"]
            assert not self.CHOICES.keys() & written.keys()
        assert parse_recipe({**vectors, "elect": "mass"}, HERE).plain_value("elect") == "mass"
        understood = understood_part({**vectors, **self.CHOICES, "seeed": 1}, HERE, METHODS["linear"])
        assert understood.recipe.plain_value("combine") == "mean"
        assert [one.key for one in understood.left_out] == ["'seeed'"]

    def test_in_both_places_they_are_the_same(self) -> None:
        inside = {"elect": "mass", "combine": "sum"}
        error = refused({**TASKS, "merge_method": "task_vectors", **self.CHOICES, "parameters": inside})
        assert error.message == (
            "2 things are wrong: elect is 'count' beside merge_method and 'mass' under parameters; "
            "combine is 'mean' beside merge_method and 'sum' under parameters"
        )
        assert error.field == "elect"

    def test_of_another_method(self) -> None:
        error = refused({**TASKS, "sparsify": "magnitude"})
        assert error.message == "task_arithmetic has no parameter 'sparsify': it belongs to task_vectors"
        error = refused({**TASKS, "merge_method": "task_vectors", "sparsfy": "magnitude"})
        assert error.hint == "did you mean 'sparsify'?"
        error = refused({**TASKS, "merge_method": "task_vectors", "sparsify": "magnitud"})
        assert (error.hint, error.field) == ("did you mean 'magnitude'?", "sparsify")


def _parameter_names(written: Any) -> list[str]:
    """Of every `parameters` in it."""
    if isinstance(written, list):
        return [name for one in written for name in _parameter_names(one)]
    if not isinstance(written, dict):
        return []
    return [*written.get("parameters", ())] + [
        name for key, one in written.items() if key != "parameters" for name in _parameter_names(one)
    ]


class TestAsMergekitTakesThem:
    def test_what_a_file_only_says(self) -> None:
        more = {"name": "mine", "metadata": {"author": ["x"]}, "parameters": {"int8_mask": True}}
        assert parse_recipe({**LINEAR, **more}, HERE) == parse_recipe(LINEAR, HERE)
        inside = entry(parameters={"int8_mask": 1.0, "weight": 2})
        assert parse_recipe(inside, HERE).plain_value("weight") == (1.0, 2.0)

    def test_numbers_in_quotes(self) -> None:
        recipe = parse_recipe(entry(parameters={"weight": ["0.5", " 1e-3 "]}), HERE)
        assert recipe.models[1].parameters["weight"].conditions[0].values == (0.5, 0.001)
        recipe = parse_recipe({**SELECTION, "parameters": {"weight": "2", "resamples": "3"}}, HERE)
        assert (recipe.plain_value("weight"), recipe.resamples) == ((2.0, 2.0), 3)

    @pytest.mark.parametrize("text", ["", "one", "nan", "inf", "1_0", "0x1", "1e400", "٣", "1" * 5000])
    def test_texts_that_are_no_number(self, text: str) -> None:
        assert "parameters.weight" in refused(entry(parameters={"weight": text})).message

    @pytest.mark.parametrize("name", ["bfloat16", "float16", "float32", "float64", "torch.float32"])
    def test_its_names_of_types(self, name: str) -> None:
        recipe = parse_recipe({**LINEAR, "dtype": name, "out_dtype": name}, HERE)
        assert recipe_as_dict(recipe)["dtype"] == name.removeprefix("torch.")

    def test_a_model_as_a_plain_text(self) -> None:
        assert refused({**LINEAR, "models": ["org/a"]}).hint == "write it as `- model: org/a`"


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("data", "what"),
        [
            ({"base_model": "a", "gate_mode": "hidden", "experts": [{"source_model": "b"}]}, "mergekit-moe"),
            ({"merge_method": "moe", "experts": []}, "mergekit-moe"),
            ({"genome": {"models": ["a"]}, "tasks": []}, "mergekit-evolve"),
            ({"layer_slices": []}, "bakllama"),
            ({"method": {"_target_": "x"}, "modelpool": {}}, "FusionBench"),
        ],
    )
    def test_is_called_what_it_is(self, data: dict[str, Any], what: str) -> None:
        error = refused(data)
        assert error.message.startswith(f"the recipe is a file of {what}") or what == "bakllama"
        assert error.hint

    @pytest.mark.parametrize("text", ["---\n{}---\n", "---\n---\n{}", "{}---\n---\n", "{}...\n"])
    def test_documents_that_say_nothing(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "one.yaml"
        path.write_text(text.replace("{}", "merge_method: linear\nmodels: [{model: a}]\n"))
        assert load_recipe(path).method.name == "linear"


_NAMES = """
fisher fisher_merging regmean regmean_plusplus adamerging layer_wise_adamerging dare dare_linear_x widen
twin pcb_merging emr emr_merging consensus_ta consensus_ties star tall_mask model_soup greedy_soup
git_rebasin zipit evolutionary lorahub knots iso_c iso_cts tsv tsv_m wudi concrete_task_arithmetic
TIES-Merging ties_svd dare_task_arithmetic lerp nlerp nslerp weighted_slerp linear_ties linear_dare dares
simple_average weighted_sum add_difference layershuffle rotated_linear
"""


@pytest.mark.parametrize("name", _NAMES.split())
def test_a_method_of_the_field_never_gets_the_name_of_another_one(name: str) -> None:
    error = refused({**LINEAR, "merge_method": name})
    assert error.message == f"merge_method '{name}' is not supported"
    assert error.hint == f"one of: {', '.join(METHODS)}"
