"""The method that a recipe names: its name, how many models it takes, and its parameters there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import RecipeError
from core.methods import METHODS, MethodSpec, ParameterSpec
from core.recipe.file import load_recipe
from core.recipe.foreign_keys import OF_MERGEKIT
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.recipe.writing import recipe_as_dict

HERE = Path("/recipes")


def models(*names: str) -> list[dict[str, Any]]:
    return [{"model": name} for name in names]


def refused(data: dict[str, Any]) -> RecipeError:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(data, HERE)
    return raised.value


def made_up(**facts: Any) -> MethodSpec:
    def never() -> Any:
        raise AssertionError

    given = {"name": "made_up", "title": "", "help": "", "source": "", "parameters": (), "base": "ignored"}
    return MethodSpec(**{**given, "load_arithmetic": never, **facts})


class TestNames:
    def test_every_method_of_mergekit_is_here(self) -> None:
        assert METHODS.keys() >= OF_MERGEKIT

    @pytest.mark.parametrize(
        ("spelt", "meant"),
        [
            ("Linear", "linear"),
            ("TIES", "ties"),
            ("task-arithmetic", "task_arithmetic"),
            ("Task Arithmetic", "task_arithmetic"),
            ("DARE-TIES", "dare_ties"),
            ("multi slerp", "multislerp"),
            (" slerp\n", "slerp"),
        ],
    )
    def test_spelt_otherwise(self, spelt: str, meant: str) -> None:
        assert refused({"merge_method": spelt}).hint == f"did you mean '{meant}'?"

    @pytest.mark.parametrize(
        "name", ["paramter_selection", "linaer", "slrp", "nuslerpp", "selection", "linear_of_mine", "tie", ""]
    )
    def test_with_other_letters_it_is_no_method(self, name: str) -> None:
        error = refused({"merge_method": name})
        assert error.message == f"merge_method '{name}' is not supported"
        assert error.hint == f"one of: {', '.join(METHODS)}"


class TestNumberOfModels:
    def test_slerp_as_mergekit_writes_it(self) -> None:
        data = {"merge_method": "slerp", "base_model": "a", "models": models("a", "b")}
        for base, other in (("a", "b"), ("b", "a")):
            recipe = parse_recipe({**data, "base_model": base}, HERE)
            assert recipe.base == HERE / base
            assert [entry.path for entry in recipe.models] == [HERE / other]

    def test_slerp_of_two_without_a_base(self) -> None:
        error = refused({"merge_method": "slerp", "models": models("a", "b")})
        assert error.message == "merge_method slerp needs a base_model"
        assert error.hint == "name one of the 2 models as base_model too; it may stay under models"
        assert error.field == "base_model"

    def test_slerp_of_one_without_a_base(self) -> None:
        error = refused({"merge_method": "slerp", "models": models("a")})
        assert error.hint == "add base_model: the folder of the base"

    @pytest.mark.parametrize("listed", [["a", "b"], ["base", "a", "b"]])
    def test_slerp_of_too_many(self, listed: list[str]) -> None:
        error = refused({"merge_method": "slerp", "base_model": "base", "models": models(*listed)})
        assert error.message == (
            "merge_method slerp takes exactly 1 sub-model beside the base, and there are 2"
        )
        assert error.hint == "leave 1 of them out"
        assert error.field == "models"

    @pytest.mark.parametrize(
        ("least", "most", "given", "message", "hint"),
        [
            (2, None, 1, "takes 2 sub-models or more, and there is 1", "list 1 more under models"),
            (3, 4, 1, "takes 3 to 4 sub-models, and there is 1", "list 2 more under models"),
            (1, 2, 5, "takes 1 to 2 sub-models, and there are 5", "leave 3 of them out"),
        ],
    )
    def test_of_any_method(
        self,
        monkeypatch: pytest.MonkeyPatch,
        least: int,
        most: int | None,
        given: int,
        message: str,
        hint: str,
    ) -> None:
        monkeypatch.setitem(METHODS, "made_up", made_up(least_models=least, most_models=most))
        error = refused({"merge_method": "made_up", "models": models(*(f"m{at}" for at in range(given)))})
        assert error.message == f"merge_method made_up {message}"
        assert (error.hint, error.field) == (hint, "models")


class TestThereAndBack:
    @pytest.mark.parametrize("method", METHODS)
    def test_every_parameter_of_every_method(self, tmp_path: Path, method: str) -> None:
        check_there_and_back(METHODS[method], tmp_path)

    def test_every_kind_of_parameter(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        kinds: list[Any] = [
            ("float", 0.5, ()),
            ("int", 3, ()),
            ("flag", False, ()),
            ("choice", "off", ("off", "on", "1", "null")),  # which YAML takes for other things
        ]
        parameters = tuple(
            ParameterSpec(f"{kind}_of_{scope}", kind, scope, default, "", "", choices=choices)
            for scope in ("merge", "model")
            for kind, default, choices in kinds
        )
        method = made_up(parameters=parameters, base="allowed")
        monkeypatch.setitem(METHODS, "made_up", method)
        for choice in ("off", "on", "1", "null"):
            check_there_and_back(method, tmp_path, choice)

    def test_a_choice_is_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = ParameterSpec("mode", "choice", "merge", "sum", "", "", choices=("sum", "largest"))
        monkeypatch.setitem(METHODS, "made_up", made_up(parameters=(spec,)))
        data = {"merge_method": "made_up", "models": models("a")}
        assert parse_recipe(data, HERE).plain_value("mode") == "sum"
        error = refused({**data, "parameters": {"mode": "larges"}})
        assert error.message == "parameters.mode must be sum or largest, not 'larges'"
        assert (error.hint, error.field) == ("did you mean 'largest'?", "mode")
        error = refused({**data, "parameters": {"mode": [{"filter": "mlp", "value": "sum"}]}})
        assert error.message == "parameters.mode is one value for every tensor"
        assert (error.hint, error.field) == ("give sum or largest", "mode")


def check_there_and_back(method: MethodSpec, folder: Path, choice: str | None = None) -> None:
    """A recipe of `method` with every parameter set, and one with rules, say the same once written."""
    set_merge = {spec.name: other_value(spec, choice) for spec in method.parameters}
    set_model = {name: value for name, value in set_merge.items() if scope(method, name) == "model"}
    ruled = {
        name: [{"filter": "mlp", "value": [value, value]}, {"value": value}]
        for name, value in set_merge.items()
        if (spec := method.parameter(name)) is not None and spec.is_number
    }
    for parameters, own in ((set_merge, {}), (set_merge, set_model), ({**set_merge, **ruled}, set_model)):
        data = {
            "merge_method": method.name,
            "base_model": "base",
            "models": [{"model": f"m{at}", "parameters": own} for at in range(method.least_models)],
            "parameters": parameters,
        }
        recipe = parse_recipe(data, folder)
        assert there_and_back(recipe, folder) == recipe
        for name, value in parameters.items():
            if name not in recipe.ruled:
                wanted = (value,) * method.least_models if scope(method, name) == "model" else value
                assert recipe.plain_value(name) == wanted


def there_and_back(recipe: Recipe, folder: Path) -> Recipe:
    path = folder / "written.yaml"
    path.write_text(yaml.safe_dump(recipe_as_dict(recipe)))
    return load_recipe(path)


def scope(method: MethodSpec, name: str) -> str:
    spec = method.parameter(name)
    assert spec is not None
    return spec.scope


def other_value(spec: ParameterSpec, choice: str | None) -> Any:
    """A value of `spec` that is not the default, as far as there is one."""
    if spec.kind == "choice":
        return choice if choice in spec.choices else spec.choices[-1]
    if spec.kind == "flag":
        return not spec.default
    step = 1 if spec.kind == "int" else 0.25
    return spec.default + (-step if spec.maximum is not None and spec.default + step > spec.maximum else step)
