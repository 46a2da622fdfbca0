"""The small files beside the weights: config, tokenizer, chat template.

Tokenizer files are copied as files and never loaded. A folder that was downloaded may hold links: what is
copied lies in the folder itself, or where the Hub's cache or git-annex keeps its files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from core.checkpoint.model import CONFIG_NAME, file_names, read_config
from core.checkpoint.private_paths import PrivatePaths, json_bytes
from core.errors import CheckpointError, os_error_text
from core.small_files import is_there, open_regular, read_small
from core.text import is_text, shown

__all__ = ["Companion", "companion_files"]

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
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
_TEMPLATES = "additional_chat_templates"
_TOKENS_ALONE = {"vocab.json", "added_tokens.json"}
_TOKENIZERS = {"tokenizer.json", "tekken.json"}

_PIECE_BYTES = 1 << 20
_MAX_BYTES = 256_000_000
_MAX_FILES = 1_000
_MAX_CLEANED_BYTES = 4_000_000
_MAX_TOKENIZER_BYTES = 36_000_000
"""Larger JSON files are copied as they are. The largest vocabularies known, of 262,144 tokens, have 33 MB."""


@dataclass(frozen=True)
class Companion:
    """A small file of the output: its bytes, or the file that it is a copy of.

    Attributes:
        size_bytes: of the file.
        data: its content, where it is written anew.
        path: what is copied, where it is a copy; no link.
    """

    size_bytes: int
    data: bytes | None = None
    path: Path | None = None
    _identity: tuple[int, ...] = ()

    @classmethod
    def of_bytes(cls, data: bytes) -> Companion:
        """A file with that content."""
        return cls(len(data), data)

    @classmethod
    def of_file(cls, path: Path) -> Companion:
        """A copy of the regular file `path`.

        Raises:
            CheckpointError: it is something else, is too large, or cannot be opened.
        """
        descriptor = _open(path)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if status.st_size > _MAX_BYTES:
            raise CheckpointError(
                f"{path} has {status.st_size:,} bytes, too many for what its name says",
                hint="copy or download the file again",
                path=path,
            )
        return cls(status.st_size, None, path, _identity(status))

    def chunks(self) -> Iterator[bytes]:
        """The content, a MiB at a time.

        Raises:
            CheckpointError: the file that is copied cannot be read, or is not what it was.
        """
        if self.path is None:
            data = memoryview(self.data or b"")
            for first in range(0, len(data), _PIECE_BYTES):
                yield bytes(data[first : first + _PIECE_BYTES])
            return
        descriptor = _open(self.path)
        try:
            self._check_unchanged(descriptor)
            left = self.size_bytes
            while left and (piece := os.read(descriptor, min(left, _PIECE_BYTES))):
                left -= len(piece)
                yield piece
            self._check_unchanged(descriptor)
            if left:
                raise self._changed()
        except OSError as error:
            raise CheckpointError(
                f"cannot read {self.path}: {os_error_text(error)}", path=self.path
            ) from error
        finally:
            os.close(descriptor)

    def digest(self) -> str:
        """Hex XXH3-128 of the content. Raises as `chunks`."""
        digest = xxhash.xxh3_128()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def _check_unchanged(self, descriptor: int) -> None:
        if _identity(os.fstat(descriptor)) != self._identity:
            raise self._changed()

    def _changed(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path} was changed while it was to be copied",
            hint="start again when nothing writes to it any more",
            path=self.path,
        )


def companion_files(
    source: Path,
    config_source: Path,
    *,
    vocabulary: int | None,
    dtype_name: str,
    unties: bool = False,
    inputs: Iterable[Path],
) -> Mapping[str, Companion]:
    """The small files of the output, by name.

    Args:
        source: the folder whose tokenizer, chat template and generation config are taken.
        config_source: the folder whose config.json is taken.
        vocabulary: rows of the input embedding that is written; None where it is not known.
        dtype_name: the type that is written, as torch spells it.
        unties: whether a head is written that is not the input embedding, although the config may tie them.
        inputs: the input folders, whose paths must not appear.

    Raises:
        CheckpointError: a file cannot be read, is none, is too large, or is a link to another place.
    """
    private = PrivatePaths(inputs)
    files: dict[str, Companion] = {}
    patterns = list(_NAMES)
    config = read_config(config_source)
    if config is not None:
        _real_file(config_source, CONFIG_NAME)
        if "auto_map" in config:
            patterns.append("*.py")  # a model with code of its own does not load without it
        _describe_output(config, vocabulary, dtype_name, unties)
        files[CONFIG_NAME] = Companion.of_bytes(json_bytes(private.without(config)))
    names = file_names(source, *patterns)
    if is_there(source / _TEMPLATES, CheckpointError):
        templates = _own(source, _TEMPLATES)
        names += [f"{_TEMPLATES}/{name}" for name in file_names(templates, "*")]
    if len(names) > _MAX_FILES:
        raise CheckpointError(
            f"{source} has {len(names):,} files that would be copied beside the weights, and at most "
            f"{_MAX_FILES:,} can be",
            path=source,
        )
    left = _MAX_BYTES
    for name in names:
        if not is_text(name):
            raise CheckpointError(f"the file name {shown(name)} in {source} is not valid text", path=source)
        files[name] = _clean_copy(_real_file(source, name), name, private)
        left -= files[name].size_bytes
        if left < 0:
            raise CheckpointError(
                f"the files that would be copied from {source} beside the weights have more than "
                f"{_MAX_BYTES:,} bytes",
                path=source / name,
            )
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


def _clean_copy(path: Path, name: str, private: PrivatePaths) -> Companion:
    """A copy of `path`; JSON that names a path of this machine is written anew without it."""
    copy = Companion.of_file(path)
    if not name.endswith(".json") or name in _TOKENS_ALONE:
        return copy
    is_tokenizer = name in _TOKENIZERS
    most = _MAX_TOKENIZER_BYTES if is_tokenizer else _MAX_CLEANED_BYTES
    if copy.size_bytes > most:
        return copy
    data = read_small(path, most, CheckpointError)
    cleaned = private.of_tokenizer(data) if is_tokenizer else private.of_json(data)
    return copy if cleaned is None else Companion.of_bytes(cleaned)


# -- where a file that is copied may lie


def _real_file(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, all links followed.

    Raises:
        CheckpointError: it is no regular file, or none of the model's own.
    """
    os.close(_open(folder / name))  # which says what is wrong with a link that leads nowhere
    return _own(folder, name)


