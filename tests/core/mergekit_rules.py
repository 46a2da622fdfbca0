"""Random recipes with rules and recipes of every method, and what mergekit's own planner makes of them.

As a script, where mergekit is installed, it writes the tables that the tests read everywhere:

    python tests/core/mergekit_rules.py > tests/core/data/mergekit_rules.json
    python tests/core/mergekit_rules.py methods > tests/core/data/mergekit_methods.json
"""

from __future__ import annotations

import json
import random
import sys
from types import SimpleNamespace
from typing import Any
from unittest import mock

FILTERS = [
    None,
    "*",
    "",
    "mlp",
    "self_attn",
    "up_proj",
    "layers.1",
    "layers.1.",
    "lm_head",
    "norm",
    "absent",
    "MLP",
]
TABLE_CASES = 80


def random_recipe(rng: random.Random) -> dict[str, Any]:
    """A recipe of one to four sub-models; most parameters have rules."""
    models = [{"model": f"/models/run-{at}"} for at in range(rng.randint(1, 4))]
    recipe: dict[str, Any] = {
        "merge_method": "parameter_selection",
        "base_model": "/models/base",
        "models": models,
    }
    for given in (*models, recipe):
        parameters = {"weight": _setting(rng, _weight)} if rng.random() < 0.7 else {}
        if given is recipe and rng.random() < 0.7:
            parameters["resamples"] = _setting(rng, _resamples)
        if parameters:
            given["parameters"] = parameters
    return recipe


def values_of_mergekit(recipe: dict[str, Any], layers: int) -> dict[str, tuple[list[float], float]]:
    """The weights and the n, before it is rounded, that mergekit plans for each tensor of a llama model."""
    from mergekit import plan
    from mergekit.architecture import arch_info_for_config
    from mergekit.common import ModelReference
    from mergekit.config import MergeConfiguration
    from mergekit.merge_methods.base import MergeMethodSpec, ParameterScope, ParameterSpec
    from mergekit.options import MergeOptions
    from transformers import LlamaConfig

    parameters = (
        ParameterSpec("weight", float, ParameterScope.INPUT, 1.0),
        ParameterSpec("resamples", float, ParameterScope.SHARED, 1.0),
    )
    method = SimpleNamespace(
        spec=MergeMethodSpec("parameter_selection", parameters), validate_inputs=lambda *args, **options: None
    )
    config = LlamaConfig(
        num_hidden_layers=layers, hidden_size=8, num_attention_heads=1, architectures=["LlamaForCausalLM"]
    )
    every_tensor = mock.MagicMock()
    every_tensor.return_value.get.return_value.index.tensor_paths.__contains__.return_value = True
    with (
        mock.patch.object(plan.merge_methods, "get", return_value=method),
        mock.patch.object(plan, "GatherTensors", mock.Mock()),
        mock.patch.object(plan, "LoaderCache", every_tensor),
        mock.patch.object(plan, "ExecuteMergeMethodTask", SimpleNamespace),
        mock.patch.object(ModelReference, "config", return_value=config),
    ):
        asked = MergeConfiguration.model_validate(json.loads(json.dumps(recipe)))
        planner = plan.MergePlanner(asked, arch_info_for_config(config), MergeOptions(), config)
        planner._plan()
    models = [ModelReference.model_validate(entry["model"]) for entry in recipe["models"]]
    return {
        weight.name: (
            [task.input_parameters[model]["weight"] for model in models],
            task.parameters["resamples"],
        )
        for weight, task in planner._tensors
    }


