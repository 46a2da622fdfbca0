"""Whether models belong together: every difference that no shape shows is refused or said, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.checkpoint.model import Checkpoint, open_checkpoint
from core.errors import IncompatibleError
from core.plan.belonging import check_belonging

LLAMA = {
    "model_type": "llama",
    "num_attention_heads": 4,
    "hidden_size": 8,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
}
Make = Callable[..., Checkpoint]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def model(
        name: str,
        config: dict[str, Any] | None = None,
        files: dict[str, Any] | None = None,
        tensors: dict[str, tuple[int, ...]] | None = None,
    ) -> Checkpoint:
        folder = tmp_path / name
        folder.mkdir()
        shapes = tensors or {"model.embed_tokens.weight": (10, 8)}
        save_file(
            {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}, folder / "model.safetensors"
        )
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))
        for file, content in (files or {}).items():
            data = content if isinstance(content, str) else json.dumps(content)
            (folder / file).write_text(data)
        return open_checkpoint(folder, name)

    return model


def _without_tokenizer(warnings: list[str]) -> list[str]:
    return [one for one in warnings if "has no tokenizer" not in one]


def _configs(make: Make, base: dict[str, Any], *others: dict[str, Any]) -> list[str]:
    models = [make("abcdefgh"[number], config) for number, config in enumerate(others)]
    return _without_tokenizer(check_belonging(models, make("base", base), None))


@pytest.mark.parametrize(
    ("base", "other"),
    [
        ({}, {}),
        ({"torch_dtype": "float16", "use_cache": True}, {"dtype": "bfloat16", "use_cache": False}),
        ({"transformers_version": "4.30", "_name_or_path": "x"}, {"transformers_version": "5.2"}),
        ({"vocab_size": 10, "architectures": ["A"]}, {"vocab_size": 11, "architectures": ["B"]}),
        ({"attention_dropout": 0.0, "embd_pdrop": 0.1}, {"attention_dropout": 0.1, "embd_pdrop": 0}),
        ({}, {"rope_parameters": {"rope_type": "default", "rope_theta": 10000}, "rope_theta": None}),
        ({"rope_scaling": None}, {"rope_scaling": {"type": "default"}}),
        (
            {"rope_scaling": {"type": "yarn", "factor": 4.0}},
            {"rope_scaling": {"rope_type": "yarn", "factor": 4}},
        ),
        (
            {"rope_scaling": {"type": "su", "short_factor": [1, 2]}},
            {"rope_parameters": {"rope_type": "longrope", "short_factor": [1, 2], "rope_theta": 1e4}},
        ),
        ({"rotary_pct": 0.25}, {"partial_rotary_factor": 0.25}),
        ({}, {"head_dim": 2, "num_key_value_heads": 4}),
        ({"hidden_act": "gelu_new"}, {"hidden_act": "gelu_pytorch_tanh"}),
        ({"hidden_act": "swish"}, {"hidden_act": "silu"}),
        ({"sliding_window": None}, {"sliding_window": 32, "use_sliding_window": False}),
        ({"attention_bias": False}, {}),
        ({"layer_types": ["full_attention"]}, {}),
        ({"text_config": {"dtype": "float16", "a": 1}}, {"text_config": {"a": 1}}),
        ({"quantization_config": {"bits": 4}}, {}),
        ({"eos_token_id": None}, {}),
    ],
)
def test_the_same_in_other_words_is_not_said(make: Make, base: dict[str, Any], other: dict[str, Any]) -> None:
    whole = {key: value for key, value in {**LLAMA, **other}.items() if value is not None}
    assert _configs(make, {**LLAMA, **base}, whole) == []


def test_gemma_computes_with_the_second_of_two_activations(make: Make) -> None:
    first = {"model_type": "gemma", "hidden_act": "gelu"}
    assert _configs(make, first, {**first, "hidden_activation": "gelu_pytorch_tanh"}) == []


@pytest.mark.parametrize(
    ("key", "here", "there"),
    [
        ("num_attention_heads", 4, 2),
        ("num_key_value_heads", 4, 2),
        ("head_dim", 2, 4),
        ("hidden_act", "silu", "gelu"),
        ("rope_interleave", True, False),
        ("partial_rotary_factor", 1.0, 0.5),
        ("num_experts_per_tok", 2, 4),
        ("norm_topk_prob", True, False),
        ("position_embedding_type", "absolute", "relative_key"),
        ("alibi", True, False),
        ("do_layer_norm_before", True, False),
        ("feed_forward_proj", "relu", "gated-gelu"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_what_gives_weights_another_meaning(
    make: Make, key: str, here: Any, there: Any, nested: bool
) -> None:
    def config(value: Any) -> dict[str, Any]:
        return {**LLAMA, "text_config": {**LLAMA, key: value}} if nested else {**LLAMA, key: value}

    with pytest.raises(IncompatibleError, match=rf"{key} is .* in base, a and .* in b, so that") as caught:
        _configs(make, config(here), config(here), config(there))
    assert (caught.value.field, caught.value.entry) == ("models", 1)
    assert caught.value.path is not None
    assert caught.value.path.parts[-2:] == ("b", "config.json")
    assert caught.value.hint is not None
    assert key in caught.value.hint


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"rope_theta": 1e6}, "rope_theta is 10,000 in base and 1,000,000 in a"),
        ({"rope_parameters": {"rope_theta": 1e6}}, "rope_theta is 10,000 in base and 1,000,000 in a"),
        (
            {"rope_scaling": {"type": "yarn", "factor": 4.0}},
            "rope_scaling.rope_type is 'default' in base and 'yarn' in a",
        ),
        ({"rms_norm_eps": 1e-5}, "rms_norm_eps is 1e-06 in base and 1e-05 in a"),
        ({"sliding_window": 4096}, "sliding_window is null in base and 4,096 in a"),
        ({"is_decoder": True}, "is_decoder is false in base and true in a"),
    ],
)
def test_what_only_changes_how_they_run(make: Make, other: dict[str, Any], said: str) -> None:
    warnings = _configs(make, LLAMA, {**LLAMA, **other})
    assert len(warnings) == 1
    assert warnings[0].startswith(said)


def test_who_has_which_value(make: Make) -> None:
    (warning,) = _configs(
        make, {**LLAMA, "x": 1}, {**LLAMA, "x": 2}, {**LLAMA, "x": 2}, {**LLAMA, "x": 1}, LLAMA
    )
    assert warning.startswith("x is 1 in base, c and 2 in a, b;")


def test_many_keys_and_many_models_are_cut(make: Make) -> None:
    configs = [{**LLAMA, **{f"k{key}": number for key in range(40)}} for number in range(8)]
    warnings = _configs(make, LLAMA, *configs)
    assert len(warnings) == 13
    assert "28 further keys" in warnings[-1]
    assert all(len(warning) < 400 for warning in warnings)


def test_models_without_a_config_say_nothing(make: Make) -> None:
    assert _without_tokenizer(check_belonging([make("a"), make("b", LLAMA)], make("base"), None)) == []


def test_the_config_of_the_tokenizer_source_counts(make: Make) -> None:
    source = make("source", {**LLAMA, "num_attention_heads": 2}).folder
    with pytest.raises(IncompatibleError, match="num_attention_heads") as caught:
        check_belonging([make("a", LLAMA)], make("base", LLAMA), source)
    assert caught.value.field == "tokenizer_source"


# -- labels

HEAD = {"classifier.weight": (3, 8)}
LABELS = {"0": "negative", "1": "neutral", "2": "positive"}


def _labels(make: Make, here: dict[str, str], there: dict[str, str], tensors: Any = HEAD) -> list[str]:
    models = [
        make(name, {**LLAMA, "id2label": labels}, None, tensors)
        for name, labels in (("a", here), ("b", there))
    ]
    return _without_tokenizer(check_belonging(models, None, None))


@pytest.mark.parametrize(
    "there",
    [
        {"0": "positive", "1": "neutral", "2": "negative"},
        {"0": "Positive", "1": "Neutral", "2": "Negative"},
        {"0": "negative", "1": "positive", "2": "mixed"},
    ],
)
def test_labels_in_another_order(make: Make, there: dict[str, str]) -> None:
    with pytest.raises(IncompatibleError, match=r"class 2 in a and class [01] in b|class 0 in a"):
        _labels(make, LABELS, there)


@pytest.mark.parametrize(
    ("there", "tensors"),
    [
        (LABELS, HEAD),
        ({"0": "Negative", "1": "NEUTRAL", "2": "positive"}, HEAD),
        ({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, HEAD),
        ({"0": "positive", "1": "negative", "2": "neutral"}, {"model.embed_tokens.weight": (10, 8)}),
    ],
)
def test_labels_that_say_the_same_or_nothing(make: Make, there: dict[str, str], tensors: Any) -> None:
    assert _labels(make, LABELS, there, tensors) == []


def test_labels_that_only_a_later_model_has_are_said_to_be_lost(make: Make) -> None:
    generic = {str(number): f"LABEL_{number}" for number in range(3)}
    (warning,) = _labels(make, generic, LABELS)
    assert "names its classes as a does" in warning
    assert "list b first" in warning


def test_labels_of_another_task_are_said(make: Make) -> None:
    (warning,) = _labels(make, LABELS, {"0": "world", "1": "sports", "2": "business"})
    assert "class 0 is 'negative' in a and 'world' in b" in warning


# -- tokenizers

TOKENS = ["<unk>", "a", "b", "c", "d", "e"]


def _tokenizer(tokens: list[str], added: list[str] = [], **more: Any) -> dict[str, Any]:  # noqa: B006
    tokenizer = {
        "added_tokens": [
            {"id": len(tokens) + number, "content": token} for number, token in enumerate(added)
        ],
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [],
        },
    }
    return {"tokenizer.json": tokenizer, **more}


def _tokens(make: Make, *files: dict[str, Any], rows: int = 10, full: bool = False) -> list[str]:
    shapes = {"model.embed_tokens.weight": (rows, 8)}
    first, *others = (
        make("base" if not n else "abcdefg"[n - 1], LLAMA, f, shapes) for n, f in enumerate(files)
    )
    return check_belonging(others, first, None, full=full)


def test_equal_tokenizers_are_not_said(make: Make) -> None:
    same = _tokenizer(TOKENS, ["<s>"])
    assert _tokens(make, same, same, same) == []


def test_the_same_tokens_in_other_files(make: Make) -> None:
    slow = {"vocab.json": {token: n for n, token in enumerate(TOKENS)}, "added_tokens.json": {"<s>": 6}}
    warnings = _tokens(make, _tokenizer(TOKENS, ["<s>"]), slow)
    assert warnings == []


def test_tokens_of_its_own_at_the_end(make: Make) -> None:
    warnings = _tokens(make, _tokenizer(TOKENS), _tokenizer(TOKENS, ["<|im_end|>"]))
    assert any('with 1 token of its own: id 6 is "<|im_end|>"' in warning for warning in warnings)


def test_other_tokens_at_the_end(make: Make) -> None:
    warnings = _tokens(
        make, _tokenizer(TOKENS), _tokenizer(TOKENS, ["<|im_end|>"]), _tokenizer(TOKENS, ["<pad>"])
    )
    said = '1 id means different tokens: id 6 is "<pad>" in b and "<|im_end|>" in a'
    assert any(warning.startswith(said) for warning in warnings)


def test_tokens_in_another_order(make: Make) -> None:
    with pytest.raises(IncompatibleError, match='6 ids mean different tokens: id 0 is "e" in b') as caught:
        _tokens(make, _tokenizer(TOKENS), _tokenizer(TOKENS), _tokenizer(TOKENS[::-1]))
    assert (caught.value.field, caught.value.entry) == ("models", 1)


def test_more_tokens_than_rows(make: Make) -> None:
    same = _tokenizer(TOKENS, ["<s>", "<p>"])
    (warning,) = _tokens(make, same, same, rows=7)
    assert "has 8 tokens and its embedding 7 rows" in warning


def test_many_tokenizers_wait_for_the_merge(make: Make) -> None:
    every = [_tokenizer(TOKENS, [f"<{number}>"]) for number in range(5)]
    models = [make("abcdefg"[number], LLAMA, files) for number, files in enumerate(every)]
    assert any("5 different tokenizers" in one for one in check_belonging(models, None, None))
    full = check_belonging(models, None, None, full=True)
    assert sum("id 6 is" in one for one in full) == 4


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"model": {"vocab": 1}}', '{"vocab": {"a": "b"}}', "\x00" * 50]
)
def test_a_tokenizer_that_is_none_is_said(make: Make, content: str) -> None:
    warnings = _tokens(make, _tokenizer(TOKENS), {"tokenizer.json": content})
    assert any("the tokens of a cannot be read" in warning for warning in warnings)


def test_special_tokens_that_differ(make: Make) -> None:
    first = _tokenizer(
        TOKENS, **{"tokenizer_config.json": {"eos_token": "a"}, "generation_config.json": {"eos_token_id": 1}}
    )
    other = _tokenizer(
        TOKENS,
        **{
            "tokenizer_config.json": {"eos_token": {"content": "b"}},
            "generation_config.json": {"eos_token_id": [1, 2]},
        },
    )
    warnings = _tokens(make, first, first, other)
    assert 'eos_token is "a" in base, a and "b" in b' in warnings
    assert "eos_token_id is 1 in base, a and [1, 2] in b" in warnings
