"""Paths of this machine, taken out of the JSON files that go into an output: people upload it.

What a model is made of stays: tokens, vocabularies, templates and labels may well look like paths.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.small_files import parse_json
from core.text import is_text

__all__ = ["PrivatePaths", "json_bytes"]

_MAX_PARTS = 400_000
_MAX_SKELETON_BYTES = 4_000_000
_MAX_BULKS = 100
_MANY_PLACES = 100

_LEFT_ALONE = {"chat_template", "merges", "prompts", "vocab"}
_LABELS = re.compile(r"(?:^|_)(?:labels?|classes|class_names|entities|tags)(?:_|$)|^id2|2id$|_to_id$|^id_to_")
"""Keys of what a model calls its classes, languages or voices ("id2label", "label_names", "lang_to_id")."""
_TOKEN_KEYS = {"added_tokens", "added_tokens_decoder", "additional_special_tokens", "extra_special_tokens"}

_TOKENIZER_TEXT = {
    *("Regex", "String", "content", "continuing_subword_prefix", "end_of_word_suffix", "pattern"),
    *("precompiled_charsmap", "prefix", "prepend", "replacement", "suffix"),
    *(
        "cls",
        "id",
        "mask_token",
        "pad_token",
        "pair",
        "sep",
        "single",
        "special_tokens",
        "tokens",
        "unk_token",
    ),
}
"""What a tokenizer compares with text, or puts in its place."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+"
_INSIDE = re.compile(
    rb'(?:[^"\[\]{}]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})*+", re.DOTALL
)
_BULK = re.compile(rb'"(?:vocab|merges|added_tokens)"\s*+:\s*+(?=[\[{])')
_MARK = "left alone by paramosaic, part "

_PATH = re.compile(
    r"^\s*/\S"  # an absolute path, or one anywhere in a sentence:
    r"|(?<![\w./~\\)\]}%*<>-])/[^/\s<>\"|]+/"
    r"|(?<![A-Za-z0-9_.~/<-])/(?:home|Users|root|mnt|media|tmp|scratch|workspace|data|var|opt|srv|etc|usr"
    r"|Volumes|gpfs|lustre|nfs)(?![\w.-])"
    r"|(?:^|[\s\"'=(\[,;:])(?:~[\w.-]*[/\\]|\\\\[\w?.])"
    r"|(?:^|[\s\"'=(\[,;])//[^/\s]+/"
    r"|^\s*~[A-Za-z_][\w.-]*\s*$"
    r"|(?<![A-Za-z0-9])[A-Za-z]:[\\/](?!/)"
    r"|(?<![A-Za-z])[Ff][Ii][Ll][Ee]:/"
)


class PrivatePaths:
    """Finds what is, or names, a path of this machine.

    Args:
        inputs: the input folders, which are found in any text.
    """

    def __init__(self, inputs: Iterable[Path]) -> None:
        places: dict[Path, None] = {}
        for folder in inputs:
            absolute = folder.absolute()
            for place in (str(absolute), os.path.normpath(absolute), os.path.realpath(absolute)):
                places[Path(place)] = None
        if len(places) > _MANY_PLACES:  # then any place beside them counts as well
            places = {(place.parent if len(place.parts) > 2 else place): None for place in places}
        self._places = [str(place) for place in places if len(place.parts) > 1]

    def without(self, value: Any) -> Any:
        """`value` without the entries and items that are, or name, a path; tokens and templates stay."""
        if isinstance(value, dict):
            result = {}
            for key, item in value.items():
                if key in _LEFT_ALONE or _LABELS.search(key):
                    result[key] = item
                elif key in _TOKEN_KEYS or key.endswith("_token"):
                    result[key] = self._token(item)
                elif not (self.is_private(key) or self.is_private(item)):
                    result[key] = self.without(item)
            return result
        if isinstance(value, list):
            return [self.without(item) for item in value if not self.is_private(item)]
        return value

    def of_json(self, data: bytes) -> bytes | None:
        """The JSON file `data` written without paths; None where it has none, or is no JSON."""
        try:
            value = parse_json(data, _MAX_PARTS)
        except ValueError:
            return None
        cleaned = self.without(value)
        return None if cleaned == value else json_bytes(cleaned)

    def of_tokenizer(self, data: bytes) -> bytes | None:
        """The same of a tokenizer.json or tekken.json, whose vocabulary is neither parsed nor changed."""
        bulks: list[tuple[int, int]] = []
        skeleton, at = b"", 0
        while found := _BULK.search(data, at):
            inside = _INSIDE.match(data, found.end() + 1)
            end = len(data) if inside is None else inside.end() + 1
            if end > len(data) or data[end - 1 : end] not in (b"]", b"}"):
                return None
            skeleton += data[at : found.end()] + b'"%s%d"' % (_MARK.encode(), len(bulks))
            bulks.append((found.end(), end))
            at = end
            if len(skeleton) > _MAX_SKELETON_BYTES or len(bulks) > _MAX_BULKS:
                return None
        if len(data) - at > _MAX_SKELETON_BYTES or data.find(_MARK.encode()) >= 0:
            return None
        try:
            value = parse_json(skeleton + data[at:], _MAX_PARTS)
        except ValueError:
            return None
        cleaned = self._tokenizer(value)
        if cleaned == value:
            return None
        parts = re.split(rb'"%s(\d+)"' % _MARK.encode(), json_bytes(cleaned))
        parts[1::2] = (data[slice(*bulks[int(number)])] for number in parts[1::2])
        return b"".join(parts)

    def is_private(self, value: Any) -> bool:
        """Whether `value` is a text that is, or names, a path of this machine."""
        return (
            isinstance(value, str)
            and any(sign in value for sign in "/\\~")
            and (_PATH.search(value) is not None or any(place in value for place in self._places))
        )

    def _token(self, value: Any) -> Any:
        """A token, or several: of their text nothing is taken, of what else is said about them it is."""
        if isinstance(value, list):
            return [self._token(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "content" not in value:
            return {key: self._token(item) for key, item in value.items()}
        return {
            key: item
            for key, item in value.items()
            if key == "content" or not (self.is_private(key) or self.is_private(item))
        }

    def _tokenizer(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: item if key in _TOKENIZER_TEXT else self._tokenizer(item)
                for key, item in value.items()
                if key in _TOKENIZER_TEXT or not (self.is_private(key) or self.is_private(item))
            }
        return [self._tokenizer(item) for item in value] if isinstance(value, list) else value


def json_bytes(value: Any) -> bytes:
    """`value` as a JSON file."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not is_text(text):  # half a surrogate pair stays the escape that it was
        text = json.dumps(value, indent=2)
    return (text + "\n").encode()
