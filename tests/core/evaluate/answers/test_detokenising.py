"""Text that streams is the text that decoding all at once gives, and never half a character."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from core.evaluate.answers.detokenising import TextStream
from resources import DEMO_FOLDER

HARD = "naïve 日本語 🤷🏽‍♀️ ½ — ñandú\n\t…"


@pytest.fixture(scope="module")
def byte_level() -> Any:
    """One whose tokens are bytes and runs of them."""
    return AutoTokenizer.from_pretrained(DEMO_FOLDER / "base")


@pytest.fixture(scope="module")
def byte_fallback() -> Any:
    """One as Llama 2's: words begin with a sign for the space, and what is unknown is written in bytes."""
    words = ["<s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁the", "▁end", "s", ",", "日"]
    whole = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, [], byte_fallback=True))
    whole.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=whole, bos_token="<s>")


def streamed(tokenizer: Any, ids: list[int]) -> list[str]:
    stream = TextStream(tokenizer)
    return [*(stream.add(token) for token in ids), stream.end()]


def test_no_character_is_broken(byte_level: Any) -> None:
    ids = byte_level(HARD, add_special_tokens=False)["input_ids"]
    assert len(ids) > len(HARD)  # most characters are of several tokens
    pieces = streamed(byte_level, ids)
    assert "".join(pieces) == HARD
    assert not any("\ufffd" in piece for piece in pieces)
    assert pieces[-1] == ""
    assert len([piece for piece in pieces if piece]) > 20  # as they come, not all at the end


def test_spaces_and_bytes_of_the_other_kind_of_tokenizer(byte_fallback: Any) -> None:
    ids = byte_fallback.convert_tokens_to_ids(
        ["▁the", "▁end", "s", ",", *(f"<0x{byte:02X}>" for byte in " 語é".encode()), "日", "▁the"]
    )
    pieces = streamed(byte_fallback, ids)
    assert "".join(pieces) == "the ends, 語é日 the"
    assert pieces[:4] == ["the", " end", "s", ","]
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("seed", range(8))
def test_bytes_that_are_no_characters_come_out_as_all_at_once(byte_level: Any, seed: int) -> None:
    chance = random.Random(seed)
    ids = [chance.randrange(3, 259 if seed % 2 else 1024) for _ in range(80)]
    whole = byte_level.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert "".join(streamed(byte_level, ids)) == whole
    assert "\ufffd" in whole


def test_a_character_that_is_never_finished_is_shown_at_the_end(byte_level: Any) -> None:
    ids = byte_level("a日", add_special_tokens=False)["input_ids"][:-1]
    pieces = streamed(byte_level, ids)
    assert pieces[-1] == "\ufffd"
    assert "".join(pieces[:-1]) == "a"
