"""Recipes: what is understood, and one sentence that names the field for what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.dtypes import DTYPES
from core.errors import RecipeError
from core.recipe.file import load_recipe
from core.recipe.parsing import parse_recipe
from core.recipe.writing import recipe_as_dict

HERE = Path("/recipes")
HUGE = pytest.param(16**6000, id="more digits than Python prints")
SELECTION: dict[str, Any] = {
    "merge_method": "parameter_selection",
    "base_model": "base",
    "models": [{"model": "a"}, {"model": "b"}],
}
LINEAR: dict[str, Any] = {"merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}


def _load(folder: Path, text: str) -> Any:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return load_recipe(path)


def _refused(data: Any) -> str:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(data, HERE)
    assert "\n" not in raised.value.message
    assert len(raised.value.message) < 500
    return f"{raised.value.message} | {raised.value.hint}"


def _weights(*weights: Any, method: dict[str, Any] = SELECTION) -> dict[str, Any]:
    models = [{"model": f"m{at}", "parameters": {"weight": weight}} for at, weight in enumerate(weights)]
    return {**method, "models": models}


class TestWhatIsUnderstood:
    def test_defaults(self) -> None:
        recipe = parse_recipe(SELECTION, HERE)
        assert recipe.base == HERE / "base"
        assert [entry.path for entry in recipe.models] == [HERE / "a", HERE / "b"]
        assert (recipe.plain_value("weight"), recipe.resamples, recipe.seed) == ((1.0, 1.0), 1, 0)
        assert (recipe.dtype, recipe.out_dtype, recipe.zero_tolerance) == (None, None, None)

    def test_numbers_that_yaml_takes_for_text(self, tmp_path: Path) -> None:
        recipe = _load(
            tmp_path,
            "merge_method: parameter_selection\nbase_model: base\nzero_tolerance: 1e-3\nmodels:\n"
            "- {model: a, parameters: {weight: 1e-3}}\n- {model: b, parameters: {weight: 2E+1}}\n"
            "- {model: c, parameters: {weight: .5e1}}\n",
        )
        assert recipe.plain_value("weight") == (0.001, 20.0, 5.0)
        assert recipe.zero_tolerance == 0.001

    def test_anchors_and_merge_keys(self, tmp_path: Path) -> None:
        recipe = _load(
            tmp_path,
            "merge_method: linear\nmodels:\n- &first {model: a, parameters: {weight: 2}}\n"
            "- {<<: *first, model: b}\n- {model: c, parameters: {weight: 2}}\n",
        )
        assert [entry.path.name for entry in recipe.models] == ["a", "b", "c"]
        assert recipe.plain_value("weight") == (2.0, 2.0, 2.0)

    def test_mergekits_long_reference(self) -> None:
        recipe = parse_recipe({**LINEAR, "models": [{"model": {"model": {"path": "a"}}}]}, HERE)
        assert recipe.models[0].path == HERE / "a"

    def test_the_base_is_no_sub_model(self) -> None:
        models = [{"model": "base"}, {"model": "a"}]
        assert len(parse_recipe({**SELECTION, "models": models}, HERE).models) == 1
        linear = {**LINEAR, "base_model": "base", "models": models}
        assert len(parse_recipe(linear, HERE).models) == 2

    @pytest.mark.parametrize("name", ["bfloat16", "bf16", "torch.bfloat16"])
    def test_names_of_types(self, name: str) -> None:
        assert parse_recipe({**SELECTION, "dtype": name}, HERE).dtype is DTYPES["BF16"]

    @given(
        st.lists(st.floats(0, 1e6, exclude_min=True), min_size=1, max_size=5),
        st.integers(0, 2**64 - 1),
        st.integers(0, 100),
        st.sampled_from([None, 0.0, 1e-3, 1e300]),
    )
    def test_what_is_written_down_says_the_same(
        self, weights: list[float], seed: int, resamples: int, tolerance: float | None
    ) -> None:
        data = {
            **_weights(*weights),
            "seed": seed,
            "zero_tolerance": tolerance,
            "parameters": {"resamples": resamples},
            "out_dtype": "fp16",
            "nonfinite": "error",
        }
        recipe = parse_recipe(data, HERE)
        written = yaml.safe_load(yaml.safe_dump(recipe_as_dict(recipe)))
        assert parse_recipe(written, Path("/elsewhere")) == recipe


class TestKeys:
    @pytest.mark.parametrize("data", [None, [], "linear", 3])
    def test_no_mapping(self, data: Any) -> None:
        assert "not a mapping of keys to values" in _refused(data)

    @pytest.mark.parametrize(
        ("key", "hint"),
        [("seeed", "'seed'"), ("dtyp", "'dtype'"), ("base", "'base_model'"), ("model", "'models'")],
    )
    def test_unknown_with_the_nearest(self, key: str, hint: str) -> None:
        said = _refused({**SELECTION, key: 1})
        assert f"unknown key '{key}'" in said
        assert f"did you mean {hint}?" in said

    @pytest.mark.parametrize("key", ["zzzz", 3, None, True, 2.5, ("a",), "x" * 5000, HUGE])
    def test_unknown_with_nothing_near(self, key: Any) -> None:
        assert "the keys are: merge_method" in _refused({**SELECTION, key: 1})

    @pytest.mark.parametrize("key", ["residual_weight", "layer_range"])
    def test_of_mergekit_and_not_supported(self, key: str) -> None:
        assert f"the key '{key}' of mergekit is not supported" in _refused({**SELECTION, key: []})

    @pytest.mark.parametrize(
        "text",
        ["seed: 1\nseed: 2\n", "models: [{model: a, model: b}]\n", "parameters: {weight: 1, weight: 1}\n"],
    )
    def test_twice(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(
            RecipeError, match=r"recipe\.yaml, line \d, is not valid YAML: the key '\w+' stands twice"
        ):
            _load(tmp_path, "merge_method: linear\n" + text)

    @pytest.mark.parametrize(
        "value",
        [
            '!!int ""',
            "!!float x",
            "!!bool x",
            "!!timestamp x",
            "!!binary x",
            "!!python/object:os.system x",
            "!other x",
            "2020-13-45",
            "*gone",
            "9" * 5000,
            "=",
            "? [a]\n:",
            "{[a]: b}",
            "{{a: b}: c}",
            '"\\q"',
        ],
    )
    def test_values_that_yaml_chokes_on(self, tmp_path: Path, value: str) -> None:
        with pytest.raises(RecipeError, match=r"recipe\.yaml.* is not valid YAML: \w"):
            _load(tmp_path, f"merge_method: linear\nseed: {value}\n")


class TestMethodAndModels:
    def test_unknown_method(self) -> None:
        said = _refused({**SELECTION, "merge_method": "paramter_selection"})
        assert "'paramter_selection' is not supported" in said
        assert "one of: parameter_selection, linear, " in said

    @pytest.mark.parametrize("method", [3, [], {}, True])
    def test_method_of_another_kind(self, method: Any) -> None:
        assert "merge_method" in _refused({**SELECTION, "merge_method": method})

    def test_no_method(self) -> None:
        assert "merge_method is missing" in _refused({"models": []})

    def test_no_base(self) -> None:
        data = {key: value for key, value in SELECTION.items() if key != "base_model"}
        assert "parameter_selection needs a base_model" in _refused(data)

    @pytest.mark.parametrize(
        "models", [None, [], [{"model": "base"}], [{"model": "./base"}, {"model": "base"}]]
    )
    def test_no_sub_model(self, models: Any) -> None:
        assert "K = 0" in _refused({**SELECTION, "models": models})

    @pytest.mark.parametrize("models", ["a", {"a": 1}, 3, True])
    def test_models_of_another_kind(self, models: Any) -> None:
        assert "models is not a list" in _refused({**SELECTION, "models": models})

    @pytest.mark.parametrize("entry", ["b", 3, None, ["b"]])
    def test_an_entry_of_another_kind(self, entry: Any) -> None:
        assert "models, entry 2 is not a mapping" in _refused(
            {**SELECTION, "models": [{"model": "a"}, entry]}
        )

    @pytest.mark.parametrize("entry", [{}, {"model": None}])
    def test_an_entry_without_a_model(self, entry: Any) -> None:
        assert "models, entry 1 names no model" in _refused({**SELECTION, "models": [entry]})

    @pytest.mark.parametrize(
        "path", ["", 3, True, ["a"], {"path": "a"}, {"model": {}}, "a\0b", "\ud800", "~nobody-x/a"]
    )
    def test_a_path_that_is_none(self, path: Any) -> None:
        assert "models, entry 1: model" in _refused({**SELECTION, "models": [{"model": path}]})
        if path not in ("", {"model": {}}):
            assert "base_model" in _refused({**SELECTION, "base_model": path})

    def test_the_nearest_key_of_an_entry(self) -> None:
        said = _refused({**SELECTION, "models": [{"model": "a", "parameter": {}}]})
        assert "models, entry 1: unknown key 'parameter'" in said
        assert "'parameters'" in said


class TestValues:
    @pytest.mark.parametrize(
        "value", [-1, 2**64, HUGE, 1.5, 1e3, float("nan"), True, "abc", "7", [1], {"a": 1}]
    )
    def test_seed(self, value: Any) -> None:
        assert "seed must be a whole number from 0 to 18446744073709551615" in _refused(
            {**SELECTION, "seed": value}
        )

    @pytest.mark.parametrize(
        "value", [-1, 101, 10**400, 1.5, 1.0, True, "3.5", None, float("nan"), [1, "two"], {"value": -1}]
    )
    def test_resamples(self, value: Any) -> None:
        assert "parameters.resamples" in _refused({**SELECTION, "parameters": {"resamples": value}})

    @pytest.mark.parametrize(
        "value",
        [-1, float("nan"), float("inf"), 10**400, HUGE, True, "1,5", "abc", None, [1, -2], {"value": None}],
    )
    def test_weight(self, value: Any) -> None:
        assert "models, entry 2: parameters.weight" in _refused(_weights(1, value))

    def test_weights_all_zero(self) -> None:
        assert "all zero" in _refused(_weights(0, 0.0))
        assert parse_recipe(_weights(0, 5e-324), HERE).plain_value("weight") == (0.0, 5e-324)

    @pytest.mark.parametrize("weights", [(0, 0), (1, -1), (1e308, -1e308), (0.1, 0.2, -0.1, -0.2)])
    def test_linear_weights_without_a_sum(self, weights: tuple[float, ...]) -> None:
        assert "cannot be normalised" in _refused(_weights(*weights, method=LINEAR))

    def test_linear_takes_negative_weights(self) -> None:
        assert parse_recipe(_weights(2, -1, method=LINEAR), HERE).plain_value("weight") == (2.0, -1.0)

    def test_normalize(self) -> None:
        assert "true or false" in _refused({**LINEAR, "parameters": {"normalize": "perhaps"}})
        for said, meant in (
            (False, False),
            (0.0, False),
            (1.0, True),
            (1, True),
            ("No", False),
            ("true", True),
        ):
            recipe = parse_recipe({**LINEAR, "parameters": {"normalize": said}}, HERE)
            assert recipe.plain_value("normalize") is meant
        assert "true or false" in _refused({**LINEAR, "parameters": {"normalize": 0.5}})

    def test_unknown_parameters(self) -> None:
        said = _refused({**SELECTION, "parameters": {"resample": 3}})
        assert "has no parameter 'resample'" in said
        assert "'resamples'" in said
        assert "it has: weight, resamples" in _refused({**SELECTION, "parameters": {"density": 1}})
        assert "parameters is not a mapping" in _refused({**SELECTION, "parameters": [1]})
        said = _refused({**SELECTION, "models": [{"model": "a", "parameters": {"resamples": 1}}]})
        assert "one value for the whole merge" in said

    @pytest.mark.parametrize("value", [-1, -1e-9, float("nan"), float("inf"), 10**400, True, "0", [0]])
    def test_zero_tolerance(self, value: Any) -> None:
        assert "zero_tolerance must be a finite number" in _refused({**SELECTION, "zero_tolerance": value})

    @pytest.mark.parametrize("key", ["dtype", "out_dtype"])
    @pytest.mark.parametrize("value", ["float33", "int8", "", 16, True, ["bfloat16"]])
    def test_types(self, key: str, value: Any) -> None:
        said = _refused({**SELECTION, key: value})
        assert key in said
        assert "bfloat16" in said

    @pytest.mark.parametrize(
        ("key", "choices"),
        [
            ("nonfinite", "pass or error"),
            ("vocab", "union or base"),
            ("missing", "error or from_base or omit"),
        ],
    )
    @pytest.mark.parametrize("value", ["foo", "", 1, True, ["pass"], {"a": 1}])
    def test_choices(self, key: str, choices: str, value: Any) -> None:
        assert f"{key} must be {choices}" in _refused({**SELECTION, key: value})

    @pytest.mark.parametrize("vocab", [None, "union", "base"])
    def test_vocab_comes_back(self, vocab: str | None) -> None:
        recipe = parse_recipe({**SELECTION, "vocab": vocab}, HERE)
        assert recipe.vocab == vocab
        assert recipe_as_dict(recipe).get("vocab") == vocab

    @pytest.mark.parametrize("missing", [None, "error", "from_base", "omit"])
    def test_missing_comes_back(self, missing: str | None) -> None:
        recipe = parse_recipe({**SELECTION, "missing": missing}, HERE)
        assert recipe.missing == missing
        assert recipe_as_dict(recipe).get("missing") == missing
        assert parse_recipe(recipe_as_dict(recipe), HERE) == recipe

    def test_missing_from_a_base_that_is_not_there(self) -> None:
        said = _refused({**LINEAR, "missing": "from_base"})
        assert said.startswith("missing is from_base, and the recipe has no base_model | add base_model")
        assert parse_recipe({**LINEAR, "missing": "from_base", "base_model": "base"}, HERE).base is not None

    def test_tokenizer_source(self) -> None:
        assert "no base_model" in _refused({**LINEAR, "tokenizer_source": "base"})
        assert "tokenizer_source" in _refused({**LINEAR, "tokenizer_source": ["a"]})


_ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from([SELECTION, LINEAR]),
    st.dictionaries(
        st.sampled_from(
            [
                *SELECTION,
                "parameters",
                "dtype",
                "seed",
                "zero_tolerance",
                "vocab",
                "tokenizer_source",
                "missing",
            ]
        ),
        _ANY,
        max_size=3,
    ),
)
def test_any_values(data: dict[str, Any], values: dict[str, Any]) -> None:
    recipe, refusal = None, ""
    try:
        recipe = parse_recipe({**data, **values}, HERE)
    except RecipeError as error:
        refusal = error.message
    assert len(refusal) < 1000
    if recipe is not None:
        assert parse_recipe(recipe_as_dict(recipe), HERE) == recipe


@given(st.text(alphabet=st.sampled_from("ab:-[]{}!&*#'\"?|>% \n\t,0.~<=\\"), max_size=60))
def test_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        _load(tmp_path_factory.getbasetemp(), text)
