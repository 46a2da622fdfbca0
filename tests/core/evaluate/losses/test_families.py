"""Losses of every kind of architecture: positions, scaled and capped logits, experts, states, poolers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.rows import read_data
from core.evaluate.losses.scoring import score_model
from core.evaluate.models.loading import load_model
from core.evaluate.settings import Settings

DEMO = Path(__file__).parents[4] / "resources" / "demo" / "base"
CPU = Settings(device="cpu", max_length=60)
TEXTS = [
    "The moon was up, and he said nothing.",
    "Yes, it was.",
    "It was a dark and stormy night; the rain fell in torrents",
    "a b c d e f g",
]

_WIDE = {
    "vocab_size": 1024,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_OLD = {"vocab_size": 1024, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}

FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "GPT2LMHeadModel": ("GPT2Config", _OLD),
    "GPTJForCausalLM": ("GPTJConfig", {**_OLD, "rotary_dim": 8}),
    "OPTForCausalLM": (
        "OPTConfig",
        {"vocab_size": 1024, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2}
        | {"num_attention_heads": 2, "max_position_embeddings": 64, "word_embed_proj_dim": 32},
    ),
    "BloomForCausalLM": ("BloomConfig", {"vocab_size": 1024, "hidden_size": 32, "n_layer": 2, "n_head": 2}),
    "MptForCausalLM": (
        "MptConfig",
        {"vocab_size": 1024, "d_model": 32, "n_layers": 2, "n_heads": 2, "max_seq_len": 64},
    ),
    "GPTNeoXForCausalLM": ("GPTNeoXConfig", _WIDE),
    "Gemma2ForCausalLM": ("Gemma2Config", {**_WIDE, "query_pre_attn_scalar": 16}),
    "Gemma3ForCausalLM": ("Gemma3TextConfig", {**_WIDE, "hidden_size": 48}),  # a factor that bf16 rounds
    "CohereForCausalLM": ("CohereConfig", _WIDE),
    "GraniteForCausalLM": ("GraniteConfig", {**_WIDE, "logits_scaling": 3.0, "embedding_multiplier": 2.0}),
    "MistralForCausalLM": ("MistralConfig", {**_WIDE, "sliding_window": 8}),
    "Qwen3ForCausalLM": ("Qwen3Config", _WIDE),
    "MixtralForCausalLM": ("MixtralConfig", {**_WIDE, "num_local_experts": 4}),
    "GptOssForCausalLM": ("GptOssConfig", {**_WIDE, "num_local_experts": 4}),
    "MambaForCausalLM": (
        "MambaConfig",
        {"vocab_size": 1024, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    ),
    "RobertaForSequenceClassification": ("RobertaConfig", _WIDE),
    "DistilBertForSequenceClassification": (
        "DistilBertConfig",
        {"vocab_size": 1024, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 2, "pad_token_id": 2},
    ),
    "DebertaV2ForSequenceClassification": (
        "DebertaV2Config",
        {**_WIDE, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    "ModernBertForSequenceClassification": ("ModernBertConfig", _WIDE),
    "LlamaForSequenceClassification": ("LlamaConfig", _WIDE),
    "Qwen2ForSequenceClassification": ("Qwen2Config", {**_WIDE, "pad_token_id": None}),
}


@pytest.mark.parametrize(
    "family",
    [
        family if family == "GPT2LMHeadModel" else pytest.param(family, marks=pytest.mark.slow)
        for family in FAMILIES
    ],
)
def test_losses_are_those_of_a_plain_loop(family: str, tmp_path: Path) -> None:
    import torch
    import transformers

    classifies = "Classification" in family
    name, values = FAMILIES[family]
    config = getattr(transformers, name)(**values, **({"num_labels": 3} if classifies else {}))
    config.initializer_range = 0.3
    torch.manual_seed(1)
    kind = getattr(transformers, family)
    made = kind(config).to(torch.bfloat16)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:  # norms of 1 and biases of 0 would hide much
                parameter += 0.1 * torch.randn(parameter.shape)
    made.save_pretrained(tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(DEMO))
    tokenizer.save_pretrained(tmp_path / "model")

    plain = kind.from_pretrained(str(tmp_path / "model"), dtype=torch.float32).eval()
    expected = []
    for number, text in enumerate(TEXTS):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            logits = plain(ids).logits
        wanted = torch.tensor([number % 3]) if classifies else ids[0, 1:]
        loss = torch.nn.functional.cross_entropy(logits if classifies else logits[0, :-1], wanted)
        expected.append(float(loss))

    records = [{"text": text} | ({"label": n % 3} if classifies else {}) for n, text in enumerate(TEXTS)]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    data = read_data(path)
    found = {}
    for widening in ("whole", "layers"):
        settings = replace(CPU, widening=widening)
        with load_model(tmp_path / "model", settings=settings) as model:
            for side in ("right", "left"):
                for batch_tokens in (1, 10_000):
                    chosen = replace(settings, padding_side=side, batch_tokens=batch_tokens)
                    scores = score_model(model, data, chosen)
                    np.testing.assert_allclose(scores.loss, expected, atol=1e-5, rtol=0)
                    found[widening, side, batch_tokens] = scores.loss
    if family != "MambaForCausalLM":  # whose kernels' sums depend on how weights lie in memory
        for side in ("right", "left"):
            for batch_tokens in (1, 10_000):
                np.testing.assert_array_equal(
                    found["whole", side, batch_tokens], found["layers", side, batch_tokens]
                )
