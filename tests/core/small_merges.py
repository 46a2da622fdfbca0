"""Merges of a tenth of a second that have everything: several shards, folds, small files in folders.

Their calls to the disk come in the same order every time: one chunk after the other in one thread, and each
goes into the journal as soon as it is written.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from disk_faults import Faulty, in_place
from method_checks import make_models, recipe_data

from core import MergeError, MergePlan, discard, plan_merge, read_record, run_merge
from core.cancel import CancelToken
from core.checkpoint.output import settle
from core.checkpoint.staging import staging_path
from core.methods import METHODS
from core.recipe.parsing import parse_recipe
from core.run import merge as merge_module
from core.run.journaling import Journaling
from core.run.passes import Done
from core.run.record import RunRecord
from core.run.work import LATER, Chunk, Work

__all__ = [
    "OneByOne",
    "Story",
    "contents",
    "error_of",
    "in_order",
    "make_inputs",
    "quick_folder",
    "same_output",
]

SHARD_BYTES = 300_000
MAY_DIFFER = ("seconds", "started", "device", "software", "bytes_read", "run_id", "record_digest")
"""What the record of a resumed merge may say otherwise."""

SETTINGS: dict[str, tuple[int, dict[str, Any]]] = {
    "parameter_selection": (2, {"resamples": 2}),
    "linear": (2, {"weight": [0.25, 0.75]}),
    "slerp": (1, {"t": 0.3}),
}


@contextlib.contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where the system has one: hundreds of merges sync thousands of files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


class OneByOne:
    """A core.run.work.Executor without threads."""

    def __init__(self, before: Callable[[int, Chunk], None] | None = None) -> None:
        """`before` is called with the number of each chunk, and the chunk, before it is read."""
        self._before = before

    def run(self, work: Work[Any, Any], *, slots: int, token: CancelToken, poll: Callable[[], None]) -> None:
        slot = work.slot()
        try:
            for number in itertools.count():
                token.raise_if_cancelled()
                chunk = work.take()
                if chunk is None:
                    break
                assert chunk is not LATER, "one at a time there is always something to do"
                if self._before is not None:
                    self._before(number, chunk)
                    token.raise_if_cancelled()
                slot.fill(chunk)
                slot.compute(chunk)
                work.collect(slot.finish(chunk))
                poll()
        finally:
            slot.close()
        poll()


class AtOnce(Journaling):
    """Keeps each part when it comes, and not from time to time."""

    def part(self, done: Done, fraction: float) -> None:
        super().part(done, fraction)
        try:
            self._keep()
        except BaseException as error:
            self._failure = error

    def _run(self) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._stopping)


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """Merges run in the meantime make the same calls each time, with `executor=OneByOne()`."""
    with mock.patch.object(merge_module, "Journaling", AtOnce):
        yield


def make_inputs(folder: Path) -> None:
    """A base and two models in a new folder, with small files in folders."""
    folder.mkdir()
    make_models(folder, 2)
    for place in sorted(folder.iterdir()):
        (place / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": {"vocab": {}}}))
        (place / "generation_config.json").write_text(json.dumps({"max_length": 7}))
        (place / "additional_chat_templates").mkdir()
        (place / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")


class Story:
    """One merge, told in several ways: whole, cut off, gone on with.

    Attributes:
        inputs: the folder of the models.
        parent: the folder that the output goes into, with nothing else in it.
        out: the output.
    """

    def __init__(
        self, inputs: Path, parent: Path, method: str = "parameter_selection", seed: int = 7
    ) -> None:
        self.inputs, self.parent, self.out = inputs, parent, parent / "out"
        models, values = SETTINGS[method]
        self.data = recipe_data(METHODS[method], models, values, seed)
        parent.mkdir(parents=True, exist_ok=True)

    def plan(self, **changes: Any) -> MergePlan:
        return plan_merge(parse_recipe(self.data | changes, self.inputs), shard_size_bytes=SHARD_BYTES)

    def run(self, plan: MergePlan | None = None, **options: Any) -> RunRecord:
        """Merge, with the calls in the same order each time."""
        options = {"threads": 1, "chunk_bytes": 1, "executor": OneByOne()} | options
        with in_order():
            return run_merge(plan or self.plan(), self.out, **options)

    def cut_off(self, at: int, kind: str = "gone", **options: Any) -> Faulty:
        """The same, and from its call `at` on nothing reaches the disk: as if the process had ended."""
        system = Faulty(at, kind)
        with in_place(system), contextlib.suppress(MergeError):
            self.run(**options)
        return system

    def finish(self, *, overwrite: bool) -> str:
        """Go on with what is there; where that cannot be, remove it as it is offered, and begin again.

        Returns "resumed" or "removed".
        """
        try:
            self.run(resume=True, overwrite=overwrite)
            return "resumed"
        except MergeError:
            discard(staging_path(self.out))
            self.run(overwrite=overwrite)
            return "removed"

    def put(self, files: Mapping[str, bytes]) -> None:
        """Have nothing but an output of these files; none for no output."""
        self.clear()
        for name, data in files.items():
            path = self.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def settle(self) -> list[str]:
        return settle(self.out, [self.inputs])

    def record(self) -> RunRecord:
        """Of the output."""
        return read_record(self.out)

    def clear(self) -> None:
        """Begin with an empty folder."""
        shutil.rmtree(self.parent)
        self.parent.mkdir()

    def names(self) -> list[str]:
        """What is in the folder of the output."""
        return sorted(path.name for path in self.parent.iterdir())


def error_of(do: Callable[..., Any], *given: Any, **named: Any) -> MergeError | None:
    """What `do` raises where that is a MergeError; None where it raises nothing."""
    try:
        do(*given, **named)
    except MergeError as error:
        return error
    return None


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by its name; a link by where it leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def same_output(one: dict[str, bytes], other: dict[str, bytes]) -> bool:
    """Whether two outputs have the same files and, but for what may differ, the same record."""
    return _comparable(one) == _comparable(other)


def _comparable(files: dict[str, bytes]) -> dict[str, Any]:
    comparable: dict[str, Any] = dict(files)
    record = json.loads(files.get("paramosaic.json", b"{}"))
    comparable["paramosaic.json"] = {key: value for key, value in record.items() if key not in MAY_DIFFER}
    return comparable