def parameters_of_mergekit(text: str) -> dict[str, dict[str, Any]]:
    """What mergekit plans for the tensors of a recipe of `wild_recipes`: each parameter of the method, a list
    of the sub-models' own in their order."""
    import yaml
    from mergekit import plan
    from mergekit.architecture import arch_info_for_config
    from mergekit.common import ModelReference
    from mergekit.config import MergeConfiguration
    from mergekit.options import MergeOptions
    from transformers import LlamaConfig
    from wild_recipes import LAYERS

    def config(model: Any, **_: Any) -> Any:
        return LlamaConfig(
            num_hidden_layers=LAYERS[model.model.path],
            hidden_size=8,
            num_attention_heads=1,
            architectures=["LlamaForCausalLM"],
        )

    every_tensor = mock.MagicMock()
    every_tensor.return_value.get.return_value.index.tensor_paths.__contains__.return_value = True
    asked = MergeConfiguration.model_validate(yaml.safe_load(text))
    with (
        mock.patch.object(plan, "GatherTensors", mock.Mock()),
        mock.patch.object(plan, "PermutedVocabulary", mock.Mock()),
        mock.patch.object(plan, "LoaderCache", every_tensor),
        mock.patch.object(plan, "ExecuteMergeMethodTask", SimpleNamespace),
        mock.patch.object(ModelReference, "config", config),
    ):
        out = config(asked.referenced_models()[0])
        layers = [_layers_of(one) for one in asked.slices or ()]
        out.num_hidden_layers = sum(layers) or out.num_hidden_layers
        planner = plan.MergePlanner(asked, arch_info_for_config(out), MergeOptions(), out)
        planner._plan()
    result = {}
    for weight, task in planner._tensors:
        spec = planner._method.spec
        base = task.base_model if planner._method.spec.contract.base.value != "ignored" else None
        models = [model for model in task.model_order if model != base]
        own = {
            one.name: [task.input_parameters[m][one.name] for m in models] for one in spec.input_parameters
        }
        result[weight.name] = {**task.parameters, **own}
    return result


def _layers_of(one: Any) -> int:
    first, last = one.sources[0].layer_range
    return int(last - first)


def _weight(rng: random.Random) -> float:
    return rng.choice([0, 1, 0.5, 1 / 3, 1e-3, 5e-324, 1e300, rng.random(), rng.uniform(0, 1e6)])


def _resamples(rng: random.Random) -> int:
    return rng.choice([0, 1, 2, 3, 100, rng.randint(0, 100)])


def _setting(rng: random.Random, number: Any) -> Any:
    kind = rng.random()
    if kind < 0.2:
        return number(rng)
    if kind < 0.4:
        return _gradient(rng, number)
    if kind < 0.45:
        return _condition(rng, number)
    return [_condition(rng, number) for _ in range(rng.randint(1, 4))]


def _condition(rng: random.Random, number: Any) -> dict[str, Any]:
    filter = rng.choice(FILTERS)
    condition = {} if filter is None and rng.random() < 0.5 else {"filter": filter}
    return condition | {"value": number(rng) if rng.random() < 0.5 else _gradient(rng, number)}


def _gradient(rng: random.Random, number: Any) -> list[float]:
    return [number(rng) for _ in range(rng.randint(1, 6))]


def _table() -> list[dict[str, Any]]:
    rng = random.Random(7)
    table = []
    for _ in range(TABLE_CASES):
        recipe, layers = random_recipe(rng), rng.choice([1, 2, 3, 4, 7, 12])
        values = values_of_mergekit(recipe, layers)
        every_other = rng.sample(sorted(values), 6)
        names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", *every_other]
        table.append(
            {
                "layers": layers,
                "recipe": recipe,
                "values": {name: values[name] for name in dict.fromkeys(names)},
            }
        )
    return table


def _table_of_methods() -> dict[str, Any]:
    """By recipe, the parameters and the tensors that have them, of two kinds of tensors in each layer."""
    from wild_recipes import MERGEABLE

    table: dict[str, Any] = {}
    for name, text in MERGEABLE.items():
        groups: dict[str, list[str]] = {}
        for tensor, parameters in parameters_of_mergekit(text).items():
            if "layers" not in tensor or "q_proj" in tensor or "up_proj" in tensor:
                groups.setdefault(json.dumps(parameters), []).append(tensor)
        table[name] = [{"parameters": json.loads(key), "tensors": value} for key, value in groups.items()]
    return table


if __name__ == "__main__":
    if sys.argv[1:] == ["methods"]:
        rows = _table_of_methods().items()
        print("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows) + "\n}")
    else:
        print("[\n" + ",\n".join(json.dumps(case) for case in _table()) + "\n]")
