"""A schedule as tables, made from betas, from alpha_bar or from gamma."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import checks
from diffjax.types import Array


class Schedule(NamedTuple):
    """A variance-preserving Gaussian process as three tables.

    beta: [T + 1] variance added by one step; beta[0] = 0.
    alpha_bar: [T + 1] signal power left, prod (1 - beta); alpha_bar[0] = 1.
    one_minus_alpha_bar: [T + 1] noise power, kept because 1 - alpha_bar would lose the
        digits of the first steps in float32.
    """

    beta: Array
    alpha_bar: Array
    one_minus_alpha_bar: Array

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.beta.shape[0] - 1


def from_betas(betas: Sequence[float] | np.ndarray) -> Schedule:
    r"""The schedule of given one-step variances.

        alpha_bar_t = prod_{k <= t} (1 - beta_k)

    Ho et al. 2020 (arXiv:2006.11239), eqs. 2 and 4.

    Args: betas: [T], for t = 1..T, in (0, 1) and not decreasing; the last may be 1.
    Returns: Schedule of tables [T + 1] (variances).
    """
    beta = _vector("betas", betas)
    if (beta <= 0).any() or (beta > 1).any() or (beta[:-1] == 1).any():
        raise ValueError(
            "expected betas in (0, 1), the last at most 1, got values from "
            f"{beta.min():.6g} to {beta.max():.6g}; they are one-step variances"
        )
    if (np.diff(beta) < 0).any():
        t = int(np.argmax(np.diff(beta) < 0)) + 2
        raise ValueError(
            "expected betas that do not decrease, got "
            f"beta_{t} = {beta[t - 1]:.6g} after {beta[t - 2]:.6g}; if this is meant, "
            "use from_alpha_bar(np.cumprod(1 - betas)), where only alpha_bar must fall"
        )
    return _from_valid_betas(beta)


def from_alpha_bar(alpha_bar: Sequence[float] | np.ndarray) -> Schedule:
    r"""The schedule of given cumulative signal powers.

        beta_t = 1 - alpha_bar_t / alpha_bar_{t-1},    alpha_bar_0 = 1

    Ho et al. 2020, eq. 4.

    Args: alpha_bar: [T], for t = 1..T, decreasing in (0, 1); the last may be 0.
    Returns: Schedule of tables [T + 1] (variances).
    """
    return from_powers(_vector("alpha_bar", alpha_bar), None)


def from_gamma(gamma: Array) -> Schedule:
    r"""The schedule of given negative log signal-to-noise ratios; differentiable.

        alpha_bar_t = sigmoid(-gamma_t),    1 - alpha_bar_t = sigmoid(gamma_t)

    Kingma et al. 2021 (VDM, arXiv:2107.00630), eqs. 3-4. Their z_0, which is already
    noisy, is x_1 here: x_0 is always the data.

    Args: gamma: [T], for t = 1..T, increasing.
    Returns: Schedule of tables [T + 1] (variances).
    """
    gamma = jnp.asarray(gamma)
    rises = checks.is_concrete(gamma) and (np.diff(np.asarray(gamma)) > 0).all()
    if checks.is_concrete(gamma) and not (rises and np.isfinite(gamma).all()):
        raise ValueError(
            f"expected gamma to increase with t and be finite, got {gamma}"
        )
    zero = jnp.zeros(1, gamma.dtype)
    log_alpha_bar = jnp.concatenate([zero, jax.nn.log_sigmoid(-gamma)])
    beta = -jnp.expm1(jnp.diff(log_alpha_bar))
    return Schedule(
        beta=jnp.concatenate([zero, beta]),
        alpha_bar=jnp.exp(log_alpha_bar),
        one_minus_alpha_bar=jnp.concatenate([zero, jax.nn.sigmoid(gamma)]),
    )


def _vector(name: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"expected {name} of shape [T], got {array.shape}")
    if not np.isfinite(array).all():
        t = int(np.argmin(np.isfinite(array)))
        raise ValueError(f"expected finite {name}, got {array[t]} at t = {t + 1}")
    return array


def _from_valid_betas(beta: np.ndarray) -> Schedule:
    with np.errstate(divide="ignore"):  # beta_T = 1 leaves no signal: log 0
        noise = -np.expm1(np.cumsum(np.log1p(-beta)))
    return finish(beta, np.cumprod(1 - beta), noise)


def from_powers(alpha_bar: np.ndarray, noise: np.ndarray | None) -> Schedule:
    r"""The schedule of given signal and noise powers, when both are known exactly.

        beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}

    Args: alpha_bar, noise: float64 [T]; noise None for 1 - alpha_bar.
    Returns: Schedule of tables [T + 1] (variances).
    """
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    if (np.diff(alpha_bar, prepend=1.0) >= 0).any() or alpha_bar[-1] < 0:
        raise ValueError(
            "expected alpha_bar to decrease from below 1 to 0 or above, got "
            f"{alpha_bar[0]:.6g} to {alpha_bar[-1]:.6g}; it is the signal power left"
        )
    noise = 1 - alpha_bar if noise is None else noise
    return finish(1 - alpha_bar / before, alpha_bar, noise)


def finish(beta: np.ndarray, alpha_bar: np.ndarray, noise: np.ndarray) -> Schedule:
    r"""Step 0 in front, and float64 rounded to what jax computes in.

        beta_0 = 0,    alpha_bar_0 = 1

    Args: beta, alpha_bar, noise: float64 [T].
    Returns: Schedule of tables [T + 1] (variances).
    """
    dtype = jax.dtypes.canonicalize_dtype(np.float64)
    faint = alpha_bar[:-1] < np.finfo(dtype).tiny
    if faint.any():
        t = int(np.argmax(faint)) + 1
        raise ValueError(
            f"expected a signal that {np.dtype(dtype).name} can hold before t = T, got "
            f"alpha_bar_{t} = {alpha_bar[t - 1]:.3g}; take fewer steps, smaller betas, "
            "or enable x64"
        )
    return Schedule(
        beta=jnp.asarray(np.concatenate([[0.0], beta]), dtype),
        alpha_bar=jnp.asarray(np.concatenate([[1.0], alpha_bar]), dtype),
        one_minus_alpha_bar=jnp.asarray(np.concatenate([[0.0], noise]), dtype),
    )
