"""Recipes of every method as people publish them: each is merged, with the parameters that mergekit plans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import write_adapter
from safetensors.torch import load_file
from wild_recipes import EXAMPLES, LAYERS, MERGEABLE, OURS, store_models

from core import load_recipe, plan_merge, run_merge, verify_output
from core.plan.merge_plan import MergePlan
from core.recipe.foreign_keys import OF_MERGEKIT
from core.recipe.writing import recipe_as_dict
from core.run.mergekit_config import mergekit_config

TABLE = json.loads((Path(__file__).parents[1] / "core" / "data" / "mergekit_methods.json").read_text())
"""What mergekit 0.1.5 plans for MERGEABLE: see tests/core/mergekit_rules.py."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    store_models(place)
    prefix = "base_model.model.model.layers.1.mlp.up_proj"
    tensors = {
        f"{prefix}.lora_A.weight": torch.ones(2, 8),
        f"{prefix}.lora_B.weight": torch.full((8, 2), 0.1),
    }
    write_adapter(place / "adapter", tensors, r=2, lora_alpha=2, target_modules=["up_proj"])
    return place


@pytest.fixture(scope="module")
def plans(folder: Path) -> dict[str, MergePlan]:
    return {name: planned(folder, text) for name, text in (MERGEABLE | OURS).items()}


def planned(folder: Path, text: str) -> MergePlan:
    path = folder / "recipe.yml"
    path.write_text(text)
    return plan_merge(load_recipe(path))


def method_of(name: str) -> str:
    return MERGEABLE[name].partition("merge_method: ")[2].split()[0]


def each() -> list[Any]:
    """The names of all; further ones of a method are slow."""
    first: dict[str, str] = {}
    for name in MERGEABLE:
        first.setdefault(method_of(name), name)
    quick = {*EXAMPLES, *first.values(), *OURS}
    return [
        name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in (*MERGEABLE, *OURS)
    ]


def test_they_are_of_every_method() -> None:
    assert {method_of(name) for name in MERGEABLE} == OF_MERGEKIT
    assert len(MERGEABLE) + len(OURS) >= len(EXAMPLES) + 30


@pytest.mark.parametrize("name", each())
def test_it_is_merged(name: str, plans: dict[str, MergePlan], tmp_path: Path) -> None:
    plan = plans[name]
    run_merge(plan, tmp_path / "out", threads=1)
    assert verify_output(tmp_path / "out").tensors == len(plan.tensors)
    merged = load_file(tmp_path / "out" / "model.safetensors")
    layers = {key.split(".")[2] for key in merged if ".layers." in key}
    assert layers == {str(at) for at in range(len(layers))}
    if name in TABLE:
        assert {tensor for group in TABLE[name] for tensor in group["tensors"]} <= merged.keys()
    assert all(bool(tensor.isfinite().all()) for tensor in merged.values())
    assert all(bool(tensor.any()) for tensor in merged.values())


@pytest.mark.parametrize("name", MERGEABLE)
def test_each_parameter_is_what_mergekit_takes(name: str, plans: dict[str, MergePlan]) -> None:
    plan = plans[name]
    jobs = {tensor.output.name: tensor.job for tensor in plan.tensors}
    method = plan.recipe.method
    compared = 0
    for group in TABLE[name]:
        wanted: dict[str, Any] = group["parameters"]
        for tensor in group["tensors"]:
            job = jobs[tensor]
            assert job is not None
            for spec in method.parameters:
                if spec.name in wanted:
                    expected = wanted[spec.name]
                    if spec.scope == "model":  # of which None is no factor
                        expected = tuple(1.0 if one is None else one for one in expected)
                    assert job.parameters[spec.name] == expected, (tensor, spec.name)
                    compared += 1
    assert {spec.name for spec in method.parameters} >= {*TABLE[name][0]["parameters"]} - {
        "int8_mask",
        *(("density", "rescale") if method.name == "task_arithmetic" else ()),
    }
    assert compared or not method.parameters


@pytest.mark.parametrize("name", MERGEABLE)
def test_mergekits_file_is_the_same_merge(name: str, folder: Path, plans: dict[str, MergePlan]) -> None:
    plan = plans[name]
    content = mergekit_config(recipe_as_dict(plan.asked, plan.names))
    assert content is not None
    text = content.decode()
    for model in LAYERS:
        text = text.replace(f": {model.removeprefix('org/')}\n", f": {model}\n")
    again = planned(folder, text)
    assert [(one.output, one.job) for one in plan.tensors] == [(one.output, one.job) for one in again.tensors]


def test_what_changes_nothing_is_said(plans: dict[str, MergePlan]) -> None:
    said = {name: [one for one in plan.warnings if "passes over" in one] for name, plan in plans.items()}
    assert {name: one[0].partition(" change")[0] for name, one in said.items() if one} == {
        "task_arithmetic-with-parameters-of-ties": "rescale and density",
        "sce-with-parameters-of-ties": "density, normalize, smooth, allow_negative_weights, "
        "filter_wise, lambda and weight",
        "model_stock-by-rows": "normalize",
        "slerp-with-parameters-of-others": "normalize, density and weight",
        "linear-with-parameters-of-others": "density and epsilon",
    }
