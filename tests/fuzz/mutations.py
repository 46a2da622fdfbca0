"""Spoiling what was sound: values exchanged in what is JSON, lines in what has lines, bytes in anything."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import yaml

from core.recipe.yaml_values import NotYaml, read_documents

__all__ = ["FORMS", "mutated"]

_MOST_BYTES = 1_000_000
_MOST_YAML_BYTES = 20_000
"""That are written by PyYAML, which takes milliseconds for a kilobyte."""

_ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        [],
        {},
        "",
        "x",
        " ",
        0,
        -1,
        1,
        2,
        1.0,
        0.5,
        -0.0,
        1e-5,
        1e300,
        10**400,
        2**31,
        2**32,
    ),
    *(
        2**53,
        2**62,
        2**63 - 1,
        2**63,
        2**64,
        -(2**63),
        [[]],
        [{}],
        {"a": {}},
        [None],
        {"": 0},
        [1, "a"],
        "\0",
    ),
    *(
        "\ud800",
        "\u202eevil",
        "a\nb",
        "a/b",
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\x",
        "~",
        "~nobody/x",
        ".",
    ),
    *(
        "..",
        "1e3",
        "0x10",
        "1_0",
        "null",
        "yes",
        "2020-01-01",
        "<<",
        "*a",
        "&a",
        "!!x",
        "=",
        "@",
        "é",
        "\u2028",
    ),
    *(
        "\x85",
        "\ufeff",
        "😀",
        "-",
        "#",
        "a: b",
        "a #b",
        "'",
        '"',
        "%",
        float("nan"),
        float("inf"),
        -float("inf"),
    ),
    *("BF16", "I64", "F8_E4M3", "base", "merged", "sub-model", "0" * 32, "x" * 300, "[" * 200, "9" * 5000),
)
_PIECES = (
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\0", b"\xff", b"\n", b"\r", b"\t", b" ", b"\\u0000"),
    *(
        b"\\ud800",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"null",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 400,
        b"-",
    ),
    *(
        b"- ",
        b"? ",
        b"<<: ",
        b"*a",
        b"&a ",
        b"!!int ",
        b"!!binary ",
        b"|\n",
        b"@",
        b"@Variant(",
        b"=",
        b";",
        b"%",
    ),
)


def mutated(random: Random, data: bytes, form: str, others: Sequence[bytes]) -> bytes:
    """`data` spoilt in one place or a few.

    Args:
        random: says how; the same for the same state.
        data: what was sound, or nearly.
        form: one of FORMS.
        others: more of its kind, parts of which are put into it.
    """
    for _ in range(1 + int(random.expovariate(1))):
        way = FORMS[form] if random.random() < 0.7 else _bytes
        data = way(random, data, others)[:_MOST_BYTES]
    return data


# -- values


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _json(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    try:
        value = json.loads(data)
        places = list(_paths(value))
    except (ValueError, RecursionError):
        return _bytes(random, data, others)
    if not places:
        return json.dumps(random.choice(_ODD)).encode()
    *way, last = random.choice(places)
    holder = _at(value, tuple(way))
    _exchange(random, holder, last, lambda: _elsewhere(random, value, others))
    indent = random.choice((None, None, 1, 2))
    text = json.dumps(value, ensure_ascii=random.random() < 0.5, indent=indent)
    return text.encode("utf-8", "surrogatepass")


def _value(data: bytes) -> Any:
    """The first document of a text of YAML."""
    return next(iter(read_documents(data.decode())), None)


def _yaml(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Values, where it is YAML, written as YAML or as JSON, which is YAML too; or lines."""
    try:
        value = _value(data) if random.random() < 0.7 else None
        sound = [json.dumps(_value(other)).encode() for other in others[:3]]
        spoilt = _json(random, json.dumps(value).encode(), sound) if value else b""
        if 0 < len(spoilt) < _MOST_YAML_BYTES and random.random() < 0.5:
            spoilt = yaml.safe_dump(json.loads(spoilt), sort_keys=False).encode()
    except (ValueError, TypeError, RecursionError, NotYaml, yaml.YAMLError):
        spoilt = b""
    return spoilt or _lines(random, data, others)


