"""Embeddings and heads that a base ties, and an adapter that saved one as a module of its own does not.

peft puts that module in the place of the base's, and the other one goes on with the weights that both had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.checkpoint.adapter_config import merge_first
from core.checkpoint.adapters import Adapter
from core.checkpoint.model import Checkpoint
from core.checkpoint.names import find_embedding, tied_heads
from core.checkpoint.ties import aliases_of, says_tied
from core.errors import IncompatibleError

__all__ = ["Untied", "config_with_adapters", "head_that_stays", "was_tied"]


class Untied(NamedTuple):
    """The names of a head and of the embedding whose weights it keeps."""

    head: str
    embedding: str


def config_with_adapters(model: Checkpoint) -> dict[str, Any] | None:
    """The config of a model with adapters: that of the model under them, which may be no longer tied."""
    config = model.config
    whole = {module for adapter in model.adapters for module in _saved_modules(adapter)}
    shapes = {name: tensor.shape for name, tensor in model.tensors.items()}
    embedding = find_embedding(shapes)
    if config is None or embedding is None or not whole or not says_tied(config):
        return config
    heads = [*tied_heads(shapes), *(aliases_of(config, embedding) or ())]
    ends = tuple(name.removesuffix(".weight").rpartition(".")[2] for name in (embedding, *heads))
    return {**config, "tie_word_embeddings": False} if any(one.endswith(ends) for one in whole) else config


def was_tied(model: Checkpoint) -> bool:
    """Whether adapters are put on a model that ties them, whose config.json the result may have."""
    under = model.under
    return under is not None and (says_tied(under.config) is True or was_tied(under))


def head_that_stays(
    model: Checkpoint, adapter: Adapter, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> Untied | None:
    """The head that keeps the embedding's weights when the adapter brings an embedding of its own.

    Args:
        model: that it is put on.
        adapter: it.
        names: what the tensors that it speaks of are called there.
        shapes: of the model's tensors, as they are by now.

    Raises:
        IncompatibleError: nothing says which head that is.
    """
    name = find_embedding(shapes)
    if name is None or not says_tied(model.config):
        return None
    saved = (f"{module}.weight" for module in _saved_modules(adapter))
    whole = next((adapter.whole[one] for one in saved if one in adapter.whole and names[one] == name), None)
    if whole is None:
        return None
    heads = list(tied_heads(shapes)) or aliases_of(model.config, name)
    if heads is not None and {names[one] for one in adapter.whole}.issuperset(heads):
        return None
    if heads is None or len(heads) > 1 or whole.shape != shapes[name]:
        raise IncompatibleError(
            f"the adapter {adapter.folder} has an embedding {name!r} of its own, and nothing says how the "
            "head keeps what it was tied to",
            hint=merge_first(adapter.folder),
            path=adapter.folder,
            tensor=name,
        )
    return Untied(heads[0], name)


def _saved_modules(adapter: Adapter) -> list[str]:
    """The modules that were saved as ones of their own, and not tied again."""
    if adapter.ties_saved:
        return []
    modules = (name.rpartition(".")[0] for name in adapter.whole)
    return [module for module in modules if module.endswith(adapter.saved_modules)]
