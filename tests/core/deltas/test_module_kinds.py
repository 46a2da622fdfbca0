from __future__ import annotations

import pytest

from core.deltas.module_kinds import MODULE_KINDS, module_kind

NAMES = {
    "embeddings": [
        "model.embed_tokens.weight",
        "transformer.wte.weight",
        "transformer.wpe.weight",
        "gpt_neox.embed_in.weight",
        "tok_embeddings.weight",
        "bert.embeddings.word_embeddings.weight",
        "shared.weight",
    ],
    "attention q": [
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.q_proj.bias",
        "layers.3.attention.wq.weight",
        "bert.encoder.layer.0.attention.self.query.weight",
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "model.layers.0.self_attn.q_a_proj.weight",
    ],
    "attention k": [
        "model.layers.0.self_attn.k_proj.weight",
        "bert.encoder.layer.0.attention.self.key.weight",
    ],
    "attention v": [
        "model.layers.0.self_attn.v_proj.weight",
        "decoder.block.1.layer.1.EncDecAttention.v.weight",
    ],
    "attention qkv": [
        "transformer.h.0.attn.c_attn.weight",
        "gpt_neox.layers.0.attention.query_key_value.weight",
        "model.layers.0.self_attn.qkv_proj.weight",
        "transformer.blocks.0.norm_attn_norm.attn.Wqkv.weight",
        "model.layers.0.self_attn.W_pack.weight",
    ],
    "attention kv": ["model.layers.0.self_attn.kv_a_proj_with_mqa.weight"],
    "attention o": [
        "model.layers.0.self_attn.o_proj.weight",
        "transformer.h.0.attn.c_proj.weight",
        "gpt_neox.layers.0.attention.dense.weight",
        "bert.encoder.layer.0.attention.output.dense.weight",
        "model.decoder.layers.0.self_attn.out_proj.weight",
    ],
    "mlp gate": [
        "model.layers.0.mlp.gate_proj.weight",
        "layers.0.feed_forward.w1.weight",
        "encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
    ],
    "mlp up": [
        "model.layers.0.mlp.up_proj.weight",
        "transformer.h.0.mlp.c_fc.weight",
        "gpt_neox.layers.0.mlp.dense_h_to_4h.weight",
        "bert.encoder.layer.0.intermediate.dense.weight",
        "model.decoder.layers.0.fc1.weight",
        "layers.0.feed_forward.w3.weight",
    ],
    "mlp gate and up": ["model.layers.0.mlp.gate_up_proj.weight"],
    "mlp down": [
        "model.layers.0.mlp.down_proj.weight",
        "transformer.h.0.mlp.c_proj.bias",
        "gpt_neox.layers.0.mlp.dense_4h_to_h.weight",
        "bert.encoder.layer.0.output.dense.weight",
        "encoder.block.0.layer.1.DenseReluDense.wo.weight",
    ],
    "router": [
        "model.layers.0.block_sparse_moe.gate.weight",
        "model.layers.0.mlp.gate.weight",
        "model.layers.0.mlp.router.weight",
        "model.layers.0.mlp.shared_expert_gate.weight",
    ],
    "experts gate": [
        "model.layers.0.block_sparse_moe.experts.7.w1.weight",
        "model.layers.0.mlp.experts.63.gate_proj.weight",
        "model.layers.0.mlp.shared_expert.gate_proj.weight",
    ],
    "experts up": [
        "model.layers.0.block_sparse_moe.experts.7.w3.weight",
        "transformer.blocks.0.ffn.experts.mlp.v1",
    ],
    "experts gate and up": ["model.layers.0.mlp.experts.gate_up_proj_bias"],
    "experts down": [
        "model.layers.0.block_sparse_moe.experts.7.w2.weight",
        "model.layers.0.mlp.experts.down_proj",
    ],
    "norms": [
        "model.norm.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.self_attn.q_norm.weight",
        "transformer.h.0.ln_1.bias",
        "transformer.ln_f.weight",
        "bert.embeddings.LayerNorm.gamma",
        "layers.0.ffn_norm.weight",
        "encoder.block.0.layer.0.layer_norm.weight",
    ],
    "head": ["lm_head.weight", "embed_out.weight", "output.weight", "cls.predictions.decoder.weight"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_names_of_many_architectures(kind: str, name: str) -> None:
    assert module_kind(name) == kind


def test_every_kind_has_a_name_here() -> None:
    assert tuple(NAMES) == MODULE_KINDS


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("backbone.layers.0.mixer.in_proj.weight", "mixer.in_proj"),
        ("model.layers.0.self_attn.sinks", "self_attn.sinks"),
        ("bert.pooler.dense.weight", "bert.pooler.dense"),
        ("something", "something"),
    ],
)
def test_unknown_names_are_kept(name: str, kept: str) -> None:
    assert module_kind(name) == kept
