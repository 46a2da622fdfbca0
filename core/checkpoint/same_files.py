"""Whether small files of several models say the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import xxhash

from core.errors import CheckpointError, os_error_text
from core.small_files import open_regular, parse_json, read_small

__all__ = ["digest_of", "says_the_same"]

_SAMPLED_FROM_BYTES = 256 * 1024
_SAMPLE_BYTES = 16 * 1024
_SAMPLES = 4
_MOST_BYTES = 256_000_000
_MOST_PARTS = 100_000
_VOLATILE = {
    *("transformers_version", "_name_or_path", "name_or_path", "torch_dtype", "dtype", "_commit_hash"),
    *("tokenizer_file", "special_tokens_map_file", "_from_model_config", "is_local", "local_files_only"),
    *("_diffusers_version", "_class_name_or_path"),
}
"""What says where and with what a file was written, and not what is in it."""


def digest_of(path: Path, *, full: bool) -> tuple[int, str]:
    """The size in bytes, and a digest of the content.

    Args:
        path: a file.
        full: whether all is read; otherwise of one of more than 256 KiB some pieces are, so that files may
            differ although these agree.

    Raises:
        CheckpointError: it is no file, or cannot be read.
    """
    descriptor = open_regular(path, CheckpointError)
    if descriptor is None:
        raise CheckpointError(f"{path} is not there any more", path=path)
    digest = xxhash.xxh3_128()
    try:
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= _SAMPLED_FROM_BYTES or full:
                left = min(size, _MOST_BYTES)
                while left and (piece := file.read(min(left, 1 << 20))):
                    digest.update(piece)
                    left -= len(piece)
            else:
                for number in range(_SAMPLES):
                    file.seek((size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE_BYTES))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    return size, digest.hexdigest()


def says_the_same(one: Path, other: Path) -> bool:
    """Whether two JSON files whose bytes differ say the same, but for where and how they were written."""
    found = [_meaning(path) for path in (one, other)]
    return found[0] is not None and found[0] == found[1]


def _meaning(path: Path) -> Any:
    if path.suffix != ".json":
        return None
    try:
        if os.stat(path).st_size > _SAMPLED_FROM_BYTES:
            return None
        value = parse_json(read_small(path, _SAMPLED_FROM_BYTES, CheckpointError), _MOST_PARTS)
    except (OSError, ValueError, CheckpointError):
        return None
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _VOLATILE}
    return [_plain(item) for item in value] if isinstance(value, list) else value
