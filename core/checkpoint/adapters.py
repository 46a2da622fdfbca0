"""Adapters of peft on disk: LoRA factors, and what adapter_config.json says of how they are put on a model.

No weights are read. What cannot be computed as peft does is refused by its name.
Source: peft 0.21, `tuners/lora/{config,layer,model}.py`, `utils/{save_and_load,other}.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.checkpoint.adapter_config import AdapterConfig, merge_first, read_adapter_config
from core.checkpoint.finding import ADAPTER_CONFIG_NAME, ADAPTER_NAMES
from core.checkpoint.headers import ShardHeader, StoredTensor, read_header
from core.errors import CheckpointError
from core.small_files import is_there

__all__ = ["Adapter", "Factors", "read_adapter"]

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


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`.

    Raises:
        CheckpointError: it has no config, or it is one that cannot be put on a model here.
    """
    file = next((name for name in ADAPTER_NAMES if is_there(folder / name, CheckpointError)), None)
    if file is None:
        raise CheckpointError(
            f"{folder} holds an {ADAPTER_CONFIG_NAME} and no {ADAPTER_NAMES[0]}: the adapter is missing",
            hint="copy or download the missing file",
            path=folder,
        )
    config = read_adapter_config(folder)
    if config is None:
        raise CheckpointError(
            f"{folder} holds the factors of an adapter ({file}) and no {ADAPTER_CONFIG_NAME}, which says how "
            "they are scaled and what they go on",
            hint=f"copy {ADAPTER_CONFIG_NAME} of the same training run beside them",
            path=folder,
        )
    header = read_header(folder / file)
    factors, whole = _Sorting(folder, config, header).sorted()
    return Adapter(
        folder,
        config.text("base_model_name_or_path"),
        config.text("revision"),
        header,
        factors,
        whole,
        config.says("fan_in_fan_out"),
        config.digest,
        config.saved_modules,
        config.says("ensure_weight_tying"),
    )


class _Sorting:
    """The tensors of an adapter by what they are for."""

    def __init__(self, folder: Path, config: AdapterConfig, header: ShardHeader) -> None:
        self._folder, self._config, self._header = folder, config, header
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
        if not tensor.size_bytes:
            raise CheckpointError(
                f"tensor {tensor.name!r} of {self._header.path} holds no elements, as where DeepSpeed's "
                "ZeRO 3 was not asked to gather them",
                hint="save the adapter again with stage3_gather_16bit_weights_on_model_save",
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
        said = self._config.rank_of(module)
        if b.shape[1] != rank or rank != said or not rank:
            raise CheckpointError(
                f"the factors of {module!r} in {self._folder} have the shapes {list(a.shape)} and "
                f"{list(b.shape)}, and {ADAPTER_CONFIG_NAME} says rank {said}",
                hint=f"take the {ADAPTER_CONFIG_NAME} that was saved with them",
                path=self._header.path,
                tensor=a.name,
            )
        magnitude = parts.get("lora_magnitude_vector")
        if self._config.says("use_dora") != (magnitude is not None):
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
        return Factors(a, b, self._config.scale(module, rank), is_table, magnitude, parts.get("lora_B.bias"))
