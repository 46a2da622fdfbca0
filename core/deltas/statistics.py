"""What fine-tuning changed, in numbers: of a tensor, of a layer or a kind of module, of a whole model.

Everything is made of totals over elements, which add up from tensor to tensor; shares, norms and
cosines are formed last, so that a roll-up is exact. Of a sample the totals are estimates, and their
covariances add up too.

With K sub-models, τ_i = θ_i − θ_pre as core.kernels.deltas.workspace.DeltaSums has it, N elements, and H_m of
them changed by exactly m sub-models:

| number | formula |
|---|---|
| zero_delta | (elements with zero delta) / N |
| changed_by | H_m / N |
| zero_after_draw | sum over m of H_m / N (1 − m/K)^(d+1); of unequal weights the mean of u^(d+1) |
| mean_magnitude | sum of abs(τ_i) / (elements with a finite τ_i) |
| norm, base_norm | sqrt(sum of τ_i²), sqrt(sum of θ_pre²) |
| relative_norm | norm / base_norm |
| cosine | sum of τ_i τ_j / (norm_i norm_j) |
| sign_disagreement | (elements in which τ_i and τ_j have different signs) / (elements that both changed) |

Here u is the share of the weights that belongs to the sub-models that did not change an element.
Elements with a τ_i that is not finite count as changed, or not, as in a merge, and are left out of the
last five.

**Samples.** A sample of a tensor is n of its B blocks; block b has s_b elements and the sum y_b of some
quantity. The total over the tensor's M elements is estimated by the ratio estimator
Y = M sum(y_b) / sum(s_b), with r = Y / M and e_b = y_b − r s_b, and two totals have the covariance
B² (1 − n/B) / (n (n − 1)) sum(e_b e'_b), with the finite population correction 1 − n/B. Tensors are
strata: their totals and covariances add up. A ratio R = Y / Z of two totals has the variance
(var Y − 2 R cov(Y, Z) + R² var Z) / Z², and a root or a cosine that of its linear approximation.
Source: Cochran, Sampling Techniques, 3rd edition (1977), chapters 6 (ratio estimator, strata) and 9A
(clusters of unequal size).

Few blocks tell their own spread badly. So that three errors hold the truth as often as three standard
deviations of a normal distribution do, the root of a variance is multiplied by t / 3, where t is the quantile
of Student's distribution at the same probability, 0.99865, with one degree of freedom for each block beyond
the first of its tensor: 3.1 of 4 blocks, 1.15 of 20. The error is 0 where all was read. It is NaN, not known,
after one block of several, and where all blocks that were read are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.deltas.measures import stays_on_zero_delta, widening
from core.deltas.sum_layout import layout_of
from core.kernels.deltas.sums import LOWEST_EXPONENT, MAGNITUDE_BINS

__all__ = [
    "LOWEST_EXPONENT",
    "MAGNITUDE_BINS",
    "PREDICTED_DRAWS",
    "DeltaStatistics",
    "Estimate",
    "no_covariances",
    "roll_up",
    "total_of",
    "zero_deltas_of",
]

PREDICTED_DRAWS = 21
"""Draws 0 to 20: the shares left with n = 0..20 resamples."""

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Numbers and their standard errors, of one shape; an error of 0 is exact and NaN is not known."""

    value: Floats
    error: Floats


class HasStatistics(Protocol):
    """A TensorInspection, or what is like it."""

    @property
    def name(self) -> str: ...
    @property
    def statistics(self) -> DeltaStatistics: ...


