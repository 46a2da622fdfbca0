"""Slices and documents beside adapters and vocabularies: what works together, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from adapters import make_adapter, make_base, merged, read
from token_merges import merge
from token_models import Model, tokenizer_json

from core import load_recipe, plan_merge, read_record, run_merge
from core.cli.output import plan_document, plan_summary
from core.errors import IncompatibleError, RecipeError
from core.plan.choice import choose
from core.recipe.parsing import parse_recipe
from core.recipe.writing import folders_of, recipe_as_dict

LAYER = "model.layers.{}.{}.weight"
PARTS = ("self_attn.q_proj", "mlp.up_proj", "mlp.down_proj")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_base(tmp_path / "base")
    make_base(tmp_path / "other", seed=5)
    make_adapter(tmp_path / "a", "plain", seed=1)
    make_adapter(tmp_path / "b", "rslora on everything", seed=2)
    return tmp_path


def slices(*sources: dict[str, Any], method: str = "passthrough", **more: Any) -> dict[str, Any]:
    """Of each source both layers, one after the other."""
    listed = [{"sources": [{"layer_range": [0, 2], **one}]} for one in sources]
    return {"merge_method": method, "slices": listed, **more}


def result(data: dict[str, Any], folder: Path, name: str = "out") -> dict[str, torch.Tensor]:
    run_merge(plan_merge(parse_recipe(data, folder)), folder / name)
    return read(folder / name)


def check_layers(found: dict[str, torch.Tensor], *models: dict[str, torch.Tensor]) -> None:
    for at, model in enumerate(models):
        for layer in range(2):
            for part in PARTS:
                written = found[LAYER.format(2 * at + layer, part)]
                assert torch.equal(written, model[LAYER.format(layer, part)]), (at, layer, part)


class TestAdapters:
    def test_in_every_spelling(self, folder: Path) -> None:
        data = slices(
            {"model": "base+a"},
            {"model": "base", "lora": "b"},
            {"model": {"model": {"path": "base"}, "lora": {"path": "a"}}},
            {"model": "base+a+b"},
        )
        found = result(data, folder)
        base, a, b = (folder / name for name in ("base", "a", "b"))
        check_layers(found, merged(base, a), merged(base, b), merged(base, a), merged(base, a, b))
        assert torch.equal(found["model.embed_tokens.weight"], read(base)["model.embed_tokens.weight"])
        assert torch.equal(found["lm_head.weight"], merged(base, a, b)["lm_head.weight"])
        record = read_record(folder / "out")
        assert [one.adapter for one in record.inputs if one.role == "sub-model"] == [
            "adapter on base, rank 11",
            "adapter on base, rank 11",
            "2 adapters on base, rank 11",
        ]
        assert [one["sources"][0]["model"] for one in record.recipe["slices"]] == [
            "base+a",
            "base+b",
            "base+a",
            "base+a+b",
        ]

    def test_a_revision_that_is_not_here(self, folder: Path) -> None:
        with pytest.raises(RecipeError, match="slices, entry 2, source 1: model") as raised:
            parse_recipe(slices({"model": "base"}, {"model": "base", "revision": "v2"}), folder)
        assert (raised.value.field, raised.value.entry) == ("slices", 1)

    def test_alone_on_the_base_of_its_slice(self, folder: Path) -> None:
        data = slices({"model": "base+a"}, {"model": "b"}, base_model="base")
        data["slices"][1]["base_model"] = "other"
        expected = [merged(folder / model, folder / one) for model, one in (("base", "a"), ("other", "b"))]
        check_layers(result(data, folder), *expected)

    def test_alone_in_slices_of_different_bases(self, folder: Path) -> None:
        data = slices({"model": "a"}, {"model": "a"}, base_model="base")
        data["slices"][1]["base_model"] = "other"
        with pytest.raises(RecipeError, match="a is an adapter in slices of different bases"):
            plan_merge(parse_recipe(data, folder))

    @pytest.mark.parametrize("named", ["one+a", {"model": "one", "lora": "a"}])
    def test_on_what_is_merged_first(self, folder: Path, named: Any) -> None:
        first = {"name": "one", "merge_method": "linear", "models": [{"model": "base"}, {"model": "other"}]}
        second = {"merge_method": "linear", "models": [{"model": named}, {"model": "base+b"}]}
        (folder / "recipe.yaml").write_text(yaml.safe_dump_all([first, second]))
        recipe = load_recipe(folder / "recipe.yaml")
        assert set(folders_of(recipe)) == {
            *(folder / name for name in ("base", "other", "a")),
            Path(f"{folder / 'base'}+{folder / 'b'}"),
        }
        assert parse_recipe(recipe_as_dict(recipe), folder) == recipe
        plan = plan_merge(recipe)
        choice = choose(plan)
        assert "one+a (adapter on one, rank 11)" in plan_summary(plan, choice, 1)
        document = plan_document(plan, choice, 1, [choice])
        assert document["recipe"]["models"] == [{"model": "one+a"}, {"model": "base+b"}]
        assert document["recipe"]["stages"][0]["models"] == first["models"]
        assert str(folder) not in json.dumps(document, default=str)
        run_merge(plan, folder / "out")
        run_merge(plan_merge(parse_recipe({**first, "name": None}, folder)), folder / "by-hand")
        on_first = {"model": "by-hand", "lora": "a"}
        expected = result({**second, "models": [on_first, {"model": "base+b"}]}, folder, "expected")
        found = read(folder / "out")
        assert all(torch.equal(found[name], values) for name, values in expected.items())
        text = (folder / "out" / "paramosaic.json").read_text()
        assert "one+a" in text
        assert str(folder) not in text


WORDS = [f"w{number}" for number in range(12)]


class TestVocabularies:
    def of(self, tmp_path: Path, name: str, tokens: list[str], rows: int | None = None) -> Model:
        return Model.make(tmp_path / name, tokens, rows, seed=len(name))

    def sliced(self, *models: str, **more: Any) -> dict[str, Any]:
        listed = [{"sources": [{"model": name, "layer_range": [0, 1]}]} for name in models]
        return {"merge_method": "passthrough", "slices": listed, **more}

    @pytest.mark.parametrize(
        "asked",
        [
            {"vocab": "union"},
            {"tokenizer_source": "two"},
            {"tokenizer_source": "union"},
            {"tokenizer": {"pad_to_multiple_of": 64}},
            {"tokenizer": {"tokens": {"w1": {"source": "two", "force": True}}}},
        ],
        ids=str,
    )
    def test_other_rows_are_refused(self, tmp_path: Path, asked: dict[str, Any]) -> None:
        self.of(tmp_path, "one", WORDS)
        self.of(tmp_path, "two", [*WORDS, "<a>"])
        with pytest.raises(RecipeError) as raised:
            plan_merge(parse_recipe(self.sliced("one", "two", **asked), tmp_path))
        (key,) = asked
        assert raised.value.field == key
        assert raised.value.message == (
            f"{key} asks for other rows of tokens than the models have, and where a result is put together "
            "from slices these stay as they are"
        )
        assert "in documents of their own" in str(raised.value.hint)

    def test_differently_many_rows_are_refused(self, tmp_path: Path) -> None:
        self.of(tmp_path, "one", WORDS)
        self.of(tmp_path, "three", [*WORDS, "<a>"])
        with pytest.raises(IncompatibleError, match="three has 13 rows of tokens and one has 12") as raised:
            plan_merge(parse_recipe(self.sliced("one", "three"), tmp_path))
        assert raised.value.field == "slices"

    def test_what_says_the_same_tokens_is_no_obstacle(self, tmp_path: Path) -> None:
        one, three = self.of(tmp_path, "one", WORDS), self.of(tmp_path, "three", WORDS)
        data = self.sliced("one", "three", vocab="union")
        found, _, _ = merge(tmp_path, data)
        assert (found["model.embed_tokens.weight"] == one.tensors["model.embed_tokens.weight"]).all()
        assert (found["lm_head.weight"] == three.tensors["lm_head.weight"]).all()

    def test_a_model_between_may_have_others(self, tmp_path: Path) -> None:
        one = self.of(tmp_path, "one", WORDS)
        self.of(tmp_path, "three", [*WORDS, "<a>"])
        found, _, _ = merge(tmp_path, self.sliced("one", "three", "one"))
        assert (found["lm_head.weight"] == one.tensors["lm_head.weight"]).all()

    def test_of_a_slice_that_is_all_layers_they_are_matched(self, tmp_path: Path) -> None:
        self.of(tmp_path, "one", WORDS)
        self.of(tmp_path, "three", ["w1", "w0", *WORDS[2:], "<a>"])
        sources = [{"model": name, "layer_range": [0, 1]} for name in ("one", "three")]
        data = {"merge_method": "linear", "vocab": "union"}
        sliced, _, _ = merge(tmp_path, {**data, "slices": [{"sources": sources}]}, to="sliced")
        models = [{"model": name} for name in ("one", "three")]
        whole, _, _ = merge(tmp_path, {**data, "models": models}, to="whole")
        assert len(sliced["lm_head.weight"]) == 13
        assert all((sliced[name] == values).all() for name, values in whole.items())

    def test_united_in_a_document_before(self, tmp_path: Path) -> None:
        """The way out that the refusal names."""
        for name, tokens in (("one", WORDS), ("three", ["w1", "w0", *WORDS[2:], "<a>"])):
            self.of(tmp_path, name, tokens)
        first = {"name": "first", "merge_method": "linear", "models": [{"model": "one"}]}
        data = {**self.sliced("first", "three"), "stages": [{**first, "tokenizer_source": "three"}]}
        found, _, _ = merge(tmp_path, data)
        assert found["model.embed_tokens.weight"].shape == found["lm_head.weight"].shape == (13, 24)

    def test_a_row_of_a_model_with_an_adapter(self, folder: Path) -> None:
        """Models are found by their paths in a recipe: an adapter's folder is not that."""
        tokens = [f"t{number}" for number in range(48)]
        for name in ("base", "other"):
            (folder / name / "tokenizer.json").write_text(json.dumps(tokenizer_json(tokens)))
        rows = {"t3": {"source": "base+a", "force": True}}
        models = [{"model": "other"}, {"model": "base+a"}]
        found = result({"merge_method": "linear", "models": models, "tokenizer": {"tokens": rows}}, folder)
        row = read(folder / "base")["lm_head.weight"][3]
        assert torch.equal(found["lm_head.weight"][3], row)


def test_chat_template_and_tokens_of_all(tmp_path: Path) -> None:
    for seed, (name, tokens) in enumerate((("one", WORDS), ("two", [*WORDS, "<a>"]))):
        Model.make(tmp_path / name, tokens, seed=seed)
    models = [{"model": name} for name in ("one", "two")]
    data = {"merge_method": "linear", "models": models, "vocab": "union", "chat_template": "chatml"}
    _, _, out = merge(tmp_path, data)
    assert "<|im_start|>" in (out / "chat_template.jinja").read_text()
    assert '"<a>"' in (out / "tokenizer.json").read_text()
    said = yaml.safe_load((out / "mergekit_config.yml").read_text())
    assert (said["tokenizer_source"], said["chat_template"]) == ("union", "chatml")
