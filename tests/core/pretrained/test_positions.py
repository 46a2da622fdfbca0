"""How many tokens fit into a model, as its embedding of positions has it; and what loads it in a type."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from core.pretrained.models import of_type
from core.pretrained.positions import positions_of

NO_LIMIT = SimpleNamespace(model_max_length=10**30)

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
SMALL |= {"vocab_size": 16}


@pytest.mark.parametrize(
    ("kind", "values", "fits"),
    [
        ("roberta", {"max_position_embeddings": 14, "pad_token_id": 1}, 12),
        ("xlm-roberta", {"max_position_embeddings": 14, "pad_token_id": 1}, 12),
        ("mpnet", {"max_position_embeddings": 14, "pad_token_id": 1}, 12),
        ("bert", {"max_position_embeddings": 14, "pad_token_id": 1}, 14),
        ("gpt2", {"n_positions": 14, "n_embd": 8, "n_layer": 1, "n_head": 1}, 14),
    ],
)
def test_the_most_tokens_that_a_model_takes(kind: str, values: dict[str, Any], fits: int) -> None:
    """By trying: one more fails. The config as transformers reads it and as it lies in a file say so."""
    import torch
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(kind, **{**SMALL, **values})
    model = AutoModel.from_config(config).eval()
    with torch.inference_mode():
        model(input_ids=torch.full((1, fits), 5))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, fits + 1), 5))
    assert positions_of(config, NO_LIMIT) == positions_of(config.to_dict(), NO_LIMIT) == fits
    assert positions_of(config, SimpleNamespace(model_max_length=10)) == 10
    assert positions_of({"model_type": kind}, NO_LIMIT) is None


@pytest.mark.parametrize(
    ("version", "name"),
    [("4.48.3", "torch_dtype"), ("4.55.0", "torch_dtype"), ("4.56.0.dev0", "dtype"), ("5.1.0", "dtype")],
)
def test_the_argument_has_the_name_of_the_installed_version(
    version: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    import transformers

    monkeypatch.setattr(transformers, "__version__", version)
    assert of_type("bfloat16") == {name: torch.bfloat16}
