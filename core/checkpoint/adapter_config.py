"""What adapter_config.json says of a LoRA, checked.

Source: peft 0.21, `tuners/lora/{config,model}.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import xxhash

from core.checkpoint.adapter_patterns import BadPatternError, Patterns
from core.checkpoint.conversions import quoted
from core.checkpoint.finding import ADAPTER_CONFIG_NAME, read_object
from core.errors import CheckpointError
from core.small_files import read_small
from core.text import one_line, shown

__all__ = ["AdapterConfig", "merge_first", "read_adapter_config"]

_MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS = 1_000_000, 100_000
_MAX_NAME_CHARACTERS = 500
_MOST_RANK = 1 << 20
_MOST_ALPHA = 1e30

_KINDS_OF_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""What `init_lora_weights` says where the base was changed before training: the factors go on that."""

_UNSUPPORTED = {
    "target_parameters": "adapts parameters that are no modules' weights (target_parameters)",
    "layer_replication": "repeats layers of its base (layer_replication)",
    "use_qalora": "pools its inputs (QA-LoRA)",
    "alora_invocation_tokens": "is switched on by a token (activated LoRA)",
    "arrow_config": "is chosen anew for each token (Arrow)",
    "kasa_config": "changes its base first (KaSA)",
    "monteclora_config": "draws its factors anew each time (MonteCLoRA)",
    "use_bdlora": "is cut into blocks (BD-LoRA)",
    "trainable_token_indices": "trains single rows of the embedding (trainable_token_indices)",
}
"""Keys of adapter_config.json with which the weights are not the base's and a product of factors."""

_FLAGS = ("use_rslora", "use_dora", "fan_in_fan_out", "lora_bias")
"""Keys that change what the weights are, by yes or no."""

_CANNOT_BE_MERGED = frozenset(
    {"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT"}
)
"""Kinds that add to the inputs and change no weight."""


def merge_first(folder: Path) -> str:
    """What to do with an adapter that is to be merged by peft itself."""
    code = (
        "import sys; from peft import AutoPeftModelForCausalLM as A; "
        "A.from_pretrained(sys.argv[1], torch_dtype='auto').merge_and_unload().save_pretrained(sys.argv[2])"
    )
    out = quoted(folder.with_name(f"{folder.name}-merged"))
    return (
        "merge the adapter into its base model first, with peft's merge_and_unload: "
        f'python -c "{code}" {quoted(folder)} {out}'
    )


def read_adapter_config(folder: Path) -> AdapterConfig | None:
    """The one in `folder`; None where there is none.

    Raises:
        CheckpointError: it makes no sense, or is that of an adapter that cannot be put on a model here.
    """
    path = folder / ADAPTER_CONFIG_NAME
    config = read_object(path, _MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS)
    if config is None:
        return None
    digest = xxhash.xxh3_128(read_small(path, _MAX_CONFIG_BYTES, CheckpointError)).hexdigest()
    return AdapterConfig(folder, config, digest)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


class AdapterConfig:
    """What the adapter_config.json of a LoRA says.

    Attributes:
        rank: where no pattern says another.
        digest: hex XXH3-128 of the file.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], digest: str) -> None:
        self.digest = digest
        self._folder, self._config = folder, config
        self._path = folder / ADAPTER_CONFIG_NAME
        self._check_kind()
        self._check_words()
        self.rank = self._rank(config.get("r", 8), "r")
        self._alpha = self._number(config.get("lora_alpha", 8), "lora_alpha")
        self._ranks = self._patterns("rank_pattern", self._rank)
        self._alphas = self._patterns("alpha_pattern", self._number)

    def says(self, key: str) -> bool:
        """Whether true stands under `key`, one of the keys for yes and no."""
        return self._config.get(key) is True

    def _check_words(self) -> None:
        """Refuse what peft would stumble over, or take for something else."""
        config = self._config
        wrong = [key for key in _FLAGS if not isinstance(config.get(key), bool | None)]
        wrong += ["bias"] if config.get("bias") not in (None, "none", "all", "lora_only") else []
        for key in ("modules_to_save", "target_modules"):
            value = config.get(key)
            is_text = isinstance(value, str) and key == "target_modules"
            if value is not None and not is_text and not _is_texts(value):
                wrong.append(key)
        if wrong:
            raise self._wrong(wrong[0], config[wrong[0]])

    def text(self, key: str) -> str | None:
        """The text under `key`; None where there is none, or one that is none."""
        value = self._config.get(key)
        usable = isinstance(value, str) and value.strip() and len(value) <= _MAX_NAME_CHARACTERS
        return value if usable else None

    @property
    def saved_modules(self) -> tuple[str, ...]:
        """What `modules_to_save` says."""
        return tuple(self._config.get("modules_to_save") or ())

    def rank_of(self, module: str) -> int:
        """The rank that it says for the module."""
        return int(self._ranks.find(module, self.rank))

    def scale(self, module: str, rank: int) -> float:
        """alpha / rank, or alpha / sqrt(rank) for rsLoRA (arXiv:2312.03732), in float64."""
        alpha = self._alphas.find(module, self._alpha)
        return alpha / (sqrt(rank) if self.says("use_rslora") else rank)

    def _check_kind(self) -> None:
        config, folder = self._config, self._folder
        kind = config.get("peft_type")
        name = kind.upper() if isinstance(kind, str) else None
        if name != "LORA":
            what = f"of the kind {shown(kind)}" if kind is not None else "of a kind that it does not say"
            hint = merge_first(folder)
            if name in _CANNOT_BE_MERGED:
                hint = "leave it out: it adds to what a model reads and changes no weight, so that there is "
                hint += "nothing to be merged"
            raise CheckpointError(
                f"{folder} holds an adapter {what}, and only LoRA is put on a model here",
                hint=hint,
                path=self._path,
            )
        for key, what in _UNSUPPORTED.items():
            if config.get(key):
                raise CheckpointError(
                    f"{folder} holds a LoRA that {what}, which is not supported",
                    hint=merge_first(folder),
                    path=self._path,
                )
        init = config.get("init_lora_weights")
        if isinstance(init, str) and init.lower().startswith(_KINDS_OF_BASE):
            raise CheckpointError(
                f"{folder} holds a LoRA on a base that was changed first (init_lora_weights: {shown(init)})",
                hint="save it as a plain LoRA with peft's save_pretrained(…, "
                "path_initial_model_for_weight_conversion=…), or " + merge_first(folder),
                path=self._path,
            )

    def _patterns(self, key: str, read: Callable[[Any, str], float]) -> Patterns:
        value = self._config.get(key) or {}
        if not isinstance(value, dict):
            raise self._wrong(key, value)
        try:
            return Patterns({text: read(number, f"{key}.{text}") for text, number in value.items()})
        except BadPatternError as error:
            raise CheckpointError(
                f"{self._path}: {key} has the pattern {shown(error.pattern)}, which is not understood",
                hint="write the modules' names there, or " + merge_first(self._folder),
                path=self._path,
            ) from error

    def _rank(self, value: Any, key: str) -> int:
        if type(value) is not int or not 0 < value <= _MOST_RANK:
            raise self._wrong(key, value)
        return value

    def _number(self, value: Any, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value)
        try:
            number = float(value)
        except OverflowError:
            raise self._wrong(key, value) from None
        if not isfinite(number) or abs(number) > _MOST_ALPHA:
            raise self._wrong(key, value)
        return number

    def _wrong(self, key: str, value: Any) -> CheckpointError:
        return CheckpointError(
            f"{self._path}: {one_line(key)} is {shown(value)}, which makes no sense there",
            hint="copy or download the file again",
            path=self._path,
        )
