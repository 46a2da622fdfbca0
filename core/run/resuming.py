"""Going on with a merge that was cut off: whether it is the same merge, and what of it is finished.

The journal is not trusted with bytes: what it says is finished is read again and digested before it counts.
"""

from __future__ import annotations

import json
import platform
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xxhash

from core.cancel import CancelToken
from core.checkpoint.companions import Companion
from core.checkpoint.files import FileState, WriteFile
from core.checkpoint.headers import ShardHeader
from core.checkpoint.journal import JournalEntry
from core.checkpoint.model import Checkpoint
from core.checkpoint.output import discard_command
from core.checkpoint.staging import WrittenFile
from core.digest import piece_digests
from core.errors import OutputError
from core.kernels.interface import Values
from core.methods.folds import Fold
from core.plan.merge_plan import MergePlan
from core.recipe.writing import recipe_as_dict
from core.run.executors.threads import ThreadExecutor
from core.run.journaling import done_of, found_of
from core.run.passes import Done, Restored
from core.run.work import IteratedWork
from core.sources.token_rows import Rows
from core.text import shown

__all__ = [
    "again_entry",
    "changed_entry",
    "check_same_merge",
    "files_entry",
    "first_entry",
    "readers_of",
    "refuse_other_files",
    "restore",
    "sound_parts",
]

_VERSION = 1
_KIND = "paramosaic journal"


def first_entry(
    plan: MergePlan, run_id: str, started: str, device: str, names: Iterable[str]
) -> dict[str, Any]:
    """What the journal of a merge begins with.

    Args:
        plan: what is merged.
        run_id: of the merge.
        started: when, UTC, ISO 8601.
        device: what does the arithmetic.
        names: the files of the output.
    """
    return {
        "kind": _KIND,
        "version": _VERSION,
        "run_id": run_id,
        "started": started,
        "contract": plan.contract,
        "recipe": recipe_as_dict(plan.recipe, plan.names),
        "inputs": _inputs_data(plan),
        "names": list(names),
        "shards": [
            {"name": shard.file_name, "size": shard.size_bytes, "header": _digest(shard.header)}
            for shard in plan.shards
        ],
        "tensors": _digest(
            repr([_said_of(tensor) for tensor in plan.tensors]).encode("utf-8", "surrogatepass")
        ),
        "device": device,
        "platform": _platform(),
    }


def check_same_merge(
    plan: MergePlan, entries: Sequence[JournalEntry], device: str, staging: Path
) -> tuple[list[Path], list[str]]:
    """Refuse to go on with another merge than the one that was begun.

    Returns the input files whose bytes may have changed although nothing that lasts says so: what was made
    of them is to be made again; and a sentence for each.

    Raises:
        OutputError: says what is different.
    """
    first = entries[0]
    if first.get("kind") != _KIND:
        raise _different(staging, "its journal is none that a merge writes")
    if first.get("version") != _VERSION:
        raise _different(staging, f"its journal is of version {shown(first.get('version'))}, not {_VERSION}")
    if first.get("contract") != plan.contract:
        raise _different(staging, "it was begun by a version of Paramosaic whose results may differ")
    begun, asked = first.get("recipe"), recipe_as_dict(plan.recipe, plan.names)
    if _plain(_meant(plan, begun)) != _plain(_meant(plan, asked)):
        raise _different(staging, _recipe_difference(_meant(plan, begun), _meant(plan, asked)))
    again, sentences = _changed_files(plan, entries, staging)
    now = first_entry(plan, "", "", device, ())
    if first.get("shards") != now["shards"]:
        raise _different(staging, "its files were laid out otherwise: give the same shard size")
    if first.get("tensors") != now["tensors"]:
        raise _different(staging, "it was begun by a version of Paramosaic that planned it otherwise")
    if not plan.recipe.method.same_everywhere and any(
        first.get(key) != now[key] for key in ("device", "platform")
    ):
        raise _different(
            staging,
            f"{plan.recipe.method.name} may give other bytes on {device}, {now['platform']} than on "
            f"{shown(first.get('device'))}, {shown(first.get('platform'))}, where it was begun",
        )
    return again, sentences


