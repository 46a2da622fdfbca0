"""Weights that stay in 16 bits, and are float32 while they are worked with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Widening"]


class Widening:
    """Widens the weights of each layer for its forward pass, and drops them again.

    Each weight is the float32 that it would be if the whole model had been widened, and nothing else enters
    the arithmetic: the numbers are the same, bit for bit where the kernels' sums do not depend on how weights
    lie in memory. It takes the room of one layer, of the embedding or of the head in float32 beside the
    stored weights, and the time of widening every weight once a batch.

    A layer is an entry of an outermost `nn.ModuleList`, as transformers builds its models. The embedding and
    the head are widened by themselves; what little lies outside of all of them, as norms, stays wide while
    this is on, since some models read it without calling its module.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model: Any = model
        self._narrow: dict[int, Tensor] = {}
        """The stored weights of parameters that are widened now, by the parameter."""
        self._holders: dict[int, int] = {}
        """How many need a parameter wide now: tied ones are in several modules."""
        self._handles: list[Any] = []
        self._buffers: list[tuple[nn.Module, str, Tensor]] = []
        """Those that are replaced meanwhile, as they were."""

    @property
    def is_on(self) -> bool:
        return bool(self._handles)

    def start(self) -> None:
        """From now on the model computes in float32."""
        if self.is_on:
            return
        by_turns: list[nn.Parameter] = []
        for module in _units(self._model):
            parameters = list(module.parameters())
            by_turns += parameters
            self._handles += [
                module.register_forward_pre_hook(lambda *_, held=parameters: self._widen(held)),
                module.register_forward_hook(lambda *_, held=parameters: self._drop(held), always_call=True),
            ]
        others = {id(parameter) for parameter in by_turns}
        self._widen(parameter for parameter in self._model.parameters() if id(parameter) not in others)
        self._replace_buffers()

    def stop(self) -> None:
        """From now on it computes in what its weights are stored in."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._holders.clear()
        self._drop(self._model.parameters())
        for module, name, stored in self._buffers:
            module._buffers[name] = stored
        self._buffers.clear()

    def close(self) -> None:
        """Stop, and let go of the model."""
        if self._model is not None:
            self.stop()
            self._model = None

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.stop()

    @contextlib.contextmanager
    def held(self, module: nn.Module | None) -> Iterator[None]:
        """Keep the weights of `module` wide meanwhile, where this is on; None for nothing."""
        held = list(module.parameters()) if module is not None and self.is_on else []
        self._widen(held)
        try:
            yield
        finally:
            self._drop(held)

    def _widen(self, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            key = id(parameter)
            self._holders[key] = self._holders.get(key, 0) + 1
            if self._holders[key] == 1 and _is_narrow(parameter):
                self._narrow[key] = parameter.data
                parameter.data = parameter.data.float()

    def _drop(self, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            key = id(parameter)
            if self._holders.get(key, 0) > 1:
                self._holders[key] -= 1
                continue
            self._holders.pop(key, None)
            if key in self._narrow:
                parameter.data = self._narrow.pop(key)

    def _replace_buffers(self) -> None:
        """Buffers that are stored are widened. Those that are computed, as a factor of the embedding, were
        rounded when the model was made: they are taken from one that is made in float32."""
        narrow = [
            (module, name)
            for module in self._model.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if _is_narrow(buffer)
        ]
        if not narrow:
            return
        computed: dict[str, Tensor] = {}
        paths = {module: path for path, module in self._model.named_modules()}
        if any(name in module._non_persistent_buffers_set for module, name in narrow):
            computed = _computed_buffers(self._model)
        for module, name in narrow:
            stored = module._buffers[name]
            if stored is None:
                continue
            self._buffers.append((module, name, stored))
            wide = stored.float()
            if name in module._non_persistent_buffers_set:
                wide = computed[f"{paths[module]}.{name}".lstrip(".")].to(stored.device)
            module._buffers[name] = wide


def _units(model: Any) -> list[nn.Module]:
    """What is widened by turns: layers, the embedding and the head."""
    from torch import nn

    layers: list[nn.Module] = []

    def visit(module: nn.Module) -> None:
        if isinstance(module, nn.ModuleList):
            layers.extend(module)
            return
        for child in module.children():
            visit(child)

    visit(model)
    inside = {module for layer in layers for module in layer.modules()}
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    return [*layers, *(end for end in ends if end is not None and end not in inside)]


def _computed_buffers(model: Any) -> dict[str, Tensor]:
    """The buffers of a model that is made in float32 and has no weights: each is let go of as it is made."""
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook

    def without_values(_: nn.Module, __: str, parameter: Any) -> Any:
        if parameter is None or parameter.is_meta:
            return None
        return type(parameter)(parameter.data.to("meta"), requires_grad=False)

    before = torch.get_default_dtype()
    handle = register_module_parameter_registration_hook(without_values)
    torch.set_default_dtype(torch.float32)
    try:
        return dict(type(model)(model.config).named_buffers())
    finally:
        torch.set_default_dtype(before)
        handle.remove()


def _is_narrow(values: Tensor) -> bool:
    return values.is_floating_point() and values.element_size() < 4