def _exchange(random: Random, holder: Any, key: Any, elsewhere: Callable[[], Any]) -> None:
    """Put another value in the place of `holder[key]`, or none, or one more."""
    old = holder[key]
    what = random.randrange(10)
    if what < 4:
        holder[key] = copy.deepcopy(random.choice(_ODD))
    elif what == 4:
        del holder[key]
    elif what == 5:
        holder[key] = copy.deepcopy(elsewhere())
    elif what == 6 and isinstance(holder, dict):
        name = random.choice(_ODD)
        holder[name if isinstance(name, str) else str(key) + "x"] = holder.pop(key)
    elif what == 6:
        holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(elsewhere()))
    elif what == 7:
        holder[key] = random.choice(([old], {"a": old}, [old, old], str(old)))
    elif isinstance(old, list) and old:
        holder[key] = random.choice((old[:-1], old + old[-1:], old * random.choice((2, 50, 3000)), old[::-1]))
    elif isinstance(old, int | float):
        holder[key] = random.choice((old + 1, old - 1, -old, float(min(old, 2**53)), old * 2))
    elif isinstance(old, str):
        piece = str(random.choice(_ODD))
        at = random.randrange(len(old) + 1)
        holder[key] = random.choice((old[:at], old[:at] + piece + old[at:], old * 2, old.upper(), piece))
    else:
        holder[key] = copy.deepcopy(random.choice(_ODD))


def _elsewhere(random: Random, value: Any, others: Sequence[bytes]) -> Any:
    """A part of this value, or of another."""
    if random.random() < 0.5 and others:
        try:
            value = json.loads(random.choice(others))
        except (ValueError, RecursionError):
            return random.choice(_ODD)
    places = list(_paths(value))
    return _at(value, random.choice(places)) if places else value


# -- lines and bytes


def _lines(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Lines left out, said again, exchanged, or from elsewhere."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    what = random.randrange(6)
    if what == 0 and len(lines) > 1:
        del lines[at]
    elif what == 1:
        lines.insert(random.randrange(len(lines) + 1), lines[at])
    elif what == 2:
        other = random.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif what == 3 and others:
        lines[at] = random.choice(random.choice(others).split(b"\n"))
    elif what == 4:
        lines[at] = random.choice((b"  ", b"- ", b"  - ", b"[", b"")) + lines[at]
    else:
        name, colon, _ = lines[at].replace(b"=", b":").partition(b":")
        value = str(random.choice(_ODD)).encode("utf-8", "surrogatepass")
        lines[at] = name + (b"=" if b"=" in lines[at] else colon + b" ") + value
    return b"\n".join(lines)


def _json_lines(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if random.random() < 0.2:
        return _lines(random, data, others)
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    lines[at] = _json(random, lines[at], [line for other in others for line in other.split(b"\n")])
    return b"\n".join(line.replace(b"\n", b" ") for line in lines)


def _bytes(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Bytes changed, cut off, said twice, or from elsewhere."""
    spoilt = bytearray(data)
    at = random.randrange(len(spoilt) + 1)
    end = min(len(spoilt), at + random.choice((1, 2, 4, 8, 40, 400)))
    what = random.randrange(8)
    if what == 0 and at < len(spoilt):
        spoilt[at] ^= 1 << random.randrange(8)
    elif what == 1:
        spoilt[at:at] = spoilt[at:end] * random.choice((1, 1, 1, 2, 300, 20_000))
    elif what == 2:
        del spoilt[at:end]
    elif what == 3:
        del spoilt[at:]
    elif what == 4 and at < len(spoilt):
        spoilt[at] = random.randrange(256)
    elif what == 5 and others:
        other = random.choice(others)
        begin = random.randrange(len(other) + 1)
        spoilt[at:end] = other[begin : begin + random.choice((4, 40, 400))]
    elif what == 6:
        spoilt[at:at] = random.choice(_PIECES)
    else:
        spoilt[at:end] = random.choice(_PIECES)
    return bytes(spoilt)


FORMS: dict[str, Callable[[Random, bytes, Sequence[bytes]], bytes]] = {
    "bytes": _bytes,
    "json": _json,
    "json lines": _json_lines,
    "lines": _lines,
    "yaml": _yaml,
}