def changed_entry(path: Path) -> dict[str, Any]:
    """Says that an input file changed while the merge ran."""
    return {"changed": path.name, "in": path.parent.name}


def files_entry(files: Iterable[WrittenFile]) -> dict[str, Any]:
    """Says what the small files of the output are."""
    return {"files": [asdict(file) for file in files]}


def refuse_other_files(
    entries: Sequence[JournalEntry], companions: Mapping[str, Companion], staging: Path
) -> None:
    """Refuse to go on where a small file of the output would be another now.

    Args:
        entries: the journal's.
        companions: the small files as they are now.
        staging: the folder of the merge.

    Raises:
        OutputError: names the file.
    """
    before = [entry["files"] for entry in entries if isinstance(entry.get("files"), list)]
    if not before:
        return
    files = [file for file in before[-1] if isinstance(file, dict)]
    digests = {name: file.get("digest") for file in files if isinstance(name := file.get("name"), str)}
    for name, companion in companions.items():
        if digests.get(name) != companion.digest():
            raise _different(staging, f"{name} of the models has changed since", companion.path)
    for gone in digests.keys() - companions.keys():
        raise _different(staging, f"the models have no {shown(gone)} any more")


def again_entry(plan: MergePlan, tensors: Sequence[int]) -> dict[str, Any]:
    """Says that tensors are made again from their beginning, and what the inputs are now."""
    return {"again": list(tensors), "inputs": _inputs_data(plan)}


def readers_of(plan: MergePlan, files: Iterable[Path]) -> list[int]:
    """The numbers of the tensors for which any of `files` is read."""
    wanted = set(files)
    return [
        number
        for number, tensor in enumerate(plan.tensors)
        if any(stored.path in wanted for source in tensor.inputs for stored in source.stored)
    ]


def restore(plan: MergePlan, entries: Sequence[JournalEntry]) -> Restored:
    """What the journal says is finished. Entries that make no sense for this merge do not count."""
    parts: defaultdict[int, _Parts] = defaultdict(_Parts)
    found: dict[int, tuple[Values, ...]] = {}
    for entry in entries[1:]:
        if "part" in entry:
            part = done_of(entry, plan.tensors)
            if part is not None:
                parts[part.chunk.tensor].add(part)
        elif "found" in entry:
            values = found_of(entry, plan.tensors)
            if values is not None and _is_complete(plan.tensors[values[0]].folds, values[1]):
                found[values[0]] = values[1]
        elif isinstance(entry.get("again"), list):
            for number in entry["again"]:
                if type(number) is not int:
                    continue
                parts.pop(number, None)
                found.pop(number, None)
    kept = (
        part
        for number in sorted(parts)
        for part in parts[number].parts
        if not plan.tensors[number].folds or number in found  # a map's job has what the folds found
    )
    return Restored(tuple(kept), found)


class _Parts:
    """Parts of one tensor in the order of its elements, none of which overlap.

    Attributes:
        parts: the first that came of those that would.
    """

    def __init__(self) -> None:
        self.parts: list[Done] = []
        self._begins: list[int] = []

    def add(self, part: Done) -> None:
        begin, end = part.chunk.first, part.chunk.first + part.chunk.elements
        at = bisect_left(self._begins, begin)
        before = self.parts[at - 1].chunk if at else None
        if before is not None and before.first + before.elements > begin:
            return
        if at < len(self._begins) and self._begins[at] < end:
            return
        self._begins.insert(at, begin)
        self.parts.insert(at, part)


def _is_complete(folds: Sequence[Fold], found: Sequence[Values]) -> bool:
    """Whether all is there that the method's map needs of its folds."""
    names = [name for fold in folds for name in fold.finds]
    return all(isinstance(values.get(name), float | tuple) for values in found for name in names)


def sound_parts(
    plan: MergePlan, parts: Sequence[Done], shards: Sequence[WriteFile], threads: int, token: CancelToken
) -> tuple[Done, ...]:
    """Those of `parts` whose bytes are in the files as they were written.

    Raises:
        Cancelled: after `token.cancel()`.
        OutputError: a file cannot be read.
    """
    work = _Checking(plan, parts, shards)
    ThreadExecutor().run(work, slots=threads, token=token, poll=lambda: None)
    return tuple(part for number, part in enumerate(parts) if number in work.sound)


