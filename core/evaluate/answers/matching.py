"""Whether what a model said is the answer that was expected.

Case, articles and ordinary punctuation do not matter, as in SQuAD's own evaluation (Rajpurkar et al. 2016,
arXiv:1606.05250, section 6.1, `normalize_answer` of its script). That takes all punctuation away, with which
"3.5" and "35" are one answer, and "-5" and "5", "1/2" and "12", "C++" and "C". Deviation: what changes a
number, and symbols between words, stay, and numbers are compared as numbers.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["is_match", "normal_answer"]

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.ASCII)
_MARKS = re.escape(string.punctuation)
_UNHEARD = str.maketrans({"\N{MINUS SIGN}": "-", "$": "", "_": "", "`": ""})
"""Money is a number of itself; the others are marks of emphasis or code."""
_THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)", re.ASCII)
_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d{1,3})?", re.ASCII)
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
    | (?P<word>
        [0-9]+(?:\.[0-9]+)?e[-+][0-9]{{1,3}}(?![\w.])             # 1e-3
        | (?:(?<![^\s{_MARKS}])(?<!\.)\.(?=[0-9]))?         # .5
          [^\s{_MARKS}]+ (?:(?<=[0-9])\.(?=[0-9])[^\s{_MARKS}]+)*  # 3.5, 1.2.3
      )
    | (?P<mark>\*\*|&&|\|\||[<>=!]=|.)
    """,
    re.VERBOSE,
)
_BETWEEN = frozenset(("-", "/", "*", "**", "%", "&", "&&", "|", "||"))
"""They stay between numbers, and letters that stand alone."""
_ALWAYS = frozenset(("+", "<", ">", "^", "<=", ">=", "!=", "=="))


def is_match(said: str, expected: str) -> bool:
    """Whether what a model said is the expected answer.

    Where that is one line, only the first line of what was said counts that is not empty: models that were
    not taught to stop go on with another question. Where nothing is left of the expected answer once
    punctuation and articles are gone (the answer "A" of several choices), they count, and only case and white
    space do not.
    """
    if len(expected.strip().splitlines()) <= 1:
        said = next(iter(said.strip().splitlines()), "")
    wanted = normal_answer(expected)
    if not wanted:
        return " ".join(said.lower().split()) == " ".join(expected.lower().split())
    return normal_answer(said) == wanted


def normal_answer(text: str) -> str:
    """An answer as it is compared: words, numbers and symbols, with one space between them.

    Words are in lower case and without a, an and the. A number is its digits and a power of ten, so that
    1,000 and 1000 are equal, and 5.0, 5 and +5. Of ASCII punctuation there stay a sign before a number or a
    letter alone; a point, colon or comma between digits; minus, slash, *, **, %, & and | between numbers or
    letters alone, % and # behind such; and + < > ^ = != wherever they are not around the answer. What goes
    leaves no gap: "well-known" is "wellknown".
    """
    text = text.lower().translate(_UNHEARD)
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    tokens = _tokens(text)
    said: list[str] = []
    symbols: list[bool] = []
    is_open = False  # whether the next word goes on with the last one
    for place, token in enumerate(tokens):
        if token.kind == "space":
            is_open = False
        elif token.kind == "mark":
            if _parts(tokens, place):
                is_open = False
            elif _stays(tokens, place):
                said.append(token.text)
                symbols.append(True)
                is_open = False
        elif is_open:
            said[-1] += token.text
        else:
            said.append(token.text)
            symbols.append(False)
            is_open = True
    return " ".join(_without_articles([_number(one) for one in said], symbols).split())


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str

    @property
    def is_operand(self) -> bool:
        return self.kind == "word" and (len(self.text) == 1 or self.is_number)

    @property
    def is_number(self) -> bool:
        return self.kind == "word" and _NUMBER.fullmatch(self.text) is not None


_NOTHING = _Token("space", "")


def _tokens(text: str) -> list[_Token]:
    return [_Token(found.lastgroup or "", found[0]) for found in _TOKEN.finditer(text)]


def _beside(tokens: Sequence[_Token], place: int, step: int) -> _Token:
    """What stands directly before (−1) or behind (1)."""
    return tokens[place + step] if 0 <= place + step < len(tokens) else _NOTHING


def _next(tokens: Sequence[_Token], place: int, step: int) -> _Token:
    """The same but for white space; a bracket counts as what is in it, a sign as what it is before."""
    while 0 <= (place := place + step) < len(tokens):
        token = tokens[place]
        if token.kind == "space" or token.text in "()" or (step > 0 and token.text in "+-"):
            continue
        return token
    return _NOTHING


def _parts(tokens: Sequence[_Token], place: int) -> bool:
    """Whether it is the comma of 1,2: not one number, but two."""
    before, behind = _beside(tokens, place, -1), _beside(tokens, place, 1)
    return tokens[place].text == "," and before.text[-1:].isdigit() and behind.text[:1].isdigit()


def _stays(tokens: Sequence[_Token], place: int) -> bool:
    """Whether a mark changes what is said."""
    mark, before, behind = tokens[place].text, _beside(tokens, place, -1), _beside(tokens, place, 1)
    left, right = _next(tokens, place, -1), _next(tokens, place, 1)
    if mark in ("+", "-") and not left.is_operand and before.kind != "word":
        is_sign = behind.is_operand or behind.text[:1].isdigit()
        if mark == "-":
            return is_sign and _number(behind.text) != "0"
        if is_sign:
            return False
    if mark in _BETWEEN and left.is_operand and right.is_operand:
        # Emphasis has a space on one side: **5** and so on.
        return mark not in ("*", "**") or (before.kind == "space") == (behind.kind == "space")
    if mark == "%":
        return left.is_number
    if mark == "#":
        return before.is_operand and behind.kind != "word"
    if mark == ":":
        return before.text[-1:].isdigit() and behind.text[:1].isdigit()
    if mark == "=":
        return left.kind == right.kind == "word"
    return mark in _ALWAYS


def _number(word: str) -> str:
    """A number in one way of the many that it can be written in; any other word as it is."""
    if not _NUMBER.fullmatch(word):
        return word
    digits, exponent = Decimal(word).as_tuple()[1:]
    written = "".join(map(str, digits)).lstrip("0")
    shown = written.rstrip("0")
    power = int(exponent) + len(written) - len(shown)
    return f"{shown}e{power}" if power and shown else shown or "0"


def _without_articles(words: Sequence[str], symbols: Sequence[bool]) -> str:
    """The words without articles. An "a" beside a symbol is none."""
    kept = []
    for place, word in enumerate(words):
        is_name = word == "a" and any(symbols[max(0, place - 1) : place + 2])
        kept.append(word if is_name else _ARTICLES.sub(" ", word))
    return " ".join(kept)
