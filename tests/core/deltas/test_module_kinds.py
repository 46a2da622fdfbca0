from __future__ import annotations

import pytest

from core.deltas.module_kinds import MODULE_KINDS, kind_rank, module_kind

NAMES = {
    "embeddings": [
        "model.embed_tokens.weight",
        "transformer.wte.weight",
        "gpt_neox.embed_in.weight",
        "tok_embeddings.weight",
        "bert.embeddings.word_embeddings.weight",
        "shared.weight",
        "text_model.embeddings.token_embedding.weight",
        "transformer.word_embedding.weight",
        "vit.embeddings.cls_token",
        "visual.class_embedding",
        "wav2vec2.masked_spec_embed",
    ],
    "position embeddings": [
        "transformer.wpe.weight",
        "bert.embeddings.position_embeddings.weight",
        "model.decoder.embed_positions.weight",
        "vision_model.embeddings.position_embedding.weight",
        "visual.positional_embedding",
        "deberta.encoder.rel_embeddings.weight",
        "wav2vec2.encoder.pos_conv_embed.conv.bias",
        "wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original1",
    ],
    "patch embeddings": [
        "vit.embeddings.patch_embeddings.projection.weight",
        "vit.embeddings.patch_embeddings.projection.bias",
        "vision_model.embeddings.patch_embedding.weight",
        "visual.patch_embed.proj.weight",
    ],
    "convolutions": [
        "model.encoder.conv1.weight",
        "model.encoder.conv1.bias",
        "visual.conv1.weight",
        "wav2vec2.feature_extractor.conv_layers.0.conv.weight",
        "convnext.encoder.stages.0.layers.0.dwconv.weight",
        "resnet.encoder.stages.0.layers.0.layer.1.convolution.weight",
        "down_blocks.0.resnets.0.conv_shortcut.weight",
        "down_blocks.0.downsamplers.0.conv.bias",
    ],
    "modulation": [
        "transformer_blocks.0.norm1.linear.weight",
        "double_blocks.0.img_mod.lin.bias",
        "down_blocks.0.resnets.0.time_emb_proj.weight",
    ],
    "attention q": [
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.q_proj.bias",
        "layers.3.attention.wq.weight",
        "bert.encoder.layer.0.attention.self.query.weight",
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "model.layers.0.self_attn.q_a_proj.weight",
        "deberta.encoder.layer.0.attention.self.query_proj.bias",
        "transformer_blocks.0.attn.to_q.weight",
        "transformer_blocks.0.attn.add_q_proj.weight",
        "model.layers.2.temporal_block.q_proj.weight",
        "backbone.layers.7.mixer.q_proj.weight",
        "transformer.layer.0.rel_attn.q",
    ],
    "attention k": [
        "model.layers.0.self_attn.k_proj.weight",
        "bert.encoder.layer.0.attention.self.key.weight",
        "deberta.encoder.layer.0.attention.self.key_proj.weight",
        "rwkv.blocks.0.attention.key.weight",
    ],
    "attention v": [
        "model.layers.0.self_attn.v_proj.weight",
        "decoder.block.1.layer.1.EncDecAttention.v.weight",
        "deberta.encoder.layer.0.attention.self.value_proj.weight",
        "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.value.bias",
    ],
    "attention qkv": [
        "transformer.h.0.attn.c_attn.weight",
        "gpt_neox.layers.0.attention.query_key_value.weight",
        "model.layers.0.self_attn.qkv_proj.weight",
        "transformer.blocks.0.norm_attn_norm.attn.Wqkv.weight",
        "model.layers.0.self_attn.W_pack.weight",
        "visual.transformer.resblocks.0.attn.in_proj_weight",
        "visual.transformer.resblocks.0.attn.in_proj_bias",
    ],
    "attention kv": ["model.layers.0.self_attn.kv_a_proj_with_mqa.weight"],
    "attention positions": [
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "mpnet.encoder.relative_attention_bias.weight",
        "swin.encoder.layers.0.blocks.0.attention.self.relative_position_bias_table",
        "deberta.encoder.layer.0.attention.self.pos_q_proj.bias",
        "transformer.layer.0.rel_attn.r_w_bias",
    ],
    "attention o": [
        "model.layers.0.self_attn.o_proj.weight",
        "transformer.h.0.attn.c_proj.weight",
        "gpt_neox.layers.0.attention.dense.weight",
        "bert.encoder.layer.0.attention.output.dense.weight",
        "model.decoder.layers.0.self_attn.out_proj.weight",
        "transformer_blocks.0.attn.to_out.0.bias",
        "rwkv.blocks.0.attention.output.weight",
    ],
    "mixer in": [
        "backbone.layers.0.mixer.in_proj.weight",
        "model.layers.0.mamba.in_proj.bias",
        "model.layers.0.linear_attn.in_proj_qkvz.weight",
        "model.layers.0.temporal_block.linear_x.weight",
    ],
    "mixer conv": [
        "backbone.layers.0.mixer.conv1d.weight",
        "backbone.layers.0.mixer.conv1d.bias",
        "model.layers.0.linear_attn.conv1d.weight",
        "model.layers.0.conv.conv.weight",
    ],
    "mixer shift": [
        "rwkv.blocks.0.attention.time_mix_key",
        "rwkv.blocks.0.feed_forward.time_mix_receptance",
    ],
    "mixer step": [
        "backbone.layers.0.mixer.dt_proj.bias",
        "backbone.layers.0.mixer.dt_bias",
        "model.layers.0.linear_attn.dt_bias",
    ],
    "mixer decay": [
        "backbone.layers.0.mixer.A_log",
        "backbone.layers.0.mixer.D",
        "model.layers.0.linear_attn.A_log",
        "rwkv.blocks.0.attention.time_decay",
    ],
    "mixer out": ["backbone.layers.0.mixer.out_proj.weight", "model.layers.0.linear_attn.out_proj.weight"],
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
        "rwkv.blocks.0.feed_forward.key.weight",
        "wav2vec2.encoder.layers.0.feed_forward.intermediate_dense.weight",
        "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight",
        "transformer_blocks.0.ff.net.0.proj.weight",
        "double_blocks.0.img_mlp.0.weight",
        "backbone.layers.7.mixer.up_proj.weight",
    ],
    "mlp gate and up": ["model.layers.0.mlp.gate_up_proj.weight"],
    "mlp down": [
        "model.layers.0.mlp.down_proj.weight",
        "transformer.h.0.mlp.c_proj.bias",
        "gpt_neox.layers.0.mlp.dense_4h_to_h.weight",
        "bert.encoder.layer.0.output.dense.weight",
        "encoder.block.0.layer.1.DenseReluDense.wo.weight",
        "transformer_blocks.0.ff.net.2.bias",
        "double_blocks.0.img_mlp.2.weight",
        "convnext.encoder.stages.0.layers.0.pwconv2.bias",
    ],
    "router": [
        "model.layers.0.block_sparse_moe.gate.weight",
        "model.layers.0.mlp.gate.weight",
        "model.layers.0.mlp.router.weight",
        "model.layers.0.mlp.shared_expert_gate.weight",
        "model.layers.0.block_sparse_moe.router.layer.weight",
        "model.layers.0.mlp.gate.e_score_correction_bias",
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
    "experts gate and up": [
        "model.layers.0.mlp.experts.gate_up_proj_bias",
        "model.layers.0.block_sparse_moe.input_linear.weight",
    ],
    "experts down": [
        "model.layers.0.block_sparse_moe.experts.7.w2.weight",
        "model.layers.0.mlp.experts.down_proj",
        "model.layers.0.block_sparse_moe.output_linear.weight",
    ],
    "scales": ["convnext.encoder.stages.0.layers.0.layer_scale_parameter", "vit.blocks.0.ls1.gamma"],
    "norms": [
        "model.norm.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.self_attn.q_norm.weight",
        "transformer.h.0.ln_1.bias",
        "transformer.ln_f.weight",
        "bert.embeddings.LayerNorm.gamma",
        "layers.0.ffn_norm.weight",
        "encoder.block.0.layer.0.layer_norm.weight",
        "rwkv.blocks.0.pre_ln.bias",
        "resnet.encoder.stages.0.layers.0.layer.0.normalization.running_var",
        "segformer.encoder.layer_norm.1.bias",
        "double_blocks.0.img_attn.norm.query_norm.scale",
    ],
    "head": [
        "lm_head.weight",
        "embed_out.weight",
        "output.weight",
        "cls.predictions.decoder.weight",
        "cls.predictions.transform.dense.bias",
        "lm_head.dense.bias",
        "vocab_projector.bias",
        "classifier.dense.weight",
        "final_logits_bias",
        "decoder.bias",
    ],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_names_of_many_architectures(kind: str, name: str) -> None:
    assert module_kind(name) == kind


def test_every_kind_has_a_name_here() -> None:
    assert tuple(NAMES) == MODULE_KINDS


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("model.layers.0.self_attn.sinks", "attention sinks"),
        ("model.layers.0.temporal_block.rg_lru.input_gate_weight", "mixer input_gate"),
        ("model.layers.0.foo.adapter_7.dense.weight", "adapter"),
        ("model.layers.0.odd.one", "one"),
        ("bert.pooler.dense.weight", "pooler"),
        ("multi_modal_projector.linear_1.bias", "multi_modal_projector"),
        ("visual.merger.mlp.2.weight", "merger"),
        ("text_projection", "text_projection"),
        ("logit_scale", "logit_scale"),
        ("something", "something"),
        ("3.weight", "3"),
        ("bias", "bias"),
    ],
)
def test_unknown_names_are_rows_by_what_their_module_is_called(name: str, row: str) -> None:
    assert module_kind(name) == row


@pytest.mark.parametrize(
    "module",
    [
        "model.layers.0.foo.bar",
        "model.layers.0.bar_2",
        "foo.bar.0",
        "model.layers.1.self_attn.new",
        "foo.linear",
    ],
)
def test_a_bias_of_an_unknown_module_has_the_kind_of_its_weight(module: str) -> None:
    kinds = {module_kind(f"{module}{end}") for end in (".weight", ".bias", "_weight", "_bias")}
    assert len(kinds) == 1


def test_kinds_of_a_known_whole_stand_beside_it() -> None:
    kinds = ["norms", "adapter", "mixer gates", "mlp up", "attention sinks", "attention q", "embeddings"]
    assert sorted(kinds, key=kind_rank) == [
        "embeddings",
        "attention q",
        "attention sinks",
        "mixer gates",
        "mlp up",
        "adapter",
        "norms",
    ]
