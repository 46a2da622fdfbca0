"""SentencePiece models, read without the library."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from core.tokenizer.pieces import pieces_of
from core.tokenizer.vocabulary import read_vocabulary

PIECES = ["<unk>", "<s>", "</s>", "▁the", "é" * 100, ""]


def field(number: int, kind: int, data: bytes) -> bytes:
    return bytes([number << 3 | kind]) + data


def size(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])


def message(number: int, data: bytes) -> bytes:
    return field(number, 2, size(len(data)) + data)


def sentencepiece(pieces: list[str]) -> bytes:
    """A model as the library writes it: pieces with scores and types, then what it was trained with."""
    result = b""
    for number, piece in enumerate(pieces):
        score = field(2, 5, struct.pack("<f", -float(number)))
        result += message(1, message(1, piece.encode()) + score + field(3, 0, b"\x02"))
    return result + message(2, field(4, 0, b"\xac\x02")) + message(3, b"identity")


def test_pieces_have_their_own_numbers() -> None:
    assert pieces_of(sentencepiece(PIECES)) == PIECES


@pytest.mark.parametrize("cut", [1, 5, 40, 200])
def test_what_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"ends too early|has no pieces"):
        pieces_of(sentencepiece(PIECES)[:-cut])


@pytest.mark.parametrize("data", [b"", b"\x0a", b"\x0a\x00", b"\x0b\x01", b"\xff" * 20, b"\x12\x01a"])
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        pieces_of(data)


def test_added_tokens_come_beside(tmp_path: Path) -> None:
    """As WizardLM-13B has it: Llama-2's model, and one token more."""
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece(PIECES))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[PAD]": 6}))
    found = read_vocabulary(tmp_path)
    assert found is not None
    assert dict(found.tokens) == dict(enumerate([*PIECES, "[PAD]"]))
    assert found.added == {6}
