"""One record of a data file: which kind of row it is, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.data.row import Row
from core.text import is_text, shown

__all__ = ["KNOWN", "BadRecord", "row_of"]

KNOWN = ("text", "prompt", "response", "messages", "label")
"""The fields that say what a row is."""

_MOST_FIELDS = 8
"""Named of a record that has none that is needed."""


@dataclass(frozen=True)
class BadRecord:
    """A record that is no row.

    Attributes:
        wrong: to go on from "line 7", as "has no response".
        fields: what it has, where it has none of the fields that are needed; None for other faults.
        beside: what it has, where it lacks one of the fields that belong together; () for other faults.
    """

    wrong: str
    fields: tuple[str, ...] | None = None
    beside: tuple[str, ...] = ()


def row_of(line: int, record: Mapping[str, Any]) -> Row | BadRecord:
    """What `record`, which begins in `line`, holds. A field that is null is not there."""
    given = {name: value for name, value in record.items() if value is not None}
    wrong: list[str] = []
    group = _name(given, "group", wrong)
    if "messages" in given:
        found = Row(line, messages=_messages(given["messages"], wrong), group=group)
    elif "prompt" in given or "response" in given:
        prompt, response = _text(given, "prompt", wrong, may_be_empty=True), _text(given, "response", wrong)
        found = Row(line, prompt=prompt, response=response, group=group)
    elif "text" in given:
        label = _name(given, "label", wrong)
        found = Row(line, text=_text(given, "text", wrong), label=label, group=group)
    elif "label" in given:
        return BadRecord("has a label and no text", beside=tuple(map(str, record)))
    else:
        names = tuple(sorted(map(str, record))[:_MOST_FIELDS])
        return BadRecord(
            f"has none of the fields that are needed, but {', '.join(names) or 'none at all'}", names
        )
    if not wrong:
        return found
    lacks = wrong[0] in ("has no prompt", "has no response")
    return BadRecord(wrong[0], beside=tuple(map(str, record)) if lacks else ())


def _text(given: Mapping[str, Any], name: str, wrong: list[str], *, may_be_empty: bool = False) -> str:
    if name not in given:
        wrong.append(f"has no {name}")
        return ""
    value = given[name]
    if not isinstance(value, str):
        wrong.append(f"has {_kind(value)} as {name}, not a text")
        return ""
    if not value and not may_be_empty:
        wrong.append(f"has an empty {name}")
    wrong += _faults(value, name)
    return str(value)


def _name(given: Mapping[str, Any], name: str, wrong: list[str]) -> str | None:
    """A label or a group: a text, or a whole number."""
    value = given.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        wrong.append(f"has {_kind(value)} as {name}, not a text or a whole number")
        return None
    wrong += _faults(str(value), name)
    return str(value)


def _messages(value: Any, wrong: list[str]) -> tuple[Mapping[str, str], ...]:
    if not isinstance(value, list):
        wrong.append(f"has {_kind(value)} as messages, not a list")
        return ()
    turns = []
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict):
            wrong.append(f"has {_kind(turn)} as message {number}, not an object with role and content")
            return ()
        if turn.get("tool_calls"):
            wrong.append(f"has tool calls in message {number}, which are not read")
            return ()
        read = {name: value for name, value in turn.items() if value is not None}
        faults: list[str] = []
        role = _text(read, "role", faults)
        content = _text(read, "content", faults, may_be_empty=True)
        wrong += [f"{fault} in message {number}" for fault in faults]
        turns.append({"role": role, "content": content})
    if not wrong and not any(turn["role"] == "assistant" and turn["content"] for turn in turns):
        wrong.append("has no turn of the assistant that says something")
    return tuple(turns)


def _faults(value: str, name: str) -> list[str]:
    if not is_text(value):
        return [f"has half of a surrogate pair in {name}, which is no text"]
    return [f"has a null character in {name}"] if "\0" in value else []


def _kind(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return shown(value)
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    return names.get(type(value), "nothing")
