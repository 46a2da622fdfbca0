"""What a config says, in one spelling: versions of transformers write the same thing differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["ERROR_KEYS", "IGNORED_KEYS", "UNSAID", "is_ignored", "plain_config"]

ERROR_KEYS = frozenset(
    {
        # how the rows of a projection are cut into heads
        *("num_attention_heads", "num_key_value_heads", "head_dim", "n_head", "n_heads", "num_heads"),
        *(
            "n_head_kv",
            "num_kv_heads",
            "attention_head_size",
            "d_kv",
            "multi_query",
            "new_decoder_architecture",
        ),
        *("encoder_attention_heads", "decoder_attention_heads", "linear_num_key_heads"),
        *("linear_num_value_heads", "kv_channels", "num_query_groups", "mamba_n_heads", "mamba_n_groups"),
        *("n_groups", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_n_heads"),
        # what is applied between two projections
        *("hidden_act", "hidden_activation", "activation_function", "activation", "act_fn", "mlp_hidden_act"),
        *(
            "feed_forward_proj",
            "dense_act_fn",
            "is_gated_act",
            "afn",
            "projector_hidden_act",
            "gelu_activation",
        ),
        *("hidden_activation_function", "activation_dropout_fn", "hidden_act_fn"),
        # where a position enters, and which elements turn together
        *("position_embedding_type", "alibi", "use_alibi", "rope_interleave", "rope_interleaved"),
        *(
            "rope_style",
            "rotary_dim",
            "partial_rotary_factor",
            "rotary",
            "rotary_interleaved",
            "pos_att_type",
        ),
        *("relative_attention", "relative_attention_num_buckets", "no_rope_layers", "use_rotary"),
        # which experts a token gets, and with what share
        *("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k", "moe_k"),
        *("norm_topk_prob", "n_group", "topk_group", "topk_method", "scoring_func", "routed_scaling_factor"),
        *("num_selected_experts", "decoder_sparse_step", "first_k_dense_replace", "moe_layer_freq"),
        # in which order the parts of a layer stand
        *("do_layer_norm_before", "parallel_attn", "use_parallel_residual", "use_qk_norm", "qk_norm"),
        *("apply_residual_connection_post_layernorm", "pre_norm", "normalize_before", "post_norm"),
        *("scale_attn_by_inverse_layer_idx", "scale_attn_weights", "patch_size"),
    }
)
"""Differences that no shape shows and that give the same weights another meaning."""

IGNORED_KEYS = frozenset(
    {
        *("architectures", "transformers_version", "torch_dtype", "dtype", "_name_or_path", "name_or_path"),
        *("use_cache", "vocab_size", "quantization_config", "compression_config", "auto_map", "_commit_hash"),
        *("_attn_implementation", "attn_implementation", "_attn_implementation_autoset", "attn_config"),
        *("_flash_attn_2_enabled", "use_flash_attn", "use_flash_attention", "_experts_implementation"),
        *("output_attentions", "output_hidden_states", "output_router_logits", "return_dict", "torchscript"),
        *("use_return_dict", "gradient_checkpointing", "problem_type", "finetuning_task", "pretraining_tp"),
        *("task_specific_params", "router_aux_loss_coef", "aux_loss_alpha", "seq_aux", "z_loss_coefficient"),
        *(
            "mask_time_prob",
            "mask_feature_prob",
            "mask_time_length",
            "mask_feature_length",
            "apply_spec_augment",
        ),
        *("mask_time_min_masks", "mask_feature_min_masks", "router_z_loss_coef", "router_jitter_noise"),
        *(
            "ctc_loss_reduction",
            "ctc_zero_infinity",
            "label_smoothing",
            "layerdrop",
            "use_cache_quantization",
        ),
        *("layer_types", "id2label", "label2id", "num_labels", "_num_labels", "keys_to_ignore_at_inference"),
        # what generate() takes from here, when there is no generation config
        *("max_length", "min_length", "do_sample", "num_beams", "temperature", "top_k", "top_p", "typical_p"),
        *(
            "repetition_penalty",
            "length_penalty",
            "no_repeat_ngram_size",
            "early_stopping",
            "num_beam_groups",
        ),
        *(
            "diversity_penalty",
            "num_return_sequences",
            "bad_words_ids",
            "suppress_tokens",
            "begin_suppress_tokens",
        ),
        *("forced_decoder_ids", "output_scores", "return_dict_in_generate", "remove_invalid_values"),
        *("exponential_decay_length_penalty", "encoder_no_repeat_ngram_size", "chunk_size_feed_forward"),
        *("tokenizer_class", "prefix", "tf_legacy_loss", "use_bfloat16", "pruned_heads", "bad_words"),
        *(
            "model_type",
            "unsloth_version",
            "unsloth_fixed",
            "license",
            "model_name",
            "language",
            "_diffusers_version",
        ),
        *("rope_parameters", "rope_scaling"),  # as their entries, which follow
    }
)
"""What does not change which numbers the weights are, or is looked at elsewhere."""

_ROPE_LIKE_LLAMA = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2"})
"""Whose config classes have a rope base of 10,000 and turn all elements, where a config is silent."""

_HEADS_LIKE_LLAMA = frozenset({"llama", "olmo"})
"""Whose heads share nothing, and are as wide as the hidden size lets them be, where a config is silent."""

UNSAID: Mapping[str, Any] = {
    "sliding_window": None,
    "rope_scaling.rope_type": "default",
    "attention_bias": False,
    "mlp_bias": False,
    "is_decoder": False,
    "add_cross_attention": False,
    "is_encoder_decoder": False,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
}
"""What a config means that does not name the key."""

_ACTIVATIONS = {
    "swish": "silu",
    "gelu_new": "gelu_pytorch_tanh",
    "gelu_fast": "gelu_pytorch_tanh",
    "gelu_python": "gelu",
}
_NAMES = {
    "rotary_emb_base": "rope_theta",
    "rope_base": "rope_theta",
    "rotary_pct": "partial_rotary_factor",
}
_IGNORED_PARTS = ("dropout", "_pdrop", "layerdrop", "drop_path", "initializer", "_token_id", "init_std")


def is_ignored(key: str) -> bool:
    """Whether a difference in `key`, the last part of its name, says nothing about the weights."""
    return key in IGNORED_KEYS or any(part in key for part in _IGNORED_PARTS)


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that count, by name ("text_config.hidden_act"), in the one spelling."""
    return dict(_entries(config, "", str(config.get("model_type"))))


