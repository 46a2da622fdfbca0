"""Which source of each input makes which output tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core.checkpoint.model import Checkpoint
from core.errors import IncompatibleError
from core.plan.misfits import check_alike
from core.plan.model_view import ModelView, Offered, adapted_notes, view_models
from core.plan.renaming import is_recomputed
from core.plan.shared_tensors import Look, Looked, Tie, find_ties, version_1_names
from core.plan.token_rows import RowMap, TokenRows
from core.plan.untying import was_tied
from core.sources.source import Absent, Source

__all__ = ["Correspondence", "Cut", "TensorSources", "correspond"]

Cut = Callable[[list[ModelView], "ModelView | None"], "tuple[list[ModelView], ModelView | None]"]
"""Takes a part of the sub-models and the base: see core.plan.slicing."""


@dataclass(frozen=True)
class TensorSources:
    """Where one output tensor comes from.

    Attributes:
        name: of the tensor.
        offered: the tensor of the base, or of the first sub-model that has it.
        models: the source in each sub-model that has it, or is lent it.
        base: the source in the base; `Absent` where it lacks a floating-point tensor, None where there is no
            base, or where it lacks a tensor that is copied.
        offered_by_models: what those sub-models hold of it.
        present: which sub-models these are, in the recipe's order; None for all. () where the base alone has
            it and its values are taken.
        note: what is unusual about it, for the ledger; "" for nothing.
        rows: of a tensor whose rows are tokens that are matched, which they are in each of `models`, and in
            the base where it has it; empty for any other tensor.
    """

    name: str
    offered: Offered
    models: tuple[Source, ...]
    base: Source | None
    offered_by_models: tuple[Offered, ...]
    present: tuple[int, ...] | None = None
    note: str = ""
    rows: tuple[RowMap, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is written."""
        return (len(self.rows[0].rows), *self.offered.shape[1:]) if self.rows else self.offered.shape


@dataclass(frozen=True)
class Correspondence:
    """Where all output tensors come from.

    Attributes:
        tensors: in the order of the base, or of the first sub-model; what only others have comes last.
        omitted: tensors that are not written, and why.
        tied: tensors that are drawn, and ruled, under the name of another, so that they stay equal.
        why_tied: by name.
        draws: the version of the contract of draws that this is: 2 where a name differs from version 1's.
        unties: whether a head is written that is not the embedding, although an input may tie them.
        to_look_at: pairs whose bytes decide, and were not looked at yet.
        notes: sentences on names that were matched, on how models are read, and on heads.
    """

    tensors: tuple[TensorSources, ...]
    omitted: Mapping[str, str] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    why_tied: Mapping[str, str] = field(default_factory=dict)
    draws: int = 1
    unties: bool = False
    to_look_at: tuple[Look, ...] = ()
    notes: tuple[str, ...] = ()


def correspond(
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    *,
    missing: str | None = None,
    looked: Looked | None = None,
    tokens: TokenRows | None = None,
    cut: Cut | None = None,
) -> Correspondence:
    """Find every tensor in every input.

    Args:
        models, base: the inputs.
        cut: what takes from them the layers that are merged with one another; None for whole models.
        missing: the recipe's word on tensors that not all inputs have; None for the rules without one.
        looked: pairs of tensors whose bytes were compared.
        tokens: how rows are matched by their tokens; None where they are the same in all inputs.

    Raises:
        IncompatibleError: an input lacks a tensor, or has another shape or kind of it.
        CheckpointError: a model cannot be read as it is stored.
    """
    return _Corresponding(models, base, missing, looked or {}, tokens, cut).all()


