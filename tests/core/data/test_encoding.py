"""Rows as tokens: which of them count, and what becomes of rows that are too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.cancel import CancelToken
from core.data.encoding import Encoded, encode
from core.data.rows import DataSet, Row
from core.errors import Cancelled, DataError

DEMO = Path(__file__).parents[3] / "resources" / "demo" / "base"

TURNS = (
    {"role": "user", "content": "Hello there"},
    {"role": "assistant", "content": "Hi! What is it?"},
    {"role": "user", "content": "Nothing."},
    {"role": "assistant", "content": "Good."},
)

MARKED = (
    "{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content + '</s>' }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKS = CHATML.replace("assistant\n' }}{% endif %}", "assistant\n<think>\n' }}{% endif %}")
"""Asks with more words than it writes before an answer that was given."""
DROPS = CHATML.replace("m.content +", "(m.content if loop.last else m.content.split('</think>')[-1]) +")
"""Drops the reasoning of earlier turns."""
ASKS_NOT = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
REFUSES = "{{ raise_exception('Roles must alternate') }}"
TURNS_ROUND = "{% for m in messages|reverse %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}" + (
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


@pytest.fixture(scope="module")
def demo() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(DEMO), local_files_only=True)


@pytest.fixture
def tokenizer(demo: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The demo's, with a template that a test may change."""
    monkeypatch.setattr(demo, "chat_template", demo.chat_template)
    return demo


def data_of(kind: str, *rows: Row) -> DataSet:
    return DataSet(Path("data.jsonl"), kind, rows, "")


def encoded(tokenizer: Any, kind: str, *rows: Row, most: int = 4096, **options: Any) -> Encoded:
    return encode(data_of(kind, *rows), tokenizer, max_length=most, task="causal", **options)


def texts(tokenizer: Any, found: Encoded) -> list[tuple[str, str]]:
    """Of each sample: all of it, and what counts."""
    return [
        (tokenizer.decode(sample.ids.tolist()), tokenizer.decode(sample.ids[sample.scored].tolist()))
        for sample in found.samples
    ]


def test_every_token_of_a_text_counts_but_the_first(tokenizer: Any) -> None:
    text = "Once upon a time — näive"
    (sample,) = encoded(tokenizer, "text", Row(1, text=text)).samples
    ids = tokenizer(text)["input_ids"]
    assert sample.ids.tolist() == ids
    assert sample.scored.tolist() == [False] + [True] * (len(ids) - 1)
    assert sample.text_bytes == len(text.encode()) - len(tokenizer.decode(ids[:1]).encode())


def test_every_token_of_a_text_counts_where_the_tokenizer_begins_it(tokenizer: Any) -> None:
    class Begins:
        """A tokenizer that puts <s> before a text and </s> behind it."""

        is_fast, eos_token_id = False, 1

        def __call__(
            self, text: str, *, add_special_tokens: bool = True, **_: Any
        ) -> Mapping[str, list[int]]:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            return {"input_ids": [0, *ids, 1] if add_special_tokens else ids}

    text = "Once upon a time"
    (sample,) = encoded(Begins(), "text", Row(1, text=text)).samples
    ids = tokenizer(text)["input_ids"]
    assert sample.ids.tolist() == [0, *ids]
    assert sample.scored.tolist() == [False] + [True] * len(ids)
    assert sample.text_bytes == len(text)
    windows = encoded(Begins(), "text", Row(1, text=text), most=4).samples
    assert [window.ids.tolist() for window in windows[:2]] == [[0, *ids[:3]], [0, *ids[2:5]]]
    assert windows[1].scored.tolist() == [False, False, True, True]
    scored = [token for window in windows for token in window.ids[window.scored].tolist()]
    assert scored == ids
    (ended,) = encoded(Begins(), "text", Row(1, text=text), end=True).samples
    assert ended.ids.tolist() == [0, *ids, 1]
    assert ended.scored[-1]


