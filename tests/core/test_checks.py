"""What every guard says, and that it keeps silent under jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.core import checks


@pytest.mark.parametrize("array", [1.0, np.float64(1), jnp.ones(2), jnp.bfloat16(1)])
def test_real_arrays_pass(array):
    checks.floating("x_0", array)


@pytest.mark.parametrize("array", [1, np.zeros(2, np.uint8), jnp.arange(2), True, 1j])
def test_other_arrays_do_not(array):
    message = "expected x_0 of a floating dtype, got .*; scale integer levels first"
    with pytest.raises(ValueError, match=message):
        checks.floating("x_0", array)


@pytest.mark.parametrize("make", [int, np.int64, jnp.array])
@pytest.mark.parametrize("t, s", [(1, None), (10, None), (1, 0), (10, 9), (10, 0)])
def test_steps_in_range_pass(make, t, s):
    checks.step(10, make(t), None if s is None else make(s))


BAD_STEPS = [
    (0, None, "expected 1 <= t <= T = 10, got t = 0; steps are counted from 1"),
    (11, None, "expected 1 <= t <= T = 10, got t = 11"),
    (-1, -2, "expected 1 <= t <= T = 10, got t = -1"),
    (5, 5, "expected 0 <= s < t, got s = 5, t = 5; s is the earlier"),
    (5, 6, "expected 0 <= s < t, got s = 6, t = 5"),
    (5, -1, "expected 0 <= s < t, got s = -1, t = 5"),
    (0.5, None, r"expected an integer t, got float.*; .*not scaled to \[0, 1\]"),
    (5, 0.5, "expected an integer s, got float"),
]


@pytest.mark.parametrize("t, s, message", BAD_STEPS)
def test_steps_out_of_range_do_not(t, s, message):
    for make in (lambda v: v, np.asarray, jnp.asarray):
        with pytest.raises(ValueError, match=message):
            checks.step(10, make(t), None if s is None else make(s))


def test_under_jit_values_are_unknown_and_types_are_not():
    jax.jit(lambda t, s: checks.step(10, t, s))(99, 100)
    jax.vmap(lambda t: checks.step(10, t))(jnp.arange(3))
    jax.jit(lambda t: checks.step(10, 5, t))(7)
    with pytest.raises(ValueError, match="expected an integer t, got float32"):
        jax.jit(lambda t: checks.step(10, t))(1.0)
    with pytest.raises(ValueError, match="expected 1 <= t <= T = 10, got t = 11"):
        jax.jit(lambda s: checks.step(10, 11, s))(1)


def test_is_concrete():
    assert all(map(checks.is_concrete, (1, 2.0, np.ones(2), jnp.ones(2), None)))
    seen = []
    jax.jit(lambda x: seen.append(checks.is_concrete(x)))(1.0)
    jax.grad(lambda x: (seen.append(checks.is_concrete(x)), x)[1])(1.0)
    assert seen == [False, False]


@pytest.mark.parametrize("ts", [[10, 5, 0], (3, 0), np.arange(10, -1, -1)])
def test_grids_that_descend_to_0_pass(ts):
    grid = checks.grid(10, ts)
    assert grid.dtype == jnp.int32
    np.testing.assert_array_equal(grid, ts)


BAD_GRIDS = [
    ([11, 5, 0], "descend from at most T = 10 to 0, got 11, 5, 0; to use the kept"),
    ([0, 5, 10], "expected ts to descend .* got 0, 5, 10"),
    ([10, 5, 5, 0], "got 10, 5, 5, 0"),
    ([10, 5, 1], "got 10, 5, 1"),
    ([10, 5, -1], "got 10, 5, -1"),
    (np.arange(10, 0, -1), r"got 10, 9, 8, 7, \.\.\., 1;"),
    ([0], r"at least two integers, got shape \(1,\)"),
    ([], r"at least two integers, got shape \(0,\)"),
    (10, r"at least two integers, got shape \(\), dtype int"),
    ([[10, 0]], r"at least two integers, got shape \(1, 2\)"),
    ([1.0, 0.5, 0.0], r"dtype float64; for example \[T, \.\.\., 1, 0\]"),
]


@pytest.mark.parametrize("ts, message", BAD_GRIDS)
def test_other_grids_do_not(ts, message):
    with pytest.raises(ValueError, match=message):
        checks.grid(10, ts)


def test_a_traced_grid_is_taken_as_it_is():
    ts = jnp.array([0, 5, 99])
    np.testing.assert_array_equal(jax.jit(lambda ts: checks.grid(10, ts))(ts), ts)


@pytest.mark.parametrize("ts", [(1, 0), (1.0, 0.5, 0.0), np.linspace(1, 0, 51)])
def test_grids_of_continuous_time_pass(ts):
    np.testing.assert_allclose(checks.unit_grid(ts), ts, rtol=1e-6)


@pytest.mark.parametrize(
    "ts", [(), (1.0,), (0, 1), (1, 0.5), (0.9, 0), (1, 0.5, 0.5, 0), np.ones((2, 2))]
)
def test_other_grids_of_continuous_time_do_not(ts):
    with pytest.raises(ValueError, match="expected ts real, descending from 1 to 0"):
        checks.unit_grid(ts)
    traced = jnp.asarray(ts)
    np.testing.assert_array_equal(jax.jit(checks.unit_grid)(traced), traced)
