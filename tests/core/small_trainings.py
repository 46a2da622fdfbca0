"""Trainings that take a moment: a model of two layers, sixteen wide, and rows of a few words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.train.settings import TrainSettings
from core.train.training import TrainRequest
from resources import DEMO_FOLDER

__all__ = ["ROWS", "base_folder", "log_without_times", "request", "rows_file", "weights_of"]

ROWS = 13
"""Of which batches of four leave a last one of one row."""


def base_folder(folder: Path, *, dropout: float = 0.0, template: bool = False, **changes: Any) -> Path:
    """A Llama with the demo's tokenizer, in bfloat16, with random weights that are the same each time.

    `template`: whether it has a chat template, through which prompts and responses go then.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = {
        "vocab_size": 1024,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    torch.manual_seed(5)
    model = LlamaForCausalLM(LlamaConfig(**config | {"attention_dropout": dropout} | changes))
    model.to(torch.bfloat16).save_pretrained(folder)
    names = ["tokenizer.json", "tokenizer_config.json", *(["chat_template.jinja"] if template else [])]
    for name in names:
        shutil.copy(DEMO_FOLDER / "base" / name, folder / name)
    return folder


def rows_file(path: Path, rows: int = ROWS, *, labels: tuple[str, ...] = ()) -> Path:
    """Prompts and responses of several lengths; with `labels` texts and these in turn."""
    lines: list[Mapping[str, str]] = [
        {"prompt": f"Row {row}: say", "response": f" it {'again and ' * (row % 4)}stop {row * row}"}
        for row in range(rows)
    ]
    if labels:
        lines = [{"text": f"row {row}", "label": labels[row % len(labels)]} for row in range(rows)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def request(base: Path, data: Path, out: Path, **changes: Any) -> TrainRequest:
    """Two epochs of four steps each; `changes` are of the settings, or else of the request."""
    settings = TrainSettings(
        orders=1, epochs=2, batch=4, micro_batch=3, learning_rate=3e-3, warm_up=0.25, max_length=40
    )
    ours = {name: value for name, value in changes.items() if hasattr(settings, name)}
    rest = {name: value for name, value in changes.items() if name not in ours}
    made = TrainRequest(base, data, out, replace(settings, **ours), threads=1, device="cpu")
    return replace(made, **rest)


def weights_of(folder: Path) -> bytes:
    """The file of the weights of a model that was saved."""
    return (folder / "model.safetensors").read_bytes()


def log_without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of a log, without when they were written."""
    return [{name: value for name, value in line.items() if name != "at"} for line in lines]
