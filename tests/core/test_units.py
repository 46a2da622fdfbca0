from __future__ import annotations

import pytest

from core.errors import MergeError
from core.units import about_text, bytes_text, count_text, duration_text, parse_size, share_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5GB", 5 * 10**9),
        ("800MB", 8 * 10**8),
        ("4GiB", 4 * 2**30),
        ("1.5 kB", 1500),
        ("2g", 2 * 10**9),
        ("1000000", 1_000_000),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "5 XB", "0", "five", "5iB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(MergeError):
        parse_size(text)


def test_numbers_as_people_read_them() -> None:
    assert [bytes_text(count) for count in (0, 999, 1000, 613_336, 10_300_000_000, 999_999_999, 2e15)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "613 kB",
        "10.3 GB",
        "1 GB",
        "2e+03 TB",
    ]
    assert [count_text(count) for count in (7, 366_000, 7_240_000_000)] == ["7", "366 K", "7.24 B"]
    assert [duration_text(seconds) for seconds in (0.84, 42.4, 59.7, 200, 7500)] == [
        "0.8 s",
        "42 s",
        "1 min 0 s",
        "3 min 20 s",
        "2 h 5 min",
    ]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.6814, "68.1 %"),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.0068, "0.68 %"),
        (0.000012, "0.0012 %"),
        (1e-9, "<0.0001 %"),
        (0.998, "99.8 %"),
        (0.9996, "99.96 %"),
        (0.99997, "99.9970 %"),
        (1 - 1e-9, ">99.9999 %"),
    ],
)
def test_shares_that_are_nearly_nothing_or_all_do_not_read_so(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.02, "under 0.1 s"),
        (0.1, "about 0.1 s"),
        (0.58, "about 0.6 s"),
        (1.04, "about 1.0 s"),
        (2.96, "about 3 s"),
        (8.4, "about 8 s"),
        (23, "about 25 s"),
        (59, "about 1 min"),
        (87, "about 1 min 30 s"),
        (640, "about 11 min"),
        (3600, "about 1 h"),
        (9000, "about 2 h 30 min"),
    ],
)
def test_a_time_has_no_more_digits_than_an_estimate(seconds: float, text: str) -> None:
    assert about_text(seconds) == text
