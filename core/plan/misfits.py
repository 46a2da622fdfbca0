"""Tensors of one name in two models that are not the same kind of thing."""

from __future__ import annotations

from core.checkpoint.model import Checkpoint
from core.errors import IncompatibleError
from core.plan.model_view import Offered
from core.plan.token_rows import may_be_of_tokens

__all__ = ["check_alike"]


def check_alike(
    name: str,
    entry: int,
    model: Checkpoint,
    one: Offered,
    reference: Checkpoint,
    expected: Offered,
    *,
    matched: bool,
) -> None:
    """Refuse a tensor that has another shape or kind in one model than in another.

    Args:
        name: of the tensor.
        entry: which of the sub-models `model` is.
        model, one: whose it is, and what it offers.
        reference, expected: what that is compared with.
        matched: whether the rows of tokens are matched already.

    Raises:
        IncompatibleError: names the tensor, both models, and both shapes or types.
    """
    if one.shape != expected.shape:
        raise IncompatibleError(
            f"tensor {name!r} has shape {_shape_text(one.shape)} in {model.folder} "
            f"and {_shape_text(expected.shape)} in {reference.folder}",
            hint=_hint(name, one.shape, expected.shape, matched),
            path=model.folder,
            tensor=name,
            entry=entry,
        )
    if one.dtype.is_float != expected.dtype.is_float:
        raise IncompatibleError(
            f"tensor {name!r} is stored as {one.dtype} in {model.folder} "
            f"and as {expected.dtype} in {reference.folder}",
            hint="quantised checkpoints cannot be merged; take the original ones",
            path=model.folder,
            tensor=name,
            entry=entry,
        )
    if not one.dtype.is_float and one.dtype != expected.dtype:
        raise IncompatibleError(
            f"tensor {name!r}, which would be copied, is stored as {one.dtype} in {model.folder} "
            f"and as {expected.dtype} in {reference.folder}",
            hint="store it in one type in all models",
            path=model.folder,
            tensor=name,
            entry=entry,
        )


def _hint(name: str, shape: tuple[int, ...], expected: tuple[int, ...], matched: bool) -> str:
    if may_be_of_tokens(name) and shape[1:] == expected[1:] and not matched:
        return (
            "write `vocab: union` into the recipe to merge the rows of the same tokens and keep those of all "
            "models, or `vocab: base` to keep the base's alone (`tokenizer: {source: …}` says more)"
        )
    return "take sub-models that were fine-tuned from this base without changes of shape"


def _shape_text(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape) if shape else "scalar"
