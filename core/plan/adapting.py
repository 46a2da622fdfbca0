"""Adapters put on models: what that makes of their tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from core.checkpoint.adapter_config import merge_first
from core.checkpoint.adapters import Adapter, Factors
from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import Checkpoint
from core.checkpoint.names import layer_of, tied_heads
from core.checkpoint.ties import model_prefixes, says_tied
from core.dtypes import DType
from core.errors import IncompatibleError, MergeError
from core.plan.renaming import onto
from core.plan.untying import head_that_stays
from core.sources.adapted import Adapted, LowRank
from core.sources.factor_cache import FactorCache
from core.sources.source import FileRange, Source
from core.text import one_line

__all__ = ["Changed", "adapted_tensors", "in_merge_dtype"]

_OF_CONV1D = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"})
"""Models of transformers whose layers are Conv1D, which stores its weight [inputs, outputs]."""


class Changed(NamedTuple):
    """A tensor of a model with adapters that is not the model's own.

    Attributes:
        stored: what messages name; it has the shape.
        source: what delivers its elements.
        counts_as: the type that it counts as having: that of the model's own tensor.
        how: in a few words.
    """

    stored: StoredTensor
    source: Source
    counts_as: DType
    how: str


def adapted_tensors(
    model: Checkpoint,
    stored: Mapping[str, StoredTensor],
    sources: Mapping[str, Source],
    cache: FactorCache,
) -> dict[str, Changed]:
    """The tensors that the adapters of `model` change, in the order in which they are put on it.

    Args:
        model: with its adapters and the model under them.
        stored: the tensors of the model under them, by name.
        sources: what delivers those that are not read as they are stored.
        cache: shared by all models of a plan.

    Raises:
        IncompatibleError: an adapter does not fit.
    """
    adapting = _Adapting(model, stored, sources, cache)
    for adapter in model.adapters:
        adapting.put_on(adapter)
    changed = adapting.changed
    for name, one in changed.items():
        if isinstance(one.source, Adapted):
            cache.expect(name, one.source.kept_bytes)
    if says_tied(
        model.config
    ):  # then a head that is stored all the same is the embedding to those who load it
        for head, embedding in tied_heads({name: tensor.shape for name, tensor in stored.items()}).items():
            if embedding in changed and head not in changed:
                changed[head] = changed[embedding]
    return changed


class _Adapting:
    """What became of the tensors so far.

    Attributes:
        changed: by name.
    """

    def __init__(
        self,
        model: Checkpoint,
        stored: Mapping[str, StoredTensor],
        sources: Mapping[str, Source],
        cache: FactorCache,
    ) -> None:
        self._model, self._own, self._sources, self._cache = model, stored, sources, cache
        self.changed: dict[str, Changed] = {}

    def put_on(self, adapter: Adapter) -> None:
        names = self._names(adapter)
        self._keep_head(adapter, names)
        for name, whole in adapter.whole.items():
            self._replace(names[name], whole)
        turned = self._stored_inputs_first(adapter, names)
        for module, factors in adapter.factors.items():
            weight = names[f"{module}.weight"]
            self._add(adapter, module, weight, factors, factors.is_table or weight in turned)
            if factors.bias is not None:
                self._add_bias(adapter, module, f"{weight.removesuffix('.weight')}.bias", factors)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.changed[name].stored.shape if name in self.changed else self._own[name].shape

    def _source(self, name: str) -> Source:
        if name in self.changed:
            return self.changed[name].source
        return self._sources.get(name) or FileRange(self._own[name])

    def _names(self, adapter: Adapter) -> Mapping[str, str]:
        """What the tensors that the adapter speaks of are called here."""
        shapes = {name: whole.shape for name, whole in adapter.whole.items()}
        for module, one in adapter.factors.items():
            shape = one.b.shape[0], one.a.shape[1]
            is_turned = one.is_table or adapter.fan_in_fan_out
            shapes[f"{module}.weight"] = shape[::-1] if is_turned else shape
        if all(name in self._own for name in shapes):
            return {name: name for name in shapes}
        reference = {name: tensor.shape for name, tensor in self._own.items()}
        names = onto(shapes, {name: reference[name] for name in _near(shapes, reference)}).names
        missing = [module for module in adapter.factors if names[f"{module}.weight"] not in self._own]
        if missing:
            under = self._model.under
            here = under.folder if under is not None else self._model.folder
            said = f" (it was trained on {one_line(adapter.base_name)})" if adapter.base_name else ""
            more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            if says_tied(self._model.config) and missing[0].endswith("lm_head"):
                raise IncompatibleError(
                    f"the adapter {adapter.folder} goes on the head {missing[0]!r}, which {here} ties to its "
                    "embedding, so that it would change both",
                    hint=merge_first(adapter.folder),
                    path=adapter.folder,
                    tensor=f"{missing[0]}.weight",
                )
            raise IncompatibleError(
                f"the adapter {adapter.folder}{said} goes on the module {missing[0]!r}, of which {here} has "
                f"no weight{more}",
                hint="put it on the model that it was trained on, as base_model or as FOLDER+ADAPTER",
                path=adapter.folder,
                tensor=f"{missing[0]}.weight",
            )
        return names

    def _stored_inputs_first(self, adapter: Adapter, names: Mapping[str, str]) -> set[str]:
        """The weights of linear layers that are stored [inputs, outputs].

        What peft finds by the class of a module says the type of the model here. Where that is not known, the
        shapes say it, and of square ones those of the others, or what the adapter says of all.
        """
        sizes = {
            names[f"{module}.weight"]: (one.b.shape[0], one.a.shape[1])
            for module, one in adapter.factors.items()
            if not one.is_table
        }
        config = self._model.config or {}
        kind, *inner = (_kind(part) for part in (config, *config.values()) if isinstance(part, dict))
        if kind in _OF_CONV1D:
            return {name for name in sizes if layer_of(name)}  # heads are no Conv1D
        if model_prefixes(config) is not None and _OF_CONV1D.isdisjoint(inner):
            return set()
        differ = {name for name, (outputs, inputs) in sizes.items() if outputs != inputs}
        turned = {name for name in differ if self._shape(name) == sizes[name][::-1]}
        if turned or (not differ and adapter.fan_in_fan_out):
            turned |= sizes.keys() - differ
        return turned

    def _keep_head(self, adapter: Adapter, names: Mapping[str, str]) -> None:
        """Keep the weights of a head that an adapter unties by a new embedding."""
        shapes = {name: self._shape(name) for name in self._own}
        found = head_that_stays(self._model, adapter, names, shapes)
        if found is not None and found.head not in self.changed:
            source = self._source(found.embedding)
            before = self.changed.get(found.embedding)
            before = before or Changed(self._own[found.embedding], source, source.dtype, "")
            self.changed[found.head] = before._replace(how="no longer tied")

    def _replace(self, name: str, whole: StoredTensor) -> None:
        counts_as = self._source(name).dtype if name in self._own else self._usual_dtype() or whole.dtype
        self.changed[name] = Changed(whole, FileRange(whole), counts_as, "whole in the adapter")

    def _usual_dtype(self) -> DType | None:
        """The floating-point type of most of the model, in which peft would hold a head that it lacks."""
        sizes: Counter[DType] = Counter()
        for tensor in self._own.values():
            if tensor.dtype.is_float:
                sizes[tensor.dtype] += tensor.size_bytes
        return sizes.most_common(1)[0][0] if sizes else None

    def _add(self, adapter: Adapter, module: str, name: str, factors: Factors, is_transposed: bool) -> None:
        shape = self._shape(name)
        outputs, inputs = factors.b.shape[0], factors.a.shape[1]
        if shape != ((inputs, outputs) if is_transposed else (outputs, inputs)):
            raise self._unlike(adapter, module, name, shape, factors)
        if factors.magnitude is not None:
            if is_transposed:
                raise IncompatibleError(
                    f"{adapter.folder} holds a DoRA on {module!r}, whose weight is stored [inputs, outputs], "
                    "and that is not supported",
                    hint=merge_first(adapter.folder),
                    path=adapter.folder,
                    tensor=name,
                )
            if factors.magnitude.size_bytes != outputs * factors.magnitude.dtype.itemsize:
                size = "×".join(map(str, factors.magnitude.shape))
                raise IncompatibleError(
                    f"the adapter {adapter.folder} has a {module!r} of {outputs:,} outputs and a "
                    f"lora_magnitude_vector of the shape {size} for it",
                    hint="copy or download the adapter again",
                    path=adapter.folder,
                    tensor=factors.magnitude.name,
                )
        part = LowRank(factors.a, factors.b, factors.scale, is_transposed)
        how = f"{'DoRA of ' if factors.magnitude is not None else ''}rank {factors.rank}"
        self._put(adapter, name, shape[0], shape[1], part, factors.magnitude, how)

    def _add_bias(self, adapter: Adapter, module: str, name: str, factors: Factors) -> None:
        bias = factors.bias
        if bias is None:
            return
        if name not in self._own or self._own[name].shape != bias.shape or len(bias.shape) != 1:
            raise IncompatibleError(
                f"{adapter.folder} has a bias for {module!r}, and the model that it is put on has none",
                hint="put it on the model that it was trained on, as base_model or as FOLDER+ADAPTER",
                path=adapter.folder,
                tensor=name,
            )
        row = replace(bias, shape=(1, *bias.shape))
        self._put(adapter, name, 1, bias.shape[0], LowRank(row, None, factors.scale), None, "bias")

    def _put(
        self,
        adapter: Adapter,
        name: str,
        rows: int,
        columns: int,
        part: LowRank,
        lengths: StoredTensor | None,
        how: str,
    ) -> None:
        under: Source = self._source(name)
        parts: tuple[LowRank, ...] = (part,)
        counts_as = self.changed[name].counts_as if name in self.changed else under.dtype
        stored = self.changed[name].stored if name in self.changed else self._own[name]
        if not counts_as.is_float:
            raise IncompatibleError(
                f"{adapter.folder} goes on tensor {name!r}, which is stored as {counts_as}",
                hint="put it on a model that is not quantised",
                path=adapter.folder,
                tensor=name,
            )
        if isinstance(under, Adapted):
            if lengths is not None or under.lengths is not None:
                raise IncompatibleError(
                    f"{adapter.folder} is stacked with another adapter on tensor {name!r}, and one of them "
                    "is a DoRA: their order would change what it means",
                    hint="list each as a sub-model of its own, or " + merge_first(adapter.folder),
                    path=adapter.folder,
                    tensor=name,
                )
            how = f"{self.changed[name].how} and {how}"
            parts = (*under.parts, part)
            under = under.under
        source = Adapted(under, rows, columns, parts, lengths, cache=self._cache)
        self.changed[name] = Changed(stored, source, counts_as, how)

    def _unlike(
        self, adapter: Adapter, module: str, name: str, shape: tuple[int, ...], factors: Factors
    ) -> MergeError:
        under = self._model.under
        return IncompatibleError(
            f"the adapter {adapter.folder} was trained on a {module!r} of {factors.b.shape[0]:,} outputs and "
            f"{factors.a.shape[1]:,} inputs, and {name!r} of {under.folder if under else '?'} has the shape "
            f"{'×'.join(map(str, shape))}",
            hint="put it on the model that it was trained on, as base_model or as FOLDER+ADAPTER",
            path=adapter.folder,
            tensor=name,
        )


def _kind(config: Mapping[str, Any]) -> str | None:
    kind = config.get("model_type")
    return kind if isinstance(kind, str) else None


def _near(shapes: Mapping[str, tuple[int, ...]], reference: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The names of the model that end as one of those that the adapter speaks of does."""
    ends = {_end(name) for name in shapes}
    return [name for name in reference if _end(name) in ends]


def _end(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def in_merge_dtype(sources: Sequence[Source], merge_dtype: DType) -> tuple[Source, ...]:
    """The same, with what adapters change made for a merge in that type, so that it is rounded once."""
    return tuple(source.in_type(merge_dtype) if isinstance(source, Adapted) else source for source in sources)
