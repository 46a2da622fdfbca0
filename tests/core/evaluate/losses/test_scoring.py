"""Losses of models against a plain loop over transformers, one sample at a time and without padding."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.cancel import CancelToken
from core.data.rows import DataSet, read_data
from core.errors import Cancelled, MergeError
from core.evaluate.losses import forward as forward_module
from core.evaluate.losses.forward import Forward
from core.evaluate.losses.scoring import score_model
from core.evaluate.models.loading import LoadedModel, load_model
from core.evaluate.scores import RowLosses, Scores
from core.evaluate.settings import Settings
from core.evaluate.verdict.pairing import pair_up
from core.progress import Share

DEMO = Path(__file__).parents[4] / "resources" / "demo"
CLOSE = 1e-5
CPU = Settings(device="cpu")

TEXTS = [
    "The moon was up, and he said nothing.",
    "Yes.",
    "a " * 150,  # three windows of 64
    "It was a dark and stormy night; the rain fell in torrents, except at occasional intervals.",
    "“Naïve”, said the café owner.",
]
CHATS = [
    [("user", "Hello there"), ("assistant", "Hi! What is it?"), ("user", "Nothing."), ("assistant", "Good.")],
    [("system", "Be brief."), ("user", "What is it?"), ("assistant", "It is the moon.")],
]


def data_file(folder: Path, records: Sequence[dict[str, Any]], name: str = "data.jsonl") -> DataSet:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, records)))
    return read_data(path)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return data_file(tmp_path_factory.mktemp("texts"), [{"text": text} for text in TEXTS])


@pytest.fixture(scope="module")
def demo() -> Iterator[LoadedModel]:
    with load_model(DEMO / "order-1", settings=replace(CPU, max_length=64)) as model:
        yield model


def plain_losses(model: Any, tokenizer: Any, text: str, counts_from: int = 1, most: int = 64) -> list[float]:
    """Nats of each token from `counts_from` on, by windows that share a token."""
    import torch

    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    nats: list[float] = []
    start = 0
    with torch.no_grad():
        while start == 0 or start < len(ids) - 1:
            part = torch.tensor([ids[start : start + most]])
            logits = model(part).logits[0]
            nats += torch.nn.functional.cross_entropy(logits[:-1], part[0, 1:], reduction="none").tolist()
            start += most - 1
    return nats[counts_from - 1 :]


@pytest.fixture(scope="module")
def plain() -> Any:
    """The same model, as anyone would load it."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(DEMO / "order-1"), dtype=torch.float32).eval()


@pytest.mark.parametrize("batch_tokens", [1, 100, 10_000])
@pytest.mark.parametrize("side", ["right", "left"])
def test_losses_of_texts_are_those_of_a_plain_loop(
    demo: LoadedModel, plain: Any, texts: DataSet, batch_tokens: int, side: str
) -> None:
    settings = replace(CPU, batch_tokens=batch_tokens, padding_side=side, max_length=64)
    scores = score_model(demo, texts, settings, model_digest="m")
    by_token = [plain_losses(plain, demo.tokenizer, text) for text in TEXTS]
    np.testing.assert_allclose(scores.loss, [np.mean(nats) for nats in by_token], atol=CLOSE, rtol=0)
    assert scores.tokens.tolist() == [len(nats) for nats in by_token]
    assert scores.tokens[2] > 2 * 64
    assert scores.mean_loss == pytest.approx(np.mean([np.mean(nats) for nats in by_token]), abs=CLOSE)
    assert (scores.task, scores.correct, scores.accuracy, scores.max_length) == ("causal", None, None, 64)
    assert (scores.name, scores.model_digest, scores.data_digest) == ("order-1", "m", texts.digest)
    assert scores.lines.tolist() == [1, 2, 3, 4, 5]


