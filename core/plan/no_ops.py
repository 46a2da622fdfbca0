"""Inputs that look as if they were given by mistake: the same model twice, an adapter that is not read.

Told by the headers and by a few small reads, never by a pass over the weights.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import xxhash

from core.checkpoint.files import ReadFile
from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import Checkpoint, file_names
from core.errors import MergeError
from core.units import bytes_text

__all__ = ["same_inputs", "unread_adapters"]

_TENSORS = 8
_NEAR = 16
"""Tensors from a place on among which a matrix is looked for: vectors are often left as they are."""
_PLACE_BYTES = 64 * 1024
_FIRST_BYTES = 4 * 1024
"""Of the first place that is looked at: what was fine-tuned at all mostly differs there."""

_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_config.json")


def same_inputs(models: Sequence[Checkpoint], base: Checkpoint | None) -> list[str]:
    """A sentence for each group of inputs that are, or look like, the same weights.

    Inputs whose files have the same sizes and headers are compared in one place of 4 KiB, and those that
    agree there in three places of 64 KiB of each of eight tensors. An input that cannot be read is left out:
    the merge says why.
    """
    others = [model for model in models if base is None or model.folder != base.folder]
    every = [*([base] if base is not None else []), *others]
    every = [model for model in every if model.shards]  # others are not made yet
    found = []
    for alike in _groups(every, _headers):
        same = _groups(alike, _files)
        found += [_sentence(group, base, "is", _same_files(group[0])) for group in same if len(group) > 1]
        differing = [group[0] for group in same]
        for close in _groups(_of_company(differing, _first_place), _all_places):
            if len(close) > 1:  # whoever is the same file as one of them is named with it above
                found.append(_sentence(close, base, "looks like", _same_places(close[0])))
    return found


def unread_adapters(models: Sequence[Checkpoint], base: Checkpoint | None) -> list[str]:
    """A sentence for each input with an adapter beside its weights, of which nothing is read."""
    found = []
    for model in [*models, *([base] if base is not None else [])]:
        try:
            names = file_names(model.folder, *_ADAPTERS)
        except MergeError:
            continue
        if names and not model.adapters:
            found.append(
                f"{model.name} holds an adapter ({', '.join(names)}) beside its "
                f"{len(model.tensors):,} tensors, and it is not read: where they are those from before "
                "fine-tuning, merge it into them first, with peft's merge_and_unload"
            )
    return found


# -- groups

Key = Callable[[Checkpoint], Hashable]


def _groups(models: Sequence[Checkpoint], key: Key) -> list[list[Checkpoint]]:
    """Those of the same key together, in their order; those whose key is None alone."""
    groups: dict[Hashable, list[Checkpoint]] = {}
    for number, model in enumerate(models):
        found = key(model)
        groups.setdefault((number, None) if found is None else found, []).append(model)
    return list(groups.values())


def _of_company(models: Sequence[Checkpoint], key: Key) -> list[Checkpoint]:
    """Those that share their key with another."""
    if len(models) < 2:
        return []
    return [model for group in _groups(models, key) if len(group) > 1 for model in group]


def _headers(model: Checkpoint) -> Hashable:
    return tuple(sorted((shard.size_bytes, shard.digest) for shard in model.every_shard))


def _files(model: Checkpoint) -> Hashable:
    """Where the system keeps them, whatever they are called."""
    return tuple(sorted((shard.state.device, shard.state.number) for shard in model.every_shard))


# -- places


@dataclass(frozen=True)
class _Place:
    tensor: StoredTensor
    first: int
    size: int


def _first_place(model: Checkpoint) -> Hashable:
    places = list(_places(model))
    if not places:
        return None
    middle = places[len(places) // 2]
    size = min(middle.size, _FIRST_BYTES)
    return _digest(model, [_Place(middle.tensor, middle.first + (middle.size - size) // 2, size)])


def _all_places(model: Checkpoint) -> Hashable:
    return _digest(model, list(_places(model)))


def _digest(model: Checkpoint, places: Sequence[_Place]) -> Hashable:
    """Of the bytes at `places`; None where they cannot be read, or a file is not the one that was opened."""
    digest = xxhash.xxh3_128()
    states = {shard.path: shard.state for shard in model.every_shard}
    try:
        for place in places:
            buffer = bytearray(place.size)
            with ReadFile(place.tensor.path) as file:
                if file.state != states[place.tensor.path]:
                    return None
                file.read_into(memoryview(buffer), place.tensor.offset + place.first)
            digest.update(buffer)
    except MergeError:
        return None
    return digest.digest()


def _places(model: Checkpoint) -> Iterator[_Place]:
    """The beginning, the middle and the end of tensors from all over the model; all of a small one."""
    shards = sorted(model.every_shard, key=lambda shard: (shard.size_bytes, shard.digest))
    ends = list(accumulate(len(shard.tensors) for shard in shards))
    chosen: dict[StoredTensor, None] = {}
    for number in range(_TENSORS):
        at = (2 * number + 1) * ends[-1] // (2 * _TENSORS)
        shard = bisect_right(ends, at)
        tensors = shards[shard].tensors[at - ends[shard] :][:_NEAR]  # from `at` on, counted from the end
        matrices = [tensor for tensor in tensors if len(tensor.shape) > 1 and tensor.size_bytes]
        chosen[matrices[0] if matrices else tensors[0]] = None
    for tensor in chosen:
        size = tensor.size_bytes
        if not size:
            continue
        if size <= 3 * _PLACE_BYTES:
            yield _Place(tensor, 0, size)
            continue
        for first in (0, (size - _PLACE_BYTES) // 2, size - _PLACE_BYTES):
            yield _Place(tensor, first, _PLACE_BYTES)


# -- sentences


def _same_files(model: Checkpoint) -> str:
    files = len(model.shards)
    return (
        f"the {files:,} weight files are the same files" if files > 1 else "the weight file is the same file"
    )


def _same_places(model: Checkpoint) -> str:
    places = list(_places(model))
    tensors = len({place.tensor.name for place in places})
    return (
        f"{len(places):,} place{'s' if len(places) != 1 else ''} of {tensors:,} "
        f"tensor{'s' if tensors != 1 else ''} were compared and are equal, "
        f"{bytes_text(sum(place.size for place in places))} of {bytes_text(model.size_bytes)}"
    )


def _sentence(group: Sequence[Checkpoint], base: Checkpoint | None, is_so: str, seen: str) -> str:
    names = [model.name for model in group if model is not base]
    if base is not None and any(model is base for model in group):
        verb = is_so if len(names) == 1 else {"is": "are", "looks like": "look like"}[is_so]
        return f"{_listed(names)} {verb} the base, {base.name}: {seen}"
    verb = {"is": "are", "looks like": "look like"}[is_so]
    return f"{_listed(names)} {verb} one model, given {len(names):,} times: {seen}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
