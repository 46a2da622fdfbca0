"""What a model answers is what transformers has it answer, and how it stops is said."""

from __future__ import annotations

import copy
from collections import Counter
from math import exp
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.cancel import CancelToken
from core.errors import CheckpointError, MergeError
from core.evaluate.answers import generating
from core.evaluate.answers.generating import GeneratedAnswer, GenerationRequest, generate
from core.evaluate.answers.prompting import encode_prompt
from resources import DEMO_FOLDER

PROMPT = "How is a file opened?"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO_FOLDER / "order-1")


@pytest.fixture(scope="module")
def loaded() -> Any:
    return AutoModelForCausalLM.from_pretrained(DEMO_FOLDER / "order-1", dtype=torch.float32).eval()


@pytest.fixture
def model(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One whose generation config is the test's own."""
    monkeypatch.setattr(loaded, "generation_config", copy.deepcopy(loaded.generation_config))
    return loaded


def ids_of(tokenizer: Any, text: str, **more: Any) -> torch.Tensor:
    return torch.tensor([tokenizer(text, **more)["input_ids"]])


def test_the_likeliest_tokens_are_those_of_a_plain_loop_and_of_transformers(
    model: Any, tokenizer: Any
) -> None:
    pieces: list[str] = []
    answer = generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=24), on_text=pieces.append)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}], tokenize=False, add_generation_prompt=True
    )
    assert text.startswith("<s>user: ")
    assert text.endswith("assistant:")
    ids = prompt = ids_of(tokenizer, text, add_special_tokens=False)
    with torch.no_grad():
        for _ in range(24):  # no cache: the whole text is read for every token
            ids = torch.cat([ids, model(ids).logits[:, -1].argmax(-1, keepdim=True)], -1)
        theirs = model.generate(prompt, do_sample=False, max_new_tokens=24)
    assert list(answer.ids) == ids[0, prompt.shape[1] :].tolist() == theirs[0, prompt.shape[1] :].tolist()
    assert answer.text == tokenizer.decode(answer.ids) == "".join(pieces)
    assert len(pieces) > 12
    assert (answer.tokens, answer.prompt_tokens, answer.stopped) == (24, prompt.shape[1], "length")
    assert answer.seconds > 0
    assert answer.notes == ()


def test_without_a_chat_template_the_text_is_gone_on_with(model: Any, tokenizer: Any) -> None:
    answer = generate(model, tokenizer, GenerationRequest("def f(x):", chat=False, max_new_tokens=8))
    prompt = ids_of(tokenizer, "def f(x):")
    theirs = model.generate(prompt, do_sample=False, max_new_tokens=8)
    assert list(answer.ids) == theirs[0, prompt.shape[1] :].tolist()


def test_the_models_own_generation_config_says_nothing_but_its_ends(model: Any, tokenizer: Any) -> None:
    """As where answers are compared: test_answers_are_those_of_a_plain_greedy_loop."""
    plain = generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=24))
    config = model.generation_config
    config.repetition_penalty, config.temperature, config.do_sample, config.num_beams = 1.5, 0.3, True, 2
    config.max_length = 5
    prompt = torch.tensor([encode_prompt(tokenizer, PROMPT).ids])
    theirs = model.generate(prompt, do_sample=False, num_beams=1, max_new_tokens=24)
    assert list(plain.ids) != theirs[0, prompt.shape[1] :].tolist()  # or else this shows nothing
    ours = generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=24))
    assert ours.ids == plain.ids
    assert (config.do_sample, config.num_beams, config.max_length) == (True, 2, 5)  # it is the model's
    assert model.generation_config is config


def test_it_stops_where_the_model_ends(model: Any, tokenizer: Any) -> None:
    whole = generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=20))
    end = whole.ids[6]
    model.generation_config.eos_token_id = [1, end]
    answer = generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=20))
    first = whole.ids.index(end)
    assert (answer.ids, answer.stopped) == (whole.ids[: first + 1], "end")


@pytest.mark.parametrize("after", [0, 3])
def test_cancelled_it_stops_between_tokens(model: Any, tokenizer: Any, after: int) -> None:
    token, pieces = CancelToken(), []

    def hear(piece: str) -> None:
        pieces.append(piece)
        if len(pieces) == after:
            token.cancel()

    if not after:
        token.cancel()
    answer = generate(model, tokenizer, GenerationRequest(PROMPT), on_text=hear, cancel=token)
    assert answer.stopped == "cancelled"
    assert "".join(pieces) == answer.text
    assert len(pieces) in (after, after + 1)  # what waited for the rest of a character is shown
    assert not any(layer._forward_pre_hooks for layer in model.model.layers)


def drawn(model: Any, tokenizer: Any, seed: int, temperature: float = 0.9) -> GeneratedAnswer:
    return generate(
        model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=6, temperature=temperature, seed=seed)
    )


