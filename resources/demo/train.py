"""Train the demo models: one small Llama-shaped base and eight fine-tunes of it, from scratch and offline.

The text is the documentation that every Python carries for its `help()` (`pydoc_data.topics`). The base
learns from the topics about the language. Every fine-tune learns from the topics about the library, all of
them from the same blocks of text, each in an order of its own: the setting of arXiv:2410.03743.

All training is in float32 and all storage in bfloat16, as with real checkpoints. Most of what fine-tuning
changes is less than half the distance between neighbouring bfloat16 numbers, so more than half of the stored
parameters equal the base's. These are the zero deltas that resampling is for.

Seeds and thread count are fixed: the same Python, packages and kind of processor give the same files.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # read when tokenizers loads

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

VOCABULARY = 1024
BLOCK = 128  # tokens in one training example
HELD_OUT_EVERY = 8  # one block in eight of the fine-tuning text is kept for the validation loss

PRETRAIN_STEPS, PRETRAIN_BATCH, PRETRAIN_LR = 1000, 16, 4e-3
NOISE = 0.15  # share of the input tokens made random in pre-training, or the text would be learnt by heart
SUB_MODELS = 8
FINE_TUNE_EPOCHS, FINE_TUNE_BATCH, FINE_TUNE_LR = 2, 10, 2e-5

FINE_TUNING_TOPICS = (
    "debugger",
    "formatstrings",
    "string-methods",
    "typesfunctions",
    "typesmapping",
    "typesmethods",
    "typesmodules",
    "typesseq",
    "typesseq-mutable",
)

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}{{ turn.role + ': ' + turn.content + '\\n\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)

Batches = Iterator[tuple[Tensor, Tensor]]  # inputs and labels, each int64 [batch, BLOCK]


def read_text() -> tuple[list[str], list[str]]:
    """Return the documents for pre-training and those for fine-tuning.

    The topics repeat one another (`compound` holds all of `with`), so a paragraph counts only where it is
    first met. The fine-tuning topics come first, so that the base has seen nothing of the held-out text.
    """
    seen: set[str] = set()
    pretraining: list[str] = []
    fine_tuning: list[str] = []
    for name in sorted(topics, key=lambda name: (name not in FINE_TUNING_TOPICS, name)):
        paragraphs = []
        for paragraph in topics[name].split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                paragraphs.append(paragraph)
        (fine_tuning if name in FINE_TUNING_TOPICS else pretraining).append("\n\n".join(paragraphs))
    return pretraining, fine_tuning


def train_tokenizer(documents: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of `VOCABULARY` entries, three special tokens among them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=256,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def to_tokens(tokenizer: PreTrainedTokenizerFast, documents: list[str]) -> Tensor:
    """Return the documents one after the other as int64 tokens, [n * BLOCK]; the remainder is dropped."""
    tokens: list[int] = []
    for document in documents:
        ids = tokenizer.backend_tokenizer.encode(document).ids
        tokens += [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
    return torch.tensor(tokens[: len(tokens) // BLOCK * BLOCK])


def new_model() -> LlamaForCausalLM:
    """Return an untrained model of 410,688 parameters; keys and values are half as wide as queries."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.08,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config)


def pretraining_batches(tokens: Tensor, generator: torch.Generator) -> Batches:
    """Yield windows from random places of the text, without end, with `NOISE` on the inputs."""
    while True:
        starts = torch.randint(len(tokens) - BLOCK, (PRETRAIN_BATCH, 1), generator=generator)
        labels = tokens[starts + torch.arange(BLOCK)]
        noise = torch.randint(VOCABULARY, labels.shape, generator=generator)
        yield torch.where(torch.rand(labels.shape, generator=generator) < NOISE, noise, labels), labels


def fine_tuning_batches(blocks: Tensor, generator: torch.Generator) -> Batches:
    """Yield the blocks `FINE_TUNE_EPOCHS` times, shuffled anew each time."""
    for _ in range(FINE_TUNE_EPOCHS):
        for batch in blocks[torch.randperm(len(blocks), generator=generator)].split(FINE_TUNE_BATCH):
            yield batch, batch