class _Corresponding:
    def __init__(
        self,
        models: Sequence[Checkpoint],
        base: Checkpoint | None,
        missing: str | None,
        looked: Looked,
        tokens: TokenRows | None,
        cut: Cut | None,
    ) -> None:
        self._views, self._base = view_models(models, base)
        if cut is not None:
            self._views, self._base = cut(self._views, self._base)
        self._every = [*self._views, *([self._base] if self._base else [])]
        self._reference = self._base or self._views[0]
        self._missing, self._looked, self._tokens = missing, looked, tokens
        self._ties = find_ties(self._every)
        self._omitted: dict[str, str] = {}
        for view in self._every:
            self._omitted |= view.left_out
        self._lent: dict[str, dict[int, Offered]] = {}
        """What an input that ties a tensor, and so does not store it, reads instead. By name and input."""
        self._tied: dict[str, Tie] = {}
        self._unties = False
        self._to_look_at: list[Look] = []
        self._notes = list(dict.fromkeys(note for view in self._every for note in view.notes))

    def all(self) -> Correspondence:
        for tie in self._ties:
            self._settle(tie)
        names = dict.fromkeys([*self._reference.tensors, *(n for v in self._every for n in v.tensors)])
        found = [self._find(name) for name in [*names, *(n for n in self._lent if n not in names)]]
        tensors = tuple(tensor for tensor in found if tensor is not None)
        self._check_base()
        if not tensors:
            raise IncompatibleError(
                f"no tensor is in all of {', '.join(view.checkpoint.name for view in self._every)}: "
                "nothing is left to be merged",
                hint="take models of one architecture, saved by the same library",
            )
        written = {tensor.name for tensor in tensors}
        version_1 = {
            alias: first
            for alias, first in version_1_names(self._every, self._reference).items()
            if alias in written
        }
        tied = {name: tie for name, tie in self._tied.items() if name in written}
        draws_as = {**version_1, **{name: tie.first for name, tie in tied.items()}}
        why = {name: tied[name].why if name in tied else "config.json says so" for name in draws_as}
        return Correspondence(
            tensors=tensors,
            omitted=self._omitted,
            tied=draws_as,
            why_tied=why,
            draws=1 if draws_as == version_1 else 2,
            unties=self._unties,
            to_look_at=tuple(dict.fromkeys(self._to_look_at)),
            notes=tuple(self._notes),
        )

    def _check_base(self) -> None:
        """Raises IncompatibleError where the base has next to nothing of what the sub-models have."""
        base = self._base
        if base is None:
            return
        met = sum(name in base.tensors for name in self._views[0].tensors)
        if 2 * met >= min(len(base.tensors), len(self._views[0].tensors)):
            return
        first = self._views[0].checkpoint
        reasons = base.refused_names
        why = f": {reasons[0]}" if reasons else ""
        raise IncompatibleError(
            f"{base.checkpoint.folder} has {met:,} of the {len(self._views[0].tensors):,} tensors of "
            f"{first.folder}{why}",
            hint="take the base that they were fine-tuned from, saved with the same names",
            path=base.checkpoint.folder,
            field="base_model",
        )

    # -- tensors that share memory

    def _settle(self, tie: Tie) -> None:
        """What becomes of a tensor that may share memory with another."""
        alias, first = tie.alias, tie.first
        storing = [at for at, view in enumerate(self._every) if alias in view.tensors]
        if tie.tied is None:
            if len(storing) == len(self._every) and self._are_equal(tie, storing) is True:
                self._tied[alias] = Tie(alias, first, True, "their bytes are equal in every input", tie.tying)
            return
        for at, view in enumerate(self._every):
            if first not in view.tensors and tie.tying[at] is not False and alias in view.tensors:
                self._lend(first, at, view.tensors[alias])
        if not storing:
            return
        lacking = [at for at in range(len(self._every)) if at not in storing]
        if tie.tied:
            equal = self._are_equal(tie, storing)
            self._tied[alias] = tie
            if equal is False:
                self._unties = True
                differing = [self._every[at].checkpoint.name for at in self._differing(tie, storing)]
                self._notes.append(
                    f"{alias} of {', '.join(differing)} differs from {first}, to which it is said to be "
                    "tied: it is a tensor of its own in the result, whose config.json does not tie them"
                )
            elif lacking:
                self._omitted[alias] = f"tied to {first}, and not every input stores it"
                return
        elif True in tie.tying or any(was_tied(view.checkpoint) for view in self._every):
            self._unties = True
        for at in lacking:
            shared = self._offered(first, at)
            if shared is not None and tie.tying[at] is not False:
                self._lend(alias, at, shared)

    def _lend(self, name: str, at: int, offered: Offered) -> None:
        self._lent.setdefault(name, {}).setdefault(at, offered)

    def _differing(self, tie: Tie, storing: Sequence[int]) -> list[int]:
        return [
            at
            for at in storing
            if (pair := self._pair(tie, at)) and (_are_unlike(pair) or self._looked.get(pair) is False)
        ]

    def _are_equal(self, tie: Tie, storing: Sequence[int]) -> bool | None:
        """Whether the inputs that store both hold the same bytes; None where that was not looked at."""
        pairs = [pair for at in storing if (pair := self._pair(tie, at)) is not None]
        if any(_are_unlike(pair) for pair in pairs):
            return False
        unknown = [pair for pair in pairs if pair not in self._looked]
        self._to_look_at += unknown
        if any(self._looked.get(pair) is False for pair in pairs):
            return False
        return None if unknown or not pairs else True

    def _pair(self, tie: Tie, at: int) -> Look | None:
        tensors = self._every[at].tensors
        if tie.alias not in tensors or tie.first not in tensors:
            return None
        return tensors[tie.alias].stored, tensors[tie.first].stored

    # -- one tensor

    def _offered(self, name: str, at: int) -> Offered | None:
        return self._every[at].tensors.get(name) or self._lent.get(name, {}).get(at)

    def _find(self, name: str) -> TensorSources | None:
        """The tensor `name` in each input, checked to be the same kind of thing in all; None to omit it."""
        if name in self._omitted:
            return None
        k = len(self._views)
        offered: list[Offered | None] = [self._offered(name, at) for at in range(k)]
        of_base = self._offered(name, k) if self._base else None
        present = [at for at in range(k) if offered[at] is not None]
        whole = len(present) == k and (of_base is not None or self._base is None)
        notes = self._notes_of(name)
        if not whole:
            one = of_base or offered[present[0]]
            reason = self._reason_to_omit(name, one, present, of_base)
            if reason:
                self._omitted[name] = reason
                return None
            if of_base is None and self._base is not None:
                notes.append("not in the base, and so without a delta")
            lacking = [at for at in range(k) if at not in present]
            if lacking and of_base is not None:
                lacking_names = ", ".join(self._views[at].checkpoint.name for at in lacking)
                if present:
                    notes.append(f"not in {lacking_names}, and taken there from the base")
                    offered = [one_of or of_base for one_of in offered]
                    present = list(range(k))
                else:
                    notes.append("only in the base, and taken from it")
            elif lacking:
                holders = ", ".join(self._views[at].checkpoint.name for at in present)
                notes.append(f"only in {holders}")
        found = [one for one in offered if one is not None]
        rows = self._rows_of(name, offered, of_base)
        if not rows:
            self._check_alike(name, present, found, of_base)
        if not found and of_base is not None:  # its values are in the place of a sub-model's
            found, of_base = [of_base], None
        expected = of_base or found[0]
        base_source: Source | None = None
        if self._base is not None:
            if of_base is not None:
                base_source = of_base.source
            elif expected.dtype.is_float:
                base_source = Absent(expected.dtype)
        return TensorSources(
            name,
            expected,
            tuple(one.source for one in found),
            base_source,
            tuple(found),
            None if len(present) == k else tuple(present),
            "; ".join(notes),
            rows,
        )

    def _rows_of(
        self, name: str, offered: Sequence[Offered | None], of_base: Offered | None
    ) -> tuple[RowMap, ...]:
        """The rows of each input that has the tensor, where they are matched by their tokens."""
        if self._tokens is None:
            return ()
        k = len(offered)
        whose = [k if one is of_base else at for at, one in enumerate(offered) if one is not None]
        whose += [k] if of_base is not None else []
        having = {at: one for at, one in enumerate([*offered, of_base]) if one is not None and at in whose}
        if self._tokens.misplaces(name, having):
            raise IncompatibleError(
                f"the rows of tokens change, and tensor {name!r} says something of them otherwise than in a "
                "row for each token of the result",
                hint="take models that have the same tokens in the same rows, or leave the key out that asks "
                "for others",
                tensor=name,
                field="models",
            )
        if len({one.shape[1:] for one in having.values()}) > 1 or not self._tokens.covers(name, having):
            return ()
        return tuple(self._tokens.maps[at] for at in whose)

    def _notes_of(self, name: str) -> list[str]:
        notes = adapted_notes(self._every, name)
        lent = self._lent.get(name)
        if lent is None:
            return notes
        lenders = [view.checkpoint.name for at, view in enumerate(self._every) if at in lent]
        return notes + (
            [f"tied in {', '.join(lenders)}, and read there from the embedding"] if lenders else []
        )

    def _reason_to_omit(
        self, name: str, one: Offered | None, present: Sequence[int], of_base: Offered | None
    ) -> str:
        """Why a tensor that not all inputs have is left out; "" where it is merged.

        Raises:
            IncompatibleError: it is neither to be left out nor to be merged.
        """
        if one is not None and is_recomputed(name, one.shape):
            return "every loader computes it anew, and not every input stores it"
        part = name.rpartition("/")[0]
        if part:
            self._check_part(part, present)
            if part not in self._views[0].checkpoint.components:
                return f"of {part}, a part that the sub-models do not have"
        elif self._missing == "omit":
            return f"not in {self._text_of_lacking(present, of_base)}, and the recipe says missing: omit"
        everywhere = len(present) == len(self._views)
        if self._missing == "from_base":
            return ""
        if everywhere and self._missing is None:
            return ""
        if not present and self._missing is None and self._base is not None:
            kinds = {_architectures(view) for view in self._views}
            if _architectures(self._base) not in kinds and None not in kinds:
                return f"only in {self._base.checkpoint.name}, whose architecture the sub-models do not have"
        raise self._lacking_error(name, present, of_base)

    def _check_part(self, part: str, present: Sequence[int]) -> None:
        """Raises IncompatibleError where not all sub-models have a part in a folder of its own."""
        if present and len(present) < len(self._views):
            lacking = next(at for at in range(len(self._views)) if at not in present)
            model, holder = self._views[lacking].checkpoint, self._views[present[0]].checkpoint
            raise IncompatibleError(
                f"{holder.folder} has weights of its own in {part}, and {model.folder} has none there",
                hint="merge models of the same parts",
                path=model.folder,
                entry=lacking,
            )

    def _text_of_lacking(self, present: Sequence[int], of_base: Offered | None) -> str:
        lacking = [view.checkpoint.name for at, view in enumerate(self._views) if at not in present]
        if self._base is not None and of_base is None:
            lacking.append(self._base.checkpoint.name)
        return ", ".join(lacking)

    def _lacking_error(self, name: str, present: Sequence[int], of_base: Offered | None) -> IncompatibleError:
        base = self._base
        if of_base is None and base is not None and present:
            at, holder, lacking = present[0], self._views[present[0]], base
        else:
            at = next(at for at in range(len(self._views)) if at not in present)
            lacking = self._views[at]
            holder = base if of_base is not None and base is not None else self._views[present[0]]
        here, there = lacking.checkpoint.folder, holder.checkpoint.folder
        refused = lacking.refused_names or holder.refused_names
        if refused:
            return IncompatibleError(
                f"the tensor names of {there} and {here} do not agree: {refused[0]}",
                hint="rename the tensors of one of them, or load it with the class of the other and save it "
                "again with save_pretrained",
                path=here,
                tensor=name,
                entry=at,
            )
        shared = len(lacking.tensors.keys() & holder.tensors.keys())
        if not shared:
            return IncompatibleError(
                f"{there} and {here} have no tensor name in common (the one has {name!r}, "
                f"the other {next(iter(lacking.tensors))!r})",
                hint="take models of one architecture, saved by the same library",
                path=here,
                tensor=name,
                entry=at,
            )
        count = len(holder.tensors.keys() - lacking.tensors.keys())
        others = f", and {count - 1:,} more {'is' if count == 2 else 'are'}" if count > 1 else ""
        return IncompatibleError(
            f"tensor {name!r} of {there} is missing in {here}{others}",
            hint=self._hint_for_lacking(present, of_base),
            path=here,
            tensor=name,
            entry=at,
        )

    def _hint_for_lacking(self, present: Sequence[int], of_base: Offered | None) -> str:
        omit = "`missing: omit` to leave such tensors out of the result"
        if of_base is not None:
            take = "`missing: from_base` to take the base's where a model lacks it"
            return f"write into the recipe {take}, or {omit}"
        if len(present) == len(self._views):
            return "leave `missing: error` out of the recipe to merge it without a delta"
        if self._base is not None:
            return (
                f"write into the recipe `missing: from_base` to merge it from those that have it, or {omit}"
            )
        return f"write into the recipe {omit}"

    def _check_alike(
        self, name: str, present: Sequence[int], found: Sequence[Offered], of_base: Offered | None
    ) -> None:
        if not found:
            return
        if of_base is not None and self._base is not None:
            reference, expected = self._base, of_base
        else:
            reference, expected = self._views[present[0]], found[0]
        shape, dtype = expected.shape, expected.dtype
        for at, one in zip(present, found, strict=False):
            if one.shape == shape and one.dtype is dtype:
                continue
            check_alike(
                name,
                at,
                self._views[at].checkpoint,
                one,
                reference.checkpoint,
                expected,
                matched=self._tokens is not None,
            )


def _are_unlike(pair: Look) -> bool:
    """Whether the headers show that they do not hold the same bytes."""
    return (pair[0].shape, pair[0].dtype) != (pair[1].shape, pair[1].dtype)


def _architectures(view: ModelView) -> tuple[str, ...] | None:
    given = (view.checkpoint.config or {}).get("architectures")
    return tuple(map(str, given)) if isinstance(given, list) and given else None
