"""Settings that others have trained with, by the name of their data.

Source: arXiv:2410.03743, Tables 5 (traditional tasks) and 6 (LLM tasks), appendix B. Up to three epochs. What
the paper does not say is ours: the schedule (cosine), its warm-up (3 % of the steps), no weight decay, a
gradient norm of at most 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import TrainingError
from core.text import nearest, shown

__all__ = ["DEFAULT_PRESET", "PRESETS", "Preset", "preset_of"]

DEFAULT_PRESET = "small"


@dataclass(frozen=True)
class Preset:
    """What a preset sets.

    Attributes:
        max_length: tokens.
        batch: samples of one step.
        resamples: n of the recipe that is written beside the sub-models; Table 6 has it, else 4.
        about: whose these are.
    """

    max_length: int
    learning_rate: float
    batch: int
    epochs: int = 3
    resamples: int = 4
    about: str = ""


_BERT, _LLM = "BERT base and large", "TinyLlama and Llama-2-7b"

PRESETS: Mapping[str, Preset] = {
    DEFAULT_PRESET: Preset(512, 2e-5, 8, about="small models and data sets, on any machine"),
    "bert-sst-2": Preset(512, 2e-5, 32, about=_BERT),
    "bert-mnli": Preset(512, 2e-5, 32, about=_BERT),
    "bert-squad": Preset(512, 3e-5, 12, about=_BERT),
    "sst-2": Preset(800, 2e-5, 128, about=_LLM),
    "mnli": Preset(800, 2e-5, 128, about=_LLM),
    "squad": Preset(800, 2e-5, 128, about=_LLM),
    "ag-news": Preset(800, 2e-5, 128, about=_LLM),
    "hellaswag": Preset(800, 2e-5, 128, about=_LLM),
    "mrpc": Preset(800, 2e-5, 128, about=_LLM),
    "winogrande": Preset(800, 2e-5, 128, about=_LLM),
    "alpaca": Preset(1200, 2e-5, 128, resamples=1, about="Llama-2-7b"),
    "gsm8k": Preset(800, 2e-5, 64, resamples=1, about="Llama-2-7b"),
    "gsm8k-rft": Preset(800, 2e-5, 64, resamples=4, about="Llama-2-7b"),
    "math": Preset(800, 2e-5, 64, resamples=1, about="Llama-2-7b"),
    "humaneval": Preset(1200, 2e-5, 128, resamples=4, about="Llama-2-7b on Evol-instruct"),
}


def preset_of(name: str) -> Preset:
    """The preset of that name. Raises TrainingError: there is none."""
    if name not in PRESETS:
        raise TrainingError(
            f"there is no preset {shown(name)}",
            hint=nearest(name, PRESETS) or f"choose one of {', '.join(PRESETS)}",
            field="preset",
        )
    return PRESETS[name]
