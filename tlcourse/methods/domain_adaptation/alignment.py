"""Domain adaptation by alignment: make the feature distributions of two domains similar.

- `coral`     the distance between two covariances
- `mmd`       the distance between two distributions, measured by a kernel
- `alignment` makes either of them a term of a run's loss; SetWeight changes its weight during a run
- `recolour`  needs no training: the source's features get the target's mean and covariance

None of them reads a label of the target. They align distributions, not classes: cats of one domain may
end up on dogs of the other, and these numbers would not show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from tlcourse.checks import number
from tlcourse.errors import CommandError, DataError
from tlcourse.methods.extra_batches import ExtraBatches, features_of_both

if TYPE_CHECKING:
    from tlcourse.data import Data, Split
    from tlcourse.session import Batch, Term

Distance = Callable[[Tensor, Tensor], Tensor]
Cloud = TypeVar("Cloud", "Data", "Split", Tensor)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Distance between feature covariances, ‖C_S − C_T‖² / 4D² (Sun & Saenko 2016, eq. 1).

    source: (n, D), target: (m, D) float features, n and m ≥ 2. Returns a scalar ≥ 0, in the features'
    unit to the fourth. Division by 4D² makes it small: weights of 1 to 1000 are usual. The paper chooses
    the weight so that this and the classification loss are about equal at the end.

    >>> x = torch.randn(8, 3)
    >>> coral(x, x).item()
    0.0
    """
    source, target = _pair(source, target, 2)
    with torch.autocast(source.device.type, enabled=False):
        gap = torch.cov(source.T) - torch.cov(target.T)
    return gap.square().sum() / (4 * source.shape[1] ** 2)


def mmd(
    source: Tensor,
    target: Tensor,
    *,
    bandwidths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    biased: bool = False,
) -> Tensor:
    """Squared maximum mean discrepancy (Gretton et al. 2012, eq. 3; `biased`: eq. 5).

    The kernel is the mean of Gaussians exp(−‖x − y‖² / 2σ²), one for each bandwidth; σ is the bandwidth
    times the median distance between any two of the n + m points. The median is treated as a constant,
    so the loss cannot shrink by inflating it. source: (n, D), target: (m, D), n and m ≥ 2. Returns a
    scalar: biased, between 0 and 2 and above zero for any two samples; unbiased, around zero (also
    below) for two samples of one distribution.
    """
    if not bandwidths or not all(b > 0 for b in bandwidths):
        raise CommandError(f"bandwidths={bandwidths!r} must be one or more numbers above 0.")
    source, target = _pair(source, target, 2)
    n, m = len(source), len(target)
    points = torch.cat([source, target])
    with torch.autocast(points.device.type, enabled=False):
        squares = _squares(points)
    upper = torch.triu_indices(n + m, n + m, 1, device=points.device)
    median = squares.detach()[upper[0], upper[1]].median().clamp(min=torch.finfo(points.dtype).tiny)
    kernel = sum(torch.exp(-squares / (2 * b**2 * median)) for b in bandwidths) / len(bandwidths)
    within_source, within_target, across = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    if biased:
        return within_source.mean() + within_target.mean() - 2 * across.mean()
    return (
        (within_source.sum() - within_source.trace()) / (n * (n - 1))
        + (within_target.sum() - within_target.trace()) / (m * (m - 1))
        - 2 * across.mean()
    )


def alignment(
    target: Split,
    distance: Distance = coral,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    augment: float = 0.0,
) -> Term:
    """A term of a run's loss: the distance between features of a batch and of as many target examples.

    target: its labels are never read. `seed` alone decides which examples come at which step. The batch
    passes through the backbone once more, together with the target's (see `features_of_both`), so a
    step takes about twice as long. augment: use the run's own strength, if it has any.

    >>> terms = {"coral": alignment(digits.valid)}  # here: any split of another domain
    >>> run = tl.Session(model, digits, terms=terms, weights={"coral": 10}, steps=100)
    >>> run.at(50, tl.SetWeight("coral", 100))
    """
    extra = ExtraBatches(target, seed=seed, batch_size=batch_size, augment=augment)

    def term(model: nn.Module, batch: Batch) -> Tensor:
        return distance(*features_of_both(model, batch.x, extra.matching(batch)[0]))

    return term


def recolour(source: Cloud, target: Data | Split | Tensor, *, ridge: float = 1.0) -> Cloud:
    """The source's features, transformed to the target's mean and covariance: closed-form CORAL.

    (x − μ_S) C_S^(−1/2) C_T^(1/2) + μ_T (Sun, Feng & Saenko 2016, "Return of Frustratingly Easy Domain
    Adaptation", algorithm 1; it has no means because its features are standardised). A head trained
    on the result suits the target.

    source, target: features (n, D), or a Split of them; for a Data, the map is computed from its
    training split and applied to all three. ridge: ≥ 0, added to the diagonal of both covariances, in
    units of each one's mean variance; the paper uses 1. It makes the inverse possible where n < D; as it
    goes to 0, the result's covariance approaches the target's.
    """
    number(ridge, "ridge", CommandError, low=0)
    x, y = _pair(_rows(source).double(), _rows(target).double(), 2)
    whiten, colour = _power(_covariance(x, ridge), -0.5), _power(_covariance(y, ridge), 0.5)
    map_, before, after = whiten @ colour, x.mean(0), y.mean(0)

    def moved(x: Tensor) -> Tensor:
        return ((x.double() - before) @ map_ + after).to(x.dtype)

    if isinstance(source, Tensor):
        return moved(source)
    if hasattr(source, "train"):
        return source.map(lambda split: replace(split, x=moved(split.x)))
    return replace(source, x=moved(source.x))


def _squares(x: Tensor) -> Tensor:
    """‖x_i − x_j‖² of all pairs, (N, N), without the (N, N, D) tensor of differences."""
    x = x - x.detach().mean(0)  # far from the origin, differences of large numbers lose all digits
    lengths = x.square().sum(1)
    return (lengths[:, None] + lengths[None] - 2 * x @ x.T).clamp(min=0)


def _covariance(x: Tensor, ridge: float) -> Tensor:
    found = torch.cov(x.T).reshape(x.shape[1], x.shape[1])
    return found + ridge * found.diagonal().mean() * torch.eye(len(found), dtype=x.dtype)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    if exponent < 0 and values.min() <= values.max() * len(values) * torch.finfo(values.dtype).eps:
        raise DataError(
            f"The source's {len(matrix)} features do not vary in every direction, so their covariance "
            "has no inverse: give a ridge above 0, such as 0.01."
        )
    return (vectors * values.clamp(min=0).pow(exponent)) @ vectors.T


def _rows(source: Data | Split | Tensor) -> Tensor:
    source = source if isinstance(source, Tensor) else getattr(source, "train", source)
    return torch.as_tensor(getattr(source, "x", source))


def _pair(source: Tensor, target: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Both as (n, D) with at least `least` rows, in one float type, float32 or wider."""
    for name, x in (("source", source), ("target", target)):
        if x.ndim != 2 or len(x) < least:
            raise DataError(
                f"The {name} holds {tuple(x.shape)}, but features are (n, D) with n of at "
                f"least {least}: make them with features(model, …), or take a larger batch."
            )
    if source.shape[1] != target.shape[1]:
        raise DataError(
            f"{source.shape[1]} features of the source and {target.shape[1]} of the target cannot be "
            "aligned: both must come from the same model."
        )
    kind = torch.promote_types(torch.promote_types(source.dtype, target.dtype), torch.float32)
    return source.to(kind), target.to(kind)
