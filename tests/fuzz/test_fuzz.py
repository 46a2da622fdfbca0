"""Whatever a parser is fed: what it promises, or the error that says in words what is wrong, within bounds.

A few cases of each, the same every time. `make fuzz` tries many more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from ground import Ground
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated
from targets import TARGETS, Target, feed

from core.errors import RecipeError

RUN = Path(__file__).with_name("run.py")
CASES = 25
HERE = [name for name in TARGETS if name != "settings"]
"""What is read in this process. Qt may end the one that it reads in."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Ground(Path(folder))


@pytest.mark.parametrize("name", HERE)
def test_whatever_a_parser_is_fed(ground: Ground, name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds(ground)
    assert all(feed(target, ground, data) for data in seeds)
    taken: Counter[bool] = Counter()

    @settings(max_examples=CASES)
    @given(st.sampled_from(seeds) | st.binary(max_size=100), st.lists(st.integers(0, 2**32), max_size=4))
    def feed_spoilt(data: bytes, ways: list[int]) -> None:
        for way in ways:
            data = mutated(Random(way), data, target.form, seeds)
        taken[feed(target, ground, data)] += 1

    feed_spoilt()
    assert sum(taken.values()) >= CASES
    assert taken[True]
    assert taken[False] or name in ("history", "journal", "note", "tokenizer", "tokenizer config")


def _with_entry(entry: str) -> Callable[[bytes], bytes]:
    return lambda seed: seed + b"\n" + entry.encode()


def _with_value(key: str, value: object) -> Callable[[bytes], bytes]:
    return lambda seed: json.dumps(json.loads(seed) | {key: value}).encode()


def _without_zero_deltas(seed: bytes) -> bytes:
    record = json.loads(seed)
    for tensor in record["tensors"]:
        tensor["zero_delta"], tensor["zero_after_draw"] = None, [1]
    return json.dumps(record).encode()


FOUND: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a file with a list for a name": ("journal entries", _with_entry('{"files": [{"name": []}]}')),
    "a list for the number of a tensor": ("journal entries", _with_entry('{"again": [[]]}')),
    "half of what a fold finds": (
        "journal entries",
        _with_entry('{"found": [{"of_base": 0.5}], "tensor": 0}'),
    ),
    "a share that is no number": ("journal entries", _with_entry('{"done": NaN}')),
    "no inputs": ("journal entries", lambda seed: seed.replace(b'"inputs"', b'"outputs"')),
    "draws without zero deltas": ("record contents", _without_zero_deltas),
    "a moment of a megabyte": ("record contents", _with_value("started", "2026" * 250_000)),
}
"""What was at fault once: in which parser, and what was done to what is sound."""


@pytest.mark.parametrize("what", FOUND)
def test_what_was_at_fault_once(ground: Ground, what: str) -> None:
    name, spoil = FOUND[what]
    for seed in TARGETS[name].seeds(ground):
        spoilt = spoil(seed)
        assert spoilt != seed
        feed(TARGETS[name], ground, spoilt)


def test_a_parser_that_is_at_fault_is_found_out(ground: Ground) -> None:
    def fails(ground: Ground, data: bytes) -> None:
        raise {b"words": RecipeError("no"), b"long": RecipeError("x" * 9_999), b"key": KeyError("key")}[data]

    target = Target("fails", "json", (RecipeError,), fails, lambda ground: [])
    assert not feed(target, ground, b"words")
    with pytest.raises(AssertionError):
        feed(target, ground, b"long")
    with pytest.raises(KeyError):
        feed(target, ground, b"key")


def test_settings_in_a_process_of_their_own(tmp_path: Path) -> None:
    command = [sys.executable, RUN, "settings", "--own", "--cases=200", f"--keep={tmp_path}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    said = json.loads(ran.stdout)
    assert (said["target"], said["cases"], said["taken"], said["faults"]) == ("settings", 200, 200, {})
