"""The draw contract: Philox, keys, layout, thresholds, and that the draws look random."""

from __future__ import annotations

from fractions import Fraction

import oracle
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from core import draws
from core.methods import arithmetic

# Random123, tests/kat_vectors: counter[4], key[2], expected[4].
KNOWN_ANSWERS = [
    "00000000 00000000 00000000 00000000 00000000 00000000   6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff   408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0   d16cfe09 94fdcceb 5001e420 24126ea1",
]

words32 = st.integers(0, 2**32 - 1)
keys = st.tuples(words32, words32)
elements = st.one_of(
    st.integers(0, 3 * 4096),
    st.integers(0, 2**45),
    st.sampled_from([2**34 - 1, 2**34, 2**34 + 1023, 2**34 + 1024, 2**44 + 4095]),  # around quad 2^32
)
weight_lists = st.lists(
    st.one_of(
        st.just(0.0),
        st.sampled_from([1.0, 0.5, 3.0, 5e-324, 1e-300, 1e300, 1.7976931348623157e308, 0.1, 1 / 3]),
        st.floats(0, allow_nan=False, allow_infinity=False),
    ),
    min_size=1,
    max_size=50,
).filter(any)


@pytest.mark.parametrize("line", KNOWN_ANSWERS)
@pytest.mark.parametrize("philox", [draws.philox4x32, oracle.philox4x32_10], ids=["engine", "oracle"])
def test_philox_reproduces_the_known_answers(philox, line) -> None:
    words = [int(word, 16) for word in line.split()]
    assert philox(tuple(words[:4]), tuple(words[4:6])) == tuple(words[6:])


@given(st.tuples(words32, words32, words32, words32), keys)
def test_philox_equals_the_oracle(counter, key) -> None:
    assert draws.philox4x32(counter, key) == oracle.philox4x32_10(counter, key)


@given(st.integers(0, 2**64 - 1), st.text(st.characters(codec="utf-8"), max_size=80))
@example(0, "")
@example(2**64 - 1, "model.layers.0.mlp.up_proj.weight")
@example(2**63, "模型.重み\0.é")
def test_key_comes_from_seed_and_name(seed, name) -> None:
    assert draws.philox_key(seed, name) == oracle.key_for(seed, name)


def test_keys_differ_between_seeds_and_between_names() -> None:
    names = [f"model.layers.{layer}.weight" for layer in range(200)]
    found = {draws.philox_key(seed, name) for seed in (0, 1, 2**32, 2**63) for name in names}
    assert len(found) == 800


@given(elements, st.integers(0, 100), st.integers(0, 3), keys)
def test_the_word_of_an_element_equals_the_oracle(element, draw, stream, key) -> None:
    counter, lane = draws.counter_of(element, draw, stream)
    assert draws.philox4x32(counter, key)[lane] == oracle.word_at(element, draw, key, stream)


def test_no_two_elements_share_a_word() -> None:
    places = {draws.counter_of(element, 0) for element in range(5 * 4096)}
    assert len(places) == 5 * 4096
    assert len({counter for counter, _ in places}) == 5 * 1024  # one call serves four elements


@pytest.mark.parametrize("first", [0, 4096, 5000, 2**34 - 4096, 2**34 - 1, 2**44])
@pytest.mark.parametrize("draw", [0, 1, 9, 100])
def test_vectorised_words_equal_the_oracle(first, draw) -> None:
    key = oracle.key_for(7, "w")
    words = arithmetic.draw_words(first, 4100, draw, key, 0, torch.device("cpu")).tolist()
    at = [*range(0, 4100, 37), 1023, 1024, 2047, 2048, 4095, 4096, 4099]
    assert [words[i] for i in at] == [oracle.word_at(first + i, draw, key) for i in at]


@given(weight_lists)
@example([1.0, 0.0])  # T_1 = 2^32: 33 bits
@example([0.0, 1.0])
@example([5e-324, 1.7976931348623157e308])
@example([0.1] * 10)
def test_thresholds_equal_the_oracle(weights) -> None:
    limits = draws.selection_thresholds(weights)
    assert limits == oracle.thresholds(weights)
    assert len(limits) == len(weights) - 1
    assert limits == sorted(limits)
    assert all(0 <= limit <= 2**32 for limit in limits)


@given(weight_lists, st.lists(words32, max_size=20))
def test_a_sub_model_is_drawn_by_its_exact_share(weights, words) -> None:
    limits = draws.selection_thresholds(weights)
    words = [
        *words,
        0,
        2**32 - 1,
        *(limit - 1 for limit in limits if limit),
        *(x for x in limits if x < 2**32),
    ]
    picks = arithmetic.pick_models(torch.tensor(words, dtype=torch.int64), limits).tolist()
    shares = [Fraction(weight) for weight in weights]
    for word, picked in zip(words, picks, strict=True):
        assert picked == oracle.pick(word, limits)
        # What a threshold means: the word as a fraction of 2^32 lies in the sub-model's part of [0, 1).
        place = Fraction(word, 2**32) * sum(shares)
        assert sum(shares[:picked]) <= place < sum(shares[: picked + 1])
        assert weights[picked] > 0


@given(st.integers(1, 200), st.sampled_from([1.0, 0.1, 5e-324, 1e308]), st.lists(words32, max_size=20))
def test_equal_weights_equal_a_multiplication(count, weight, words) -> None:
    limits = draws.selection_thresholds([weight] * count)
    for word in [*words, 0, 2**32 - 1, *(limit for limit in limits if limit < 2**32)]:
        assert oracle.pick(word, limits) == (word * count) >> 32
