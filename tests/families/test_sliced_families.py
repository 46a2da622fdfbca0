"""Models of several families put together from layers of two, loaded by their auto class and run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families import FAMILIES
from family import Family
from tuned import MODELS, Made, load, outputs

from core import plan_merge, run_merge
from core.checkpoint.layer_stacks import find_stack, stacks_of
from core.checkpoint.model import open_checkpoint
from core.checkpoint.names import layer_of
from core.recipe.parsing import parse_recipe

QUICK = ("llama", "gpt2", "bert")
MORE = (
    *("gpt_neox", "gemma3_text", "qwen3_next"),
    *(
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "phi",
        "phi3",
        "falcon",
        "gpt_neo",
        "gptj",
        "opt",
        "bloom",
    ),
    *("mpt", "stablelm", "starcoder2", "olmo2", "cohere", "granite", "glm", "nemotron", "exaone4", "smollm3"),
    *(
        "mixtral",
        "qwen2_moe",
        "qwen3_moe",
        "olmoe",
        "granitemoe",
        "gpt_oss",
        "mamba",
        "mamba2",
        "falcon_mamba",
    ),
    *(
        "roberta",
        "electra",
        "deberta-v2",
        "distilbert",
        "vit",
        "dinov2",
        "llava",
        "gemma3",
        "recurrent_gemma",
    ),
)
EVERY = [pytest.param(FAMILIES[name], id=name) for name in QUICK]
EVERY += [pytest.param(FAMILIES[name], id=name, marks=pytest.mark.slow) for name in MORE]


@pytest.mark.parametrize("family", EVERY)
def test_each_layer_is_that_of_its_model(family: Family, made: Made, tmp_path: Path) -> None:
    folder = made(family)
    model = open_checkpoint(folder / MODELS[1])
    stack = find_stack(model.tensors, model.hidden_layers)
    assert stack is not None
    halves = [(MODELS[1], 0, stack.count), (MODELS[2], 0, stack.count)]
    slices = [{"sources": [{"model": name, "layer_range": [first, last]}]} for name, first, last in halves]
    recipe = {"merge_method": "passthrough", "slices": slices, "missing": "omit"}
    run_merge(plan_merge(parse_recipe(recipe, folder)), tmp_path / "out")
    found = load(family, tmp_path / "out").state_dict()
    parts = [load(family, folder / name).state_dict() for name, *_ in halves]
    own = next(name for name, count in stacks_of(found).items() if count == 2 * stack.count)
    compared = 0
    for name, values in found.items():
        place = layer_of(name)
        if place is not None and place[0] == own:
            half, layer = divmod(place[1], stack.count)
            assert torch.equal(values, parts[half][f"{own}.{layer}.{place[2]}"]), name
            compared += 1
    assert compared == 2 * sum(layer_of(name) is not None and layer_of(name)[0] == own for name in parts[0])
    assert all(output.isfinite().all() for output in outputs(family, load(family, tmp_path / "out")))
