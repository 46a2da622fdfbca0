"""The families: every config as small as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from family import (
    IMAGE,
    VOCABULARY,
    Family,
    both,
    image,
    image_in_text,
    pair,
    patches_in_text,
    spectrogram,
    speech,
    text,
    tiles_in_text,
    wave,
)

__all__ = ["FAMILIES", "QUICK"]

QUICK = (
    *("llama", "gemma", "gpt2", "gpt_neox", "phi3", "granitemoe", "deepseek_v3", "qwen3_next", "mamba"),
    *("rwkv", "bert", "deberta-v2", "albert", "t5", "whisper", "wav2vec2", "convnext", "clip", "llava"),
)
"""One and a half dozen of all kinds, for `make test`."""

_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_ENCODER = {
    "vocab_size": VOCABULARY,
    **_WIDTH,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
_DECODER = {**_ENCODER, "num_key_value_heads": 2, **_SPECIAL}
_HEADS_OF_8 = {**_DECODER, "head_dim": 8}
_GPT = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64} | {
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_LATENT = {
    **_DECODER,
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
    "n_group": 2,
    "topk_group": 1,
}
_STATES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "state_size": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
}
_MAMBA_HEADS = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 4}
_DEBERTA = {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
_FACTORED = {**_ENCODER, "embedding_size": 16}
_T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
_BART_SIZES = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    **_SPECIAL,
    "decoder_start_token_id": 2,
}
_BART = {**_BART_SIZES, "max_position_embeddings": 64, "forced_eos_token_id": 2}
_WAVE = {
    **_ENCODER,
    **_SPECIAL,
    "conv_dim": (16, 16),
    "conv_stride": (5, 4),
    "conv_kernel": (10, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
_PICTURE = {**_WIDTH, "image_size": IMAGE, "patch_size": 8, "intermediate_size": 48, "num_channels": 3}
_SIGLIP = {"model_type": "siglip_vision_model", **_PICTURE, "vision_use_head": False}


def _without(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


def _families(
    auto: str, inputs: Callable[[], dict[str, torch.Tensor]], **configs: Mapping[str, Any]
) -> list[Family]:
    return [Family(name.replace("__", "-"), auto, config, inputs) for name, config in configs.items()]


FAMILIES = {
    family.model_type: family
    for family in [
        *_families(
            "AutoModelForCausalLM",
            text,
            # Decoders.
            llama=_DECODER,
            mistral=_DECODER,
            qwen2=_DECODER,
            qwen3=_HEADS_OF_8,
            gemma=_HEADS_OF_8,
            gemma2=_HEADS_OF_8,
            gemma3_text=_HEADS_OF_8,
            phi=_DECODER,
            phi3=_DECODER,
            falcon=_without(_DECODER, "intermediate_size", "num_key_value_heads") | {"ffn_hidden_size": 48},
            gpt2=_GPT,
            gpt_neo={
                "vocab_size": VOCABULARY,
                "hidden_size": 32,
                "num_layers": 2,
                "num_heads": 4,
                "intermediate_size": 48,
                "attention_types": [[["global", "local"], 1]],
                "max_position_embeddings": 64,
                "bos_token_id": 1,
                "eos_token_id": 2,
            },
            gpt_neox=_without(_DECODER, "num_key_value_heads"),
            gptj={**_GPT, "rotary_dim": 4},
            codegen={**_GPT, "rotary_dim": 4},
            gpt_bigcode=_GPT,
            opt=_without(_DECODER, "intermediate_size", "num_key_value_heads")
            | {"ffn_dim": 48, "word_embed_proj_dim": 16},
            bloom={"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4, **_SPECIAL},
            mpt={
                "vocab_size": VOCABULARY,
                "d_model": 32,
                "n_layers": 2,
                "n_heads": 4,
                "max_seq_len": 64,
                "expansion_ratio": 2,
            },
            stablelm=_DECODER,
            starcoder2=_DECODER,
            olmo=_DECODER,
            olmo2=_DECODER,
            cohere=_DECODER,
            granite=_DECODER,
            helium=_HEADS_OF_8,
            glm=_HEADS_OF_8,
            nemotron=_DECODER,
            exaone4=_DECODER,
            smollm3=_DECODER,
            xglm={
                "vocab_size": VOCABULARY,
                "d_model": 32,
                "ffn_dim": 48,
                "num_layers": 2,
                "attention_heads": 4,
                "max_position_embeddings": 64,
                **_SPECIAL,
            },
            biogpt=_ENCODER,
            persimmon=_without(_DECODER, "num_key_value_heads"),
            xlnet={"vocab_size": VOCABULARY, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
            # Mixtures of experts.
            mixtral={**_DECODER, "num_local_experts": 4},
            qwen2_moe={**_DECODER, **_EXPERTS, "shared_expert_intermediate_size": 24},
            qwen3_moe={**_HEADS_OF_8, **_EXPERTS},
            olmoe={**_DECODER, "num_experts": 4, "num_experts_per_tok": 2},
            granitemoe={**_DECODER, **_LOCAL_EXPERTS},
            deepseek_v2=_LATENT,
            deepseek_v3=_LATENT,
            dbrx={
                "vocab_size": VOCABULARY,
                "d_model": 32,
                "n_heads": 4,
                "n_layers": 2,
                "max_seq_len": 64,
                "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4},
                "ffn_config": {
                    "ffn_hidden_size": 24,
                    "moe_num_experts": 4,
                    "moe_top_k": 2,
                    "hidden_size": 32,
                },
                **_SPECIAL,
            },
            gpt_oss={**_HEADS_OF_8, **_LOCAL_EXPERTS},
            phimoe={**_DECODER, "num_local_experts": 4},
            jetmoe=_without(_DECODER, "num_attention_heads")
            | {"kv_channels": 8, "intermediate_size": 24, **_LOCAL_EXPERTS},
            # State spaces and linear attention, alone and among layers of attention.
            qwen3_next={
                **_HEADS_OF_8,
                **_EXPERTS,
                "shared_expert_intermediate_size": 24,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
                "layer_types": ["linear_attention", "full_attention"],
            },
            mamba={**_STATES, "time_step_rank": 4},
            falcon_mamba={**_STATES, "time_step_rank": 4},
            mamba2={**_STATES, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 8} | _SPECIAL,
            jamba={
                **_DECODER,
                "num_experts": 2,
                "num_experts_per_tok": 1,
                "attn_layer_period": 2,
                "attn_layer_offset": 1,
                "expert_layer_period": 2,
                "expert_layer_offset": 1,
                "mamba_d_state": 4,
                "mamba_dt_rank": 4,
                "use_mamba_kernels": False,
            },
            bamba={**_DECODER, **_MAMBA_HEADS, "attn_layer_indices": [1], "mamba_chunk_size": 8},
            rwkv={
                "vocab_size": VOCABULARY,
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "attention_hidden_size": 32,
                "intermediate_size": 48,
                "context_length": 64,
                "use_cache": False,
            },
            recurrent_gemma={
                **_DECODER,
                "lru_width": 32,
                "attention_window_size": 16,
                "block_types": ["recurrent", "attention"],
            },
            lfm2={**_DECODER, "layer_types": ["conv", "full_attention"]},
            zamba2={
                **_DECODER,
                "attention_head_dim": 16,
                "num_key_value_heads": 4,
                "mamba_d_state": 4,
                "mamba_ngroups": 1,
                "n_mamba_heads": 8,
                "mamba_expand": 2,
                "chunk_size": 8,
                "num_mem_blocks": 1,
                "hybrid_layer_ids": [1],
                "layers_block_type": ["mamba", "hybrid"],
                "adapter_rank": 4,
                "use_mem_rope": False,
            },
        ),
        *_families(
            "AutoModelForMaskedLM",
            text,
            bert=_ENCODER,
            roberta=_ENCODER,
            electra=_FACTORED,
            deberta=_DEBERTA,
            deberta__v2={**_DEBERTA, "position_buckets": 8, "share_att_key": False},
            albert=_FACTORED,
            distilbert={
                "vocab_size": VOCABULARY,
                "dim": 32,
                "hidden_dim": 48,
                "n_layers": 2,
                "n_heads": 4,
                "max_position_embeddings": 64,
                "pad_token_id": 0,
            },
            modernbert={
                **_ENCODER,
                **_SPECIAL,
                "global_attn_every_n_layers": 2,
                "local_attention": 8,
                "cls_token_id": 1,
                "sep_token_id": 2,
            },
            xlm__roberta=_ENCODER,
            camembert=_ENCODER,
            mpnet=_ENCODER,
            funnel={
                "vocab_size": VOCABULARY,
                "block_sizes": [1, 1],
                "num_decoder_layers": 1,
                "d_model": 32,
                "n_head": 4,
                "d_head": 8,
                "d_inner": 48,
                "pad_token_id": 0,
            },
            mobilebert={**_FACTORED, "true_hidden_size": 16, "intra_bottleneck_size": 16},
            squeezebert={**_ENCODER, "embedding_size": 32},
            convbert={**_ENCODER, "embedding_size": 32, "conv_kernel_size": 3},
            esm={**_ENCODER, "mask_token_id": 3},
            fnet=_without(_ENCODER, "num_attention_heads"),
            ernie=_ENCODER,
            rembert={**_ENCODER, "input_embedding_size": 16, "output_embedding_size": 24},
        ),
        *_families(
            "AutoModelForSeq2SeqLM",
            pair,
            t5=_T5,
            mt5={**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
            umt5=_T5,
            longt5={**_T5, "local_radius": 4},
            switch_transformers={
                **_T5,
                "num_experts": 2,
                "num_sparse_encoder_layers": 1,
                "num_decoder_layers": 2,
                "num_sparse_decoder_layers": 1,
                "expert_capacity": 64,
            },
            bart=_BART,
            mbart=_BART,
            marian=_BART,
            pegasus=_BART,
            blenderbot=_BART,
            m2m_100=_BART,
        ),
        *_families(
            "AutoModelForSpeechSeq2Seq",
            speech(8, 32),
            whisper={
                **_BART_SIZES,
                "num_mel_bins": 8,
                "max_source_positions": 16,
                "max_target_positions": 32,
                "suppress_tokens": None,
                "begin_suppress_tokens": None,
            },
        ),
        *_families(
            "AutoModelForSpeechSeq2Seq",
            speech(32, 8),
            speech_to_text={
                **_BART_SIZES,
                "max_source_positions": 64,
                "max_target_positions": 32,
                "input_feat_per_channel": 8,
                "conv_channels": 16,
                "num_conv_layers": 2,
            },
        ),
        *_families("AutoModelForCTC", wave, wav2vec2=_WAVE, hubert=_WAVE, wavlm=_WAVE),
        *_families(
            "AutoModelForAudioClassification",
            spectrogram,
            **{
                "audio-spectrogram-transformer": _without(_PICTURE, "image_size", "num_channels")
                | {"max_length": 32, "num_mel_bins": 16, "frequency_stride": 4, "time_stride": 4}
            },
        ),
        *_families(
            "AutoModelForImageClassification",
            image,
            vit=_PICTURE,
            beit={**_PICTURE, "use_relative_position_bias": True},
            swin={
                "image_size": IMAGE,
                "patch_size": 4,
                "embed_dim": 16,
                "depths": [1, 1],
                "num_heads": [2, 4],
                "window_size": 4,
            },
            convnext={"hidden_sizes": [16, 32], "depths": [1, 2], "num_stages": 2, "image_size": IMAGE},
            dinov2={**_without(_PICTURE, "intermediate_size"), "mlp_ratio": 2},
            resnet={"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 2], "layer_type": "basic"},
            segformer={
                "num_encoder_blocks": 2,
                "depths": [1, 1],
                "sr_ratios": [2, 1],
                "hidden_sizes": [16, 32],
                "patch_sizes": [7, 3],
                "strides": [4, 2],
                "num_attention_heads": [2, 4],
                "mlp_ratios": [2, 2],
                "decoder_hidden_size": 16,
            },
            mobilevit={
                "image_size": IMAGE,
                "hidden_sizes": [16, 24, 32],
                "neck_hidden_sizes": [8, 8, 16, 16, 16, 16, 32],
                "num_attention_heads": 4,
                "mlp_ratio": 2.0,
            },
        ),
        *_families(
            "AutoModel",
            both,
            clip={
                "text_config": {**_ENCODER, **_SPECIAL, "projection_dim": 32},
                "vision_config": {**_PICTURE, "projection_dim": 32},
                "projection_dim": 32,
            },
            siglip={"text_config": {**_ENCODER, "projection_size": 32}, "vision_config": _PICTURE},
        ),
        *_families(
            "AutoModelForImageTextToText",
            both,
            blip={
                "text_config": {**_ENCODER, **_SPECIAL, "sep_token_id": 2, "encoder_hidden_size": 32},
                "vision_config": _PICTURE,
                "projection_dim": 32,
                "image_text_hidden_size": 32,
            },
        ),
        *_families(
            "AutoModelForImageTextToText",
            image_in_text(1, 16),
            llava={
                "text_config": {"model_type": "llama", **_DECODER},
                "vision_config": {"model_type": "clip_vision_model", **_PICTURE, "projection_dim": 32},
                "image_token_index": 5,
                "image_seq_length": 16,
                "vision_feature_layer": -1,
            },
        ),
        *_families(
            "AutoModelForImageTextToText",
            image_in_text(0, 16),
            paligemma={
                "text_config": {"model_type": "gemma", **_HEADS_OF_8},
                "vision_config": {**_SIGLIP, "projection_dim": 32},
                "projection_dim": 32,
                "image_token_index": 5,
            },
        ),
        *_families(
            "AutoModelForImageTextToText",
            image_in_text(1, 4, token_type_ids=torch.tensor([[0, 1, 1, 1, 1, 0, 0]])),
            gemma3={
                "text_config": _HEADS_OF_8,
                "vision_config": _SIGLIP,
                "mm_tokens_per_image": 4,
                "image_token_index": 5,
            },
        ),
        *_families(
            "AutoModelForImageTextToText",
            patches_in_text,
            qwen2_vl={
                "text_config": {
                    **_DECODER,
                    "rope_parameters": {
                        "rope_type": "default",
                        "rope_theta": 1e4,
                        "mrope_section": [1, 1, 2],
                    },
                },
                "vision_config": {
                    "depth": 2,
                    "embed_dim": 32,
                    "hidden_size": 32,
                    "num_heads": 4,
                    "mlp_ratio": 2,
                    "patch_size": 4,
                    "spatial_merge_size": 2,
                    "temporal_patch_size": 2,
                },
                "image_token_id": 5,
                "video_token_id": 6,
                "vision_start_token_id": 7,
                "vision_end_token_id": 8,
            },
        ),
        *_families(
            "AutoModelForImageTextToText",
            tiles_in_text,
            idefics3={
                "text_config": {"model_type": "llama", **_DECODER},
                "vision_config": _PICTURE,
                "scale_factor": 2,
                "image_token_id": 5,
            },
        ),
    ]
}
