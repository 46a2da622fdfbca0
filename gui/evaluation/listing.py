"""The models of an evaluation: which are listed, ticked, and what they are compared with. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from core.checkpoint.model import model_names
from core.runs.history import HistoryEntry
from gui.document.merge_setup import MergeSetup
from gui.evaluation.candidates import Candidate, candidates, default_reference
from gui.evaluation.request import Request

__all__ = ["Listing"]


class Listing:
    """What the document and the history offer, and what the user chose of it.

    Attributes:
        models: as they are listed.
    """

    def __init__(self) -> None:
        self.models: tuple[Candidate, ...] = ()
        self._setup: MergeSetup | None = None
        self._adapters: frozenset[Path] = frozenset()
        self._runs: tuple[HistoryEntry, ...] = ()
        self._others: tuple[Path, ...] = ()
        self._taken: frozenset[Path] = frozenset()
        self._family: Path | None = None
        self._ticks: dict[Path, bool] = {}
        self._reference: Path | None = None
        self._left_out: frozenset[Path] = frozenset()

    # -- what there is

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(one.path for one in self.models)

    @property
    def names(self) -> Mapping[Path, str]:
        """The name of each, as short as they can be told apart."""
        return dict(zip(self.paths, model_names(self.paths), strict=True))

    @property
    def reference(self) -> Path | None:
        """With which model the others are compared; None where there are none."""
        return self._reference if self._reference in self.paths else default_reference(self.models)

    @property
    def evaluated(self) -> tuple[Path, ...]:
        """What is to be evaluated: first the reference, for which all others wait, then what is ticked."""
        reference = self.reference
        others = (path for path in self.paths if path != reference and self.is_ticked(path))
        return () if reference is None else (reference, *others)

    @property
    def compared(self) -> tuple[Path, ...]:
        """What takes part in the comparison: not what was not ticked when an evaluation was last started, of
        which nothing is said and which the others are not counted with."""
        reference = self.reference
        return tuple(path for path in self.paths if path == reference or path not in self._left_out)

    @property
    def removable(self) -> frozenset[Path]:
        """What was added, and is listed for no other reason."""
        own = () if self._setup is None else candidates(self._setup, self._runs, (), self._adapters)
        return frozenset(self._others).difference(one.path for one in own)

    def is_ticked(self, path: Path) -> bool:
        return self._ticks.get(path, True)

    # -- changes

    def set_setup(self, setup: MergeSetup, adapters: Collection[Path], *, keep: bool = False) -> None:
        """The models of the document, and which of them are adapters that are put on the base.

        What an earlier evaluation compared goes when there are other models to be compared, unless it is to
        be kept: it is another family.
        """
        self._setup, self._adapters = setup, frozenset(adapters)
        own = self._own()
        if own and self._taken and not keep and self._family not in own:
            self._leave_taken()
            self._reference = self._reference if self._reference in own else None
        self._list()

    def set_runs(self, runs: Sequence[HistoryEntry]) -> None:
        """Runs that are done and whose outputs are there, newest first."""
        self._runs = tuple(runs)
        self._list()

    def add(self, paths: Sequence[Path]) -> None:
        """List and tick models."""
        self._others += tuple(path for path in dict.fromkeys(paths) if path not in self._others)
        self._ticks.update(dict.fromkeys(paths, True))
        self._left_out = self._left_out.difference(paths)
        self._taken = self._taken.difference(paths)
        self._list()

    def remove(self, path: Path) -> None:
        """List a model no more that was added."""
        self._others = tuple(other for other in self._others if other != path)
        self._ticks.pop(path, None)
        self._list()

    def tick(self, path: Path, ticked: bool) -> None:
        self._ticks[path] = ticked

    def set_reference(self, path: Path) -> None:
        self._reference = path
        self._taken = frozenset()  # the user goes on with what is listed

    def leave_out_unticked(self) -> None:
        """Compare what is ticked now, until this is asked for again."""
        self._left_out = frozenset(path for path in self.paths if not self.is_ticked(path))

    def hold(self, request: Request) -> None:
        """Have what an evaluation evaluates stay listed, whatever is merged next, and compare nothing else of
        what is listed now."""
        self._left_out = frozenset(self.paths).difference(request.models)
        known = {*self._own(), *self._others}
        more = tuple(path for path in request.models if path not in known)
        self._family, self._taken = request.reference, self._taken.union(more)
        self._others += more
        self._list()

    def take(self, request: Request) -> None:
        """List and tick what an evaluation evaluates, and nothing else."""
        self._leave_taken()
        self._reference = request.reference
        self.hold(request)
        self._ticks = {path: path in request.models for path in (*self.paths, *self._others)}
        self._list()

    def _leave_taken(self) -> None:
        """List no more what is listed only because it was evaluated."""
        self._others = tuple(path for path in self._others if path not in self._taken)
        for path in self._taken:
            self._ticks.pop(path, None)
        self._taken = frozenset()

    def _own(self) -> frozenset[Path]:
        """The models of the document."""
        own = () if self._setup is None else candidates(self._setup, (), (), self._adapters)
        return frozenset(one.path for one in own)

    def _list(self) -> None:
        if self._setup is not None:
            self.models = candidates(self._setup, self._runs, self._others, self._adapters)
