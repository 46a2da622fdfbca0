"""Which tensors of a model share memory: what its config says, and what transformers declares of its type.

`ties.json` is made by packaging/make_ties.py from the declarations of transformers (`_tied_weights_keys`),
so that planning needs no transformers and does not depend on its version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

from core.checkpoint.names import tied_heads

__all__ = ["aliases_of", "declared_ties", "explicitly_ties", "model_prefixes", "says_tied"]

_TABLE = Path(__file__).with_name("ties.json")
_PLAIN = re.compile(r"[A-Za-z0-9_.]+\.(?:weight|bias)")


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    models: Mapping[str, Any] = json.loads(_TABLE.read_bytes())["models"]
    return models


def explicitly_ties(config: Mapping[str, Any] | None) -> bool | None:
    """What `tie_word_embeddings` is in a config, or in its text_config; None where it is in neither."""
    for part in (config, (config or {}).get("text_config")):
        value = part.get("tie_word_embeddings") if isinstance(part, dict) else None
        if isinstance(value, bool):
            return value
    return None


def model_prefixes(config: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Under which names classes of that type hold the model without its head; None for an unknown type."""
    entry = _entry(config)
    return tuple(entry["prefixes"]) if entry else None


def says_tied(config: Mapping[str, Any] | None) -> bool | None:
    """Whether a model ties its embeddings: by its config, or by the default of its type's class.

    None where the config does not say and the type is not known.
    """
    said = explicitly_ties(config)
    if said is not None or config is None:
        return said
    for part in (config, config.get("text_config")):
        default = _entry(part).get("default")
        if isinstance(default, bool):
            return default
    return None


def declared_ties(config: Mapping[str, Any] | None, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Names among `shapes` that are tied to another where a model of that config ties: alias -> first.

    What a name is tied to need not be among `shapes`. A declaration holds under any prefix: the model may be
    a part of a larger one. Output heads of the embedding's shape are found by their names in any model.
    """
    found = tied_heads(shapes)
    config = config or {}
    for part in (config, *config.values()):  # a model within it ties its own
        if isinstance(part, dict) and (entry := _entry(part)):
            found |= _declared_by(entry, part, shapes)
    return {alias: root for alias in found if (root := _root(alias, found)) != alias}


def aliases_of(config: Mapping[str, Any] | None, first: str) -> list[str] | None:
    """The names that a model of that config's type ties to the one of the name `first`, there or not.

    None for an unknown type.
    """
    found: dict[str, None] = {}
    entries = [(part, _entry(part)) for part in (config, *(config or {}).values()) if isinstance(part, dict)]
    for part, entry in entries:
        for alias, root, *condition in entry.get("pairs", ()):
            off = condition and part.get(condition[0]) is False
            if not off and f".{first}".endswith(f".{root}") and _PLAIN.fullmatch(alias):
                found[first.removesuffix(root) + alias] = None
    return list(found) if any(entry for _, entry in entries) else None


def _entry(config: Any) -> Mapping[str, Any]:
    """What the table says of a config's type; nothing where it does not know it."""
    kind = config.get("model_type") if isinstance(config, dict) else None
    entry: Mapping[str, Any] = _table().get(kind, {}) if isinstance(kind, str) else {}
    return entry


def _declared_by(
    entry: Mapping[str, Any], config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for alias, first, *condition in entry.get("pairs", ()):
        if condition and config.get(condition[0]) is False:
            continue
        if _PLAIN.fullmatch(alias) and _PLAIN.fullmatch(first):
            found |= _under_prefixes(alias, first, shapes)
        else:
            for prefix in ("", *(f"{one}." for one in entry["prefixes"])):
                found |= _by_pattern(prefix, alias, first, shapes)
    return found


def _under_prefixes(alias: str, first: str, names: Mapping[str, Any]) -> dict[str, str]:
    ending = f".{alias}"
    found = {}
    for name in names:
        if name == alias or name.endswith(ending):
            tied = name[: len(name) - len(alias)] + first
            if tied in names and names[tied] == names[name]:
                found[name] = tied
    return found


def _by_pattern(prefix: str, alias: str, first: str, names: Mapping[str, Any]) -> dict[str, str]:
    """As transformers expands a declaration that names modules or holds a pattern, of names with a prefix."""
    inner = [name[len(prefix) :] for name in names if name.startswith(prefix)]
    firsts = sorted(prefix + name for name in inner if re.search("^" + first, name))
    aliases = sorted(prefix + name for name in inner if re.search("^" + alias, name))
    if not firsts or len(aliases) % len(firsts):
        return {}
    return {a: f for a, f in zip(aliases, cycle(firsts), strict=False) if a != f and names[a] == names[f]}


def _root(name: str, found: Mapping[str, str]) -> str:
    seen: Sequence[str] = ()
    while name in found and name not in seen:
        seen = (*seen, name)
        name = found[name]
    return name
