"""Which words of an answer are marked."""

from __future__ import annotations

import pytest

import gui.trying.differences
from gui.trying.compare_job import CompareJob, Said
from gui.trying.differences import Difference, difference


def marked(reference: str, text: str, *, unfinished: bool = False) -> tuple[list[str], int]:
    found = difference(reference, text, unfinished=unfinished)
    return [text[begin:end] for begin, end in found.spans], found.words


@pytest.mark.parametrize(
    ("reference", "text", "words", "count"),
    [
        ("The cat sat.", "The cat sat.", [], 0),
        ("The cat sat.", "The  cat\nsat .", [], 0),
        ("The cat sat.", "The black cat sat!", ["black", "!"], 2),
        ("The cat sat.", "The dog ran.", ["dog ran"], 2),
        ("The cat sat on it.", "The cat.", [], 3),
        ("The cat.", "the cat.", ["the"], 1),
        ("print(1)", "print(12)", ["12"], 1),
        ("今日は雨です", "今日は晴です", ["晴"], 1),
        ("𝕏 is it", "𝕏 was it", ["was"], 1),
        ("", "All of it", ["All of it"], 3),
    ],
)
def test_words_that_are_not_in_the_reference(reference: str, text: str, words: list[str], count: int) -> None:
    assert marked(reference, text) == (words, count)


def test_what_is_still_to_come_is_not_missing() -> None:
    assert marked("one two three four", "one too", unfinished=True) == (["too"], 1)
    assert marked("one two three four", "one two", unfinished=True) == ([], 0)
    assert marked("one two three four", "one two") == ([], 2)


def test_long_answers_are_compared_as_far_as_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gui.trying.differences, "_MOST_WORDS", 4)
    assert difference("a b c d", "a b c e") == Difference(((6, 7),), 1)
    assert difference("a b c d e", "a b c d f") == Difference((), 0, whole=False)


def test_nothing_is_compared_with_itself_with_nothing_or_with_half_an_answer() -> None:
    def compared(*answers: Said) -> tuple[Difference | None, ...]:
        job = CompareJob(answers, 0)
        found: list[tuple[Difference | None, ...]] = []
        job.compared.connect(found.append)
        job.run()
        return found[0]

    assert compared(Said("a b"), Said("a c"), Said("")) == (None, Difference(((2, 3),), 1), None)
    assert compared(Said("a", unfinished=True), Said("b"), Said("")) == (None, None, None)
