"""Tests of a mean that hold for any number of images and any distribution: betting, and Hoeffding-Bentkus.

Both test "the expected gain is below 0" and reject it when the gains are too good for that.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from detector.errors import InputError

ORDER_SEED = 0
"""The gains are taken in one shuffled order, the same in every call: the test may look at them one by one."""

_PRIOR_VARIANCE = 1 / 16


def p_values(gains: np.ndarray, bound: np.ndarray | float, error: float = 0.1) -> np.ndarray:
    """p-values of "the expected gain is at most 0", by betting against it, float64 [T].

    A gambler who starts with 1 and stakes a share on each gain cannot expect to win if the mean is 0 or less;
    by Ville's inequality he ever owns 1 / p with probability at most p. The share staked on a gain depends on
    the gains before it alone (the predictable plug-in of Waudby-Smith and Ramdas 2024).

    Args:
        gains: float64 [n, T], one row per image, each at least -bound. Large gains need no bound.
        bound: float64 [T] or one number, above 0.
        error: the error the test is tuned for; it is valid at every level.

    Raises:
        InputError: a gain below -bound, or a bound that is not above 0.
    """
    n, t = gains.shape
    bound = np.broadcast_to(np.asarray(bound, float), (t,))
    if not (bound > 0).all():
        raise InputError(f"p_values: expected a bound above 0, got {bound.min()}.")
    if not n or not t:
        return np.ones(t)
    if ((gains + bound).min(axis=0) < -1e-9 * bound).any():
        at = int(np.argmin((gains + bound).min(axis=0)))
        raise InputError(f"p_values: expected gains of at least {-bound[at]:g}, got {gains[:, at].min():g}.")
    order = np.random.default_rng(ORDER_SEED).permutation(n)
    y = gains[order] / bound
    seen = np.arange(1, n + 1)[:, None]
    means = np.cumsum(y, axis=0) / (seen + 1)
    variances = (_PRIOR_VARIANCE + np.cumsum((y - means) ** 2, axis=0)) / (seen + 1)
    # The stake on a gain is set before it is seen: the estimates move down by one row.
    before = np.vstack([np.full((1, t), _PRIOR_VARIANCE), variances[:-1]])
    stakes = np.minimum(np.sqrt(2 * np.log(1 / error) / (n * before)), 1 - 1e-9)
    wealth = np.cumsum(np.log1p(stakes * np.maximum(y, -1)), axis=0)
    return np.exp(-np.maximum(wealth.max(axis=0), 0))


def hoeffding_bentkus(gains: np.ndarray, low: float, high: float) -> np.ndarray:
    """p-values of the same by the bound of Bates et al. (2021, arXiv:2101.02703), float64 [T].

    Args:
        gains: float64 [n, T] within -low .. high; both above 0.
    """
    n, t = gains.shape
    if not n:
        return np.ones(t)
    alpha = high / (low + high)
    risk = np.clip(((high - gains) / (low + high)).mean(axis=0), 0, 1)
    bentkus = np.e * binom.cdf(np.ceil(np.round(n * risk, 9)), n, alpha)
    a = np.clip(np.minimum(risk, alpha), 1e-12, 1 - 1e-12)
    divergence = a * np.log(a / alpha) + (1 - a) * np.log((1 - a) / (1 - alpha))
    return np.minimum(1, np.minimum(np.exp(-n * divergence), bentkus))


def conformal_mean(losses: np.ndarray, most: float) -> np.ndarray:
    """bool [T]: whether the expected loss of one more image is at most `most`, by conformal risk control.

    For losses in 0..1 that rise with the threshold (Angelopoulos et al. 2022, arXiv:2208.02814): the mean
    over the n images and one further image of loss 1. It holds on average over draws of images, not with a
    stated confidence.

    Args:
        losses: float64 [n, T] in 0..1, thresholds ascending.
    """
    n, t = losses.shape
    return (losses.sum(axis=0) + 1) / (n + 1) <= most if n else np.zeros(t, bool)
