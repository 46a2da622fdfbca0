"""Slices, gradients, filters, passthrough and several documents, merged by mergekit 0.1.5 and here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from token_models import units_between

from core import load_recipe, plan_merge, run_merge

pytestmark = pytest.mark.slow

LAYERS = {"a": 6, "b": 8, "c": 6}
DTYPES = {"a": torch.bfloat16, "b": torch.bfloat16, "c": torch.bfloat16}
WIDTH = 16
TERMS = 4 * 2.0**-23
"""The rounding of float32 of terms of up to 4: where two of them cancel, it is many units of what is left."""

RECIPES = {
    "whole-slerp": """
        merge_method: slerp
        base_model: {a}
        slices: [{{sources: [{{model: {a}, layer_range: [0, 6]}}, {{model: {c}, layer_range: [0, 6]}}]}}]
        parameters:
          t:
            - {{filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}}
            - {{filter: mlp, value: [1, 0.5]}}
            - {{value: 0.4}}
        dtype: float32
        out_dtype: bfloat16
        """,
    "gradients-restart": """
        merge_method: slerp
        base_model: {a}
        slices:
          - sources: [{{model: {a}, layer_range: [0, 4]}}, {{model: {b}, layer_range: [2, 6]}}]
            parameters: {{t: [{{filter: mlp, value: [0.1, 0.9]}}]}}
          - sources: [{{model: {c}, layer_range: [5, 6]}}, {{model: {a}, layer_range: [5, 6]}}]
          - sources: [{{model: {b}, layer_range: [0, 2]}}, {{model: {c}, layer_range: [3, 5]}}]
            base_model: {c}
        parameters: {{t: [0.2, 0.6]}}
        dtype: float32
        """,
    "stacked": """
        merge_method: passthrough
        slices:
          - sources: [{{model: {a}, layer_range: [0, 4]}}]
          - sources: [{{model: {b}, layer_range: [2, 8], parameters: {{scale: [{{filter: o_proj, value: 0}},
              {{filter: down_proj, value: [0.5, 1.5]}}, {{value: 1}}]}}}}]
          - sources: [{{model: {a}, layer_range: [2, 6]}}]
        dtype: bfloat16
        """,
    "scaled": """
        merge_method: passthrough
        models: [{{model: {a}, parameters: {{scale: [0.5, 0.3]}}}}]
        dtype: bfloat16
        """,
    "averaged": """
        merge_method: linear
        slices:
          - sources:
              - {{model: {b}, layer_range: [1, 5], parameters: {{weight: [0.1, 0.7, 0.4]}}}}
              - model: {a}
                layer_range: [0, 4]
                parameters: {{weight: [{{filter: norm, value: 2}}, {{value: 0.3}}]}}
          - sources: [{{model: {c}, layer_range: [0, 1]}}, {{model: {b}, layer_range: [7, 8]}}]
            parameters: {{normalize: false, weight: [{{filter: mlp, value: 0.25}}]}}
        parameters: {{weight: 0.8}}
        dtype: bfloat16
        """,
    "module": """
        merge_method: linear
        modules:
          default:
            slices: [{{sources: [{{model: {a}, layer_range: [1, 3]}}, {{model: {c}, layer_range: [2, 4]}}]}}]
            parameters: {{weight: [{{filter: up_proj, value: 3}}]}}
        parameters: {{weight: 0.5, normalize: true}}
        dtype: bfloat16
        """,
    "documents": """
        name: one
        merge_method: linear
        models: [{{model: {a}, parameters: {{weight: 0.3}}}}, {{model: {c}, parameters: {{weight: 0.7}}}}]
        dtype: bfloat16
        ---
        merge_method: passthrough
        slices:
          - sources: [{{model: one, layer_range: [0, 5]}}]
          - sources: [{{model: {b}, layer_range: [4, 8]}}]
        dtype: bfloat16
        """,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mergekit")
    for seed, (name, layers) in enumerate(LAYERS.items()):
        _make(place / name, layers, seed)
    return place


@pytest.fixture(scope="session")
def merged(folder: Path, mergekit: str) -> Path:
    for name, text in RECIPES.items():
        lines = text.format(**{model: folder / model for model in LAYERS}).strip("\n").split("\n")
        (folder / f"{name}.yaml").write_text("\n".join(line[8:] for line in lines))
    script = Path(__file__).with_name("mergekit_merges.py")
    subprocess.run([mergekit, script, folder], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return folder


def _make(place: Path, layers: int, seed: int) -> None:
    """A model with the names of a Llama; nobody asks whether its shapes fit together."""
    generator = torch.Generator().manual_seed(seed)
    names = ["model.embed_tokens", "model.norm", "lm_head"]
    parts = [*(f"self_attn.{part}_proj" for part in "qkvo"), "input_layernorm", "post_attention_layernorm"]
    parts += [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
    names += [f"model.layers.{at}.{part}" for at in range(layers) for part in parts]
    tensors = {
        f"{name}.weight": torch.randn(
            WIDTH if "norm" in name else (WIDTH, WIDTH), generator=generator
        ).bfloat16()
        for name in names
    }
    place.mkdir()
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": layers}
    config |= {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_attention_heads": 2,
        "vocab_size": WIDTH,
    }
    config |= {"tie_word_embeddings": False, "torch_dtype": "bfloat16", "num_key_value_heads": 2}
    (place / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_within_a_unit_in_the_last_place(name: str, merged: Path, tmp_path: Path) -> None:
    run_merge(plan_merge(load_recipe(merged / f"{name}.yaml")), tmp_path / "out")
    theirs, ours = merged / "mergekit" / name, tmp_path / "out"
    _compare(_tensors(ours), _tensors(theirs))
    said = [json.loads((place / "config.json").read_text())["num_hidden_layers"] for place in (ours, theirs)]
    assert said[0] == said[1]


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_exported_is_the_same_merge(name: str, merged: Path, mergekit: str, tmp_path: Path) -> None:
    """`mergekit_config.yml`, with the folders in the place of the names, merged by mergekit."""
    run_merge(plan_merge(load_recipe(merged / f"{name}.yaml")), tmp_path / "out")
    documents = list(yaml.safe_load_all((tmp_path / "out" / "mergekit_config.yml").read_text()))
    (tmp_path / "again.yaml").write_text(yaml.safe_dump_all(_placed(documents, merged)))
    script = Path(__file__).with_name("mergekit_merges.py")
    subprocess.run([mergekit, script, tmp_path], check=True)
    _compare(_tensors(tmp_path / "mergekit" / "again"), _tensors(merged / "mergekit" / name))


def _placed(said: object, folder: Path) -> object:
    if isinstance(said, list):
        return [_placed(one, folder) for one in said]
    if isinstance(said, Mapping):
        return {
            key: str(folder / value)
            if key in ("model", "base_model") and isinstance(value, str) and value in LAYERS
            else _placed(value, folder)
            for key, value in said.items()
        }
    return said


def _tensors(place: Path) -> dict[str, torch.Tensor]:
    return {name: one for file in sorted(place.glob("*.safetensors")) for name, one in _load(file)}


def _load(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    yield from load_file(file).items()


def _compare(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, one in ours.items():
        other = theirs[name]
        assert (one.dtype, one.shape) == (other.dtype, other.shape), name
        steps = units_between(one, other)
        difference = (one.double() - other.double()).abs()
        assert bool(((steps <= 1) | (difference <= TERMS)).all()), f"{name}: {int(steps.max())} units"