def _own(folder: Path, name: str) -> Path:
    """Where `name` of `folder` is, all links followed.

    Raises:
        CheckpointError: that is neither in the folder, nor in its Hub cache, nor in its git-annex.
    """
    path = folder / name
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if not any(real.is_relative_to(place) for place in (home, *_stores(home))):
        raise CheckpointError(
            f"{path} is a link to {real}, which lies outside the model's folder, and is not copied",
            hint="put the file itself in the place of the link, if it belongs to the model",
            path=path,
        )
    return real


def _stores(folder: Path) -> Iterator[Path]:
    """Where tools keep the files of the model in `folder` and leave links to them.

    Compared with paths that have no links in them, so that a link in the place of such a store is none.
    """
    for place in (folder, *folder.parents):
        parent = place.parent
        if parent.name == "snapshots" and parent.parent.name.startswith("models--"):
            yield parent.parent / "blobs"
        if os.path.lexists(place / ".git"):
            git = Path(os.path.realpath(place / ".git"))
            # In a submodule git-annex makes .git a link into the repository that it is part of.
            if not os.path.islink(place / ".git") or "/.git/modules/" in git.as_posix():
                yield git / "annex" / "objects"
            return


def _open(path: Path) -> int:
    descriptor = open_regular(path, CheckpointError)
    if descriptor is None:
        raise CheckpointError(f"{path} is not there any more", path=path)
    return descriptor


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
