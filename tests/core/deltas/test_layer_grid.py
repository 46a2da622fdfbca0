"""Where the tensors of a network stand in the maps."""

from __future__ import annotations

import pytest

from core.deltas.layer_grid import LayerGrid
from core.deltas.module_kinds import Position, position_of


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("model.layers.3.mlp.up_proj.weight", Position("model.layers", 3, "mlp.up_proj")),
        ("model.layers.11.self_attn.q_proj.bias", Position("model.layers", 11, "self_attn.q_proj.bias")),
        ("transformer.h.0.attn.c_attn.weight", Position("transformer.h", 0, "attn.c_attn")),
        ("bert.encoder.layer.7.output.dense.weight", Position("bert.encoder.layer", 7, "output.dense")),
        ("model.layers.2.mlp.experts.5.w1.weight", Position("model.layers", 2, "mlp.experts.w1")),
        ("model.embed_tokens.weight", Position(None, None, "embed_tokens")),
        ("lm_head.weight", Position(None, None, "lm_head")),
        ("something", Position(None, None, "something")),
    ],
)
def test_names_say_where_a_tensor_is(name: str, position: Position) -> None:
    assert position_of(name) == position


def llama(layers: int) -> list[str]:
    names = ["model.embed_tokens.weight"]
    for layer in range(layers):
        names += [
            f"model.layers.{layer}.{module}.weight"
            for module in ("input_layernorm", "mlp.down_proj", "mlp.up_proj", "self_attn.q_proj", "odd.one")
        ]
        names.append(f"model.layers.{layer}.post_attention_layernorm.weight")
    return [*names, "model.norm.weight", "lm_head.weight"]


def test_layers_stand_between_what_lies_before_and_behind_them() -> None:
    grid = LayerGrid.of(llama(11))
    assert [column.label for column in grid.columns] == ["in", *map(str, range(11)), "out"]
    assert grid.kinds == (
        "embeddings",
        "attention q",
        "mlp up",
        "mlp down",
        "one",
        "norms",
        "head",
    )
    assert grid.tensors[0, 0] == ("model.embed_tokens.weight",)
    assert grid.tensors[4, 5] == (
        "model.layers.3.input_layernorm.weight",
        "model.layers.3.post_attention_layernorm.weight",
    )
    assert grid.tensors[12, 5] == ("model.norm.weight",)
    assert (0, 1) not in grid.tensors


def test_every_tensor_has_one_cell() -> None:
    names = llama(4)
    grid = LayerGrid.of(names)
    assert sorted(name for cell in grid.tensors.values() for name in cell) == sorted(names)
    assert all(name in grid.tensors[grid.cell_of[name]] for name in names)


def test_stacks_have_columns_of_their_own() -> None:
    names = [
        f"{stack}.block.{layer}.layer.0.SelfAttention.q.weight"
        for stack in ("decoder", "encoder")  # as files have them
        for layer in range(2)
    ]
    grid = LayerGrid.of(["shared.weight", *names])
    assert [column.label for column in grid.columns] == [
        "in",
        "encoder 0",
        "encoder 1",
        "decoder 0",
        "decoder 1",
    ]
    assert grid.place(3) == "decoder layer 0"
    assert grid.kinds == ("embeddings", "attention q")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("gpt_neox.embed_in.weight", "in"),
        ("embed_out.weight", "out"),
        ("transformer.wpe.weight", "in"),
        ("model.encoder.conv1.weight", "in"),
        ("vision_model.embeddings.patch_embedding.weight", "in"),
        ("bert.embeddings.LayerNorm.weight", "in"),
        ("bert.pooler.dense.weight", "out"),
        ("transformer.ln_f.weight", "out"),
        ("model.norm.weight", "out"),
        ("lm_head.weight", "out"),
        ("lm_head.dense.bias", "out"),
        ("vision_model.embeddings.position_embedding.weight", "in"),
        ("wav2vec2.feature_extractor.conv_layers.0.conv.weight", "in"),
        ("conv_in.weight", "in"),
        ("conv_out.weight", "out"),
        ("multi_modal_projector.linear_1.weight", "other"),
    ],
)
def test_what_lies_outside_stands_where_it_is_computed(name: str, column: str) -> None:
    grid = LayerGrid.of([name, "model.layers.0.mlp.up_proj.weight"])
    assert grid.columns[grid.cell_of[name][0]].label == column


def test_towers_are_told_apart_by_the_first_part_that_differs() -> None:
    grid = LayerGrid.of(
        [
            "model.vision_tower.encoder.layers.0.mlp.fc1.weight",
            "model.language_model.layers.0.mlp.up_proj.weight",
        ]
    )
    assert [column.label for column in grid.columns] == ["vision_tower 0", "language_model 0"]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (
            ["albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight"],
            ["0"],
        ),
        (
            ["transformer.resblocks.0.ln_1.bias", "visual.transformer.resblocks.0.ln_1.bias"],
            ["visual 0", "transformer 0"],
        ),
        (
            [
                "single_transformer_blocks.0.attn.to_q.weight",
                "transformer_blocks.0.attn.to_q.weight",
                "transformer_blocks.1.attn.to_q.weight",
            ],
            ["transformer_blocks 0", "transformer_blocks 1", "single_transformer_blocks 0"],
        ),
        (
            [
                "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight",
                "down_blocks.0.resnets.1.conv1.weight",
                "up_blocks.0.resnets.0.conv1.weight",
            ],
            ["down_blocks 0", "up_blocks 0"],
        ),
        (
            ["net.encoder.stages.0.layers.0.dwconv.weight", "net.encoder.stages.1.layers.0.dwconv.weight"],
            ["stages.0 0", "stages.1 0"],
        ),
    ],
)
def test_layers_by_other_names_are_layers(names: list[str], labels: list[str]) -> None:
    assert [column.label for column in LayerGrid.of(names).columns] == labels


def test_a_network_of_unknown_names_has_rows_but_not_hundreds() -> None:
    letters = [first + second for first in "abcdefghijklmnopqrst" for second in "abcdefghijklmnopqrst"]
    rare = [f"model.layers.0.part.{name}x.weight" for name in letters]
    often = [f"model.layers.{layer}.part.often.{end}" for layer in range(3) for end in ("weight", "bias")]
    grid = LayerGrid.of([*rare, *often])
    assert len(grid.kinds) == 40
    assert grid.tensors[1, grid.kinds.index("often")] == tuple(often[2:4])
    assert sum(map(len, grid.tensors.values())) == len(rare) + len(often)


def test_a_network_whose_names_say_nothing_of_layers_is_one_column() -> None:
    grid = LayerGrid.of(["b", "a"])
    assert [column.label for column in grid.columns] == ["all"]
    assert grid.kinds == ("b", "a")
    assert grid.place(0, 1) == "a"
    assert LayerGrid.of([]).columns == ()


def test_places_have_names() -> None:
    grid = LayerGrid.of(llama(3))
    assert grid.place() == "all modules"
    assert grid.place(2) == "layer 1"
    assert grid.place(2, 2) == "layer 1 · mlp up"
    assert grid.place(None, 2) == "mlp up"
    assert grid.place(0, 0) == "before the layers · embeddings"


def test_cells_are_those_of_a_column_and_a_kind() -> None:
    grid = LayerGrid.of(llama(2))
    assert grid.cells(1, 2) == [(1, 2)]
    assert grid.cells(0) == [(0, 0)]
    assert grid.cells(None, 5) == [(1, 5), (2, 5), (3, 5)]
    assert len(grid.cells()) == len(grid.tensors)
