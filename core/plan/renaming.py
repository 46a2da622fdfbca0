"""Names of the same tensors in different models: wrappers, prefixes and older spellings.

Tools save a model under the name that it had in their hands: `module.` of DataParallel, `_orig_mod.` of
torch.compile, `base_model.model.` of peft. transformers saves a model without its head without the prefix
that the whole one has (`model.`, `bert.`), and has renamed parts over its versions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Renamed", "is_recomputed", "onto", "without_wrappers"]

Shapes = Mapping[str, tuple[int, ...]]

_INNER = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_INNER_WRAPPERS = re.compile(rf"(?:(?<=\.)|^)(?:{'|'.join(_INNER)})\.")
"""torch.compile, FSDP and torch's activation checkpointing wrap any module."""

_WRAPPERS = ("module.", "base_model.model.", "_forward_module.")
"""Whole models are wrapped by DataParallel and DeepSpeed, peft, and Lightning."""

_SPELLINGS = (
    (".gamma", ".weight"),
    (".beta", ".bias"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)
"""Older and newer names of the same parameter: TensorFlow's of norms (transformers reads both), and torch's
weight_norm before and since torch.nn.utils.parametrizations."""

_MOST_PARTS = 4
_LEAST_SHARE = 10
"""A prefix is of at least so much of all names, one in ten."""
_PARTS = re.compile(r"[^./]*[./]|[^./]+")
"""Of a name, with the dots and the slash behind each."""

# Buffers that no training changes and that every loader computes anew or ignores. Source:
# `_keys_to_ignore_on_load_unexpected` and `register_buffer(…, persistent=False)` in transformers' models.
_RECOMPUTED = re.compile(
    r"(?:^|\.)(?:"
    r"rotary_emb\.(?:inv_freq|original_inv_freq|cos_cached|sin_cached)|inv_freq|freqs_cis|"
    r"(?:embeddings\.)?(?:position_ids|token_type_ids)|position_ids|"
    r"masked_bias|causal_mask|relative_position_index|attn_mask|embed_positions\._float_tensor|"
    r"embed_positions\.weights|mask_bias|rotary_pos_emb\.inv_freq|rope\.(?:freqs|inv_freq)"
    r")$"
)
_MASK = re.compile(r"(?:^|\.)(?:attn|attention|self_attn|self_attention)\.bias$")


def is_recomputed(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is a buffer that every loader computes anew, such as `inv_freq` or a causal mask."""
    if _RECOMPUTED.search(name):
        return True
    is_square = len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]
    return bool(_MASK.search(name)) and is_square  # the bias of a layer has one dimension


@dataclass(frozen=True)
class Renamed:
    """What the tensors of a model are called.

    Attributes:
        names: its own name of each tensor -> the one that counts.
        rules: what was done to the names, in words.
        refused: what would have made names agree and is too different to be sure of, in words.
    """

    names: Mapping[str, str]
    rules: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def without_wrappers(names: Iterable[str]) -> Renamed:
    """The names without what tools put around a whole model. Source: see the module."""
    own = list(names)
    new = own
    removed: Counter[str] = Counter()
    joined = "\n".join(own)
    if any(wrapper in joined for wrapper in _INNER):
        new = [_INNER_WRAPPERS.sub("", name) for name in own]
        for name in own:
            removed.update(set(_INNER_WRAPPERS.findall(name)))
    wrapper: str | None = ""
    while wrapper is not None:
        starts = [start for start in _WRAPPERS if new and new[0].startswith(start)]
        wrapper = next((start for start in starts if all(name.startswith(start) for name in new)), None)
        if wrapper is not None:
            new = [name.removeprefix(wrapper) for name in new]
            removed[wrapper] += len(new)
    if not removed or len(set(new)) != len(new) or not all(new):
        return Renamed({name: name for name in own})
    rules = tuple(f"{part!r} was removed from {count:,} of its names" for part, count in removed.items())
    return Renamed(dict(zip(own, new, strict=True)), rules)


def onto(shapes: Shapes, reference: Shapes) -> Renamed:
    """Names of a model's tensors as those of `reference` where the rest of the names agrees.

    Args:
        shapes: of the model's tensors.
        reference: of the tensors whose names count.
    """
    names = {name: name for name in shapes}
    own = {name for name in shapes if name not in reference}
    theirs = {name for name in reference if name not in shapes}
    if not own or not theirs:
        return Renamed(names)
    rules: list[str] = []
    refused: list[str] = []

    def rename(pairs: Mapping[str, str]) -> None:
        for old, new in pairs.items():
            names[old] = new
            own.discard(old)
            theirs.discard(new)

    respelled = {}
    for old, new in (*_SPELLINGS, *((new, old) for old, new in _SPELLINGS)):
        for name in own:
            other = name.removesuffix(old) + new
            if name.endswith(old) and other in theirs and _alike(shapes[name], reference[other]):
                respelled[name] = other
    if respelled:
        rename(respelled)
        rules.append(f"{len(respelled):,} of its names are spelled another way (as {_example(respelled)})")
    accepted: list[str] = []
    while own and theirs:
        candidates = _prefixes(own, theirs, shapes, reference)
        chosen = None
        for (mine, other), count in candidates:
            said = f"{count:,} of {len(shapes):,} names differ by the prefix {_either(mine, other)}"
            rivals = [
                pair
                for pair, as_many in candidates
                if as_many == count and pair != (mine, other) and (pair[0] == mine or pair[1] == other)
            ]
            if rivals:  # which of them is meant cannot be told
                refused.append(f"{said}, or as well by {_either(*rivals[0])}")
                continue
            if _LEAST_SHARE * count < len(shapes) and not any((mine or other) in one for one in accepted):
                continue  # a few tensors whose names are alike are other tensors
            if not _contains(mine, other):
                if 2 * count >= min(len(shapes), len(reference)):
                    refused.append(said)
                continue
            under = sum(name.startswith(mine) for name in own)
            if 2 * count >= min(under, sum(name.startswith(other) for name in theirs)):
                chosen = mine, other, said
                break
        if chosen is None:
            break
        mine, other, said = chosen
        accepted += [mine, other]
        pairs = {
            name: new
            for name in own
            if name.startswith(mine)
            and (new := other + name[len(mine) :]) in theirs
            and _alike(shapes[name], reference[new])
        }
        rename(pairs)
        rules.append(said)
        _rename_rest(mine, other, shapes, reference, own, names)
    if 2 * sum(new in reference for new in names.values()) < min(len(shapes), len(reference)):
        return Renamed({name: name for name in shapes}, (), (*refused, *rules))
    if len(set(names.values())) != len(names):
        return Renamed({name: name for name in shapes}, (), (*refused, *rules))
    return Renamed(names, tuple(rules), tuple(dict.fromkeys(refused)))


def _rename_rest(
    mine: str, other: str, shapes: Shapes, reference: Shapes, own: set[str], names: dict[str, str]
) -> None:
    """Tensors that only this model has get the same prefix where it is that of the whole model."""
    if mine and other:
        return
    if not mine and any(name.startswith(other) for name in shapes):
        return
    for name in own:
        if name.startswith(mine) and names[name] == name:
            new = other + name[len(mine) :]
            if new not in reference and new not in shapes:
                names[name] = new


def _prefixes(
    own: set[str], theirs: set[str], shapes: Shapes, reference: Shapes
) -> list[tuple[tuple[str, str], int]]:
    """Pairs of prefixes that make names agree, and how many; the one that explains most comes first."""
    endings: dict[str, list[str]] = {}
    for name in theirs:
        for prefix in _starts(name):
            endings.setdefault(name[len(prefix) :], []).append(prefix)
    found: Counter[tuple[str, str]] = Counter()
    for name in own:
        seen: set[str] = set()
        for mine in _starts(name):  # the longest ending first: shorter ones say nothing new
            for other in endings.get(name[len(mine) :], ()):
                whole = other + name[len(mine) :]
                if whole not in seen and _alike(shapes[name], reference[whole]):
                    seen.add(whole)
                    found[mine, other] += 1
    return sorted(found.items(), key=lambda item: (-item[1], len(item[0][0] + item[0][1]), item[0]))[:20]


def _starts(name: str) -> list[str]:
    """Its beginnings of up to a few components, the empty one first."""
    parts = _PARTS.findall(name)
    return ["".join(parts[:at]) for at in range(min(_MOST_PARTS + 1, len(parts)))]


def _contains(one: str, other: str) -> bool:
    """Whether one prefix is a part of the other, or has its components in another order.

    Names with other components are other tensors, and so are those whose numbers stand elsewhere.
    """
    left, right = sorted((_PARTS.findall(one), _PARTS.findall(other)), key=len)
    if any(right[at : at + len(left)] == left for at in range(len(right) - len(left) + 1)):
        return True
    return Counter(left) <= Counter(right) and not any(part[:-1].isdigit() for part in right)


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(one) == len(other) and one[1:] == other[1:]


def _either(one: str, other: str) -> str:
    if one and other:
        return f"{one!r} (there {other!r})"
    return repr(one or other)


def _example(pairs: Mapping[str, str]) -> str:
    old, new = next(iter(pairs.items()))
    return f"{old} for {new}"
