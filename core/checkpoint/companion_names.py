"""What the names of the files beside the weights say: which are needed to load the model, and which not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from fnmatch import translate

__all__ = ["Kind", "is_vocabulary", "kind_of", "why_left_out"]


class Kind(Enum):
    """Which files are taken together."""

    TOKENIZER = "tokenizer"
    TEMPLATE = "chat template"
    GENERATION = "generation config"
    OTHER = "other"


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(name.lower()) for name in names))


_VOCABULARY = _any_of(
    [
        *(
            "tokenizer.json",
            "tekken.json",
            "vocab*.json",
            "vocab*.txt",
            "*vocab.json",
            "*vocab.txt",
            "*.vocab",
        ),
        *("*.model", "*.model.v*", "*.spm", "*.tiktoken", "vocab.bpe", "*.bpe", "encoder.json", "bpe.codes"),
        *("dict*.txt", "*_vocab*.json", "emoji.json"),
    ]
)
_TOKENIZER = _any_of(
    [
        *("tokenizer*.json", "tokenizer*.txt", "*tokenizer.json", "*tokenizer_config.json", "merges*.txt"),
        *("special_tokens_map*.json", "added_tokens*.json", "normalizer.json", "*.codes"),
        *("word_shape.json", "word_pronunciation.json", "*_token_map.json", "system_prompt.txt"),
    ]
)
_TEMPLATE = _any_of(["chat_template.*", "*chat_template.json", "*.jinja"])
_OTHER = _any_of(
    [
        *("*processor*.json", "*feature_extractor*.json", "modules.json", "model_index.json", "params.json"),
        *("*config*.json", "license*", "licence*", "*_license*", "*-license*", "notice*", "copying*"),
        *("use_policy*", "*_use_policy*", "acceptable_use*", "third_party*", "special_tokens.json"),
    ]
)
_LEFT_OUT = [
    (
        "of its training",
        _any_of(
            [
                *("optimizer*", "scheduler.*", "rng_state*", "trainer_state.json", "training_args*"),
                *("*_results.json", "*_log.json", "*_logs.json", "events.out.*", "zero_to_fp32.py", "latest"),
                *("train*config*.json", "ds_config*", "*deepspeed*", "accelerate*config*", "wandb*", "*.log"),
                *("trainer_*", "training_*", "train.*", "eval_*.json", "train_*.json"),
            ]
        ),
    ),
    (
        "weights",
        _any_of(
            [
                *(
                    "*.safetensors",
                    "*.bin",
                    "*.pt",
                    "*.pth",
                    "*.ckpt",
                    "*.gguf",
                    "*.ggml",
                    "*.h5",
                    "*.msgpack",
                ),
                *("*.onnx", "*.onnx_data", "*.onnx.data", "*.npz", "*.npy", "*.tflite", "*.mlmodel", "*.ot"),
                *("*.pkl", "*.pickle", "*.nemo", "*.index.json", "*.engine", "*.xml", "*.zip", "*.tar*"),
            ]
        ),
    ),
    ("of an adapter", _any_of(["adapter_*"])),
    (
        "about packed weights, and the output's are not packed",
        _any_of(
            ["quantize_config.json", "quant_config*.json", "*quantization_config.json", "hf_quant_config*"]
        ),
    ),
    (
        "about how this input was made",
        _any_of(["paramosaic*.json", "mergekit*", "merge*.y*ml", "*.yaml", "*.yml"]),
    ),
    ("the output has a card of its own", _any_of(["readme*"])),
    (
        "a picture, a sound or a document",
        _any_of(
            [
                *("*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg", "*.webp", "*.pdf", "*.mp4", "*.wav", "*.mp3"),
                *("*.md", "*.ipynb", "*.html", "*.csv", "*.tsv", "*.jsonl", "*.parquet", "*.bib"),
            ]
        ),
    ),
]
_LICENCE = _any_of(
    ["license*", "licence*", "notice*", "copying*", "*use_policy*", "*_license*", "*-license*"]
)
_HIDDEN = _any_of([".*", "__pycache__", "*.pyc", "thumbs.db", "desktop.ini", "*.lock", "*.tmp", "*~"])


def kind_of(name: str) -> Kind | None:
    """The kind of a file that belongs to the model, whose name has no folder; None of one that does not.

    The config itself and code are not decided here.
    """
    name = name.lower()
    if _HIDDEN.match(name):
        return None
    if not _LICENCE.match(name) and any(pattern.match(name) for _, pattern in _LEFT_OUT):
        return None
    if name == "generation_config.json":
        return Kind.GENERATION
    for pattern, kind in (
        (_TEMPLATE, Kind.TEMPLATE),
        (_VOCABULARY, Kind.TOKENIZER),
        (_TOKENIZER, Kind.TOKENIZER),
        (_OTHER, Kind.OTHER),
    ):
        if pattern.match(name):
            return kind
    return None


def is_vocabulary(name: str) -> bool:
    """Whether the file holds the tokens themselves, and not only what is said about them."""
    return _VOCABULARY.match(name.lower()) is not None


def why_left_out(name: str) -> str | None:
    """Why a file or folder that is not copied is left; "" where that is not known, None for hidden ones."""
    name = name.lower()
    if _HIDDEN.match(name):
        return None
    return next((why for why, pattern in _LEFT_OUT if pattern.match(name)), "")