class _Checking(IteratedWork[int, "tuple[int, bool]"]):
    """Reads parts and digests them. Its chunks are the numbers of parts."""

    def __init__(self, plan: MergePlan, parts: Sequence[Done], shards: Sequence[WriteFile]) -> None:
        super().__init__(iter(range(len(parts))))
        self._plan, self._parts, self._shards = plan, parts, shards
        self.sound: set[int] = set()

    def slot(self) -> _CheckingSlot:
        return _CheckingSlot(self._plan, self._parts, self._shards)

    def collect(self, done: tuple[int, bool]) -> None:
        if done[1]:
            self.sound.add(done[0])


class _CheckingSlot:
    """A core.run.work.Slot."""

    _READ_BYTES = 4 * 1024**2

    def __init__(self, plan: MergePlan, parts: Sequence[Done], shards: Sequence[WriteFile]) -> None:
        self._plan, self._parts, self._shards = plan, parts, shards
        self._buffer = memoryview(bytearray(self._READ_BYTES))
        self._sound = False

    def fill(self, chunk: int) -> None:
        """Reading and digesting go together, a piece of memory at a time."""
        part = self._parts[chunk]
        tensor = self._plan.tensors[part.chunk.tensor]
        written = part.outputs[0]
        shard = self._shards[tensor.placement.shard]
        begin = tensor.placement.offset + part.chunk.first * tensor.output.dtype.itemsize
        digests = []
        for at in range(0, written.size_bytes if shard.was_there else 0, self._READ_BYTES):
            view = self._buffer[: min(self._READ_BYTES, written.size_bytes - at)]
            shard.read_into(view, begin + at)
            digests.append(piece_digests(view))
        self._sound = b"".join(digests) == written.digests

    def compute(self, chunk: int) -> None:
        """It is done."""

    def finish(self, chunk: int) -> tuple[int, bool]:
        return chunk, self._sound

    def close(self) -> None:
        """Nothing is held."""


# -- what is the same


def _inputs_data(plan: MergePlan) -> list[dict[str, Any]]:
    return [
        {
            "role": role,
            "name": model.name,
            "folder": str(model.folder.absolute()),
            "files": [_file_data(shard) for shard in model.every_shard],
        }
        for role, model in _models(plan)
    ]


def _models(plan: MergePlan) -> list[tuple[str, Checkpoint]]:
    return [*([("base", plan.base)] if plan.base else []), *(("sub-model", model) for model in plan.models)]


def _file_data(shard: ShardHeader) -> dict[str, Any]:
    return {"name": shard.path.name, "header": shard.digest, **asdict(shard.state)}


def _changed_files(
    plan: MergePlan, entries: Sequence[JournalEntry], staging: Path
) -> tuple[list[Path], list[str]]:
    """See check_same_merge."""
    latest = next((entry["inputs"] for entry in reversed(entries) if "inputs" in entry), None)
    named = _named_since(entries)
    again: dict[Path, str] = {}
    models = _models(plan)
    if not isinstance(latest, list) or len(latest) != len(models):
        raise _different(staging, "it has other models")
    for (role, model), before in zip(models, latest, strict=True):
        files = before.get("files") if isinstance(before, dict) else None
        if not isinstance(files, list) or len(files) != len(model.every_shard):
            raise _different(staging, f"the {role} {model.name} has other files now", model.folder)
        for shard, old in zip(model.every_shard, files, strict=True):
            now = _file_data(shard)
            is_named = (shard.path.parent.name, shard.path.name) in named
            lasting = ("name", "size_bytes", "header", *(() if is_named else ("modified_ns",)))
            if not isinstance(old, dict) or any(old.get(key) != now[key] for key in lasting):
                raise _different(staging, f"{shard.path} has changed since", shard.path)
            if is_named:
                again[shard.path] = f"{shard.path} changed while it was being read"
            elif _may_differ(shard.state, old, before, model):
                again[shard.path] = f"{shard.path} may have changed"
    return list(again), [f"{what}: what was made of it is made again" for what in again.values()]


