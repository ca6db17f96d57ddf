"""Steps to train on: uniform, stratified, importance-sampled."""

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.ddpm import times

T = 7


def test_uniform_covers_1_to_T_evenly():
    u = jnp.arange(0, 1, 1 / 700)
    counts = np.bincount(times.uniform(u, T), minlength=T + 1)
    assert counts[0] == 0 and (np.abs(counts[1:] - 100) <= 1).all()
    assert times.uniform(jnp.asarray([1 - 6e-8]), 1000) == 1000


def test_stratified_puts_the_same_number_in_every_stratum():
    for u_0 in (0.0, 0.3, 0.99):
        t = times.stratified(jnp.full(3 * T, u_0), T)
        np.testing.assert_array_equal(np.bincount(t, minlength=T + 1)[1:], 3)


def filled(values):
    history = times.history_init(T, length=2)
    t = jnp.tile(jnp.arange(1, T + 1), 2)
    return times.history_update(history, t, jnp.tile(jnp.asarray(values), 2))


def test_history_is_a_ring_in_order():
    history = times.history_init(3, length=2)
    t = jnp.asarray([2, 2, 1, 2])
    history = times.history_update(history, t, jnp.asarray([1.0, 2.0, 5.0, 3.0]))
    np.testing.assert_array_equal(history.losses, [[5, 0], [3, 2], [0, 0]])
    np.testing.assert_array_equal(history.counts, [1, 3, 0])


def test_importance_is_uniform_until_every_step_is_known():
    history = times.history_init(T, length=2)
    history = times.history_update(
        history, jnp.asarray([1, 1]), jnp.asarray([9.0, 9.0])
    )
    u = (jnp.arange(700) + 0.5) / 700
    t, weight = times.importance(history, u)
    np.testing.assert_allclose(weight, 1, rtol=1e-5)
    np.testing.assert_array_equal(np.bincount(t)[1:], 100)


def test_importance_draws_by_root_mean_square_and_stays_unbiased():
    loss = np.array([1.0, 2.0, 0.5, 4.0, 1.0, 0.1, 3.0])
    u = (jnp.arange(100_000) + 0.5) / 100_000
    t, weight = times.importance(filled(loss), u)
    share = np.bincount(t, minlength=T + 1)[1:] / 100_000
    expected = 0.999 * loss / loss.sum() + 0.001 / T
    np.testing.assert_allclose(share, expected, atol=2e-5)
    anything = np.array([3.0, -1.0, 2.0, 0.0, 5.0, 8.0, 1.0])
    estimate = np.mean(np.asarray(weight) * anything[np.asarray(t) - 1])
    np.testing.assert_allclose(estimate, anything.mean(), rtol=1e-3)


def test_history_is_shared_between_devices():
    """Two devices with half a batch each end with the history of the whole."""
    history = times.history_init(T, length=2)
    t, loss = jnp.asarray([3, 1, 3, 7]), jnp.asarray([1.0, 2.0, 3.0, 4.0])
    whole = times.history_update(history, t, loss)

    def update(t, loss):
        return times.history_update(history, t, loss, axis_name="devices")

    parts = jax.pmap(update, axis_name="devices")(t.reshape(2, 2), loss.reshape(2, 2))
    for device in range(2):
        np.testing.assert_array_equal(parts.losses[device], whole.losses)
        np.testing.assert_array_equal(parts.counts[device], whole.counts)
