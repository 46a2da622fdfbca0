"""Which source of each input makes which output tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import Checkpoint
from core.checkpoint.names import find_embedding, tied_heads
from core.errors import IncompatibleError
from core.sources.source import FileRange, Source

__all__ = ["Correspondence", "TensorSources", "correspond"]


@dataclass(frozen=True)
class TensorSources:
    """Where one output tensor comes from.

    Attributes:
        name: of the tensor.
        stored: the tensor of the base, or of the first sub-model, that the others are compared with.
        models: the source in each sub-model. [K]
        base: the source in the base; None where there is no base.
        stored_in_models: what the sub-models hold of it. [K]
        note: what is unusual about it, for the ledger; "" for nothing.
    """

    name: str
    stored: StoredTensor
    models: tuple[Source, ...]
    base: Source | None
    stored_in_models: tuple[StoredTensor, ...]
    note: str = ""


@dataclass(frozen=True)
class Correspondence:
    """Where all output tensors come from.

    Attributes:
        tensors: in the order of the base, or of the first sub-model.
        omitted: tensors that are not written, and why.
        tied: heads that are drawn, and ruled, under the name of their embedding, so that they stay equal.
        unties: whether a head is written that some input leaves out as tied: the result does not tie it.
    """

    tensors: tuple[TensorSources, ...]
    omitted: Mapping[str, str] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    unties: bool = False


def correspond(models: Sequence[Checkpoint], base: Checkpoint | None) -> Correspondence:
    """Find every tensor in every input.

    A head that one input leaves out because it is tied there, while the others store it, is read from that
    input's embedding. Where all inputs tie it, it is left out: the embedding says it all.

    Raises:
        IncompatibleError: an input lacks a tensor, or has another shape or kind of it.
    """
    every = [*models, *([base] if base else [])]
    reference = base or models[0]
    all_tie = all(model.ties_embeddings for model in every)
    missing_heads = _missing_heads(every)
    omitted = {
        head: f"tied to {embedding}, and not every input stores it"
        for head, embedding in missing_heads.items()
        if all_tie
    }
    lent = {} if all_tie else missing_heads
    names = dict.fromkeys([*reference.tensors, *lent])
    tensors = tuple(_everywhere(name, models, base, name in lent) for name in names if name not in omitted)
    _refuse_extra_tensors(models, reference, {*names, *omitted})
    return Correspondence(
        tensors=tensors,
        omitted=omitted,
        tied=tied_heads(_shapes(reference)) if all_tie else {},
        unties=any(tensor.name in lent for tensor in tensors),
    )


def _missing_heads(every: Sequence[Checkpoint]) -> dict[str, str]:
    """Heads that some inputs store and others do not, and the embedding that each is tied to."""
    if all(model.tensors.keys() == every[0].tensors.keys() for model in every):
        return {}
    heads = {head: embedding for model in every for head, embedding in tied_heads(_shapes(model)).items()}
    return {
        head: embedding
        for head, embedding in heads.items()
        if not all(head in model.tensors for model in every)
    }


def _find(name: str, model: Checkpoint, *, lend: bool) -> StoredTensor | None:
    """The tensor `name` of `model`, or its embedding where it is a head that is tied there."""
    if not lend or name in model.tensors or not model.ties_embeddings:
        return model.tensors.get(name)
    embedding = find_embedding(_shapes(model))
    return None if embedding is None else model.tensors[embedding]


def _everywhere(
    name: str, models: Sequence[Checkpoint], base: Checkpoint | None, lend: bool
) -> TensorSources:
    """The tensor `name` in each input, checked to be the same kind of thing in all."""
    reference = base or models[0]
    expected = _find(name, reference, lend=lend)
    if expected is None:
        entry, holder = next((at, model) for at, model in enumerate(models) if name in model.tensors)
        raise IncompatibleError(
            f"tensor {name!r} of {holder.folder} is missing in {reference.folder}",
            hint="take sub-models that were fine-tuned from this base",
            path=holder.folder,
            tensor=name,
            entry=entry,
        )
    found = []
    for entry, model in enumerate(models):
        stored = _find(name, model, lend=lend)
        if stored is None:
            raise IncompatibleError(
                f"tensor {name!r} of {reference.folder} is missing in {model.folder}",
                hint="take sub-models that were fine-tuned from this base, saved whole",
                path=model.folder,
                tensor=name,
                entry=entry,
            )
        _check_alike(name, entry, model, stored, reference, expected)
        found.append(stored)
    note = ""
    if lend:
        lenders = [model.name for model in [*models, *([base] if base else [])] if name not in model.tensors]
        note = f"tied in {', '.join(lenders)}, and read there from the embedding"
    return TensorSources(
        name,
        expected,
        tuple(map(FileRange, found)),
        FileRange(expected) if base else None,
        tuple(found),
        note,
    )


def _check_alike(
    name: str,
    entry: int,
    model: Checkpoint,
    stored: StoredTensor,
    reference: Checkpoint,
    expected: StoredTensor,
) -> None:
    if stored.shape != expected.shape:
        raise IncompatibleError(
            f"tensor {name!r} has shape {_shape_text(stored.shape)} in {model.folder} "
            f"and {_shape_text(expected.shape)} in {reference.folder}",
            hint="take sub-models that were fine-tuned from this base without changes of shape",
            path=model.folder,
            tensor=name,
            entry=entry,
        )
    if stored.dtype.is_float != expected.dtype.is_float:
        raise IncompatibleError(
            f"tensor {name!r} is stored as {stored.dtype} in {model.folder} "
            f"and as {expected.dtype} in {reference.folder}",
            hint="quantised checkpoints cannot be merged; take the original ones",
            path=model.folder,
            tensor=name,
            entry=entry,
        )
    if not stored.dtype.is_float and stored.dtype != expected.dtype:
        raise IncompatibleError(
            f"tensor {name!r}, which would be copied, is stored as {stored.dtype} in {model.folder} "
            f"and as {expected.dtype} in {reference.folder}",
            hint="store it in one type in all models",
            path=model.folder,
            tensor=name,
            entry=entry,
        )


def _refuse_extra_tensors(models: Sequence[Checkpoint], reference: Checkpoint, known: set[str]) -> None:
    for entry, model in enumerate(models):
        for name in model.tensors:
            if name not in known:
                raise IncompatibleError(
                    f"tensor {name!r} of {model.folder} is missing in {reference.folder}",
                    hint="take sub-models that were fine-tuned from this base",
                    path=model.folder,
                    tensor=name,
                    entry=entry,
                )


def _shapes(model: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in model.tensors.items()}


def _shape_text(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape) if shape else "scalar"