def test_windows_of_a_long_text_by_hand(tokenizer: Any) -> None:
    ids = tokenizer("a b c d e f g h i l")["input_ids"]
    assert len(ids) == 10
    found = encoded(tokenizer, "text", Row(1, text="a b c d e f g h i l"), Row(2, text="a b"), most=4)
    assert [(sample.row, sample.ids.tolist(), sample.scored.tolist()) for sample in found.samples] == [
        (0, ids[0:4], [False, True, True, True]),
        (0, ids[3:7], [False, True, True, True]),
        (0, ids[6:10], [False, True, True, True]),
        (1, ids[0:2], [False, True]),
    ]
    assert [sample.text_bytes for sample in found.samples] == [18, 0, 0, 2]
    (last,) = encoded(tokenizer, "text", Row(1, text="a b c d e"), most=4).samples[1:]
    assert last.ids.tolist() == ids[3:5]


def test_a_text_of_one_token_is_said(tokenizer: Any) -> None:
    found = encoded(tokenizer, "text", Row(1, text="a"), Row(5, text="a b"), Row(9, text="b"))
    assert len(found.samples) == 3
    assert found.notes == ("nothing of 2 rows (lines 1, 9) counts: it is a single token",)


def test_a_prompt_and_its_response_are_tokenized_apart(tokenizer: Any) -> None:
    found = encoded(tokenizer, "prompt", Row(1, prompt="wat", response="er — ö"), chat_prompts=False)
    (sample,) = found.samples
    before, after = (tokenizer(text)["input_ids"] for text in ("wat", "er — ö"))
    assert before + after != tokenizer("water — ö")["input_ids"]  # or else this shows nothing
    assert sample.ids.tolist() == before + after
    assert sample.scored.tolist() == [False] * len(before) + [True] * len(after)
    assert sample.text_bytes == len("er — ö".encode())


def test_a_prompt_goes_through_the_chat_template(tokenizer: Any) -> None:
    row = Row(1, prompt="2 + 2?", response="It is 4.")
    found = encoded(tokenizer, "prompt", row)
    assert texts(tokenizer, found) == [
        ("<s>user: 2 + 2?\n\nassistant: It is 4.\n\n", " It is 4.\n\n"),
    ]
    assert found.samples[0].text_bytes == len("It is 4.")
    tokenizer.chat_template = None
    assert texts(tokenizer, encoded(tokenizer, "prompt", row)) == [("2 + 2?It is 4.", "It is 4.")]


@pytest.mark.parametrize(
    ("template", "whole", "counts"),
    [
        (
            None,
            "<s>user: Hello there\n\nassistant: Hi! What is it?\n\nuser: Nothing.\n\nassistant: Good.\n\n",
            " Hi! What is it?\n\n Good.\n\n",
        ),
        (
            CHATML,
            "<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\nHi! What is it?<|im_end|>\n"
            "<|im_start|>user\nNothing.<|im_end|>\n<|im_start|>assistant\nGood.<|im_end|>\n",
            "Hi! What is it?<|im_end|>\nGood.<|im_end|>\n",
        ),
        (
            MARKED,
            "[user]Hello there[assistant]Hi! What is it?</s>[user]Nothing.[assistant]Good.</s>",
            "Hi! What is it?</s>Good.</s>",
        ),
        (
            ASKS_NOT,
            "user: Hello there\nassistant: Hi! What is it?\nuser: Nothing.\nassistant: Good.\n",
            "Hi! What is it?\nGood.\n",
        ),
    ],
    ids=["demo", "chatml", "marked", "asks-not"],
)
def test_the_turns_of_the_assistant_count(
    tokenizer: Any, template: str | None, whole: str, counts: str
) -> None:
    if template is not None:
        tokenizer.chat_template = template
    # What comes behind the last turn of the assistant has no influence, and is not read.
    asked = (*TURNS, {"role": "user", "content": "And now"})
    found = encoded(tokenizer, "chat", Row(1, messages=TURNS), Row(2, messages=asked))
    one, _ = found.samples
    assert one.ids.tolist() == tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert texts(tokenizer, found) == [(whole, counts)] * 2
    assert one.text_bytes == len("Hi! What is it?Good.")


