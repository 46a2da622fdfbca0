"""Weights that stay in 16 bits, and are float32 while they are worked with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Widening"]


class Widening:
    """Widens the weights of each layer for its forward pass, and drops them again.

    Each weight is the float32 that it would be if the whole model had been widened, and nothing else enters
    the arithmetic: the numbers are the same, bit for bit. It takes the room of one layer, or of the head, in
    float32 beside the stored weights, and the time of widening every weight once a batch.

    A layer is an entry of an outermost `nn.ModuleList`, as transformers builds its models; what lies outside
    of them, as embeddings, norms and heads, is widened module by module.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._narrow: dict[int, Tensor] = {}
        """The stored weights of parameters that are widened now, by the parameter."""
        self._holders: dict[int, int] = {}
        """How many modules need a parameter wide now: tied ones are in several."""
        self._handles: list[Any] = []

    @property
    def is_on(self) -> bool:
        return bool(self._handles)

    def start(self) -> None:
        """From now on the model computes in float32."""
        for module, parameters in units(self._model):
            self._handles.append(
                module.register_forward_pre_hook(lambda *_, held=parameters: self._widen(held))
            )
            self._handles.append(
                module.register_forward_hook(lambda *_, held=parameters: self._drop(held), always_call=True)
            )

    def stop(self) -> None:
        """From now on it computes in what its weights are stored in."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._drop_all()

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.stop()

    @contextlib.contextmanager
    def held(self, module: nn.Module | None) -> Iterator[None]:
        """Keep the weights of `module` wide meanwhile, as it is called several times; None for nothing."""
        held = list(module.parameters()) if module is not None and self.is_on else []
        self._widen(held)
        try:
            yield
        finally:
            self._drop(held)

    def _widen(self, parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            key = id(parameter)
            self._holders[key] = self._holders.get(key, 0) + 1
            if self._holders[key] == 1 and parameter.is_floating_point() and parameter.element_size() < 4:
                self._narrow[key] = parameter.data
                parameter.data = parameter.data.float()

    def _drop(self, parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            key = id(parameter)
            if self._holders.get(key, 0) > 1:
                self._holders[key] -= 1
                continue
            self._holders.pop(key, None)
            if key in self._narrow:
                parameter.data = self._narrow.pop(key)

    def _drop_all(self) -> None:
        self._holders.clear()
        self._drop(list(self._model.parameters()))


def units(model: nn.Module) -> list[tuple[nn.Module, list[nn.Parameter]]]:
    """The modules whose forward passes need weights, and those weights: layers with all in them, and every
    other module with its own alone."""
    from torch import nn

    found: list[tuple[nn.Module, list[nn.Parameter]]] = []

    def visit(module: nn.Module) -> None:
        if isinstance(module, nn.ModuleList):
            found.extend((layer, list(layer.parameters())) for layer in module)
            return
        own = list(module.parameters(recurse=False))
        if own:
            found.append((module, own))
        for child in module.children():
            visit(child)

    visit(model)
    return [(module, parameters) for module, parameters in found if parameters]
