"""Models of tensors that are given by type and shape alone, or with their bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from core.checkpoint.headers import encode_header
from core.checkpoint.model import Checkpoint, open_checkpoint
from core.dtypes import DTYPES

__all__ = ["Tensors", "store"]

Tensors = Mapping[str, tuple[str, tuple[int, ...]] | tuple[str, tuple[int, ...], bytes]]
"""By name: type, shape, and the bytes, which are zeros where they are left out."""


def store(folder: Path, tensors: Tensors, config: Any = None, **files: Any) -> Checkpoint:
    """Write a model and open it; `files` are JSON files by their names without the ending."""
    folder.mkdir(parents=True)
    entries, data = {}, b""
    for name, (kind, shape, *content) in tensors.items():
        dtype = DTYPES[kind]
        begin = len(data)
        data += content[0] if content else bytes(prod(shape) * dtype.itemsize)
        entries[name] = (dtype, shape, begin, len(data))
    (folder / "model.safetensors").write_bytes(encode_header(entries) + data)
    for name, value in {"config": config or {"model_type": "llama"}, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return open_checkpoint(folder)
