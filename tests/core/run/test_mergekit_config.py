"""`mergekit_config.yml`: what mergekit can say of a recipe, and what it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from adapters import make_adapter, make_base
from stored_models import store
from token_merges import cases, merge, recipe

from core import plan_merge, run_merge, verify_output
from core.errors import VerificationError
from core.methods import METHODS
from core.plan.merge_plan import TensorPlan
from core.recipe.parsing import parse_recipe
from core.recipe.stages import joined
from core.recipe.writing import recipe_as_dict
from core.run.mergekit_config import MERGEKIT_CONFIG, mergekit_config, models_under


def written(data: dict[str, Any]) -> tuple[list[Any], str]:
    """The documents of the file, and its comments."""
    folder = Path("/models")
    recipe = parse_recipe(data, folder)
    names = {folder / name: name for name in "abc"}
    content = mergekit_config(recipe_as_dict(recipe, names))
    assert content is not None
    text = content.decode()
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    return list(yaml.safe_load_all(text)), comments


def models(*names: str) -> list[dict[str, Any]]:
    return [{"model": name} for name in names]


def test_defaults_that_mergekit_asks_for_are_written_out() -> None:
    weight = [{"filter": "mlp", "value": 0.5}]
    (said,), comments = written(
        {"merge_method": "linear", "models": models("a", "b"), "parameters": {"weight": weight}}
    )
    assert said["parameters"] == {"weight": [*weight, {"value": 1.0}]}
    assert said["models"] == models("a", "b")
    assert "no word" not in comments
    (said,), _ = written({"merge_method": "slerp", "base_model": "a", "models": models("b")})
    assert said["parameters"] == {"t": 0.5}


def test_what_it_has_no_word_for_is_told() -> None:
    (said,), comments = written(
        {
            "merge_method": "linear",
            "base_model": "c",
            "models": models("a"),
            "dtype": "float8_e4m3fn",
            "missing": "omit",
            "nonfinite": "error",
            "seed": 7,
        }
    )
    assert set(said) == {"merge_method", "models", "parameters"}
    for word in ("base_model: c", "dtype: float8_e4m3fn", "missing: omit", "nonfinite: error"):
        assert word in comments
    assert "seed" not in comments, "nothing is drawn"


@pytest.mark.parametrize(
    ("method", "given", "written_out", "told"),
    [
        ("ties", {"rescale_by": "norm"}, {}, None),
        ("dare_linear", {"density": 0.5, "rescale_by": "density"}, {"density": 0.5}, "rescale_by: density"),
        ("ram", {}, {"epsilon": 0.0}, None),
        ("ramplus_tl", {"epsilon": 1e-5, "r": 0.5}, {"epsilon": 1e-5, "r": 0.5}, None),
        ("sce", {"select_topk": 0.5}, {"select_topk": 0.5}, "epsilon: 0.0, for which it takes 1e-06"),
        ("sce", {"epsilon": 1e-6}, {}, None),
        ("model_stock", {"filter_wise": True}, {"filter_wise": True}, "epsilon: 0.0"),
    ],
)
def test_where_its_methods_have_other_parameters(
    method: str, given: dict[str, Any], written_out: dict[str, Any], told: str | None
) -> None:
    data = {"merge_method": method, "base_model": "c", "models": models("a", "b"), "parameters": given}
    (said,), comments = written(data)
    parameters = said.get("parameters", {})
    assert {name: value for name, value in parameters.items() if name != "weight"} == written_out
    assert ("weight" in parameters) == (METHODS[method].weight is not None)
    assert (told in comments) if told else ("no word" not in comments)


def test_what_only_a_slice_has_is_told_too() -> None:
    one = _stacked(("a", 0, 2), ("c", 0, 2), parameters={"rescale_by": "density", "density": 0.5})
    (said,), comments = written({"merge_method": "ties", "base_model": "c", "slices": [one]})
    assert said["slices"][0]["parameters"] == {"density": 0.5}
    assert "parameters of a slice: rescale_by: density, for which it takes norm" in comments


def test_a_base_is_among_the_sources_of_a_slice() -> None:
    source = {"model": "b", "layer_range": [2, 4]}
    (said,), _ = written({"merge_method": "slerp", "base_model": "a", "slices": [{"sources": [source]}]})
    assert said["slices"] == [{"sources": [source, {"model": "a", "layer_range": [2, 4]}]}]


@pytest.mark.parametrize("source", ["union", "base"])
def test_vocab_is_a_tokenizer_source(source: str) -> None:
    data = {"merge_method": "slerp", "base_model": "a", "models": models("b"), "vocab": source}
    (said,), comments = written(data)
    assert said["tokenizer_source"] == source
    assert "no word for:\n#   vocab" not in comments
    (said,), _ = written({**data, "tokenizer": {"source": source, "pad_to_multiple_of": 8}})
    assert said["tokenizer"] == {"source": source, "pad_to_multiple_of": 8}
    assert "tokenizer_source" not in said


def test_a_method_that_mergekit_has_not() -> None:
    data = {"merge_method": "parameter_selection", "base_model": "a", "models": models("b")}
    assert mergekit_config(recipe_as_dict(parse_recipe(data, Path("/models")))) is None


def test_it_is_a_file_of_the_output_like_others(tmp_path: Path) -> None:
    for name in "ab":
        store(tmp_path / name, {"w": ("F32", (4,))})
    recipe = parse_recipe({"merge_method": "linear", "models": models("a", "b")}, tmp_path)
    run_merge(plan_merge(recipe), tmp_path / "out")
    assert str(tmp_path) not in (tmp_path / "out" / MERGEKIT_CONFIG).read_text()
    listed = json.loads((tmp_path / "out" / "paramosaic.json").read_text())["files"]
    assert MERGEKIT_CONFIG in [file["name"] for file in listed]
    verify_output(tmp_path / "out")
    (tmp_path / "out" / MERGEKIT_CONFIG).write_text("merge_method: ties\n")
    with pytest.raises(VerificationError):
        verify_output(tmp_path / "out")


def _stacked(*sources: tuple[str, int, int], **more: Any) -> dict[str, Any]:
    listed = [{"model": model, "layer_range": [first, last]} for model, first, last in sources]
    return {"sources": listed, **more}


MLP = [{"filter": "mlp", "value": [0.2, 0.9]}]
AGAIN: dict[str, list[dict[str, Any]]] = {
    "average": [{"merge_method": "linear", "models": models("a", "b"), "parameters": {"weight": MLP}}],
    "base-aside": [{"merge_method": "linear", "base_model": "c", "models": models("a", "b")}],
    "types": [
        {
            "merge_method": "task_arithmetic",
            "base_model": "a",
            "models": [{"model": "b", "parameters": {"weight": MLP}}, {"model": "c"}],
            "parameters": {"lambda": 0.5, "normalize": True},
            "dtype": "float32",
            "out_dtype": "bfloat16",
            "chat_template": "chatml",
        }
    ],
    "whole-slice": [
        {
            "merge_method": "slerp",
            "base_model": "a",
            "slices": [_stacked(("a", 0, 3), ("b", 0, 3))],
            "parameters": {"t": [*MLP, {"value": 0.4}]},
        }
    ],
    "slices": [
        {
            "merge_method": "slerp",
            "base_model": "a",
            "slices": [
                _stacked(("b", 1, 3), parameters={"t": MLP}),
                _stacked(("a", 0, 1), ("c", 2, 3), base_model="c"),
            ],
            "parameters": {"t": [0.1, 0.7]},
        }
    ],
    "scaled": [
        {
            "merge_method": "passthrough",
            "slices": [
                _stacked(("a", 0, 2)),
                {
                    "sources": [
                        {
                            "model": "b",
                            "layer_range": [1, 3],
                            "parameters": {"scale": [{"filter": "up", "value": 0.0}, {"value": 1.0}]},
                        }
                    ]
                },
            ],
        }
    ],
    "documents": [
        {"name": "one", "merge_method": "linear", "models": models("a", "b"), "out_dtype": "float32"},
        {"name": "two", "merge_method": "slerp", "base_model": "one", "models": models("c")},
        {"merge_method": "passthrough", "slices": [_stacked(("two", 0, 3)), _stacked(("one", 2, 3))]},
    ],
}


@pytest.mark.parametrize("name", AGAIN)
def test_read_again_it_is_the_same_merge(name: str, tmp_path: Path) -> None:
    shapes = {
        f"model.layers.{at}.{part}.weight": ("BF16", (4, 4)) for at in range(3) for part in ("mlp.up", "q")
    }
    for model in "abc":
        store(
            tmp_path / model,
            {"model.embed_tokens.weight": ("BF16", (8, 4)), **shapes},
            {"num_hidden_layers": 3},
        )
    plan = plan_merge(parse_recipe(joined(AGAIN[name]), tmp_path))
    content = mergekit_config(recipe_as_dict(plan.asked, plan.names))
    assert content is not None
    assert str(tmp_path) not in content.decode()
    again = plan_merge(parse_recipe(joined(list(yaml.safe_load_all(content))), tmp_path))
    for one, other in zip(plan.merges, again.merges, strict=True):
        assert [(t.output, t.job, t.present, _files(t)) for t in one.tensors] == [
            (t.output, t.job, t.present, _files(t)) for t in other.tensors
        ]
        assert one.asked.chat_template == other.asked.chat_template


def _files(tensor: TensorPlan) -> list[tuple[str, str]]:
    """What it reads; of a model that is still to be made the name of its folder."""
    return [(stored.path.parent.name, stored.name) for source in tensor.inputs for stored in source.stored]


def test_tokens_that_are_matched_without_a_key_have_one_for_mergekit(tmp_path: Path) -> None:
    base, (model, *_) = cases(tmp_path, "own")
    data = recipe([model], base, "linear")
    for number, more in enumerate(({}, {"vocab": "base"})):
        *_, out = merge(tmp_path, data | more, to=str(number))
        text = (out / MERGEKIT_CONFIG).read_text()
        assert yaml.safe_load(text)["tokenizer_source"] == ("base" if more else "union")
        assert "leaves out the rows that no token has" in text
    text = (merge(tmp_path, recipe([model], None, "linear"), to="alike")[-1] / MERGEKIT_CONFIG).read_text()
    assert "token" not in text


def test_tokens_that_a_stage_matches_without_a_key_have_one_too(tmp_path: Path) -> None:
    base, (model, *_) = cases(tmp_path, "own")
    first = recipe([model], base, "task_arithmetic", name="one")
    last = {"merge_method": "linear", "models": models("one")}
    *_, out = merge(tmp_path, joined([first, last]))
    said = list(yaml.safe_load_all((out / MERGEKIT_CONFIG).read_text()))
    assert [one.get("tokenizer_source") for one in said] == ["union", None]


@pytest.mark.parametrize("method", ["linear", "task_arithmetic", "passthrough"])
def test_an_adapter_has_its_model_beside_it(tmp_path: Path, method: str) -> None:
    """mergekit reads a whole model where there is no plus sign."""
    make_base(tmp_path / "base", dtype=torch.float32)
    for kind in ("plain", "dora"):
        make_adapter(tmp_path / kind, kind)
    listed = models("plain") if method == "passthrough" else models("plain", "base+dora", "base")
    data = {"merge_method": method, "base_model": "base", "models": listed}
    *_, out = merge(tmp_path, data)
    (said,) = yaml.safe_load_all((out / MERGEKIT_CONFIG).read_text())
    named = [one["model"] for one in said["models"]]
    assert named == ["base+plain", "base+dora", "base"][: len(named)]
    *_, again = merge(tmp_path, said, to="again")
    assert (again / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_adapters_in_slices_and_on_stages_have_their_models_beside_them(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    make_adapter(tmp_path / "plain", "plain")
    first = {"name": "one", "merge_method": "linear", "base_model": "base", "models": models("plain", "base")}
    last = {
        "merge_method": "task_arithmetic",
        "base_model": "one",
        "slices": [_stacked(("plain", 0, 1), ("one+plain", 1, 2)), _stacked(("plain", 1, 2))],
    }
    plan = plan_merge(parse_recipe(joined([first, last]), tmp_path))
    content = mergekit_config(recipe_as_dict(plan.asked, plan.names), on=[*map(models_under, plan.merges)])
    assert content is not None
    one, other = yaml.safe_load_all(content)
    assert [each["model"] for each in one["models"]] == ["base+plain", "base"]
    named = [source["model"] for each in other["slices"] for source in each["sources"]]
    assert named == ["one+plain", "one+plain", "one", "one+plain", "one"]
