"""Samples as a batch, and their loss. Imported when a training begins: it imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from core.data.encoding import Sample
from core.data.padding import padded as side_by_side

__all__ = ["counted", "loss_sum", "micro_batches", "padded", "row_losses"]


def micro_batches(samples: Sequence[Sample], most: int) -> list[list[Sample]]:
    """The samples of a step in parts that are in memory together: by length, so that little is padding."""
    by_length = sorted(samples, key=lambda sample: len(sample.ids))
    return [by_length[start : start + most] for start in range(0, len(by_length), most)]


def padded(samples: Sequence[Sample], pad_id: int, device: Any) -> dict[str, torch.Tensor]:
    """What the model reads, padded at the right: input_ids and attention_mask, int64 [B, T]."""
    ids, mask, *_ = side_by_side(samples, fill=pad_id)
    return {
        "input_ids": torch.from_numpy(ids).to(device),
        "attention_mask": torch.from_numpy(mask).to(device),
    }


def counted(samples: Sequence[Sample], task: str) -> int:
    """By what the sum of losses is divided: tokens that count, or rows of a classifier."""
    return len(samples) if task == "classifier" else sum(int(sample.scored[1:].sum()) for sample in samples)


def loss_sum(logits: torch.Tensor, samples: Sequence[Sample], task: str) -> torch.Tensor:
    """The sum of the cross-entropies of all that counts, in nats, computed in float32.

    Args:
        logits: [B, T, vocabulary] of a language model, [B, labels] of a classifier.
        samples: that they are of. [B]
        task: "causal" or "classifier".
    """
    return torch.nn.functional.cross_entropy(*_targets(logits, samples, task), reduction="sum")


def row_losses(logits: torch.Tensor, samples: Sequence[Sample], task: str) -> torch.Tensor:
    """The sum of the cross-entropies of each sample. [B]"""
    flat, targets = _targets(logits, samples, task)
    each = torch.nn.functional.cross_entropy(flat, targets, reduction="none")
    return each.view(len(samples), -1).sum(1)


def _targets(logits: torch.Tensor, samples: Sequence[Sample], task: str) -> tuple[torch.Tensor, torch.Tensor]:
    if task == "classifier":
        labels = torch.tensor([sample.label for sample in samples], device=logits.device)
        return logits.float(), labels
    length = logits.shape[1]
    targets = torch.full((len(samples), length), -100, dtype=torch.int64)
    for number, sample in enumerate(samples):
        ids = torch.from_numpy(sample.ids.astype("int64"))
        targets[number, : len(ids)] = torch.where(torch.from_numpy(sample.scored), ids, -100)
    shifted = targets[:, 1:].reshape(-1).to(logits.device)
    return logits[:, :-1].float().reshape(-1, logits.shape[-1]), shifted
