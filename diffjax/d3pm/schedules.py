"""Betas that this chapter adds to `core.schedules`, as float64 [T], for t = 1..T.

A survival alpha_bar(u), u = t / T, gives beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}.
The families of `core.schedules` serve as well: `schedules.cosine_d3pm(T).beta[1:]`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm.transitions import inputs
from diffjax.types import Array

Family = Callable[[np.ndarray], Any]
"""betas [N] -> a family of N steps: all that a schedule needs to know of it."""
ROUNDS = 60
"""Halvings of an interval of betas at most; it usually takes about six secants."""


def from_survival(alpha_bar: Callable[[np.ndarray], np.ndarray], T: int) -> np.ndarray:
    r"""The betas of any survival function of one's own.

        beta_t = 1 - alpha_bar(t / T) / alpha_bar((t - 1) / T)

    Args: alpha_bar: u float64 [T + 1] on [0, 1] -> [T + 1], from 1, never rising, not
        below 0.  T: number of steps.
    Returns: float64 [T] (probabilities).
    """
    values = np.asarray(alpha_bar(np.arange(_steps(T) + 1) / T), np.float64)
    if values.shape != (T + 1,) or not np.isfinite(values).all():
        raise ValueError(
            f"expected alpha_bar to give {T + 1} finite values, got shape "
            f"{values.shape}; it is called once, with all u = t / T"
        )
    if abs(values[0] - 1) > 1e-12 or (np.diff(values) > 0).any() or values[-1] < 0:
        raise ValueError(
            "expected alpha_bar to fall from 1 to 0 or above, got "
            f"{values[0]:.6g} to {values[-1]:.6g}, least {values.min():.6g}; it is the "
            "probability that a token is still kept"
        )
    before = values[:-1]
    # Where nothing was left, nothing is left to replace: any beta would do.
    safe = np.where(before > 0, before, 1)
    return np.where(before > 0, (before - values[1:]) / safe, 1.0)


def log_linear(T: int, *, alpha_min: float = 1e-3) -> np.ndarray:
    r"""The log-linear noise of SEDD and MDLM: survival falls on a line to alpha_min.

        sigma(u) = -log(1 - (1 - alpha_min) u),    alpha_bar = exp(-sigma)

    Lou et al. 2024 (arXiv:2310.16834), appendix C.1; Sahoo et al. 2024
    (arXiv:2406.07524), appendix E.1. alpha_min = 0 gives 1 / (T - t + 1).

    Args: T: number of steps.  alpha_min: what is left at the end, in [0, 1).
    Returns: float64 [T] (probabilities).
    """
    if not 0 <= alpha_min < 1:
        raise ValueError(f"expected alpha_min in [0, 1), got {alpha_min}")
    return from_survival(lambda u: 1 - (1 - alpha_min) * u, T)


def polynomial(T: int, *, power: float) -> np.ndarray:
    r"""A survival that falls as a power.

        alpha_bar(u) = 1 - u^power

    Shi et al. 2024 (MD4, arXiv:2406.04329), table 4; power = 1 gives 1 / (T - t + 1).

    Args: T: number of steps.  power: greater than 0.
    Returns: float64 [T] (probabilities).
    """
    if not power > 0:
        raise ValueError(f"expected power > 0, got {power}")
    return from_survival(lambda u: 1 - u**power, T)


def geometric(
    T: int, *, sigma_min: float = 1e-4, sigma_max: float = 20.0
) -> np.ndarray:
    r"""The geometric noise of SEDD, less its start, so that x_0 is clean.

        alpha_bar(u) = exp( sigma_min - sigma(u) ),
        sigma(u) = sigma_min^(1 - u) sigma_max^u

    Lou et al. 2024 (arXiv:2310.16834), appendix C.1.

    Args: T: number of steps.  sigma_min, sigma_max: ends, 0 < sigma_min < sigma_max.
    Returns: float64 [T] (probabilities).
    """
    if not 0 < sigma_min < sigma_max:
        raise ValueError(
            f"expected 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}"
        )
    ratio = np.log(sigma_max / sigma_min)
    return from_survival(lambda u: np.exp(-sigma_min * np.expm1(ratio * u)), T)


def information(transitions: Any, unigram: np.ndarray, t: Array) -> Array:
    r"""What x_t still tells of x_0, where x_0 follows a unigram.

        I(x_0; x_t) = sum_ij p_i Q_bar_ij log( Q_bar_ij / (p Q_bar)_j )

    Austin et al. 2021 (arXiv:2107.03006), appendix A.3.

    Args: transitions: a family.  unigram: [K], sums to 1.  t: integer [], 0..T.
    Returns: [] nats.
    """
    p = jnp.asarray(inputs.law("unigram", unigram))
    return _information(p[:, None] * transitions.matrix(jnp.zeros((), int), t))


def mutual_information(
    family: Family, unigram: np.ndarray, T: int, *, remaining: float = 0.0
) -> np.ndarray:
    r"""The betas under which the information about x_0 falls on a line, for any family.

        I(x_0; x_t) = (1 - (1 - remaining) t / T) H(x_0)

    Austin et al. 2021, appendix A.3, by measuring: each beta_t is the root of the
    information after one more step, so the line is met to rounding and not to the width
    of a table. For a mask it is 1 / (T - t + 1). It takes about 8 T products of [K, K].

    Args: family: betas -> transitions, for example `lambda b: uniform(b, K)`.  unigram:
        [K], sums to 1.  T: number of steps.  remaining: share of the information that
        is left at T; families that cannot forget in one step need more than 0.
    Returns: float64 [T] (probabilities).
    """
    p = inputs.law("unigram", unigram)
    if not 0 <= remaining < 1:
        raise ValueError(f"expected remaining in [0, 1), got {remaining}")
    positive = p[p > 0]
    entropy = -float(np.sum(positive * np.log(positive)))
    if entropy == 0:
        raise ValueError("expected a unigram with entropy > 0, got certainty")
    with jax.enable_x64(True):
        return _follow(family, p, entropy * np.linspace(1, remaining, _steps(T) + 1))


def _follow(family: Family, p: np.ndarray, line: np.ndarray) -> np.ndarray:
    after = jax.jit(lambda law, joint: joint @ law.matrix(0, 1))
    measure = jax.jit(_information)
    joint, betas = jnp.diag(jnp.asarray(p)), np.empty(len(line) - 1)
    for t, target in enumerate(line[1:], start=1):

        def excess(beta: float, joint: Array = joint, target: float = target) -> float:
            return float(measure(after(family(np.array([beta])), joint))) - target

        betas[t - 1] = _root(excess, 1e-13 * line[0], t)
        joint = after(family(betas[t - 1 : t]), joint)
    return betas


def _root(excess: Callable[[float], float], tolerance: float, t: int) -> float:
    """Where a falling function crosses 0 on [0, 1]: regula falsi, Illinois rule."""
    low, high = 0.0, 1.0
    above, below = excess(low), excess(high)
    if below > tolerance:
        raise ValueError(
            f"expected a family that can forget enough in one step, got {below:.3g} "
            f"nats too much at t = {t} even with beta = 1; ask for more `remaining`, "
            "or a larger T"
        )
    if abs(below) <= tolerance:
        return high
    for _ in range(ROUNDS):
        beta = (low * below - high * above) / (below - above)
        value = excess(beta)
        if abs(value) <= tolerance or high - low < 1e-15:
            break
        if value > 0:
            low, above, below = beta, value, below / 2
        else:
            high, below, above = beta, value, above / 2
    return beta


def _information(joint: Array) -> Array:
    before, after = jnp.sum(joint, 1, keepdims=True), jnp.sum(joint, 0, keepdims=True)
    possible = joint > 0
    ratio = joint / jnp.where(possible, before * after, 1)
    return jnp.sum(joint * jnp.log(jnp.where(possible, ratio, 1)))


def _steps(T: int) -> int:
    if not isinstance(T, int | np.integer) or T < 1:
        raise ValueError(f"expected a number of steps T >= 1, got {T!r}")
    return int(T)
