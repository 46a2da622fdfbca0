"""What kind of model a config describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import CheckpointError
from core.evaluate.models.references import ModelFolder

__all__ = ["needs_code", "task_of"]


def needs_code(config: Mapping[str, Any]) -> bool:
    """Whether it names classes in its folder, and is of a kind that transformers does not know."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING


def task_of(folder: ModelFolder, config: Any) -> str:
    """ "causal" or "classifier". Raises CheckpointError for every other kind of model."""
    from transformers.models.auto import modeling_auto

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    classifier = modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    given = [str(name) for name in (config.architectures or ())]
    if getattr(config, "is_encoder_decoder", False):
        raise _other_kind(folder, f"an encoder–decoder model ({', '.join(given) or config.model_type})")
    if any(name in _classes(classifier) for name in given):
        if config.problem_type not in (None, "single_label_classification") or config.num_labels < 2:
            what = config.problem_type or "regression"
            raise _other_kind(folder, f"a classifier whose answer is not one class ({what})")
        return "classifier"
    if any(name in _classes(causal) for name in given) or (not given and config.model_type in causal):
        return "causal"
    raise _other_kind(folder, f"a model of the kind {', '.join(given) or config.model_type}")


def _classes(mapping: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    for value in mapping.values():
        names.update((value,) if isinstance(value, str) else value)
    return names


def _other_kind(folder: ModelFolder, what: str) -> CheckpointError:
    return CheckpointError(
        f"{folder.name} is {what}: only causal language models and classifiers of text can be evaluated",
        hint="name a model whose config.json has architectures such as LlamaForCausalLM or "
        "BertForSequenceClassification",
        path=folder.folder,
    )
