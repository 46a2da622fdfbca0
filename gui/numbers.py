"""Numbers as they are typed: what is meant, or why it cannot be taken. No Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gui.words import weight_text

__all__ = ["Number", "NumberKind", "Unread", "number_text", "read_number"]

Number = int | float

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_WHOLE = re.compile(r"([-+]?[0-9]+)(?:\.0*)?")
_BEGINNING = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]*)?(?:e[-+]?)?", re.IGNORECASE)
_NOT_FINITE = ("nan", "inf", "infinity")
_MOST_DIGITS = 400
"""More than any number has that can be held."""


@dataclass(frozen=True)
class NumberKind:
    """What a field takes.

    Attributes:
        title: what a sentence that begins with it calls the field: "n", "The seed".
        whole: whether it is a whole number.
        minimum, maximum: the least and the largest that it may be; None for no bound.
        optional: whether it may be left empty.
        unit: what may stand behind it, such as "GB"; "" for nothing.
    """

    title: str
    whole: bool = False
    minimum: Number | None = None
    maximum: Number | None = None
    optional: bool = False
    unit: str = ""


@dataclass(frozen=True)
class Unread:
    """What was typed and cannot be taken.

    Attributes:
        text: as it was typed.
        sentence: why not, and what to type.
        short: the same in a few words, for the room that a field has.
        unfinished: whether more characters could make a number of it.
        number: what it says where that is a number out of bounds; None for anything else.
    """

    text: str
    sentence: str
    short: str
    unfinished: bool = False
    number: Number | None = None


def number_text(value: Number, kind: NumberKind) -> str:
    """The shortest text that `read_number` reads as `value`."""
    text = str(value) if isinstance(value, int) else weight_text(value)
    return f"{text} {kind.unit}" if kind.unit else text


def read_number(typed: str, kind: NumberKind) -> Number | Unread | None:
    """The number that was typed, or why it is none; None where nothing was, and nothing may be."""
    text = typed.strip().replace("−", "-")
    if kind.unit and text.casefold().endswith(kind.unit.casefold()):
        text = text[: -len(kind.unit)].rstrip()

    def unread(sentence: str, short: str, number: Number | None = None) -> Unread:
        beginning = _BEGINNING.fullmatch(text) is not None and number is None
        return Unread(typed, f"{kind.title} {sentence}.", short, beginning, number)

    if not text:
        return None if kind.optional else unread(f"is missing: give {_wanted(kind)}", "give a number")
    if text.lstrip("+-").casefold() in _NOT_FINITE:
        return unread(f"is a number that ends somewhere, not {text}", "not a finite number")
    if _NUMBER.fullmatch(text) is None:
        point = _with_point(text, kind)
        if point is not None:
            return unread(f"is written {point}: {_COMMA[kind.whole]}", f"write {point}")
        return unread(f"is {_wanted(kind)}, not “{text}”", "a whole number" if kind.whole else "not a number")
    whole = _WHOLE.fullmatch(text)
    if kind.whole and whole is None:
        return unread("is a whole number, written in digits only", "a whole number")
    if len(text) > _MOST_DIGITS:
        return unread("has too many digits", "too many digits")
    number = int(whole[1]) if kind.whole and whole is not None else float(text)
    if abs(number) == float("inf"):
        return unread("is larger than any number that can be held", "too large")
    if number == 0 and re.search("[1-9]", re.split("e", text, flags=re.IGNORECASE)[0]):
        return unread("is so small that it would be 0", "too small")
    if kind.minimum is not None and number < kind.minimum:
        least = f"at least {_bound(kind.minimum, kind)}"
        return unread(f"is {least}", least, number)
    if kind.maximum is not None and number > kind.maximum:
        most = f"at most {_bound(kind.maximum, kind)}"
        return unread(f"is {most}", most, number)
    return number


_COMMA = {False: "decimals follow a point", True: "without a comma"}


def _with_point(text: str, kind: NumberKind) -> str | None:
    """What `text` may mean where it is written with commas; None where it means nothing."""
    if kind.whole:
        joined = text.replace(",", "") if re.fullmatch(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+", text) else ""
    else:
        joined = text.replace(",", ".") if text.count(",") == 1 else ""
    return joined if "," in text and _NUMBER.fullmatch(joined) else None


def _wanted(kind: NumberKind) -> str:
    what = "a whole number" if kind.whole else "a number"
    if kind.minimum is not None and kind.maximum is not None:
        return f"{what} from {_bound(kind.minimum, kind)} to {_bound(kind.maximum, kind)}"
    if kind.minimum is not None:
        return f"{what} of at least {_bound(kind.minimum, kind)}"
    return f"{what} of at most {_bound(kind.maximum, kind)}" if kind.maximum is not None else what


def _bound(value: Number, kind: NumberKind) -> str:
    return number_text(int(value) if kind.whole else value, kind)
