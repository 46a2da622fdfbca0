"""Models of transformers: what a config says of them, how they are loaded, and stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["before_each_layer", "is_classifier", "of_type", "read_model", "read_tokenizer"]


def is_classifier(config: Mapping[str, Any] | None) -> bool | None:
    """Whether a config.json is that of a classifier of texts; None where it names no class."""
    kinds = (config or {}).get("architectures")
    if not isinstance(kinds, list) or not kinds:
        return None
    return any(str(kind).endswith("ForSequenceClassification") for kind in kinds)


def of_type(dtype: str) -> dict[str, Any]:
    """The argument of `from_pretrained` that has weights loaded in a type, as torch spells it.

    It was renamed in transformers 4.56; versions before that hand the new name on to the model's class, which
    does not know it.
    """
    import torch
    import transformers

    numbers = [int(part) for part in transformers.__version__.split(".")[:2]]
    return {"dtype" if numbers >= [4, 56] else "torch_dtype": getattr(torch, dtype)}


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model, without network and without code of its folder. Raises what transformers
    does, and ValueError for an empty one."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    if not len(tokenizer):
        raise ValueError("its vocabulary is empty")
    return tokenizer


def read_model(folder: Path, task: str, dtype: str, **how: Any) -> tuple[Any, list[str]]:
    """A model with its weights in a type, and the names of tensors that its files lack, sorted; those are
    random then.

    Args:
        folder: of the model; neither the network is asked nor code of the folder run.
        task: "causal" or "classifier".
        dtype: as torch spells it.
        how: further arguments of `from_pretrained`.

    Raises:
        Exception: of many kinds, whatever transformers and the model's class raise.
    """
    import transformers

    kind = (
        transformers.AutoModelForCausalLM
        if task == "causal"
        else transformers.AutoModelForSequenceClassification
    )
    model, info = kind.from_pretrained(
        str(folder),
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
        **of_type(dtype),
        **how,
    )
    other_shapes = (name for name, *_ in info.get("mismatched_keys", ()))
    return model, sorted({*info["missing_keys"], *other_shapes})


@contextlib.contextmanager
def before_each_layer(model: Any, check: Callable[[], None] | None) -> Iterator[None]:
    """Meanwhile `check` is called before each layer of the model works; what it raises ends the work.

    A pass over a long text takes minutes on a CPU.
    """
    import torch

    handles = []
    if check is not None:
        stacks = [part for part in model.modules() if isinstance(part, torch.nn.ModuleList)]
        handles = [layer.register_forward_pre_hook(lambda *_: check()) for stack in stacks for layer in stack]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
