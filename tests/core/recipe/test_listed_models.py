"""The models of a recipe as a list: the same one twice, and a base that mergekit counts in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import RecipeError
from core.recipe.doubts import recipe_warnings
from core.recipe.parsing import parse_recipe

HERE = Path("/recipes")


def listed(*names: str, **more: Any) -> dict[str, Any]:
    return {"merge_method": "linear", "models": [{"model": name} for name in names], **more}


class TestTheSameTwice:
    @pytest.mark.parametrize("other", ["a", "./a", "a/", "x/../a", "a/.", "/recipes/a", "/recipes//a"])
    def test_by_its_spelling(self, other: str) -> None:
        with pytest.raises(RecipeError) as raised:
            parse_recipe(listed("a", "b", other), HERE)
        error = raised.value
        assert error.message.startswith("models, entries 1 and 3 are the same model: /")
        assert (error.field, error.entry) == ("models", 2)
        assert "leave one of them out" in str(error.hint)
        assert len(parse_recipe(listed("a", "b"), HERE).models) == 2  # as the hint says

    def test_by_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").symlink_to("a")
        (tmp_path / "c").mkdir()
        assert len(parse_recipe(listed("a", "c"), tmp_path).models) == 2
        with pytest.raises(RecipeError, match="entries 2 and 3 are the same model"):
            parse_recipe(listed("c", "a", "b"), tmp_path)

    def test_a_link_that_leads_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "b").symlink_to("gone")
        with pytest.raises(RecipeError, match="entries 1 and 2 are the same model"):
            parse_recipe(listed("gone", "b"), tmp_path)

    def test_the_base_is_no_sub_model_of_a_method_that_reads_it(self) -> None:
        data = listed("base", "a", "./base", merge_method="task_arithmetic", base_model="base")
        assert [entry.path.name for entry in parse_recipe(data, HERE).models] == ["a"]

    def test_the_entries_are_numbered_as_they_stand(self) -> None:
        data = listed("base", "a", "b", "a", merge_method="task_arithmetic", base_model="base")
        with pytest.raises(RecipeError, match="entries 2 and 4 are") as raised:
            parse_recipe(data, HERE)
        assert raised.value.entry == 3

    def test_the_base_twice_in_linear(self) -> None:
        with pytest.raises(RecipeError, match="entries 1 and 3 are the same model"):
            parse_recipe(listed("base", "a", "base", base_model="base"), HERE)


class TestTheBaseInLinear:
    def warnings(self, **data: Any) -> list[str]:
        return recipe_warnings(parse_recipe(data, HERE))

    def test_that_is_not_listed(self) -> None:
        models = [{"model": name, "parameters": {"weight": 1}} for name in ("a", "b")]
        data: dict[str, Any] = {"merge_method": "linear", "base_model": "base", "models": models}
        (said,) = self.warnings(**data)
        assert said == (
            "the base /recipes/base is not averaged, as models does not list it, while mergekit averages "
            "every base_model too: for mergekit's result list it under models as well, as "
            "`- model: /recipes/base` and a weight of its own"
        )
        base = {"model": "base", "parameters": {"weight": 1}}
        assert self.warnings(**{**data, "models": [*models, base]}) == []

    def test_that_is_not_listed_under_a_weight_for_all(self) -> None:
        data = listed("a", "b", base_model="base", parameters={"weight": 0.5})
        (said,) = self.warnings(**data)
        assert "averages every base_model too, with the weight given under parameters" in said
        assert said.endswith("as `- model: /recipes/base`")
        data["models"].append({"model": "/recipes/base"})
        assert self.warnings(**data) == []
        assert parse_recipe(data, HERE).plain_value("weight") == (0.5, 0.5, 0.5)

    def test_that_is_listed_without_a_weight(self) -> None:
        models = [{"model": "./base"}, {"model": "a", "parameters": {"weight": 0.3}}]
        data: dict[str, Any] = {"merge_method": "linear", "base_model": "base", "models": models}
        (said,) = self.warnings(**data)
        assert "is listed under models without a weight, and counts with the weight 1" in said
        models[0]["parameters"] = {"weight": 0}
        (said,) = self.warnings(**data)
        assert said == "only /recipes/a has a weight that is not 0: the others change nothing"

    def test_in_a_method_without_weights(self) -> None:
        data = listed("a", "b", base_model="base", merge_method="karcher")
        (said,) = self.warnings(**data)
        assert said == (
            "the base /recipes/base is not merged, as models does not list it, while mergekit merges every "
            "base_model too: for mergekit's result list it under models as well, as `- model: /recipes/base`"
        )
        data["models"].append({"model": "base"})
        assert self.warnings(**data) == []
        assert len(parse_recipe(data, HERE).models) == 3

    def test_names_may_be_given(self) -> None:
        recipe = parse_recipe(listed("a", base_model="base"), HERE)
        (said,) = recipe_warnings(recipe, {HERE / "base": "org/base"})
        assert said.startswith("the base org/base is")

    @pytest.mark.parametrize(
        "data",
        [
            listed("a", "b"),
            listed("a", base_model="base", merge_method="task_arithmetic"),
            listed("a", base_model="base", merge_method="slerp"),
            listed("a", base_model="base", merge_method="parameter_selection"),
        ],
    )
    def test_where_there_is_nothing_to_say(self, data: dict[str, Any]) -> None:
        assert self.warnings(**data) == []
