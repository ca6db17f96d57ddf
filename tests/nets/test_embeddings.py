"""Features of time against their formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.nets import embeddings

T = np.array([0.0, 0.5, 3.0, 250.0, 999.0])


def waves(t, width, shift, period=1e4):
    k = np.arange(width // 2)
    angles = t[:, None] * period ** (-k / (width // 2 - shift))
    return np.sin(angles), np.cos(angles)


@pytest.mark.parametrize("shift", [0, 1, 0.5])
def test_both_orders(shift):
    sines, cosines = waves(T, 16, shift)
    given = embeddings.sin_cos(jnp.asarray(T), 16, freq_shift=shift)
    np.testing.assert_allclose(given, np.hstack([sines, cosines]), atol=1e-4)
    flipped = embeddings.cos_sin(jnp.asarray(T), 16, freq_shift=shift)
    np.testing.assert_array_equal(flipped, np.roll(given, 8, axis=1))


def test_periods_and_odd_widths():
    given = embeddings.sin_cos(jnp.asarray(T), 7, max_period=100.0)
    sines, cosines = waves(T, 6, 0, 100)
    wanted = np.hstack([sines, cosines, np.zeros((5, 1))])
    np.testing.assert_allclose(given, wanted, atol=1e-4)


def test_integer_and_real_times_agree():
    t = jnp.arange(5)
    given = embeddings.cos_sin(t, 8)
    np.testing.assert_array_equal(given, embeddings.cos_sin(t.astype(float), 8))
    assert embeddings.sin_cos(jnp.asarray(3), 8).shape == (8,)


def test_a_width_without_frequencies_is_refused():
    with pytest.raises(ValueError, match="width // 2 > freq_shift = 1, got width 2"):
        embeddings.sin_cos(jnp.ones(2), 2, freq_shift=1)


def test_fourier_features_of_vdm():
    x = np.array([[0.1, -0.7], [0.25, 1.0]])
    angles = [x[:, [c]] * 2 * np.pi * 2**n for c in (0, 1) for n in (1, 2)]
    wanted = np.hstack([np.sin(np.hstack(angles)), np.cos(np.hstack(angles))])
    given = embeddings.fourier(jnp.asarray(x), first=1, last=2)
    np.testing.assert_allclose(given, wanted, atol=1e-5)
    assert embeddings.fourier(jnp.ones((2, 4, 4, 3))).shape == (2, 4, 4, 12)
    with pytest.raises(ValueError, match="expected first <= last, got 3 and 2"):
        embeddings.fourier(jnp.asarray(x), first=3, last=2)


def test_gaussian_frequencies_are_drawn_and_not_trained():
    net, t = embeddings.GaussianFourier(width=200, scale=4.0), jnp.linspace(0, 1, 3)
    params = net.init(jax.random.key(0), t)
    drawn = params["params"]["frequencies"]
    assert abs(np.std(drawn) / 4 - 1) < 0.2
    angles = 2 * np.pi * np.asarray(t)[:, None] * np.asarray(drawn)
    wanted = np.hstack([np.sin(angles), np.cos(angles)])
    np.testing.assert_allclose(net.apply(params, t), wanted, atol=1e-4)
    gradient = jax.grad(lambda p: jnp.sum(net.apply(p, t)))(params)
    assert not np.any(gradient["params"]["frequencies"])
    with pytest.raises(ValueError, match="even width, got 3"):
        embeddings.GaussianFourier(width=3).init(jax.random.key(0), t)


def test_learned_vectors_exist_for_their_indices_only():
    net = embeddings.Learned(num=3, width=2)
    table = jnp.arange(6.0).reshape(3, 2)
    given = net.apply({"params": {"embedding": table}}, jnp.array([2, 0, 3, -1]))
    np.testing.assert_array_equal(given[:2], table[jnp.array([2, 0])])
    assert np.isnan(given[2:]).all()
    with pytest.raises(ValueError, match="integer index, got float32"):
        net.apply({"params": {"embedding": table}}, jnp.ones(2))
    half = net.clone(dtype=jnp.bfloat16)
    half = half.apply({"params": {"embedding": table}}, jnp.array([1]))
    assert half.dtype == jnp.bfloat16