def test_an_answer_begins_where_it_parts_from_what_asks_for_it(tokenizer: Any) -> None:
    tokenizer.chat_template = THINKS
    (found,) = texts(tokenizer, encoded(tokenizer, "chat", Row(1, messages=TURNS)))
    assert found[1] == "Hi! What is it?<|im_end|>\nGood.<|im_end|>\n"


def test_turns_that_are_written_otherwise_later_are_read_one_by_one(tokenizer: Any) -> None:
    tokenizer.chat_template = DROPS
    turns = (TURNS[0], {"role": "assistant", "content": "hm</think>Hi!"}, *TURNS[2:])
    found = encoded(tokenizer, "chat", Row(1, messages=turns))
    assert [sample.row for sample in found.samples] == [0, 0]
    first, second = texts(tokenizer, found)
    assert first[1] == "hm</think>Hi!<|im_end|>\n"
    assert second[0].startswith(
        "<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\nHi!<|im_end|>"
    )
    assert second[1] == "Good.<|im_end|>\n"


def test_a_conversation_that_is_too_long_is_read_turn_by_turn_and_cut_from_the_left(tokenizer: Any) -> None:
    turns = (
        {"role": "user", "content": "a b c d e f g h i l " * 3},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "m"},
        {"role": "assistant", "content": "no"},
    )
    found = encoded(tokenizer, "chat", Row(4, messages=turns), most=26)
    whole, counts = zip(*texts(tokenizer, found), strict=True)
    assert counts == (" yes\n\n", " no\n\n")
    assert all(len(sample.ids) == 26 and sample.ids[0] == tokenizer.bos_token_id for sample in found.samples)
    assert whole[0].endswith("i l \n\nassistant: yes\n\n")
    assert whole[1].endswith("assistant: yes\n\nuser: m\n\nassistant: no\n\n")
    assert [sample.text_bytes for sample in found.samples] == [3, 2]
    assert found.notes == ("the prompt of line 4 is cut from the left, to fit into 26 tokens",)


def test_a_prompt_and_an_answer_that_are_too_long_are_cut_by_hand(tokenizer: Any) -> None:
    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text)["input_ids"]
        return found

    def cut(prompt: str, response: str) -> tuple[list[int], int, int]:
        row = Row(3, prompt=prompt, response=response)
        (sample,) = encoded(tokenizer, "prompt", row, most=8, chat_prompts=False).samples
        return sample.ids.tolist(), int(sample.scored.sum()), sample.text_bytes

    letters = "a b c d e f g h i l"
    assert cut(letters, " m n") == (ids(letters)[-6:] + ids(" m n"), 2, 4)
    assert cut("a b", letters) == (ids("a b") + ids(letters)[:6], 6, 11)
    assert cut(letters, letters) == (ids(letters)[-4:] + ids(letters)[:4], 4, 7)
    assert cut("", letters) == (ids(letters)[:8], 7, 15)
    found = encoded(tokenizer, "prompt", Row(3, prompt=letters, response=letters), most=8, chat_prompts=False)
    assert found.notes == (
        "the prompt of line 3 is cut from the left, to fit into 8 tokens",
        "the answer of line 3 is cut, to fit into 8 tokens: the rest does not count",
    )


LABELS = ("NEGATIVE", "neutral", "Positive")


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (("Positive", "neutral"), [2, 1]),
        (("positive", "NEUTRAL"), [2, 1]),
        (("2", "0", "1"), [2, 0, 1]),
    ],
)
def test_labels_are_names_or_numbers(tokenizer: Any, given: Sequence[str], numbers: list[int]) -> None:
    data = data_of("label", *(Row(line, text="a b", label=label) for line, label in enumerate(given, 1)))
    found = encode(data, tokenizer, max_length=64, task="classifier", labels=LABELS)
    assert [sample.label for sample in found.samples] == numbers
    assert not any(sample.scored.any() for sample in found.samples)


