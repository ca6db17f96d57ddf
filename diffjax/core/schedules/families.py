"""The families of schedules, each a formula for beta_t or alpha_bar_t."""

import numpy as np

from diffjax.core.schedules.table import Schedule, from_betas, from_powers


def linear(T: int, *, beta_min: float = 1e-4, beta_max: float = 0.02) -> Schedule:
    r"""The schedule of DDPM, its ends the same for every T.

        beta_t = beta_min + (t - 1) / (T - 1) (beta_max - beta_min)

    Ho et al. 2020, section 4.

    Args: T: number of steps.  beta_min, beta_max: its ends.
    Returns: Schedule of tables [T + 1] (variances).
    """
    return from_betas(np.linspace(beta_min, beta_max, _steps(T)))


def rescaled_linear(T: int) -> Schedule:
    r"""The linear schedule with ends scaled so that alpha_bar_T hardly depends on T.

        beta_t = 1000 / T linspace(1e-4, 0.02, T)_t

    Nichol & Dhariwal 2021 (arXiv:2102.09672), published code.

    Args: T: number of steps, at least 20 (below, the last beta would exceed 1).
    Returns: Schedule of tables [T + 1] (variances).
    """
    return from_betas(np.linspace(1e-4 * 1000 / _steps(T), 0.02 * 1000 / T, T))


def cosine(T: int, *, s: float = 0.008, max_beta: float = 0.999) -> Schedule:
    r"""The cosine schedule of improved DDPM.

        beta_t = min(1 - f(t / T) / f((t - 1) / T), max_beta),
        f(u) = cos^2( (u + s) / (1 + s) pi / 2 )

    Nichol & Dhariwal 2021, eq. 17.

    Args: T: number of steps.  s: offset.  max_beta: cap, which only the last one meets.
    Returns: Schedule of tables [T + 1] (variances).
    """
    f = np.square(_cosine_wave(_steps(T), s))
    return from_betas(np.minimum(1 - f[1:] / f[:-1], max_beta))


def cosine_d3pm(T: int, *, s: float = 0.008, max_beta: float = 0.999) -> Schedule:
    r"""The cosine schedule of the D3PM code, which does not square the cosine.

        beta_t = min(1 - f(t / T) / f((t - 1) / T), max_beta),
        f(u) = cos( (u + s) / (1 + s) pi / 2 )

    Austin et al. 2021 (arXiv:2107.03006), published code.

    Args: T: number of steps.  s: offset.  max_beta: cap, which only the last one meets.
    Returns: Schedule of tables [T + 1] (variances).
    """
    f = _cosine_wave(_steps(T), s)
    return from_betas(np.minimum(1 - f[1:] / f[:-1], max_beta))


def quadratic(T: int, *, beta_min: float = 1e-4, beta_max: float = 0.02) -> Schedule:
    r"""Betas whose square roots are evenly spaced ("quad", "scaled_linear" elsewhere).

        beta_t = linspace(sqrt(beta_min), sqrt(beta_max), T)_t^2

    Ho et al. 2020, published code.

    Args: T: number of steps.  beta_min, beta_max: its ends.
    Returns: Schedule of tables [T + 1] (variances).
    """
    return from_betas(np.linspace(beta_min**0.5, beta_max**0.5, _steps(T)) ** 2)


def sigmoid(T: int, *, beta_min: float = 1e-4, beta_max: float = 0.02) -> Schedule:
    r"""Betas that rise along a sigmoid.

        beta_t = beta_min + (beta_max - beta_min) / (1 + exp(-u_t)),
        u = linspace(-6, 6, T)

    Xu et al. 2022 (GeoDiff, arXiv:2203.02923), published code.

    Args: T: number of steps.  beta_min, beta_max: its limits.
    Returns: Schedule of tables [T + 1] (variances).
    """
    rise = 1 / (1 + np.exp(-np.linspace(-6, 6, _steps(T))))
    return from_betas(beta_min + (beta_max - beta_min) * rise)


def sigmoid_alpha_bar(
    T: int, *, start: float = -3.0, end: float = 3.0, tau: float = 1.0
) -> Schedule:
    r"""A signal power that falls along a sigmoid and reaches 0.

        alpha_bar(u) = (v(1) - v(u)) / (v(1) - v(0)),
        v(u) = sigmoid((start + u (end - start)) / tau)

    Jabri et al. 2022 (RIN, arXiv:2212.11972).

    Args: T: number of steps.  start, end: part of the sigmoid used.  tau: temperature.
    Returns: Schedule of tables [T + 1] (variances).
    """
    v = 1 / (1 + np.exp(-np.linspace(start, end, _steps(T) + 1) / tau))
    span = v[-1] - v[0]
    return from_powers((v[-1] - v[1:]) / span, (v[1:] - v[0]) / span)


def constant(T: int, *, beta: float) -> Schedule:
    r"""The same variance at every step.

        beta_t = beta

    Args: T: number of steps.  beta: in (0, 1).
    Returns: Schedule of tables [T + 1] (variances).
    """
    return from_betas(np.full(_steps(T), beta))


def inverse(T: int) -> Schedule:
    r"""A signal power that falls linearly and reaches 0 exactly.

        beta_t = 1 / (T - t + 1),    alpha_bar_t = 1 - t / T

    Sohl-Dickstein et al. 2015 (arXiv:1503.03585), section 2.4.1; Austin et al. 2021,
    appendix A.3.

    Args: T: number of steps.
    Returns: Schedule of tables [T + 1] (variances).
    """
    return from_betas(1 / np.arange(_steps(T), 0, -1))


def _steps(T: int) -> int:
    if not isinstance(T, int | np.integer) or T < 1:
        raise ValueError(f"expected a number of steps T >= 1, got {T!r}")
    return int(T)


def _cosine_wave(T: int, s: float) -> np.ndarray:
    return np.cos((np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2)
