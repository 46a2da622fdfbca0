"""Which token each id of a model is, from whichever file of its folder a loader would take."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.checkpoint.folder_files import json_of
from core.checkpoint.same_files import digest_of
from core.errors import CheckpointError
from core.small_files import parse_json, read_small
from core.tokenizer.json_parts import parts_of
from core.tokenizer.pieces import pieces_of

__all__ = ["Vocabulary", "read_vocabulary", "vocabulary_digest"]

_MOST_BYTES = 36_000_000
_MOST_PARTS = 800_000
"""Of the largest vocabularies known, of 262,144 tokens; one with scores has three parts a token."""
_MOST_ID = 1 << 31

_BYTES_FILES = ("tiktoken.model", "qwen.tiktoken", "vocab.tiktoken", "o200k_base.tiktoken")
_WHOLE = ("tokenizer.json", "tekken.json")
_ALONE = ("vocab.json", "encoder.json", "vocab.txt", *_BYTES_FILES)
_PIECES = ("tokenizer.model",)
"""SentencePiece models whose pieces have their own numbers as ids, as of llama, mistral and gemma; some files
of that name are tiktoken's."""

_OPAQUE = (
    *("spiece.model", "sentencepiece.bpe.model", "sentencepiece.model", "spm.model"),
    *("source.spm", "target.spm"),
)
"""SentencePiece models of classes that give other ids, which are compared as files."""
_BESIDE = ("added_tokens.json",)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer.

    Attributes:
        tokens: the text of each id.
        added: the ids of those that were added to what it was trained with.
    """

    tokens: Mapping[int, str]
    added: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        """How many rows an embedding needs for it."""
        return max(self.tokens, default=-1) + 1


def _files(folder: Path) -> tuple[list[str], bool]:
    """The files that say what the tokens are, and whether they can be read."""
    there = [name for name in (*_WHOLE, *_ALONE, *_PIECES, *_OPAQUE, *_BESIDE) if _has(folder / name)]
    for name in (*_WHOLE, *_ALONE, *_PIECES):
        if name in there:
            return [name, *(beside for beside in _BESIDE if beside in there and name not in _WHOLE)], True
    return [name for name in there if name in _OPAQUE or name in _BESIDE], False


def _has(path: Path) -> bool:
    try:
        return os.path.isfile(path) and os.path.getsize(path) > 0
    except OSError:
        return False


def vocabulary_digest(folder: Path, *, full: bool) -> tuple[Any, ...] | None:
    """What is equal for equal vocabularies; None where the folder has no tokens.

    Args:
        folder: of a model.
        full: whether large files are read whole; otherwise some pieces of them are.

    Raises:
        CheckpointError: a file cannot be read.
    """
    names, _ = _files(folder)
    files = tuple((name, *digest_of(folder / name, full=full)) for name in names)
    return (*files, *sorted(_decoder(folder, names).items())) if files else None


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """The tokens of the model in `folder`; None where it has none, or they cannot be read.

    Some SentencePiece models alone cannot, and a file that is damaged or larger than any that is known.
    """
    names, readable = _files(folder)
    if not readable:
        return None
    try:
        vocabulary = _read(folder / names[0])
        if vocabulary is None or names[0] in _WHOLE:
            return vocabulary
        found = parse_json(_bytes(folder / names[1]), _MOST_PARTS) if len(names) > 1 else None
    except (CheckpointError, ValueError, TypeError, KeyError, OverflowError):
        return None
    added = (_by_id(found) if isinstance(found, dict) else {}) | _decoder(folder, names)
    added = {number: text for number, text in added.items() if vocabulary.tokens.get(number) != text}
    return Vocabulary({**vocabulary.tokens, **added}, frozenset(added))


def _decoder(folder: Path, names: Sequence[str]) -> dict[int, str]:
    """The added tokens that tokenizer_config.json lists, where no file has all tokens."""
    if not names or names[0] in _WHOLE:
        return {}
    said = (json_of(folder, "tokenizer_config.json") or {}).get("added_tokens_decoder")
    found = said.items() if isinstance(said, dict) else ()
    return {
        int(number): one["content"]
        for number, one in found
        if len(number) < 10 and number.isdecimal() and isinstance(one, dict)
        if isinstance(one.get("content"), str)
    }


def _bytes(path: Path) -> bytes:
    return read_small(path, _MOST_BYTES, CheckpointError)


def _read(path: Path) -> Vocabulary | None:
    data = _bytes(path)
    if path.name == "tokenizer.json":
        return _of_tokenizer(data)
    if path.name == "tekken.json":
        return _of_tekken(parse_json(data, 4 * _MOST_PARTS))
    if path.suffix == ".json":
        found = parse_json(data, _MOST_PARTS)
        return Vocabulary(_by_id(found)) if isinstance(found, dict) else None
    if path.name in _PIECES and data[:1] == b"\n":  # the key of the first piece
        return Vocabulary(dict(enumerate(pieces_of(data))))
    if data.count(b"\n") > _MOST_PARTS:
        return None
    if path.name == "vocab.txt":
        lines = data.decode("utf-8").split("\n")
        return Vocabulary(
            {
                number: line.rstrip("\r")
                for number, line in enumerate(lines)
                if line or number < len(lines) - 1
            }
        )
    return _of_ranks(data.splitlines())


def _of_tokenizer(data: bytes) -> Vocabulary | None:
    """Of a tokenizer.json: `model.vocab` by token or, with scores, in order, and `added_tokens`.

    None, or ValueError and the like, where one id is that of two tokens, or not all have one: half of a
    vocabulary would make rows of the others those of no token.
    """
    tokens: dict[int, str] | None = None
    added: dict[int, str] = {}
    for key, part in parts_of(data, ("vocab", "added_tokens")):
        value = parse_json(part, _MOST_PARTS)
        if key == "vocab":
            tokens = _by_id(value) if isinstance(value, dict) else dict(enumerate(_scored(value)))
            whole = len(tokens) == len(value)
        else:
            listed = [(one["id"], one["content"]) for one in value]
            added = _by_id({content: number for number, content in listed})
            whole = len(added) == len(listed)
        if not whole:
            raise ValueError("has ids that are none, or the same one for two tokens")
    if tokens is None or any(tokens.get(number, text) != text for number, text in added.items()):
        return None
    return Vocabulary({**tokens, **added}, frozenset(added.keys() - tokens.keys()))


def _scored(pieces: Any) -> list[str]:
    """The tokens of a list in which each stands with its score."""
    found = [text for text, _ in pieces]
    if not all(isinstance(text, str) for text in found):
        raise ValueError("has pieces that are no text")
    return found


def _of_tekken(value: Any) -> Vocabulary | None:
    """Special tokens come first, and the ranks of the others follow."""
    if not isinstance(value, dict) or not isinstance(value.get("vocab"), list):
        return None
    config = value.get("config")
    ahead = config.get("default_num_special_tokens") if isinstance(config, dict) else None
    ahead = ahead if type(ahead) is int and 0 <= ahead < _MOST_ID else 0
    most = config.get("default_vocab_size") if isinstance(config, dict) else None
    tokens: dict[int, str] = {}
    for one in value.get("special_tokens") or ():
        if isinstance(one, dict) and isinstance(one.get("token_str"), str):
            tokens |= _by_id({one["token_str"]: one.get("rank")})
    for one in value["vocab"]:
        rank = one.get("rank") if isinstance(one, dict) else None
        if type(rank) is int and 0 <= rank < _MOST_ID and not (type(most) is int and rank + ahead >= most):
            tokens[rank + ahead] = str(one.get("token_bytes"))
    return Vocabulary(tokens)


def _of_ranks(lines: Iterable[bytes]) -> Vocabulary | None:
    """Of a tiktoken file: the bytes of a token in base64, and its rank, a line."""
    tokens = {}
    for line in lines:
        token, _, rank = line.partition(b" ")
        if not line or len(rank) > 10:
            continue
        try:
            tokens[int(rank)] = base64.b64decode(token).decode("utf-8", "backslashreplace")
        except (ValueError, binascii.Error):
            return None
    return Vocabulary(tokens) if tokens else None


def _by_id(found: Mapping[str, Any]) -> dict[int, str]:
    return {
        number: token for token, number in found.items() if type(number) is int and 0 <= number < _MOST_ID
    }
