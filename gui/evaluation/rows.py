"""The rows of an evaluation's table, from what is listed, what is running and what is known. No Qt."""

from __future__ import annotations

from gui.evaluation.candidates import Candidate
from gui.evaluation.course import Course
from gui.evaluation.figures import Figures, ResultRow
from gui.evaluation.listing import Listing
from gui.evaluation.look_job import Known

__all__ = ["result_rows"]


def result_rows(listing: Listing, course: Course | None, known: Known | None) -> list[ResultRow]:
    """A row for each model that is listed, in that order.

    Args:
        listing: which models.
        course: the evaluation that runs, whose word counts first; None for none.
        known: what is kept; None for nothing.
    """
    names = listing.names
    return [_row(one, names[one.path], listing, course, known) for one in listing.models]


def _row(
    one: Candidate, name: str, listing: Listing, course: Course | None, known: Known | None
) -> ResultRow:
    figures = comparison = None
    state = ""
    if course is not None and one.path in course.request.models:
        figures, comparison = course.figures.get(one.path), course.comparisons.get(one.path)
        state = "" if figures is not None else "scoring" if one.path == course.in_hand else "waits"
    if known is not None and figures is None and one.path in known.scores:
        figures, state = Figures.of(known.scores[one.path]), ""
    if known is not None and comparison is None and one.path in listing.compared:
        comparison = known.comparisons.get(one.path)
    is_reference = one.path == listing.reference
    return ResultRow(one, name, listing.is_ticked(one.path), is_reference, figures, comparison, state)
