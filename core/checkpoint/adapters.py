"""Adapters of peft on disk: LoRA factors, and what adapter_config.json says of how they are put on a model.

No weights are read. What cannot be computed as peft does is refused by its name.
Source: peft 0.21, `tuners/lora/{config,layer,model}.py`, `utils/{save_and_load,other}.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import xxhash

from core.checkpoint.adapter_patterns import BadPatternError, Patterns
from core.checkpoint.conversions import quoted
from core.checkpoint.finding import ADAPTER_CONFIG_NAME, ADAPTER_NAMES, read_object
from core.checkpoint.headers import ShardHeader, StoredTensor, read_header
from core.errors import CheckpointError
from core.small_files import is_there, read_small
from core.text import one_line, shown

__all__ = ["Adapter", "Factors", "merge_first", "read_adapter"]

_MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS = 1_000_000, 100_000
_MAX_NAME_CHARACTERS = 500
_MOST_RANK = 1 << 20
_MOST_ALPHA = 1e30

_INNER = "_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module"
_WRAPPERS = re.compile(
    rf"^(?:(?:module|_forward_module|{_INNER})\.)*(?:base_model\.model\.)?|(?<=\.)(?:{_INNER})\."
)
_FACTOR = re.compile(
    r"(?P<module>.+)\.(?:(?P<kind>lora_A|lora_B)(?:\.(?P<of>[^.]+))?\.(?P<leaf>weight|bias)"
    r"|(?P<table>lora_embedding_A|lora_embedding_B)(?:\.(?P<of_table>[^.]+))?"
    r"|(?P<magnitude>lora_magnitude_vector)(?:\.(?P<of_magnitude>(?!weight$)[^.]+))?(?:\.weight)?)"
)
_SAVED = re.compile(r"\.modules_to_save(?:\.default)?(?=\.)|\.base_layer(?=\.)")
_OTHER_FACTORS = (".lora_", "lora_up", "lora_down", ".hada_", ".lokr_", ".oft_", ".boft_", ".ia3_", ".vera_")
_OTHERS_TOKENS = ".trainable_tokens_"

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

_CANNOT_BE_MERGED = frozenset(
    {"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT"}
)
"""Kinds that add to the inputs and change no weight."""


@dataclass(frozen=True)
class Factors:
    """What an adapter does to the weight of one module.

    Attributes:
        a: [R, inputs], of an embedding [R, tokens].
        b: [outputs, R], of an embedding [its width, R].
        scale: of their product, in float64.
        is_table: whether the weight is that of an embedding, [tokens, width].
        magnitude: the lengths of DoRA, [outputs]; None without it.
        bias: what is added to the bias, times the scale, [outputs]; or None.
    """

    a: StoredTensor
    b: StoredTensor
    scale: float
    is_table: bool = False
    magnitude: StoredTensor | None = None
    bias: StoredTensor | None = None

    @property
    def rank(self) -> int:
        return self.a.shape[0]


@dataclass(frozen=True)
class Adapter:
    """A LoRA whose header and config were read.

    Attributes:
        folder: where it is.
        base_name: the path or the Hub id of the model that it was trained on, as it says; or None.
        base_revision: which revision of it; or None.
        header: of its file of weights.
        factors: by the name of the module, as peft saw it.
        whole: tensors that take the place of the base's, or are new, by name.
        fan_in_fan_out: whether it says that the base stores its weights [inputs, outputs].
        digest: hex XXH3-128 of adapter_config.json.
        saved_modules: the endings of the names of modules that were saved whole, as `modules_to_save` says.
        ties_saved: whether those that the base ties were tied, too.
    """

    folder: Path
    base_name: str | None
    base_revision: str | None
    header: ShardHeader
    factors: Mapping[str, Factors] = field(repr=False)
    whole: Mapping[str, StoredTensor] = field(repr=False)
    fan_in_fan_out: bool
    digest: str
    saved_modules: tuple[str, ...] = ()
    ties_saved: bool = False

    @property
    def kind_text(self) -> str:
        """ "rank 16", "DoRA of rank 8 to 64", "whole tensors"."""
        ranks = self._ranks
        if not ranks:
            return "whole tensors"
        rank = f"rank {ranks[0]}" if len(ranks) == 1 else f"rank {ranks[0]} to {ranks[-1]}"
        return f"DoRA of {rank}" if self._is_dora else rank

    @property
    def short_text(self) -> str:
        """The same where there is little room: "rank 16", "DoRA 8–64", "whole"."""
        ranks = self._ranks
        if not ranks:
            return "whole"
        rank = f"{ranks[0]}" if len(ranks) == 1 else f"{ranks[0]}–{ranks[-1]}"
        return f"{'DoRA' if self._is_dora else 'rank'} {rank}"

    @property
    def _ranks(self) -> list[int]:
        return sorted({one.rank for one in self.factors.values()})

    @property
    def _is_dora(self) -> bool:
        return any(one.magnitude is not None for one in self.factors.values())


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


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`.

    Raises:
        CheckpointError: it has no config, or it is one that cannot be put on a model here.
    """
    path = folder / ADAPTER_CONFIG_NAME
    file = next((name for name in ADAPTER_NAMES if is_there(folder / name, CheckpointError)), None)
    config = read_object(path, _MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS)
    if config is None:
        raise CheckpointError(
            f"{folder} holds the factors of an adapter ({file}) and no {ADAPTER_CONFIG_NAME}, which says how "
            "they are scaled and what they go on",
            hint=f"copy {ADAPTER_CONFIG_NAME} of the same training run beside them",
            path=folder,
        )
    if file is None:
        raise CheckpointError(
            f"{folder} holds an {ADAPTER_CONFIG_NAME} and no {ADAPTER_NAMES[0]}: the adapter is missing",
            hint="copy or download the missing file",
            path=folder,
        )
    settings = _Settings(folder, config)
    header = read_header(folder / file)
    factors, whole = _Sorting(folder, settings, header).sorted()
    digest = xxhash.xxh3_128(read_small(path, _MAX_CONFIG_BYTES, CheckpointError)).hexdigest()
    return Adapter(
        folder,
        settings.text("base_model_name_or_path"),
        settings.text("revision"),
        header,
        factors,
        whole,
        config.get("fan_in_fan_out") is True,
        digest,
        settings.saved_modules,
        config.get("ensure_weight_tying") is True,
    )


