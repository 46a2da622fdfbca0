from __future__ import annotations

from pathlib import Path

import pytest

from core.checkpoint.model import hub_id, model_names
from core.checkpoint.names import find_embedding, layer_of, layer_positions, tied_heads

CACHE = Path("/cache/hub/models--meta-llama--Llama-2-7b-hf/snapshots/8a0442e")


def test_a_model_is_called_by_its_folder_or_hub_id() -> None:
    assert model_names([Path("/a/base"), CACHE]) == ["base", "meta-llama/Llama-2-7b-hf"]
    assert hub_id(CACHE) == "meta-llama/Llama-2-7b-hf"
    assert hub_id(Path("/a/base")) is None


def test_folders_of_the_same_name_are_told_apart() -> None:
    folders = [Path("/x/run-1/last"), Path("/x/run-2/last"), Path("/x/other")]
    assert model_names(folders) == ["run-1/last", "run-2/last", "other"]
    deeper = [Path("/x/a/run/last"), Path("/x/b/run/last")]
    assert model_names(deeper) == ["run/last", "run/last (2)"]
    assert model_names([Path("/m/x"), Path("/n/x"), Path("/x"), Path("/m/x")]) == ["m/x", "n/x", "x", "m/x"]


def test_a_recipe_is_called_by_its_file_and_not_as_the_folder_beside_it(tmp_path: Path) -> None:
    assert model_names([Path("/a/model"), Path("/b/model"), Path("/x/one.yaml"), Path("/x/two.YML")]) == [
        "a/model",
        "b/model",
        "one",
        "two",
    ]
    assert model_names([Path("/x/one.yaml"), Path("/x/one")]) == ["x/one", "x/one (2)"]
    folder = tmp_path / "v1.yaml"
    folder.mkdir()
    assert model_names([folder]) == ["v1.yaml"]


def test_a_model_with_adapters_is_called_by_all_of_them(tmp_path: Path) -> None:
    for name in ("base", "adapter"):
        (tmp_path / name).mkdir()
    assert model_names([Path(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")]) == ["base+adapter"]


def test_what_a_run_saved_is_called_by_the_run_too() -> None:
    """One of them alone, which nothing else would tell from those of other runs."""
    for name in ("order-1/epoch-2", "order-12/float32"):
        assert model_names([Path("/x/runs") / name]) == [name]
    folders = [Path("/x/runs/order-1/epoch-2"), Path("/x/base"), Path("/y/runs/order-1/epoch-2")]
    assert model_names(folders) == ["order-1/epoch-2", "base", "order-1/epoch-2 (2)"]
    others = [Path("/x/run/epoch-2"), Path("/x/order-1/epoch-making"), Path("/epoch-3")]
    assert model_names(others) == ["epoch-2", "epoch-making", "epoch-3"]


def test_one_folder_named_twice_is_one_model() -> None:
    assert model_names([Path("/a/run"), Path("/a/run")]) == ["run", "run"]


def test_heads_and_embeddings_are_recognised() -> None:
    llama = {"model.embed_tokens.weight": (8, 4), "lm_head.weight": (8, 4), "model.norm.weight": (4,)}
    assert find_embedding(llama) == "model.embed_tokens.weight"
    assert tied_heads(llama) == {"lm_head.weight": "model.embed_tokens.weight"}
    gpt2 = {"transformer.wte.weight": (8, 4), "transformer.wpe.weight": (6, 4), "lm_head.weight": (8, 4)}
    assert tied_heads(gpt2) == {"lm_head.weight": "transformer.wte.weight"}
    assert tied_heads(llama | {"lm_head.weight": (9, 4)}) == {}
    assert find_embedding({"a.weight": (2, 2)}) is None


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("model.layers.3.mlp.up_proj.weight", ("model.layers", 3, "mlp.up_proj.weight")),
        ("decoder.block.1.layer.2.wo", ("decoder.block", 1, "layer.2.wo")),
        ("block.1.layer.2.wo", ("block", 1, "layer.2.wo")),
        (
            "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.bias",
            ("albert.encoder.albert_layer_groups", 0, "albert_layers.0.ffn.bias"),
        ),
        ("visual.transformer.resblocks.11.ln_1.bias", ("visual.transformer.resblocks", 11, "ln_1.bias")),
        ("single_transformer_blocks.2.proj_mlp.bias", ("single_transformer_blocks", 2, "proj_mlp.bias")),
        (
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
            ("down_blocks", 1, "attentions.0.transformer_blocks.0.attn1.to_q.weight"),
        ),
        ("mid_block.resnets.1.conv1.weight", ("mid_block.resnets", 1, "conv1.weight")),
        ("layer2.0.conv1.weight", ("layer2", 0, "conv1.weight")),
        ("wav2vec2.feature_extractor.conv_layers.0.conv.weight", None),
        ("vision_model.head.mlp.0.weight", None),
    ],
)
def test_layers_are_recognised(name: str, place: tuple[str, int, str] | None) -> None:
    assert layer_of(name) == place


def test_layers_of_every_stack_have_positions() -> None:
    names = [f"transformer.resblocks.{layer}.ln_1.bias" for layer in range(3)]
    names += [f"visual.transformer.resblocks.{layer}.ln_1.bias" for layer in range(2)]
    assert list(layer_positions(names).values()) == [0.0, 0.5, 1.0, 0.0, 1.0]