def test_a_classifier_reads_the_beginning_of_a_text(tokenizer: Any) -> None:
    data = data_of("label", Row(2, text="a b c d e f g h i l", label="0"))
    found = encode(data, tokenizer, max_length=4, task="classifier", labels=LABELS)
    assert found.samples[0].ids.tolist() == tokenizer("a b c d")["input_ids"]
    assert found.notes == ("the text of line 2 is cut, to fit into 4 tokens",)


@pytest.mark.parametrize(
    ("kind", "row", "options", "said", "hint"),
    [
        (
            "label",
            Row(3, text="a", label="good"),
            {"task": "classifier"},
            "line 3 has the label 'good'",
            "name its classes",
        ),
        (
            "label",
            Row(3, text="a", label="positve"),
            {"task": "classifier"},
            "'NEGATIVE', 'neutral'",
            "'Positive'",
        ),
        ("label", Row(3, text="a", label="3"), {"task": "classifier"}, "line 3 has the label '3'", "from 0"),
        ("label", Row(3, text="a", label="0"), {"task": "causal"}, "its rows have labels", "a classifier"),
        ("text", Row(3, text="a"), {"task": "classifier"}, "its rows have no label", "`label`"),
        ("text", Row(3, text="a"), {"task": "causal", "max_length": 1}, "1 tokens are too few", "at least 2"),
    ],
)
def test_data_that_do_not_fit_the_task(
    tokenizer: Any, kind: str, row: Row, options: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(DataError) as caught:
        encode(data_of(kind, row), tokenizer, **{"max_length": 9, "labels": LABELS, **options})
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "its rows are conversations, and the model has no chat template"),
        (REFUSES, "line 7: the model's chat template refuses the conversation: Roles must alternate"),
        (TURNS_ROUND, "line 7: its chat template writes message 2 so that it cannot be told"),
        ("{{ 1 / 0 }}", "line 7: the model's chat template refuses the conversation: division by zero"),
    ],
)
def test_a_template_that_cannot_be_used(tokenizer: Any, template: str | None, said: str) -> None:
    tokenizer.chat_template = template
    with pytest.raises(DataError) as caught:
        encoded(tokenizer, "chat", Row(7, messages=TURNS))
    assert said in caught.value.message
    assert caught.value.hint


def test_encoding_can_be_cancelled(tokenizer: Any) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled, match="the evaluation was cancelled"):
        encoded(tokenizer, "text", Row(1, text="a b"), cancel=cancel)
    with pytest.raises(Cancelled, match="the training was cancelled"):
        encoded(tokenizer, "text", Row(1, text="a b"), cancel=cancel, job="training")


def test_a_row_of_a_million_tokens_is_many_windows(tokenizer: Any) -> None:
    count = 200_000
    found = encoded(tokenizer, "text", Row(1, text="a b c d e " * (count // 5)), most=1024)
    assert all(len(sample.ids) <= 1024 for sample in found.samples)
    assert sum(int(sample.scored.sum()) for sample in found.samples) >= count - 1
    assert sum(sample.text_bytes for sample in found.samples) == 2 * count - 1


def test_an_empty_turn_moves_no_bytes_to_another(tokenizer: Any) -> None:
    """A template that marks what is said alone has no mark for it; one that marks what closes a turn has."""
    turns = (
        {"role": "user", "content": "a b c d e f g h i l " * 3},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "m"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "m"},
        {"role": "assistant", "content": "no"},
    )
    for template, bytes_of in ((MARKED, [0, 3, 2]), (MARKED.replace(" + '</s>'", ""), [3, 2])):
        tokenizer.chat_template = template
        found = encoded(tokenizer, "chat", Row(1, messages=turns), most=26)
        assert [sample.text_bytes for sample in found.samples] == bytes_of