def _may_differ(now: FileState, old: Mapping[str, Any], before: Mapping[str, Any], model: Checkpoint) -> bool:
    """Whether a file of the same size and time may have other bytes: written in place, or replaced."""
    if old.get("number") == now.number:  # some disks have another number after each start of the system
        return old.get("changed_ns") != now.changed_ns
    if old.get("device") != now.device:
        return False
    return before.get("folder") == str(model.folder.absolute())


def _named_since(entries: Sequence[JournalEntry]) -> set[tuple[Any, Any]]:
    """Files that changed under the merge, and of which nothing was made again since."""
    named: set[tuple[Any, Any]] = set()
    for entry in entries:
        if "again" in entry:
            named.clear()
        elif isinstance(entry.get("changed"), str) and isinstance(entry.get("in"), str):
            named.add((entry["in"], entry["changed"]))
    return named


def _meant(plan: MergePlan, recipe: Any) -> Any:
    """A recipe without the parameters that it need not say, because they are as they are by default."""
    if not isinstance(recipe, dict):
        return recipe
    method = plan.recipe.method

    def without_defaults(entry: Any) -> Any:
        if not isinstance(entry, dict) or not isinstance(entry.get("parameters"), dict):
            return entry
        said = {
            name: value
            for name, value in entry["parameters"].items()
            if (spec := method.parameter(name)) is None or value != spec.default
        }
        return {
            **{key: entry[key] for key in entry if key != "parameters"},
            **({"parameters": said} if said else {}),
        }

    models = recipe.get("models")
    return {
        **without_defaults(recipe),
        **({"models": [without_defaults(model) for model in models]} if isinstance(models, list) else {}),
    }


def _recipe_difference(begun: Any, asked: Mapping[str, Any]) -> str:
    """ "seed is 8 in the recipe, and it was begun with 7"."""
    if not isinstance(begun, dict):
        return "it is of another recipe"
    for key in dict.fromkeys([*asked, *begun]):
        if _plain(begun.get(key)) != _plain(asked.get(key)):
            if key == "models" and isinstance(begun.get(key), list) and key in asked:
                return _models_difference(begun[key], asked[key])
            now, then = shown(asked.get(key)), shown(begun.get(key))
            return f"{key} is {now} in the recipe now, and it was begun with {then}"
    return "it is of another recipe"


def _models_difference(begun: Sequence[Any], asked: Sequence[Any]) -> str:
    if len(begun) != len(asked):
        return f"the recipe has {len(asked)} sub-models now, and it was begun with {len(begun)}"
    for number, (then, now) in enumerate(zip(begun, asked, strict=True), 1):
        if _plain(then) != _plain(now):
            return (
                f"sub-model {number} of the recipe is {shown(now)} now, and it was begun with {shown(then)}"
            )
    return "it has other sub-models"


def _different(staging: Path, what: str, path: Path | None = None) -> OutputError:
    return OutputError(
        f"the merge in {staging} cannot go on: {what}",
        hint=f"put that back, or remove what the merge left: {discard_command(staging)}",
        path=path or staging,
        field="out",
    )


def _said_of(tensor: Any) -> tuple[Any, ...]:
    """What makes the bytes of a tensor, beside its sources."""
    job = tensor.job
    said = None
    if job is not None:
        types = [str(dtype) for dtype in (*job.model_dtypes, job.base_dtype, job.merge_dtype, job.out_dtype)]
        said = job.method, types, job.parameters.listed, job.key, job.zero_tolerance, job.draws, job.row
    sources = [
        (type(source).__name__, [stored.name for stored in source.stored], _made_with(source))
        for source in tensor.inputs
    ]
    rows = [source.picks.digest for source in tensor.inputs if isinstance(source, Rows)]
    parts = [
        (part.digest, part.present, part.job.method, part.job.parameters.listed) for part in tensor.parts
    ]
    of_rows = [(rows, parts)] if rows or parts else []
    return tensor.output.name, str(tensor.output.dtype), tensor.output.shape, said, sources, *of_rows


def _made_with(source: Any) -> Any:
    """What a source does with what it reads, where that is not said by its files."""
    return getattr(source, "said", getattr(source, "block", None))


def _is_number(value: Any) -> bool:
    return isinstance(value, int)


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}"


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(data: bytes) -> str:
    return xxhash.xxh3_128(data).hexdigest()