def test_a_seed_draws_the_same_again_and_disturbs_nobody_elses_draws(model: Any, tokenizer: Any) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = drawn(model, tokenizer, 7)
    assert torch.equal(torch.rand(3), expected)
    assert drawn(model, tokenizer, 7).ids == first.ids
    assert len({drawn(model, tokenizer, seed).ids for seed in range(4)}) > 2
    greedy = generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=6))
    assert drawn(model, tokenizer, 3, temperature=1e-4).ids == greedy.ids


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_softmax_says(temperature: float) -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, -1.0, 0.5, -float("inf")]])
    (draw,) = generating._drawing(GenerationRequest("", temperature=temperature, seed=11))
    times = 4000
    found = Counter(int(draw(None, scores).argmax()) for _ in range(times))
    weights = [exp(float(score) / temperature) for score in scores[0]]
    expected = [times * weight / sum(weights) for weight in weights]
    assert found[5] == 0
    chi_squared = sum((found[number] - expected[number]) ** 2 / expected[number] for number in range(5))
    assert chi_squared < 18.5  # 4 degrees of freedom: one seed in a thousand


def test_the_answer_has_the_room_that_the_prompt_leaves(model: Any, tokenizer: Any) -> None:
    notes: list[str] = []
    long = "word " * 120
    answer = generate(
        model, tokenizer, GenerationRequest(long, chat=False, max_new_tokens=200), on_note=notes.append
    )
    assert answer.prompt_tokens + answer.tokens == 256
    assert notes == list(answer.notes)
    assert f"it reads 256 tokens: the answer has {answer.tokens} at most, not 200" in notes
    with pytest.raises(MergeError, match=r"the prompt has [0-9]+ tokens, and the model reads 256"):
        generate(model, tokenizer, GenerationRequest(long * 3))


def test_a_tokenizer_of_another_model_is_refused(model: Any, tokenizer: Any) -> None:
    model = copy.deepcopy(model)
    model.resize_token_embeddings(300)
    with pytest.raises(CheckpointError, match="its embedding 300 rows"):
        generate(model, tokenizer, GenerationRequest("a word that is whole"))


def test_prompts_of_models_without_a_template_or_a_system_prompt_in_it(tokenizer: Any) -> None:
    bare = AutoTokenizer.from_pretrained(DEMO_FOLDER / "base")
    bare.chat_template = None
    plain = encode_prompt(bare, "Hi", system="Be brief")
    assert plain.text == "Be brief\n\nHi"
    assert plain.notes == ("it has no chat template: the prompt is given as it is",)
    assert encode_prompt(bare, "Hi", chat=False).notes == ()
    with_system = encode_prompt(tokenizer, "Hi", system="Be brief")
    assert with_system.text == "<s>system: Be brief\n\nuser: Hi\n\nassistant:"
    for template in (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "U {{ messages[0].content }}",
        "{% for m in messages if m.role == 'user' %}U {{ m.content }}{% endfor %}",
    ):
        bare.chat_template = template
        folded = encode_prompt(bare, "Hi", system="Be brief")
        assert folded.text == "U Be brief\n\nHi"
        assert folded.notes == ("its chat template has no system prompt: it is put before the prompt",)
    bare.chat_template = "{{ nothing.at.all }}"
    with pytest.raises(CheckpointError, match="its chat template cannot be used"):
        encode_prompt(bare, "Hi")
    bare.bos_token = None
    with pytest.raises(MergeError, match="the prompt is empty"):
        encode_prompt(bare, "", chat=False)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_whose_weights_are_no_numbers_does_not_answer(
    model: Any, tokenizer: Any, value: float, temperature: float
) -> None:
    model = copy.deepcopy(model)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[3, :2] = value
    request = GenerationRequest(PROMPT, max_new_tokens=4, temperature=temperature)
    with pytest.raises(CheckpointError, match=r"it cannot answer: 2 of the [0-9,]+ values of") as refused:
        generate(model, tokenizer, request)
    assert refused.value.tensor == "model.layers.1.mlp.down_proj.weight"
    assert refused.value.tensor in refused.value.message


def test_a_model_that_leaves_the_range_of_its_numbers_does_not_answer(model: Any, tokenizer: Any) -> None:
    model = copy.deepcopy(model)
    with torch.no_grad():
        model.model.norm.weight.fill_(3e38)
        model.lm_head.weight.mul_(1e3)
    with pytest.raises(CheckpointError, match="its weights are finite, and what it computes is not"):
        generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=4))


def test_a_token_that_is_not_read_may_be_no_number(model: Any, tokenizer: Any) -> None:
    """What answers is not refused for what has no part in it."""
    unused = max(set(range(1024)) - set(encode_prompt(tokenizer, PROMPT).ids))
    whole = generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=4))
    model = copy.deepcopy(model)
    head = copy.deepcopy(model.lm_head.weight)
    model.lm_head.weight = head  # apart from the embedding, whose row counts for no score then
    with torch.no_grad():
        model.model.embed_tokens.weight[unused] = float("nan")
    assert generate(model, tokenizer, GenerationRequest(PROMPT, max_new_tokens=4)).ids == whole.ids
