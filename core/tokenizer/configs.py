"""What the configs of several tokenizers say of special tokens, as the config of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

__all__ = ["special_tokens", "united_config", "united_special_map"]

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_OF_THE_FILE = ("tokenizer_class", "tokenizer_file", "backend")
"""Keys that go with the file of tokens, and so stay those of the model that it comes from."""


def united_config(
    found: Sequence[Mapping[str, Any]], of_base: Mapping[str, Any], tokens: AbstractSet[str]
) -> dict[str, Any]:
    """The tokenizer_config.json of several: the first one's, with what goes with the base's file of tokens.

    Args:
        found: those that there are, in the order in which they count.
        of_base: that of the model whose file of tokens is extended; empty where it has none.
        tokens: of the result.
    """
    if not found:
        return {}
    result = dict(found[0])
    for key in _OF_THE_FILE:
        result.pop(key, None)
        if key in of_base:
            result[key] = of_base[key]
    return _with_special(result, found, tokens)


def united_special_map(found: Sequence[Mapping[str, Any]], tokens: AbstractSet[str]) -> dict[str, Any]:
    """The special_tokens_map.json of several; the arguments are those of `united_config`."""
    result: dict[str, Any] = {}
    for said in found:
        result = {**said, **result}
    return _with_special(result, found, tokens)


def special_tokens(config: Mapping[str, Any]) -> Iterator[str]:
    """The text of every special token that a config names."""
    listed = [config.get(key) for key in _LISTS]
    tokens = [one for some in listed if isinstance(some, list) for one in some]
    for value in [*(config.get(key) for key in _SPECIAL), *tokens]:
        if (text := _text(value)) is not None:
            yield text


def _with_special(
    result: dict[str, Any], found: Sequence[Mapping[str, Any]], tokens: AbstractSet[str]
) -> dict[str, Any]:
    """`result` with the first special token of each kind that `found` names, and the lists of all.

    A token that the result lacks is left out: whoever loads the tokenizer would add it behind the last row.
    """
    for key in _SPECIAL:
        value = next((one[key] for one in found if _text(one.get(key)) in tokens), None)
        if value is not None:
            result[key] = value
        elif _text(result.get(key)) is not None:
            del result[key]
    for key in _LISTS:
        lists = [one[key] for one in found if isinstance(one.get(key), list)]
        listed = {_text(token): token for some in reversed(lists) for token in reversed(some)}
        kept = [token for text, token in reversed(listed.items()) if text in tokens]
        if kept:
            result[key] = kept
        elif isinstance(result.get(key), list):
            del result[key]
    return result


def _text(token: Any) -> str | None:
    """Of a special token, which may be written with its flags."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None
