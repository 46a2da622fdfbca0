"""The small files beside the weights: config, tokenizer, chat template.

Tokenizer files are copied as files and never loaded. People upload outputs, so that paths of this
machine are taken out of the JSON files that carry them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.checkpoint.model import CONFIG_NAME, read_json
from core.errors import CheckpointError, os_error_text
from core.text import is_text

__all__ = ["companion_files"]

_NAMES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "tokenizer.model.v*",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.tiktoken",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.*",
    "additional_chat_templates/*",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
_TOKEN_FILES = {"tokenizer.json", "vocab.json", "added_tokens.json", "special_tokens_map.json"}
_TOKEN_KEYS = {"chat_template", "added_tokens_decoder", "additional_special_tokens", "extra_special_tokens"}
_PATH = re.compile(
    r"^/\S|"  # an absolute path, or one anywhere in a sentence:
    r"(?:^|[\s\"'=(\[,;:])(?:/[^/\s]+/|~\w*[/\\]|[A-Za-z]:[\\/](?!/)|\\\\\w|file://)"
)


def companion_files(
    source: Path,
    config_source: Path,
    *,
    vocabulary: int | None,
    dtype_name: str,
    unties: bool = False,
    inputs: Iterable[Path],
) -> dict[str, bytes]:
    """The small files of the output, by name.

    Args:
        source: the folder whose tokenizer, chat template and generation config are taken.
        config_source: the folder whose config.json is taken.
        vocabulary: rows of the input embedding that is written; None where it is not known.
        dtype_name: the type that is written, as torch spells it.
        unties: whether a head is written that is not the input embedding, although the config may tie them.
        inputs: the input folders, whose paths must not appear.

    Raises:
        CheckpointError: a file cannot be read.
    """
    places = _places(inputs)
    files: dict[str, bytes] = {}
    patterns = list(_NAMES)
    if (config_source / CONFIG_NAME).exists():
        config = read_json(config_source / CONFIG_NAME)
        if "auto_map" in config:
            patterns.append("*.py")  # a model with code of its own does not load without it
        _describe_output(config, vocabulary, dtype_name, unties)
        try:
            files[CONFIG_NAME] = _json_bytes(_without_paths(config, places))
        except RecursionError as error:
            path = config_source / CONFIG_NAME
            raise CheckpointError(f"{path} is nested too deeply", path=path) from error
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            if path.is_file():
                name = path.relative_to(source).as_posix()
                files[name] = _clean_copy(path, places)
    return files


def _describe_output(config: dict[str, Any], vocabulary: int | None, dtype_name: str, unties: bool) -> None:
    text = config.get("text_config")
    holders = [config, text] if isinstance(text, dict) else [config]
    if vocabulary is not None:
        holder = config if "vocab_size" in config or len(holders) == 1 else holders[-1]
        holder["vocab_size"] = vocabulary
    if unties:
        for holder in holders:
            if holder is config or "tie_word_embeddings" in holder:
                holder["tie_word_embeddings"] = False
    for holder in holders:
        for key in ("dtype", "torch_dtype"):
            if key in holder:
                holder[key] = dtype_name
    if "dtype" not in config and "torch_dtype" not in config:
        config["torch_dtype"] = dtype_name  # the older key, which every version of transformers reads


def _clean_copy(path: Path, places: list[str]) -> bytes:
    """The file's bytes; JSON that names a path of this machine is written anew without it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {os_error_text(error)}", path=path) from error
    if path.name in _TOKEN_FILES or path.suffix != ".json":
        return data
    try:
        value = json.loads(data)
        cleaned = _without_paths(value, places)
        return data if cleaned == value else _json_bytes(cleaned)
    except ValueError:
        return data
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply", path=path) from error


def _places(inputs: Iterable[Path]) -> list[str]:
    """The input folders in every way in which a file may name them."""
    places: dict[str, None] = {}
    for folder in inputs:
        absolute = folder.absolute()
        for place in (absolute, Path(os.path.normpath(absolute)), absolute.resolve()):
            if len(place.parts) > 1:
                places[str(place)] = None
    return list(places)


def _without_paths(value: Any, places: list[str]) -> Any:
    """`value` without the entries and items that are, or name, a path of this machine.

    Tokens and templates are left alone: a token may well look like a path.
    """
    if isinstance(value, dict):
        return {
            key: item if key in _TOKEN_KEYS or key.endswith("_token") else _without_paths(item, places)
            for key, item in value.items()
            if key in _TOKEN_KEYS or not (_is_private(key, places) or _is_private(item, places))
        }
    if isinstance(value, list):
        return [_without_paths(item, places) for item in value if not _is_private(item, places)]
    return value


def _is_private(value: Any, places: list[str]) -> bool:
    return isinstance(value, str) and (
        _PATH.search(value) is not None or any(place in value for place in places)
    )


def _json_bytes(value: Any) -> bytes:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not is_text(text):  # half a surrogate pair stays the escape that it was
        text = json.dumps(value, indent=2)
    return (text + "\n").encode()