@dataclass(frozen=True, eq=False)
class DeltaStatistics:
    """What is known of the deltas of one tensor or of several.

    The numbers that need `details` raise KeyError without.

    Attributes:
        models: K.
        tensors: how many.
        parameters: their elements.
        elements: those that were looked at; fewer in a sample.
        details: whether more was measured than counts.
        draws: of `unchanged_powers`; 0 where the weights are equal.
        freedom: the degrees of freedom of the sample: its blocks, less one for each tensor; 0 where all was
            read.
        totals, covariances: estimates over all `parameters`, flat; see `total` and `covariance`.
        largest: [K] the largest |τ_i| that was seen; zeros without `details`.
    """

    models: int
    tensors: int
    parameters: int
    elements: int
    details: bool
    draws: int
    freedom: int
    totals: Floats
    covariances: Floats
    largest: Floats

    @classmethod
    def of_counts(
        cls,
        elements: int,
        zero_delta: Sequence[int],
        changed_by: Sequence[int],
        nonfinite: Sequence[int | None],
    ) -> DeltaStatistics:
        """The exact statistics of a tensor whose elements a merge counted; see TensorRecord."""
        models = len(zero_delta)
        layout = layout_of(models, False, 0)
        counts = [[count or 0 for count in nonfinite], zero_delta, changed_by]
        return cls(
            models=models,
            tensors=1,
            parameters=elements,
            elements=elements,
            details=False,
            draws=0,
            freedom=0,
            totals=np.concatenate(counts, dtype=np.float64),
            covariances=no_covariances(layout.left.size),
            largest=np.zeros(models),
        )

    @property
    def counts(self) -> DeltaStatistics:
        """The same without details and `unchanged_powers`."""
        layout = layout_of(self.models, False, 0)
        return replace(
            self,
            details=False,
            draws=0,
            totals=self.totals[: layout.size],
            covariances=self.covariances[: layout.left.size],
        )

    def with_changed(self, changed_by: Mapping[int, int]) -> DeltaStatistics:
        """The same with further elements, by how many sub-models changed them, of which no delta is known."""
        more = sum(changed_by.values())
        if not more:
            return self
        places, totals = layout_of(self.models, self.details, self.draws).places, self.totals.copy()
        for models, elements in changed_by.items():
            totals[places["changed_by"][0]][models] += elements
        if self.details:
            totals[places["left_out"][0]] += more
        return replace(self, parameters=self.parameters + more, elements=self.elements + more, totals=totals)

    @property
    def without_draws(self) -> DeltaStatistics:
        """The same without `unchanged_powers`, which depend on weights."""
        if not self.draws:
            return self
        layout = layout_of(self.models, self.details, self.draws)
        (totals, _), (variances, _) = layout.places["unchanged_powers"], layout.pairs["unchanged_powers"]
        return replace(
            self,
            draws=0,
            totals=np.delete(self.totals, totals),
            covariances=np.delete(self.covariances, variances),
        )

    @property
    def exact(self) -> bool:
        """Whether all was read."""
        return self.elements == self.parameters

    def total(self, name: str) -> Floats:
        """The total over all parameters of a quantity of DeltaSums; estimated in a sample.

        One of nonfinite, zero_delta, changed_by, unchanged_powers, and with `details` left_out, magnitudes,
        squares [K+1] (of the τ_i, the base last), dots [K, K] (of τ_i τ_j), both_changed, signs_differ,
        histogram.
        """
        place, shape = layout_of(self.models, self.details, self.draws).places[name]
        return self.totals[place].reshape(shape)

    def covariance(self, name: str) -> Floats:
        """Of the totals of a pair of quantities: "magnitudes, left_out"; one name is its variance, or its
        covariance matrix for changed_by and squares."""
        place, shape = layout_of(self.models, self.details, self.draws).pairs[name]
        return self.covariances[place].reshape(shape)

    @property
    def zero_delta(self) -> Estimate:
        """Of each sub-model, the share of zero deltas. [K]"""
        return self._share(self.total("zero_delta"), self.covariance("zero_delta"))

    @property
    def mean_zero_delta(self) -> Estimate:
        """The share of zero deltas over all sub-models. []"""
        stays = stays_on_zero_delta(self.models, 1)[0]
        variance = stays @ self.covariance("changed_by") @ stays
        return self._share(stays @ self.total("changed_by"), variance)

    @property
    def changed_by(self) -> Estimate:
        """The share of elements that exactly m sub-models changed, m = 0..K. [K+1]"""
        return self._share(self.total("changed_by"), np.diagonal(self.covariance("changed_by")))

    @property
    def zero_after_draw(self) -> Estimate:
        """The share expected to be on a zero delta after draw d, that is with n = d resamples. [21]"""
        if self.draws:
            return self._share(self.total("unchanged_powers"), self.covariance("unchanged_powers"))
        stays = stays_on_zero_delta(self.models, PREDICTED_DRAWS)
        variance = np.einsum("dm,mk,dk->d", stays, self.covariance("changed_by"), stays)
        return self._share(stays @ self.total("changed_by"), variance)

    @property
    def left_out(self) -> Floats:
        """Elements with a τ_i that is not finite, or without one. [K]"""
        return self.total("left_out")

    @property
    def mean_magnitude(self) -> Estimate:
        """Of each sub-model, the mean |τ_i|. [K]"""
        return self._widened(
            _ratio(
                self.total("magnitudes"),
                self.parameters - self.left_out,
                self.covariance("magnitudes"),
                -self.covariance("magnitudes, left_out"),
                self.covariance("left_out"),
            )
        )

    @property
    def norm(self) -> Estimate:
        """Of each sub-model, the Euclidean norm of τ_i. [K]"""
        variance = np.diagonal(self.covariance("squares"))[:-1]
        return self._widened(_root(Estimate(self.total("squares")[:-1], _root_of_variance(variance))))

    @property
    def base_norm(self) -> Estimate:
        """The Euclidean norm of θ_pre. []"""
        variance = self.covariance("squares")[-1, -1]
        return self._widened(_root(Estimate(self.total("squares")[-1], _root_of_variance(variance))))

    @property
    def relative_norm(self) -> Estimate:
        """Of each sub-model, the norm of τ_i beside that of θ_pre. [K]"""
        squares, covariance = self.total("squares"), self.covariance("squares")
        own = np.diagonal(covariance)[:-1]
        ratio = _ratio(squares[:-1], squares[-1], own, covariance[:-1, -1], covariance[-1, -1])
        return self._widened(_root(ratio))

    @property
    def histogram(self) -> Floats:
        """Elements by floor(log2 |τ_i|), those with zero delta or left out not among them. [K, 64]"""
        return self.total("histogram")

    @property
    def cosine(self) -> Estimate:
        """The cosine similarity of τ_i and τ_j; NaN where one of them is all zeros. [K, K]"""
        squares = self.total("squares")[:-1]
        norms = np.sqrt(squares)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scale = norms[:, None] * norms[None, :]
            cosine = np.clip(self.total("dots") / scale, -1, 1)
            # d cosine = dD / scale − cosine / 2 (dA_i / A_i + dA_j / A_j), with D = dots, A = squares
            relative = self.covariance("squares")[:-1, :-1] / (squares[:, None] * squares[None, :])
            own = np.diagonal(relative)
            with_row = self.covariance("dots, squares") / squares[:, None] / scale
            variance = (
                self.covariance("dots") / scale**2
                + cosine**2 / 4 * (own[:, None] + own[None, :] + 2 * relative)
                - cosine * (with_row + with_row.T)
            )
        return self._of_pairs(Estimate(cosine, _root_of_variance(variance)))

    @property
    def sign_disagreement(self) -> Estimate:
        """Of the elements that both i and j changed, the share in which the signs differ. [K, K]

        Numerator and denominator are `total("signs_differ")` and `total("both_changed")`.
        """
        return self._of_pairs(
            _ratio(
                self.total("signs_differ"),
                self.total("both_changed"),
                self.covariance("signs_differ"),
                self.covariance("signs_differ, both_changed"),
                self.covariance("both_changed"),
            )
        )

    def _share(self, total: Floats, variance: Floats) -> Estimate:
        with np.errstate(invalid="ignore", divide="ignore"):
            share = Estimate(
                total / np.float64(self.parameters),
                _root_of_variance(variance) / np.float64(self.parameters),
            )
        return self._widened(share)

    def _of_pairs(self, found: Estimate) -> Estimate:
        """What a sub-model has with itself is known beforehand."""
        widened = self._widened(found)
        np.fill_diagonal(widened.error, 0.0)
        return widened

    def _widened(self, found: Estimate) -> Estimate:
        if self.exact:
            return found
        error = found.error * widening(self.freedom)
        return Estimate(found.value, np.where(error == 0, np.nan, error))


