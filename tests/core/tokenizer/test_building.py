"""A tokenizer made of several: what it says when it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from token_models import tokenizer_json

from core.tokenizer.building import BuiltTokenizer, TokenizerFolder, build_tokenizer
from core.tokenizer.vocabulary import read_vocabulary


def folder(
    place: Path, tokens: Sequence[str | None], special: Sequence[str] = (), **config: Any
) -> TokenizerFolder:
    place.mkdir()
    (place / "tokenizer.json").write_text(json.dumps(tokenizer_json(tokens, special)))
    if config:
        (place / "tokenizer_config.json").write_text(json.dumps(config))
    vocabulary = read_vocabulary(place)
    assert vocabulary is not None
    return TokenizerFolder(place.name, place, vocabulary)


def loaded(built: BuiltTokenizer) -> Any:
    return tokenizers.Tokenizer.from_str(built.files["tokenizer.json"].decode())


def check(built: BuiltTokenizer, tokens: Mapping[int, str]) -> None:
    tokenizer = loaded(built)
    assert {tokenizer.token_to_id(text): text for text in tokens.values()} == dict(tokens)
    assert tokenizer.get_vocab_size() == len(tokens)


def test_added_tokens_keep_their_flags_and_special_ones_are_the_models(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", ["a", "b", "<s>"], ["<s>"], tokenizer_class="X", bos_token="<s>")
    one = folder(tmp_path / "one", ["a", "b", "<s>", "<x>"], ["<s>"], tokenizer_class="Y", pad_token="<x>")
    two = folder(tmp_path / "two", ["a", "b", "<s>", "<p>"], ["<p>"], eos_token="<p>", pad_token="<p>")
    tokens = {0: "a", 1: "b", 2: "<s>", 3: "<x>", 4: "<p>"}
    built = build_tokenizer(tokens, base, [one, two])
    check(built, tokens)
    added = {one["content"]: one for one in json.loads(built.files["tokenizer.json"])["added_tokens"]}
    assert (added["<x>"]["special"], added["<p>"]["special"]) == (False, True)
    config = json.loads(built.files["tokenizer_config.json"])
    assert config == {
        **{"tokenizer_class": "X", "pad_token": "<x>", "eos_token": "<p>", "bos_token": "<s>"},
    }


def test_added_tokens_stay_in_their_rows_where_ids_have_gaps(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", ["a", "b", None, None, "<s>"])
    one = folder(tmp_path / "one", ["a", "b", "<x>"])
    tokens = {0: "a", 1: "b", 4: "<s>", 5: "<x>"}
    tokenizer = loaded(build_tokenizer(tokens, base, [one]))
    assert tokenizer.token_to_id("<x>") == 5
    assert tokenizer.encode("a <x> b").ids == [0, 5, 1]


def test_a_token_without_a_row_is_taken_out(tmp_path: Path) -> None:
    """And of what the configs name as special tokens."""
    more = ["<none>", {"content": "a"}]
    base = folder(tmp_path / "base", ["a", "b", "<none>"], pad_token="<none>", extra_special_tokens=more)
    one = folder(tmp_path / "one", ["a", "b", "<x>"], eos_token="<x>", extra_special_tokens=["<x>", "a"])
    tokens = {0: "a", 1: "b", 2: "<x>"}
    built = build_tokenizer(tokens, base, [one])
    check(built, tokens)
    assert json.loads(built.files["tokenizer_config.json"]) == {
        **{"eos_token": "<x>", "extra_special_tokens": ["<x>", "a"]}
    }


def test_trained_tokens_of_others_can_be_decoded(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", ["a", "b"])
    one = folder(tmp_path / "one", ["b", "c"])
    tokens = {0: "a", 1: "b", 2: "c"}
    built = build_tokenizer(tokens, base, [one])
    check(built, tokens)
    assert loaded(built).decode([2, 0]) == "c a"
    assert "other models (1) are in the result, and words that are spelt like them" in built.notes[0]
    assert loaded(built).encode("c").ids == [2]


def test_trained_tokens_of_others_are_not_found_in_the_midst_of_words(tmp_path: Path) -> None:
    """Of a tokenizer whose tokens have scores, which an added token would come before."""
    folders = []
    for name, scores, added in (
        ("base", {"<unk>": 0.0, "a": -1.0, "b": -1.5}, "<s>"),
        ("one", {"<unk>": 0.0, "ab": -0.1, "c": -2.0}, "<x>"),
    ):
        data = tokenizer_json([*scores, added])
        data["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [list(one) for one in scores.items()]}
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(json.dumps(data | {"pre_tokenizer": None}))
        vocabulary = read_vocabulary(tmp_path / name)
        assert vocabulary is not None
        folders.append(TokenizerFolder(name, tmp_path / name, vocabulary))
    tokens = dict(enumerate(["<unk>", "a", "b", "<s>", "ab", "c", "<x>"]))
    built = build_tokenizer(tokens, folders[0], folders[1:])
    check(built, tokens)
    assert loaded(built).encode("ab<x>c<s>").ids == [1, 2, 6, 5, 3]
