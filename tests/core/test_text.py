"""Names as text: what is not seen is written out, and what people write stays as it is."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from core.text import cut, message_text, one_line

DRAWN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
"""Format characters that draw a sign, or stack signs."""


def test_nothing_unseen_is_left() -> None:
    for number in set(range(sys.maxunicode + 1)) - DRAWN:
        character = chr(number)
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"}:
            assert one_line(f"a{character}b") == f"a{character.encode('unicode_escape').decode()}b"


@pytest.mark.parametrize(
    "character",
    ["\u202e", "\u2066", "\u2069", "\u200b", "\ufeff", "\U000e0041", "\u3164", "\ufe0f", "\u034f"],
)
def test_what_deceives_is_written_out(character: str) -> None:
    assert one_line(f"run{character}1") == f"run{character.encode('unicode_escape').decode()}1"
    assert one_line(character).isascii()


@pytest.mark.parametrize(
    "text",
    [
        "größer 模型 модель نموذج मॉडल โมเดล מודל 모델",
        "e\u0301 a\u0308\u0323",  # combining marks
        "می\u200cخواهم",  # Persian has a joiner that is not one
        "क्\u200dष",
        "👩\u200d🚀 🏳\ufe0f\u200d🌈 ❤\ufe0f 👍🏽 1\ufe0f\u20e3 🇩🇪",
        "\u0600\u06dd١٢",
        "a b",
    ],
)
def test_what_people_write_stays(text: str) -> None:
    assert one_line(text) == text


def test_a_message_is_bounded_and_keeps_both_ends() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 5) == "ab…ef"
    for name in ("x" * 10**6, "\n" * 10**6, "\u202e" * 5000):
        shown = message_text(f"begins {name} ends")
        assert len(shown) <= 2000
        assert shown.startswith("begins ")
        assert shown.endswith(" ends")
        assert "\n" not in shown
