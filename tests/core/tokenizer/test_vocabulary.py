"""Which token each id is, read from each kind of file that says it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from core.tokenizer.json_parts import parts_of
from core.tokenizer.vocabulary import read_vocabulary, vocabulary_digest

UNIGRAM = {"model": {"type": "Unigram", "vocab": [["<s>", 0.0], ["▁a", -1.5]]}, "added_tokens": []}
BPE = {
    "added_tokens": [{"id": 2, "content": "<x>"}],
    "model": {"vocab": {"a": 0, "b]}": 1}, "merges": ["a b"]},
}
TEKKEN = {
    "config": {"default_num_special_tokens": 2, "default_vocab_size": 4},
    "special_tokens": [{"rank": 0, "token_str": "<s>"}],
    "vocab": [{"rank": number, "token_bytes": "QQ=="} for number in range(3)],
}
DECODER = {"added_tokens_decoder": {"0": {"content": "a"}, "1": {"content": "<x>"}, "x": {}}}
RANKS = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate([b"a", b"bc"]))


@pytest.mark.parametrize(
    ("files", "tokens"),
    [
        ({"tokenizer.json": BPE}, {0: "a", 1: "b]}", 2: "<x>"}),
        ({"tokenizer.json": UNIGRAM}, {0: "<s>", 1: "▁a"}),
        ({"tokenizer.json": BPE, "vocab.json": {"z": 0}}, {0: "a", 1: "b]}", 2: "<x>"}),
        ({"vocab.json": {"a": 0, "b": 1}, "added_tokens.json": {"<x>": 2}}, {0: "a", 1: "b", 2: "<x>"}),
        ({"vocab.json": {"a": 0}, "tokenizer_config.json": DECODER}, {0: "a", 1: "<x>"}),
        ({"tokenizer.json": BPE, "tokenizer_config.json": DECODER}, {0: "a", 1: "b]}", 2: "<x>"}),
        ({"vocab.txt": "[PAD]\na\n##b\n"}, {0: "[PAD]", 1: "a", 2: "##b"}),
        ({"tiktoken.model": RANKS}, {0: "a", 1: "bc"}),
        ({"tekken.json": TEKKEN}, {0: "<s>", 2: "QQ==", 3: "QQ=="}),
    ],
)
def test_each_kind(tmp_path: Path, files: dict[str, Any], tokens: dict[int, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    vocabulary = read_vocabulary(tmp_path)
    assert vocabulary is not None
    assert dict(vocabulary.tokens) == tokens
    assert vocabulary.size == max(tokens) + 1


def test_as_the_tokenizers_library_reads_it(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: number for number, word in enumerate(["<unk>", "a", '"vocab":{', "\\", "é", "]"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    made.add_special_tokens(["<s>", '"merges":['])
    made.save(str(tmp_path / "tokenizer.json"))
    vocabulary = read_vocabulary(tmp_path)
    assert vocabulary is not None
    assert {token: number for number, token in vocabulary.tokens.items()} == made.get_vocab()
    assert vocabulary.added == {6, 7}


@pytest.mark.parametrize("name", ["tokenizer.model", "spm.model", "source.spm"])
def test_sentencepiece_is_compared_as_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\n\x01")
    first = vocabulary_digest(tmp_path, full=False)
    assert read_vocabulary(tmp_path) is None
    assert first is not None
    (tmp_path / name).write_bytes(b"\n\x02")
    assert vocabulary_digest(tmp_path, full=False) != first


def test_large_files_by_pieces_and_whole(tmp_path: Path) -> None:
    data = bytearray(b"x" * 1_000_000)
    (tmp_path / "vocab.txt").write_bytes(data)
    pieces, whole = (vocabulary_digest(tmp_path, full=full) for full in (False, True))
    data[200_000] = 0
    (tmp_path / "vocab.txt").write_bytes(data)
    assert vocabulary_digest(tmp_path, full=True) != whole
    data[-1] = 0
    (tmp_path / "vocab.txt").write_bytes(data)
    assert vocabulary_digest(tmp_path, full=False) != pieces


def test_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").touch()
    assert read_vocabulary(tmp_path) is None
    assert vocabulary_digest(tmp_path, full=True) is None


def test_parts_that_do_not_end() -> None:
    with pytest.raises(ValueError, match="not valid"):
        list(parts_of(b'{"vocab": {"a": 0', ["vocab"]))
