"""Schedules made from schedules: fewer steps, same marginals; or no signal at T."""

from collections.abc import Sequence

import numpy as np

from diffjax.core.schedules.table import Schedule, finish, from_powers


def respace(schedule: Schedule, ts: Sequence[int] | np.ndarray) -> Schedule:
    r"""A shorter schedule with the marginals of the kept steps.

        beta'_i = 1 - alpha_bar_{t_i} / alpha_bar_{t_{i-1}},    t_0 = 0

    Nichol & Dhariwal 2021, section 4. Step i of the result is step ts[i - 1] of the
    original, which is what a network wants to be told.

    Args: schedule: tables [T + 1].  ts: integers [T'], ascending in 1..T, without 0.
    Returns: Schedule of tables [T' + 1] (variances).
    """
    kept = np.asarray(ts)
    if not np.issubdtype(kept.dtype, np.integer) or kept.ndim != 1 or kept.size == 0:
        raise ValueError(f"expected a list of integers, got {ts!r}; see respace_steps")
    if kept[0] < 1 or kept[-1] > schedule.T or (np.diff(kept) <= 0).any():
        raise ValueError(
            f"expected ts to ascend within 1..T = {schedule.T}, got {kept[0]} to "
            f"{kept[-1]}; 0 is implied, and respace_steps makes valid ones"
        )
    beta, alpha_bar, noise = (np.asarray(table, np.float64) for table in schedule)
    t, s = kept, np.concatenate([[0], kept[:-1]])
    # alpha_bar_s - alpha_bar_t, from whichever table is small and so keeps its digits.
    signal_lost = np.where(
        noise[s] < alpha_bar[s], noise[t] - noise[s], alpha_bar[s] - alpha_bar[t]
    )
    respaced = np.where(s == t - 1, beta[t], signal_lost / alpha_bar[s])
    return finish(respaced, alpha_bar[t], noise[t])


def rescale_zero_terminal_snr(schedule: Schedule) -> Schedule:
    r"""The schedule shifted and scaled so that x_T is pure noise.

        sqrt(alpha_bar_t)' = (r_t - r_T) r_1 / (r_1 - r_T),    r = sqrt(alpha_bar)

    Lin et al. 2023 (arXiv:2305.08891), algorithm 1. At t = T nothing of x_0 is left,
    so a network must not predict eps there: use v or x_0.

    Args: schedule: tables [T + 1], T >= 2.
    Returns: Schedule of tables [T + 1] (variances).
    """
    if schedule.T < 2:
        raise ValueError(f"expected T >= 2, got {schedule.T}: x_1 must keep its signal")
    root = np.sqrt(np.cumprod(1 - np.asarray(schedule.beta, np.float64)))[1:]
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return from_powers(np.square(root), None)


def respace_steps(T: int, spec: str) -> np.ndarray:
    r"""The steps kept by a respacing, as published samplers spell it.

        "ddimN"   1, 1 + i, 1 + 2i, ...: the smallest stride i that gives N steps
        "quadN"   1 + floor(linspace(0, sqrt(0.8 T), N)^2), repeats dropped
        "a,b,c"   T cut into equal sections, with a, b, c steps evenly in each

    Nichol & Dhariwal 2021, published code; Song et al. 2021 (DDIM, arXiv:2010.02502),
    appendix D.2.

    Args: T: number of steps.  spec: one of the above.
    Returns: integers [T'], ascending in 1..T (steps, no unit).
    """
    if spec.startswith("ddim"):
        return _ddim_steps(T, _count(spec, spec[4:]))
    if spec.startswith("quad"):
        root = np.linspace(0, np.sqrt(0.8 * T), _count(spec, spec[4:]))
        return np.unique((root**2).astype(np.int64)) + 1
    return _section_steps(T, [_count(spec, part) for part in spec.split(",")])


def _count(spec: str, digits: str) -> int:
    if not digits.strip().isdecimal() or int(digits) < 1:
        raise ValueError(
            f'expected a spec like "ddim50", "quad50", "50" or "10,15,20", got "{spec}"'
        )
    return int(digits)


def _ddim_steps(T: int, num: int) -> np.ndarray:
    for stride in range(1, T):
        if len(range(0, T, stride)) == num:
            return np.arange(1, T + 1, stride)
    raise ValueError(
        f'expected a number of steps that a whole stride of T = {T} gives, got "ddim'
        f'{num}"; "{num}" places them evenly instead'
    )


def _section_steps(T: int, counts: list[int]) -> np.ndarray:
    base, extra = divmod(T, len(counts))
    kept, start = [], 1
    for i, count in enumerate(counts):
        size = base + (i < extra)
        if count > size:
            raise ValueError(f"expected at most {size} steps in a section, got {count}")
        # The published code adds the stride up and rounds half to even; both matter
        # for which steps are kept.
        stride, place = (size - 1) / (count - 1) if count > 1 else 1.0, 0.0
        for _ in range(count):
            kept.append(start + round(place))
            place += stride
        start += size
    return np.array(kept)