def test_losses_of_conversations_are_those_of_the_assistants_tokens(
    demo: LoadedModel, plain: Any, tmp_path: Path
) -> None:
    chats = [[{"role": role, "content": text} for role, text in chat] for chat in CHATS]
    data = data_file(tmp_path, [{"messages": chat} for chat in chats])
    scores = score_model(demo, data, replace(CPU, max_length=64))
    for number, chat in enumerate(chats):
        nats: list[float] = []
        for turn in (at for at, message in enumerate(chat) if message["role"] == "assistant"):
            before = demo.tokenizer.apply_chat_template(
                chat[:turn], tokenize=False, add_generation_prompt=True
            )
            through = demo.tokenizer.apply_chat_template(chat[: turn + 1], tokenize=False)
            whole = plain_losses(
                plain, demo.tokenizer, demo.tokenizer.apply_chat_template(chat, tokenize=False)
            )
            first, last = (
                len(demo.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (before, through)
            )
            if turn < len(chat) - 1:
                last += 1  # "\n\n" is one token at the end, and two where a word follows
            nats += whole[first - 1 : last - 1]
        assert scores.tokens[number] == len(nats)
        assert scores.loss[number] == pytest.approx(np.mean(nats), abs=CLOSE)
    assert scores.text_bytes.tolist() == [len("Hi! What is it?Good."), len("It is the moon.")]


def test_bits_a_byte_by_hand(demo: LoadedModel, texts: DataSet) -> None:
    scores = score_model(demo, texts, replace(CPU, max_length=64))
    first = demo.tokenizer.decode(demo.tokenizer(TEXTS[0])["input_ids"][:1])
    scored_bytes = len(TEXTS[0].encode()) - len(first.encode())
    assert scores.bits_per_byte[0] == pytest.approx(
        scores.loss[0] * scores.tokens[0] / np.log(2) / scored_bytes, rel=1e-12
    )
    assert scores.mean_bits_per_byte == pytest.approx(float(np.mean(scores.bits_per_byte)))


def test_layers_that_are_widened_one_by_one_give_the_same_bits(demo: LoadedModel, texts: DataSet) -> None:
    settings = replace(CPU, max_length=64, widening="layers")
    whole = score_model(demo, texts, replace(CPU, max_length=64))
    with load_model(DEMO / "order-1", settings=settings) as model:
        stored = next(model.model.parameters()).dtype
        by_layers = score_model(model, texts, settings)
        assert {parameter.dtype for parameter in model.model.model.layers.parameters()} == {stored}
    assert str(stored) == "torch.bfloat16"
    np.testing.assert_array_equal(whole.loss, by_layers.loss)


def finished_of(scores: Scores) -> tuple[Any, ...]:
    return np.arange(len(scores.loss)), scores.loss, scores.tokens, scores.text_bytes


@pytest.mark.parametrize("stored", ["bfloat16", pytest.param("float32", marks=pytest.mark.slow)])
def test_in_bfloat16_the_difference_is_measured_and_said(texts: DataSet, tmp_path: Path, stored: str) -> None:
    from safetensors.torch import load_file, save_file

    folder = DEMO / "order-1"
    if stored == "float32":  # and with what bfloat16 cannot hold
        folder = Path(shutil.copytree(folder, tmp_path / "wide"))
        tensors = load_file(folder / "model.safetensors")
        wide = {name: tensor.float() * 1.003 for name, tensor in tensors.items()}
        save_file(wide, folder / "model.safetensors", metadata={"format": "pt"})
    whole = replace(CPU, max_length=64, batch_tokens=64)
    settings = replace(CPU, max_length=64, dtype="bfloat16", batch_tokens=64)
    said: list[str] = []
    with load_model(folder, settings=settings) as model:
        rounded = score_model(model, texts, settings, on_note=said.append)
        assert str(model.model.dtype) == "torch.bfloat16"
        again = score_model(model, texts, settings, known=RowLosses(*finished_of(rounded)))
    with load_model(folder, settings=whole) as model:
        exact = score_model(model, texts, whole)
    # Of the windows of the third row each is a sample of its own; they err less than the shortest row.
    worst = np.max(np.abs(exact.loss - rounded.loss))
    assert 0 < worst < 0.1
    (note,) = [sentence for sentence in said if "in bfloat16 the losses of 7 samples differ" in sentence]
    assert float(note.rpartition(" ")[2]) == pytest.approx(worst, rel=0.05)
    if stored == "bfloat16":  # the other's weights are narrow by now
        assert note in again.notes  # though nothing was left to do
    assert rounded.settings != exact.settings


def test_a_head_in_parts_is_the_head_in_one(
    demo: LoadedModel, texts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score_model(demo, texts, replace(CPU, max_length=64))
    monkeypatch.setattr(forward_module, "_LOGITS", 3 * 1024)  # three positions
    parts = score_model(demo, texts, replace(CPU, max_length=64))
    np.testing.assert_allclose(whole.loss, parts.loss, atol=1e-6, rtol=0)
    monkeypatch.setattr(Forward, "_agrees", lambda *_: False)
    at_once = score_model(demo, texts, replace(CPU, max_length=64))
    np.testing.assert_allclose(whole.loss, at_once.loss, atol=1e-6, rtol=0)


def test_the_head_is_never_given_more_positions_than_there_is_room_for(
    demo: LoadedModel, texts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_module, "_LOGITS", 5 * 1024)
    seen: list[int] = []
    head = demo.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, __, logits: seen.append(logits[..., 0].numel()))
    try:
        score_model(demo, texts, replace(CPU, max_length=64))
    finally:
        handle.remove()
    assert max(seen) <= 5
    assert sum(seen) >= 64 * 3


def test_a_batch_without_room_is_halved(
    demo: LoadedModel, texts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score_model(demo, texts, replace(CPU, max_length=64))
    real, sizes, said = Forward.losses, [], []

    def losses(self: Forward, samples: Sequence[Any]) -> Any:
        sizes.append(len(samples))
        if len(samples) * max(len(sample.ids) for sample in samples) > 128:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return real(self, samples)

    monkeypatch.setattr(Forward, "losses", losses)
    halved = score_model(demo, texts, replace(CPU, max_length=64), on_note=said.append)
    np.testing.assert_allclose(whole.loss, halved.loss, atol=CLOSE, rtol=0)
    assert sizes[:3] == [7, 4, 2]  # windows, of which the longest two fit
    assert max(sizes[3:]) > 1
    assert all("the batch is halved" in sentence for sentence in said)
    assert len(said) == 2


def test_a_sample_without_room_is_said(
    demo: LoadedModel, texts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Forward, "losses", losses)
    with pytest.raises(MergeError, match="not enough memory for the 64 tokens of line 3 on cpu") as caught:
        score_model(demo, texts, replace(CPU, max_length=64))
    assert "--max-length" in (caught.value.hint or "")


def test_an_evaluation_that_is_cancelled_goes_on_with_what_it_finished(
    demo: LoadedModel, texts: DataSet
) -> None:
    settings = replace(CPU, max_length=64, batch_tokens=64)
    whole = score_model(demo, texts, settings)
    finished: list[RowLosses] = []
    shares: list[Share] = []
    cancel = CancelToken()

    def on_rows(rows: RowLosses) -> None:
        finished.append(rows)
        if sum(len(part.rows) for part in finished) >= 3:
            cancel.cancel()

    with pytest.raises(Cancelled, match="the evaluation was cancelled"):
        score_model(demo, texts, settings, on_rows=on_rows, cancel=cancel, progress=shares.append)
    assert [share.fraction for share in shares] == sorted(share.fraction for share in shares)
    assert 0 < shares[-1].fraction < 1
    rows = np.concatenate([part.rows for part in finished])
    assert 3 <= len(rows) < 5
    known = RowLosses(
        rows,
        np.concatenate([part.loss for part in finished]),
        np.concatenate([part.tokens for part in finished]),
        np.concatenate([part.text_bytes for part in finished]),
    )
    again: list[RowLosses] = []
    gone_on = score_model(demo, texts, settings, known=known, on_rows=again.append)
    np.testing.assert_array_equal(gone_on.loss, whole.loss)
    assert set(np.concatenate([part.rows for part in again])) == set(range(5)) - set(rows)


def test_each_row_is_told_before_tokens_are_made_of_it(
    demo: LoadedModel, texts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[Share] = []
    whole = type(demo.tokenizer).__call__
    seen: list[str] = []

    def slow(self: Any, text: str, **options: Any) -> Any:
        seen.append(shares[-1].text if shares else "")
        return whole(self, text, **options)

    monkeypatch.setattr(type(demo.tokenizer), "__call__", slow)
    score_model(demo, texts, replace(CPU, max_length=64), progress=shares.append)
    told = list(dict.fromkeys(text for text in seen if text))
    assert told == [f"{demo.name}: making tokens of line {row.line}" for row in texts.rows]
    assert [share.fraction for share in shares] == sorted(share.fraction for share in shares)


def test_a_cancelled_evaluation_stops_between_layers(
    demo: LoadedModel, texts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = CancelToken()
    layer = demo.model.model.layers[2]
    handle = layer.register_forward_pre_hook(lambda *_: cancel.cancel())
    reached: list[int] = []
    last = demo.model.model.layers[-1].register_forward_pre_hook(lambda *_: reached.append(1))
    try:
        with pytest.raises(Cancelled):
            score_model(demo, texts, replace(CPU, max_length=64), cancel=cancel)
    finally:
        handle.remove()
        last.remove()
    assert not reached


def test_a_row_of_which_nothing_counts_has_no_loss(demo: LoadedModel, tmp_path: Path) -> None:
    data = data_file(tmp_path, [{"text": "a"}, {"text": "The moon."}])
    scores = score_model(demo, data, replace(CPU, max_length=64))
    assert np.isnan(scores.loss).tolist() == [True, False]
    assert scores.tokens.tolist()[0] == 0
    assert scores.mean_loss == scores.loss[1]
    assert any("line 1" in note for note in scores.notes)


def test_scores_of_other_tokens_are_told_apart_and_of_other_windows_not(
    demo: LoadedModel, texts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(CPU, max_length=64)
    one = score_model(demo, texts, settings).tokenizer_digest
    monkeypatch.setattr(demo, "window", 32)
    assert score_model(demo, texts, settings).tokenizer_digest == one
    rows = (*texts.rows[:-1], replace(texts.rows[-1], text=texts.rows[-1].text + "!"))
    assert score_model(demo, replace(texts, rows=rows), settings).tokenizer_digest != one


# -- classifiers ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=1024,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        pad_token_id=2,
        id2label={0: "bad", 1: "middling", 2: "good"},
        label2id={"bad": 0, "middling": 1, "good": 2},
    )
    return saved(BertForSequenceClassification, config, tmp_path_factory.mktemp("bert") / "bert")


def saved(kind: Callable[[Any], Any], config: Any, folder: Path) -> Path:
    """A model of random weights in bf16, with the demo's tokenizer."""
    import torch
    from transformers import AutoTokenizer

    torch.manual_seed(0)
    config.initializer_range = 0.4
    kind(config).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(DEMO / "base")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    labels = ["good", "bad", "middling", "good", "bad"]
    records = [{"text": text[:90], "label": label} for text, label in zip(TEXTS, labels, strict=True)]
    return data_file(tmp_path_factory.mktemp("reviews"), records)


def plain_classes(
    folder: Path, texts: Sequence[str], labels: Sequence[int]
) -> tuple[list[float], list[bool]]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(str(folder), dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    losses, right = [], []
    for text, label in zip(texts, labels, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([tokenizer(text)["input_ids"][:64]])).logits
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor([label]))))
        right.append(int(logits.argmax()) == label)
    return losses, right


@pytest.mark.parametrize("widening", ["whole", "layers"])
def test_a_classifier_is_measured_as_by_a_plain_loop(bert: Path, reviews: DataSet, widening: str) -> None:
    losses, right = plain_classes(bert, [row.text for row in reviews.rows], [2, 0, 1, 2, 0])
    assert 0 < sum(right) < 5
    assert max(losses) - min(losses) > 0.1
    with load_model(bert, settings=replace(CPU, widening=widening)) as model:
        assert (model.task, model.labels) == ("classifier", ("bad", "middling", "good"))
        for batch_tokens, side in ((1, "right"), (70, "left"), (10_000, "right"), (10_000, "left")):
            settings = replace(CPU, padding_side=side, widening=widening, batch_tokens=batch_tokens)
            scores = score_model(model, reviews, settings)
            np.testing.assert_allclose(scores.loss, losses, atol=CLOSE, rtol=0)
            assert scores.correct is not None
            assert scores.correct.tolist() == right
            assert scores.accuracy == sum(right) / 5
            assert scores.tokens.tolist() == [1] * 5


@pytest.mark.parametrize("begins", [False, True])
def test_texts_are_compared_across_tokenizers(
    demo: LoadedModel, texts: DataSet, tmp_path: Path, begins: bool
) -> None:
    """One token a byte, with a token before each text or without: the first token that counts is another
    one, and the texts are the same ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({sign: number for number, sign in enumerate([*signs, "<s>"])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if begins:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", len(signs))]
        )
    by_bytes = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")
    one = score_model(demo, texts, CPU)
    other = score_model(replace(demo, name="bytes", tokenizer=by_bytes), texts, CPU)
    sizes = np.array([len(text.encode()) for text in TEXTS])
    # Of “ the first byte alone is no character: all of it counts as read.
    assert other.text_bytes.tolist() == (sizes if begins else sizes - [1, 1, 1, 1, 3]).tolist()
    assert (one.text_bytes != other.text_bytes).any()  # or else this shows nothing
    pair = pair_up(one, other)
    assert pair.counts.all()
    assert pair.candidate.measure == "bits a byte"
    assert not any("left out" in note for note in pair.notes)
    bits = other.loss * other.tokens / np.log(2) / other.text_bytes
    assert np.allclose(pair.candidate.values, bits, rtol=1e-12)
