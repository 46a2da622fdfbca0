"""Write core/checkpoint/ties.json: which tensors transformers declares to share memory, by model type.

Run with transformers and torch installed, after an update of transformers: `python packaging/make_ties.py`.
No model is built: the declarations are class attributes (`PreTrainedModel._tied_weights_keys`), and whether
they hold where a config is silent is the config class's default of `tie_word_embeddings`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import torch  # noqa: TID253
import transformers  # noqa: TID253
from transformers.models.auto.configuration_auto import (  # noqa: TID253
    CONFIG_MAPPING,
    CONFIG_MAPPING_NAMES,
)

TABLE = Path(__file__).resolve().parent.parent / "core" / "checkpoint" / "ties.json"

_WHEN_MADE = {"bark", "deformable_detr", "idefics", "zamba", "zamba2"}
"""Model types that declare their ties when a model is made: one is, without memory, by the default config."""

_CONDITIONAL = {
    "marian": [
        ["decoder.embed_tokens.weight", "shared.weight", "share_encoder_decoder_embeddings"],
        ["encoder.embed_tokens.weight", "shared.weight", "share_encoder_decoder_embeddings"],
        ["lm_head.weight", "model.shared.weight", "share_encoder_decoder_embeddings"],
    ],
}
"""What a model declares when it is made, if its config does not have that key as false."""


def declared(config_class: type, *, make: bool) -> tuple[list[list[str]], list[str]]:
    """[alias, first] of every model class beside `config_class`, each pair once; and the names under which
    these classes hold the model without its head (`base_model_prefix`).

    Args:
        make: whether to look at models that were made, on the meta device.
    """
    name = config_class.__module__.replace("configuration_", "modeling_")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        print(f"left out: {name}: {error}", file=sys.stderr)
        return [], []
    prefixes: dict[str, None] = {}
    pairs: dict[tuple[str, str], None] = {}
    for value in vars(module).values():
        if not inspect.isclass(value) or not issubclass(value, transformers.PreTrainedModel):
            continue
        if value.__module__ == module.__name__ and isinstance(value.base_model_prefix, str):
            prefixes[value.base_model_prefix] = None
        keys = getattr(value, "_tied_weights_keys", None)
        if make and value.__module__ == module.__name__:
            try:
                with torch.device("meta"):
                    keys = value(value.config_class())._tied_weights_keys
            except Exception as error:
                print(f"not made: {value.__name__}: {error}", file=sys.stderr)
        if isinstance(keys, dict):
            pairs |= dict.fromkeys((alias, first) for alias, first in keys.items())
    prefixes.pop("", None)
    return [list(pair) for pair in pairs], list(prefixes)


def default_of(config_class: Any) -> bool | None:
    """What the class says where a config does not."""
    try:
        value = getattr(config_class(), "tie_word_embeddings", None)
    except Exception:
        value = getattr(config_class, "tie_word_embeddings", None)
    return value if isinstance(value, bool) else None


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    models = {}
    for model_type in sorted(CONFIG_MAPPING_NAMES):
        try:
            config_class = CONFIG_MAPPING[model_type]
        except ImportError as error:
            print(f"left out: {model_type}: {error}", file=sys.stderr)
            continue
        pairs, prefixes = declared(config_class, make=model_type in _WHEN_MADE)
        pairs += _CONDITIONAL.get(model_type, [])
        default = default_of(config_class)
        if pairs or prefixes or default is not None:
            models[model_type] = {"default": default, "prefixes": prefixes, "pairs": pairs}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in models.items())
    head = json.dumps(f"transformers {transformers.__version__}")
    TABLE.write_text(f'{{"source": {head}, "models": {{\n{lines}\n}}}}\n')
    print(f"{TABLE}: {len(models)} model types")


if __name__ == "__main__":
    main()