@lru_cache(maxsize=64)
def no_covariances(size: int) -> Floats:
    """Those of statistics that are exact."""
    zeros = np.zeros(size)
    zeros.flags.writeable = False
    return zeros


def total_of(parts: Iterable[DeltaStatistics]) -> DeltaStatistics:
    """The statistics of several tensors of the same models together; there is at least one."""
    every = list(parts)
    if len(every) == 1:
        return every[0]
    return DeltaStatistics(
        models=every[0].models,
        tensors=sum(part.tensors for part in every),
        parameters=sum(part.parameters for part in every),
        elements=sum(part.elements for part in every),
        details=every[0].details,
        draws=every[0].draws,
        freedom=sum(part.freedom for part in every),
        totals=np.sum([part.totals for part in every], axis=0),
        covariances=np.sum([part.covariances for part in every], axis=0),
        largest=np.max([part.largest for part in every], axis=0),
    )


def zero_deltas_of(parts: Sequence[DeltaStatistics]) -> tuple[Estimate, Estimate]:
    """`zero_delta` and `mean_zero_delta` of many statistics of the same models, without details, at once.

    Returns estimates of shapes [N, K] and [N].
    """
    models = parts[0].models
    layout = layout_of(models, False, 0)
    totals, covariances = (np.stack([getattr(p, name) for p in parts]) for name in ("totals", "covariances"))
    parameters = np.array([part.parameters for part in parts], np.float64)
    factors = np.array([1.0 if part.exact else widening(part.freedom) for part in parts]) / parameters
    exact = np.array([part.exact for part in parts])
    stays = stays_on_zero_delta(models, 1)[0]
    overlap = covariances[:, layout.pairs["changed_by"][0]].reshape(-1, models + 1, models + 1)
    each = totals[:, layout.places["zero_delta"][0]], covariances[:, layout.pairs["zero_delta"][0]]
    mean = (
        totals[:, layout.places["changed_by"][0]] @ stays,
        np.einsum("m,nmk,k->n", stays, overlap, stays),
    )
    found = []
    for total, variance in (each, mean):
        error = (_root_of_variance(variance).T * factors).T
        unknown = (error.T == 0) & ~exact
        found.append(Estimate((total.T / parameters).T, np.where(unknown.T, np.nan, error)))
    return found[0], found[1]


def roll_up(tensors: Iterable[HasStatistics], by: Callable[[str], Key]) -> dict[Key, DeltaStatistics]:
    """The statistics of tensors in groups, in the order in which groups first appear.

    Args:
        tensors: of an Inspection.
        by: gives the group of a tensor's name, as module_kinds.module_kind does.
    """
    groups: dict[Key, list[DeltaStatistics]] = {}
    for tensor in tensors:
        groups.setdefault(by(tensor.name), []).append(tensor.statistics)
    return {key: total_of(group) for key, group in groups.items()}


def _ratio(above: Floats, below: Any, var_above: Floats, covariance: Floats, var_below: Floats) -> Estimate:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = above / below
        variance = (var_above - 2 * value * covariance + value**2 * var_below) / below**2
    return Estimate(value, _root_of_variance(variance))


def _root(square: Estimate) -> Estimate:
    value = np.sqrt(square.value)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(square.error == 0, 0.0, square.error / (2 * value))
    return Estimate(value, error)


def _root_of_variance(variance: Any) -> Floats:
    """Rounding can leave a variance of zero a little below it."""
    result: Floats = np.sqrt(np.maximum(variance, 0.0))
    return result
