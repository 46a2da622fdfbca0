from __future__ import annotations

from pathlib import Path

from core.checkpoint.model import hub_id, model_names
from core.checkpoint.names import find_embedding, tied_heads

CACHE = Path("/cache/hub/models--meta-llama--Llama-2-7b-hf/snapshots/8a0442e")


def test_a_model_is_called_by_its_folder_or_hub_id() -> None:
    assert model_names([Path("/a/base"), CACHE]) == ["base", "meta-llama/Llama-2-7b-hf"]
    assert hub_id(CACHE) == "meta-llama/Llama-2-7b-hf"
    assert hub_id(Path("/a/base")) is None


def test_folders_of_the_same_name_are_told_apart() -> None:
    folders = [Path("/x/run-1/last"), Path("/x/run-2/last"), Path("/x/other")]
    assert model_names(folders) == ["run-1/last", "run-2/last", "other"]
    deeper = [Path("/x/a/run/last"), Path("/x/b/run/last")]
    assert model_names(deeper) == ["run/last", "run/last (2)"]
    assert model_names([Path("/m/x"), Path("/n/x"), Path("/x"), Path("/m/x")]) == ["m/x", "n/x", "x", "m/x"]


def test_one_folder_named_twice_is_one_model() -> None:
    assert model_names([Path("/a/run"), Path("/a/run")]) == ["run", "run"]


def test_heads_and_embeddings_are_recognised() -> None:
    llama = {"model.embed_tokens.weight": (8, 4), "lm_head.weight": (8, 4), "model.norm.weight": (4,)}
    assert find_embedding(llama) == "model.embed_tokens.weight"
    assert tied_heads(llama) == {"lm_head.weight": "model.embed_tokens.weight"}
    gpt2 = {"transformer.wte.weight": (8, 4), "transformer.wpe.weight": (6, 4), "lm_head.weight": (8, 4)}
    assert tied_heads(gpt2) == {"lm_head.weight": "transformer.wte.weight"}
    assert tied_heads(llama | {"lm_head.weight": (9, 4)}) == {}
    assert find_embedding({"a.weight": (2, 2)}) is None
