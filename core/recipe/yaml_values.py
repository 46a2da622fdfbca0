"""YAML as plain values, within bounds of time and memory.

Whatever is said again by its name (an alias, a merge key) counts as if it were written out.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from core.text import shown

__all__ = ["Dumper", "NotYaml", "read_documents"]

_MAX_VALUES = 150_000
_DEEPEST = 50
_LONGEST_NUMBER = 1_000
"""Characters. A number of base 60 takes time that grows with the square of them."""

_LIKE_A_NUMBER = re.compile("[-+.:_0-9A-Fa-fox]*")
_LINE_ENDS = "\x85\u2028\u2029"
_TAG = "tag:yaml.org,2002:"
_COLLECTIONS = {None, "!", f"{_TAG}map", f"{_TAG}seq"}
_SCALARS = {f"{_TAG}{kind}" for kind in ("binary", "bool", "float", "int", "null", "timestamp")}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """With numbers such as 1e-3, which YAML 1.1 takes for text.

    The one of libyaml, with which PyYAML's wheels are built, is many times as fast.
    """


class Dumper(yaml.SafeDumper):
    """Writes what `read_documents` reads as the same values: text stays text."""

    def represent_text(self, text: str) -> yaml.Node:
        # PyYAML takes a sign for a line end where it was none, and a long number would be refused unquoted.
        quoted = len(text) > _LONGEST_NUMBER or any(sign in text for sign in _LINE_ENDS)
        return self.represent_scalar(f"{_TAG}str", text, style='"' if quoted else None)


Dumper.add_representer(str, Dumper.represent_text)
for _either in (_Loader, Dumper):
    _either.add_implicit_resolver(
        f"{_TAG}float",
        re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
        list("-+0123456789."),
    )


class NotYaml(Exception):
    """Text that is not understood.

    Attributes:
        line: where, from 1; None where that is not known.
    """

    def __init__(self, problem: str, mark: Any = None, last_line: int | None = None) -> None:
        super().__init__(problem)
        self.line: int | None = mark.line + 1 if mark else None
        if self.line and last_line:
            self.line = min(self.line, last_line)  # the end of the text is said to be in the line after it


def read_documents(text: str) -> list[Any]:
    """The documents in `text` that are not empty.

    Raises:
        NotYaml: it is not YAML, has tags of programs, repeats a key, or says too much.
    """
    try:
        loader = _Loader(text)
        try:
            return _Reading(loader).documents()
        finally:
            loader.dispose()
    except NotYaml:
        raise
    except yaml.reader.ReaderError as error:
        raise NotYaml(f"the character U+{_code(error.character):04X} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        last_line = max(1, text.count("\n") + (not text.endswith("\n")))
        raise NotYaml(error.problem or str(error.context), error.problem_mark, last_line) from error


def _code(character: Any) -> int:
    return character if isinstance(character, int) else ord(character)


class _Reading:
    """One pass over the events of a text."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._next = loader.get_event
        self._named: dict[str, tuple[Any, int]] = {}
        self._open: set[str] = set()
        self._count = 0

    def documents(self) -> list[Any]:
        self._next()  # the stream begins
        found = []
        while not isinstance(self._next(), yaml.StreamEndEvent):
            event = self._next()
            self._named.clear()
            value = self._value(event, 0)
            if value is not None:
                found.append(value)
            self._next()  # the document ends
        return found

    def _value(self, event: Any, depth: int) -> Any:
        self._counted(1, event)
        if isinstance(event, yaml.AliasEvent):
            return self._again(event)
        before = self._count
        if event.anchor is not None:
            self._open.add(event.anchor)
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        else:
            if depth == _DEEPEST:
                raise NotYaml("it is nested too deeply", event.start_mark)
            if event.tag not in _COLLECTIONS:
                raise NotYaml(f"the tag {shown(event.tag)} is not supported", event.start_mark)
            read = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._list
            value = read(depth + 1)
        if event.anchor is not None:
            self._open.discard(event.anchor)
            self._named[event.anchor] = value, self._count - before
        return value

    def _again(self, event: Any) -> Any:
        if event.anchor in self._open or event.anchor not in self._named:
            what = "stands in itself" if event.anchor in self._open else "stands for nothing"
            raise NotYaml(f"the alias {shown(event.anchor)} {what}", event.start_mark)
        value, count = self._named[event.anchor]
        self._counted(count, event)
        return value

    def _list(self, depth: int) -> list[Any]:
        values = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            values.append(self._value(event, depth))
        return values

    def _mapping(self, depth: int) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        merged: list[dict[Any, Any]] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key = None if is_merge else self._value(event, depth)
            if not isinstance(key, Hashable):
                raise NotYaml("found unhashable key", event.start_mark)
            if not is_merge and key in values:
                raise NotYaml(f"the key {shown(key)} stands twice", event.start_mark)
            value = self._value(self._next(), depth)
            if is_merge:
                merged += self._merged(value, event)
            else:
                values[key] = value
        for other in merged:  # what is said here comes first, then what is merged first
            for key, value in other.items():
                values.setdefault(key, value)
        return values

    def _merged(self, value: Any, event: Any) -> list[dict[Any, Any]]:
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            raise NotYaml("what << merges is not a mapping", event.start_mark)
        self._counted(sum(map(len, mappings)), event)
        return mappings

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        is_long = len(event.value) > _LONGEST_NUMBER
        if is_long and event.implicit[0] and _LIKE_A_NUMBER.fullmatch(event.value):
            raise NotYaml(f"a number of {len(event.value):,} characters", event.start_mark)
        if tag is None or tag == "!":
            text = f"{_TAG}str"
            tag = text if is_long else self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == f"{_TAG}str":
            return event.value
        if tag not in _SCALARS:
            raise NotYaml(f"the tag {shown(tag)} is not supported", event.start_mark)
        if is_long:
            raise NotYaml(f"a value of {len(event.value):,} characters that is no text", event.start_mark)
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            return self._loader.yaml_constructors[tag](self._loader, node)
        except Exception as error:  # they raise what they like: ValueError, KeyError, AttributeError, ...
            raise NotYaml("a value that cannot be understood", event.start_mark) from error

    def _counted(self, count: int, event: Any) -> None:
        self._count += count
        if self._count > _MAX_VALUES:
            raise NotYaml(f"it says more than {_MAX_VALUES:,} things", event.start_mark)