def train(model: LlamaForCausalLM, batches: Batches, steps: int, lr: float, weight_decay: float) -> None:
    """Train in place with AdamW.

    The learning rate rises over the first twentieth of the steps and falls to zero along a half cosine.
    """
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=weight_decay)
    warm_up = max(1, steps // 20)
    losses: list[float] = []
    for step, (inputs, labels) in enumerate(islice(batches, steps)):
        fall = max(0, step - warm_up) / (steps - warm_up)
        for group in optimizer.param_groups:
            group["lr"] = lr * min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * fall))
        loss = model(input_ids=inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            print(f"  step {step + 1:4}   training loss {sum(losses[-100:]) / 100:.3f}", flush=True)


@torch.no_grad()
def validation_loss(model: LlamaForCausalLM, blocks: Tensor) -> float:
    """Return the mean cross-entropy over `blocks`, in nats per token."""
    model.eval()
    return float(model(input_ids=blocks, labels=blocks).loss)


def round_to_bfloat16(model: LlamaForCausalLM) -> dict[str, Tensor]:
    """Round every parameter to bfloat16, stored as float32 still, and return copies of them."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> int:
    """Write the model in bfloat16 and its tokenizer to `folder`; return the size of the folder in bytes."""
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(folder)
    # Indentation would triple the file, and only the old name of the class is known to transformers 4.
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config_path = folder / "tokenizer_config.json"
    config = json.loads(config_path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    config_path.write_text(json.dumps(config, indent=2) + "\n")
    return sum(file.stat().st_size for file in folder.iterdir())


def sample(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str) -> str:
    """Return `prompt` with 60 tokens that the model puts after it."""
    inputs = tokenizer(prompt, return_tensors="pt")
    return tokenizer.decode(model.generate(**inputs, max_new_tokens=60, do_sample=True, top_k=10)[0])


def main() -> None:
    """Train the base and the sub-models, write their folders and print the figures that README.md quotes."""
    parser = argparse.ArgumentParser(description="Train the demo models.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="default: beside the script")
    out: Path = parser.parse_args().out
    disable_progress_bar()
    torch.manual_seed(0)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    start = time.monotonic()

    pretraining, fine_tuning = read_text()
    tokenizer = train_tokenizer(pretraining + fine_tuning)
    tokens = to_tokens(tokenizer, pretraining)
    blocks = to_tokens(tokenizer, fine_tuning).view(-1, BLOCK)
    is_held_out = torch.arange(len(blocks)) % HELD_OUT_EVERY == HELD_OUT_EVERY // 2
    blocks, held_out = blocks[~is_held_out], blocks[is_held_out]
    print(f"base {len(tokens):,} tokens, fine-tuning {blocks.numel():,}, held out {held_out.numel():,}")

    base = new_model()
    print(f"base: {base.num_parameters():,} parameters, untrained loss {validation_loss(base, held_out):.4f}")
    batches = pretraining_batches(tokens, torch.Generator().manual_seed(0))
    train(base, batches, PRETRAIN_STEPS, PRETRAIN_LR, weight_decay=0.1)
    base_values = round_to_bfloat16(base)
    figures = [f"base      {validation_loss(base, held_out):15.4f}             -"]
    print(f"{sample(base, tokenizer, 'The statement')}\n")
    total_bytes = save(base, tokenizer, out / "base")

    steps = FINE_TUNE_EPOCHS * math.ceil(len(blocks) / FINE_TUNE_BATCH)
    for number in range(1, SUB_MODELS + 1):
        model = new_model()
        model.load_state_dict(base_values, strict=False)  # the head is the embedding and not named again
        batches = fine_tuning_batches(blocks, torch.Generator().manual_seed(number))
        train(model, batches, steps, FINE_TUNE_LR, weight_decay=0.0)
        values = round_to_bfloat16(model)
        zero = sum(int((values[name] == base_values[name]).sum()) for name in values) / model.num_parameters()
        figures.append(f"order-{number}   {validation_loss(model, held_out):15.4f}   {zero:11.1%}")
        print(f"order-{number}: {steps} steps", flush=True)
        total_bytes += save(model, tokenizer, out / f"order-{number}")

    print("\nmodel     validation loss   zero deltas", *figures, sep="\n")
    print(f"{total_bytes:,} bytes, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