class _Settings:
    """What adapter_config.json says, checked."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder, self._config = folder, config
        self._path = folder / ADAPTER_CONFIG_NAME
        self._check_kind()
        self.use_rslora, self.use_dora = (config.get(key) is True for key in ("use_rslora", "use_dora"))
        self.rank = self._rank(config.get("r", 8), "r")
        self._alpha = self._number(config.get("lora_alpha", 8), "lora_alpha")
        self._ranks = self._patterns("rank_pattern", self._rank)
        self._alphas = self._patterns("alpha_pattern", self._number)

    def text(self, key: str) -> str | None:
        """The text under `key`; None where there is none, or one that is none."""
        value = self._config.get(key)
        usable = isinstance(value, str) and value.strip() and len(value) <= _MAX_NAME_CHARACTERS
        return value if usable else None

    @property
    def saved_modules(self) -> tuple[str, ...]:
        """What `modules_to_save` says."""
        value = self._config.get("modules_to_save")
        return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()

    def rank_of(self, module: str) -> int:
        """The rank that it says for the module."""
        return int(self._ranks.find(module, self.rank))

    def scale(self, module: str, rank: int) -> float:
        """alpha / rank, or alpha / sqrt(rank) for rsLoRA (arXiv:2312.03732), in float64."""
        alpha = self._alphas.find(module, self._alpha)
        return alpha / (sqrt(rank) if self.use_rslora else rank)

    def _check_kind(self) -> None:
        config, folder = self._config, self.folder
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
                hint="write the modules' names there, or " + merge_first(self.folder),
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


class _Sorting:
    """The tensors of an adapter by what they are for."""

    def __init__(self, folder: Path, settings: _Settings, header: ShardHeader) -> None:
        self._folder, self._settings, self._header = folder, settings, header
        self._parts: dict[str, dict[str, StoredTensor]] = {}
        self._whole: dict[str, StoredTensor] = {}
        self._names: set[str] = set()

    def sorted(self) -> tuple[dict[str, Factors], dict[str, StoredTensor]]:
        for tensor in self._header.tensors:
            self._add(tensor)
        if len(self._names) > 1:
            raise CheckpointError(
                f"{self._header.path} holds several adapters ({', '.join(sorted(self._names))})",
                hint="save each into a folder of its own with peft's save_pretrained",
                path=self._header.path,
            )
        factors = {module: self._factors(module, parts) for module, parts in self._parts.items()}
        if not factors and not self._whole:
            raise CheckpointError(f"{self._header.path} has no tensors", path=self._header.path)
        return factors, self._whole

    def _add(self, tensor: StoredTensor) -> None:
        name = _WRAPPERS.sub("", tensor.name)
        found = _FACTOR.fullmatch(name)
        if found is not None:
            of = found["of"] or found["of_table"] or found["of_magnitude"]
            kind = found["kind"] or found["table"] or found["magnitude"]
            key = f"{kind}.bias" if found["leaf"] == "bias" else kind
            module = found["module"].replace(".base_layer", "")
            self._place(self._parts.setdefault(module, {}), key, tensor)
        elif any(sign in f".{name}" for sign in _OTHER_FACTORS) or _OTHERS_TOKENS in name:
            raise CheckpointError(
                f"{self._header.path} holds the tensor {tensor.name!r}, which is no part of a LoRA that is "
                "known here",
                hint=merge_first(self._folder),
                path=self._header.path,
                tensor=tensor.name,
            )
        elif ".original_module." in f".{name}":
            return  # the base's own, which is not used
        else:
            of = None
            self._place(self._whole, _SAVED.sub("", name), tensor)
        if of is not None:
            self._names.add(of)

    def _place(self, among: dict[str, StoredTensor], key: str, tensor: StoredTensor) -> None:
        if key in among:
            raise CheckpointError(
                f"{self._header.path} holds the same part twice, as {among[key].name!r} and {tensor.name!r}",
                hint="save the adapter again with peft's save_pretrained",
                path=self._header.path,
                tensor=tensor.name,
            )
        if not tensor.dtype.is_float or tensor.dtype.itemsize == 1:
            raise CheckpointError(
                f"tensor {tensor.name!r} of {self._header.path} is stored as {tensor.dtype}: the adapter is "
                "quantised",
                hint="take the adapter as it was saved after training, in F32, BF16 or F16",
                path=self._header.path,
                tensor=tensor.name,
            )
        among[key] = tensor

    def _factors(self, module: str, parts: Mapping[str, StoredTensor]) -> Factors:
        is_table = "lora_embedding_A" in parts or "lora_embedding_B" in parts
        first, second = ("lora_embedding_A", "lora_embedding_B") if is_table else ("lora_A", "lora_B")
        a, b = parts.get(first), parts.get(second)
        known = {first, second, "lora_magnitude_vector", "lora_B.bias"}
        if a is None or b is None or not parts.keys() <= known:
            there = next(iter(parts.values()))
            raise CheckpointError(
                f"{self._header.path} has only a part of what goes on the module {module!r}: "
                f"{', '.join(sorted(parts))}",
                hint="copy or download the file again",
                path=self._header.path,
                tensor=there.name,
            )
        if len(a.shape) != 2 or len(b.shape) != 2:
            raise CheckpointError(
                f"{self._folder} holds a LoRA on {module!r} that is no linear layer and no embedding: its "
                f"factors have the shapes {list(a.shape)} and {list(b.shape)}",
                hint=merge_first(self._folder),
                path=self._header.path,
                tensor=a.name,
            )
        rank = a.shape[0]
        said = self._settings.rank_of(module)
        if b.shape[1] != rank or rank != said or not rank:
            raise CheckpointError(
                f"the factors of {module!r} in {self._folder} have the shapes {list(a.shape)} and "
                f"{list(b.shape)}, and {ADAPTER_CONFIG_NAME} says rank {said}",
                hint=f"take the {ADAPTER_CONFIG_NAME} that was saved with them",
                path=self._header.path,
                tensor=a.name,
            )
        magnitude = parts.get("lora_magnitude_vector")
        if self._settings.use_dora != (magnitude is not None):
            has = "has no" if magnitude is None else "has a"
            raise CheckpointError(
                f"{self._header.path} {has} lora_magnitude_vector for the module {module!r}, and "
                f"{ADAPTER_CONFIG_NAME} {'says' if magnitude is None else 'does not say'} use_dora",
                hint=f"take the weights and the {ADAPTER_CONFIG_NAME} of one training run",
                path=self._header.path,
                tensor=(magnitude or a).name,
            )
        if magnitude is not None and is_table:
            raise CheckpointError(
                f"{self._folder} holds a DoRA on the embedding {module!r}, which is not supported",
                hint=merge_first(self._folder),
                path=self._header.path,
                tensor=magnitude.name,
            )
        return Factors(
            a, b, self._settings.scale(module, rank), is_table, magnitude, parts.get("lora_B.bias")
        )