def _entries(config: Mapping[str, Any], ahead: str, kind: str) -> Iterator[tuple[str, Any]]:
    said = _respelt(config, kind)
    for key, value in said.items():
        if isinstance(value, dict) and (key.endswith("_config") or key == "decoder" or key == "encoder"):
            if not is_ignored(key):
                yield from _entries(value, f"{ahead}{key}.", str(value.get("model_type") or kind))
        elif not is_ignored(key):
            yield ahead + key, value


def _respelt(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    said = {_NAMES.get(key, key): value for key, value in config.items()}
    _take_rope(said)
    head = said.get("head_dim")
    heads, size = said.get("num_attention_heads"), said.get("hidden_size")
    if kind in _HEADS_LIKE_LLAMA and type(heads) is int and heads > 0:
        if head is None and type(size) is int:
            said["head_dim"] = size // heads
        if said.get("num_key_value_heads") is None:
            said["num_key_value_heads"] = heads
    if kind in _ROPE_LIKE_LLAMA:
        said.setdefault("rope_theta", 10000.0)
        said.setdefault("partial_rotary_factor", 1.0)
    if kind.startswith("gemma"):  # which computes with the second key, whatever the first one says
        act = said.pop("hidden_activation", None) or "gelu_pytorch_tanh"
        said["hidden_act"] = act
    for key, value in said.items():
        if isinstance(value, str) and key in ERROR_KEYS:
            said[key] = _ACTIVATIONS.get(value, value)
    if isinstance(kinds := said.get("pos_att_type"), str):
        said["pos_att_type"] = kinds.split("|")
    if said.get("use_sliding_window") is False:
        said["sliding_window"] = None
        said.pop("max_window_layers", None)
    return said


def _take_rope(said: dict[str, Any]) -> None:
    """Spread the turning of positions over plain keys, as it was written before transformers 5."""
    new = said.pop("rope_parameters", None)
    old = said.pop("rope_scaling", None)
    scaling = dict(old) if isinstance(old, dict) else {}
    if isinstance(new, dict):
        whole = new.get("full_attention")
        if isinstance(whole, dict):
            local = new.get("sliding_attention")
            if isinstance(local, dict) and "rope_theta" in local:
                said.setdefault("rope_local_base_freq", local["rope_theta"])
            new = whole
        scaling |= new
    for key in ("rope_theta", "partial_rotary_factor"):
        if key in scaling:
            said[key] = scaling.pop(key)
    kind = scaling.pop("rope_type", None) or scaling.pop("type", None) or "default"
    scaling.pop("type", None)
    kind = {"su": "longrope"}.get(kind, kind) if isinstance(kind, str) else "default"
    if kind == "default" and "mrope_section" not in scaling:
        scaling.clear()
    said["rope_scaling.rope_type"] = kind if kind != "mrope" else "default"
    said |= {f"rope_scaling.{key}": value for key, value in scaling.items()}
