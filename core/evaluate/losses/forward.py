"""The loss of one batch: through the layers once, and through the head a few positions at a time.

The logits of a batch may take many times the room of all else: of 8,192 tokens and a vocabulary of 256,000
they are 8 GB. So the layers' last hidden states are kept, and the model's own forward is called on a few of
them at a time, with its layers left out: whatever it does to logits (a scale, a soft cap) is done.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.encoding import Sample
from core.data.padding import padded
from core.evaluate.models.loading import LoadedModel
from core.pretrained.models import before_each_layer
from core.pretrained.quiet import is_of_memory

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Forward"]

_LOGITS = 2**24
"""That are computed at one time: 64 MB in float32, and about three times that while they become losses."""

_CLOSE = 1e-4
_CLOSE_NARROW = 0.05
"""So much may the two ways differ, in float32 and in bfloat16: sums of thousands, in another order."""


class Forward:
    """Computes what a model makes of batches of samples.

    Attributes:
        fill: the token that samples are padded with.
        in_parts: whether the head works on a few positions at a time; looked into with the first batch.
    """

    def __init__(self, loaded: LoadedModel, *, side: str = "right", check: Callable[[], None] | None = None):
        """
        Args:
            loaded: the model.
            side: where samples of language models are padded; those of classifiers are on the right.
            check: called before each layer; what it raises ends the work.
        """
        self._loaded, self._model = loaded, loaded.model
        # Many classifiers look at the first place, where padding must not be.
        self._side = side if loaded.task == "causal" else "right"
        self._check = check
        config = self._model.config.get_text_config()
        known = (config.pad_token_id, loaded.tokenizer.pad_token_id, 0)
        self.fill = next(number for number in known if number is not None and 0 <= number < loaded.rows)
        self._layers = self._model.base_model
        self.in_parts: bool | None = None if loaded.task == "causal" else False

    @property
    def can_pad(self) -> bool:
        """Whether several samples may go in one batch. Classifiers that look at the last token find it by
        the padding's number in their config."""
        if self._loaded.task == "causal":
            return True
        return self._model.config.get_text_config().pad_token_id is not None

    def losses(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """[B]: the sum over each sample's scored tokens, in nats, each token's in float32."""
        import torch

        with self._work():
            ids, mask, positions, scored = self._tensors(samples)
            # A token is predicted at the place before it.
            targets = ids[:, 1:][scored[:, 1:]]
            rows = torch.nonzero(scored[:, 1:])[:, 0]
            if not len(targets):
                return np.zeros(len(samples))
            if self.in_parts is None:
                self.in_parts = self._agrees(samples)
            if self.in_parts:
                hidden = self._hidden(ids, mask, positions)[:, :-1][scored[:, 1:]]
                nats = self._by_parts(hidden, targets)
            else:
                logits = self._call(ids, mask, positions).logits[:, :-1][scored[:, 1:]]
                nats = torch.cat(
                    [_nats(part, wanted) for part, wanted in _parts(logits, targets, logits.shape[-1])]
                )
            sums = np.zeros(len(samples))
            np.add.at(sums, rows.cpu().numpy(), nats.cpu().double().numpy())
            return sums

    def classes(self, samples: Sequence[Sample]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """[B] each: the cross-entropy of each sample's class, in nats, and whether it is the likeliest."""
        import torch

        with self._work():
            ids, mask, positions, _ = self._tensors(samples)
            logits = self._call(ids, mask, positions).logits.float()
            wanted = torch.tensor([sample.label for sample in samples], device=logits.device)
            right = logits.argmax(-1) == wanted
            return _nats(logits, wanted).cpu().double().numpy(), right.cpu().numpy()

    @contextlib.contextmanager
    def _work(self) -> Iterator[None]:
        import torch

        with before_each_layer(self._model, self._check), torch.inference_mode():
            yield

    def _tensors(self, samples: Sequence[Sample]) -> tuple[Tensor, ...]:
        import torch

        arrays = padded(samples, fill=self.fill, side=self._side)
        return tuple(torch.from_numpy(array).to(self._loaded.device) for array in arrays)

    def _hidden(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """[B, T, width]: what the head is given."""
        self._output = self._layers(**self._inputs(self._layers, ids, mask, positions))
        hidden: Tensor = self._output[0]
        return hidden

    def _call(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Any:
        # Some ask what type the head's weights have before they call it.
        with self._loaded.widening.held(self._model.get_output_embeddings()):
            return self._model(**self._inputs(self._model, ids, mask, positions))

    def _inputs(self, module: Any, ids: Tensor, mask: Tensor, positions: Tensor) -> dict[str, Any]:
        takes = inspect.signature(module.forward).parameters
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        # Those that count positions from the ids themselves skip the padding's (RoBERTa and its kin); on the
        # right every model counts by itself.
        if self._side == "left" and "position_ids" in takes and not _skips_padding(self._layers):
            inputs["position_ids"] = positions
        if "use_cache" in takes:
            inputs["use_cache"] = False
        return inputs

    def _by_parts(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """[P]: nats of targets, from the hidden states [P, width] that predict them."""
        import torch

        vocabulary = self._model.get_output_embeddings().weight.shape[0]
        found = []
        with self._without_layers() as give, self._loaded.widening.held(self._model.get_output_embeddings()):
            for part, wanted in _parts(hidden, targets, vocabulary):
                give(part[None])
                found.append(_nats(self._model(wanted[None]).logits[0], wanted))
        return torch.cat(found)

    @contextlib.contextmanager
    def _without_layers(self) -> Iterator[Callable[[Tensor], None]]:
        """Meanwhile the model's layers give back what they are told to."""
        output = copy.copy(self._output)
        name = next(iter(output.keys()))

        def give(hidden: Tensor) -> None:
            output[name] = hidden

        self._layers.forward = lambda *_, **__: output
        try:
            yield give
        finally:
            del self._layers.forward  # the instance's, which hid that of its class
            del self._output

    def _agrees(self, samples: Sequence[Sample]) -> bool:
        """Whether the head works on a part as it does on all, for this class of models."""
        import torch

        if self._model.get_output_embeddings() is None:
            return False
        sample = min(samples, key=lambda sample: len(sample.ids))
        ids = torch.from_numpy(sample.ids[None, :64].astype(np.int64)).to(self._loaded.device)
        mask, positions = torch.ones_like(ids), torch.arange(ids.shape[1], device=ids.device)[None]
        whole = _nats(self._call(ids, mask, positions).logits[0, :-1], ids[0, 1:])
        close = _CLOSE if self._loaded.computes_wide else _CLOSE_NARROW
        for layers in (self._model.base_model, self._model.get_decoder()):
            if layers is None or layers is self._model:
                continue
            self._layers = layers
            try:
                parts = self._by_parts(self._hidden(ids, mask, positions)[0, :-1], ids[0, 1:])
            except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
                if is_of_memory(error):
                    raise
                continue
            if whole.shape == parts.shape and bool(torch.allclose(whole, parts, rtol=close, atol=close)):
                return True
        self._layers = self._model.base_model
        return False


def _parts(values: Tensor, targets: Tensor, vocabulary: int) -> Iterator[tuple[Tensor, Tensor]]:
    count = max(1, _LOGITS // vocabulary)
    for start in range(0, len(targets), count):
        yield values[start : start + count], targets[start : start + count]


def _nats(logits: Tensor, wanted: Tensor) -> Tensor:
    """[P]: −log softmax of `logits` [P, V] at `wanted` [P], in float32."""
    logits = logits.float()
    return logits.logsumexp(-1) - logits.gather(-1, wanted[:, None])[:, 0]


def _skips_padding(layers: Any) -> bool:
    embeddings = getattr(layers, "embeddings", None)
    return hasattr(embeddings, "create_position_ids_from_input_ids") or hasattr(
        embeddings, "create_position_ids_from_inputs_embeds"
    )
