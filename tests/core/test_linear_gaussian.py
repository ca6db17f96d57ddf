"""The linear-Gaussian oracle's own edges; its formulas are theorems T1, T13, T14."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.core import oracle

LINEAR = oracle.linear_gaussian


def test_the_decoder_and_encoder_are_affine(x64):
    weight, bias = jnp.asarray([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]), jnp.arange(3.0)
    model = LINEAR.LinearGaussian(weight, bias, jnp.log(0.2))
    mean, log_var = LINEAR.decoder(model)(jnp.asarray([1.0, -1.0]))
    np.testing.assert_allclose(mean, [-1, 2, 4.5])
    assert log_var.shape == ()
    encoder = LINEAR.LinearEncoder(weight.T, jnp.ones(2), jnp.zeros(2))
    mean, log_var = LINEAR.encoder(encoder)(jnp.asarray([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(mean, [5, 3.5])
    assert log_var.shape == (2,)


def test_the_expected_bound_is_the_mean_over_noise(x64):
    """Gauss-Hermite over both latents, exact for quadratics."""
    rng = np.random.default_rng(0)
    weight, bias, x = map(
        jnp.asarray, (rng.normal(size=(3, 2)), *rng.normal(size=(2, 3)))
    )
    model = LINEAR.LinearGaussian(weight, bias, jnp.asarray(-0.7))
    mean, log_var = map(jnp.asarray, rng.normal(size=(2, 2)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    total = 0.0
    for i, j in np.ndindex(3, 3):
        z = mean + jnp.exp(log_var / 2) * jnp.asarray([nodes[i], nodes[j]])
        centre = weight @ z + bias
        squared = np.sum((x - centre) ** 2) * np.exp(0.7)
        log_p = -0.5 * (squared + 3 * (np.log(2 * np.pi) - 0.7))
        total += weights[i] * weights[j] * log_p / weights.sum() ** 2
    bound = LINEAR.expected_bound(model, x, mean, log_var)
    np.testing.assert_allclose(bound.reconstruction, total, rtol=1e-12)


@pytest.mark.parametrize("latent", [0, 3])
def test_a_latent_must_be_smaller_than_the_data(latent):
    with pytest.raises(ValueError, match=f"1 <= latent < D = 3, got {latent}"):
        LINEAR.ppca(jnp.zeros(3), jnp.eye(3), latent)


def test_a_variance_is_positive():
    with pytest.raises(ValueError, match="var > 0, got -1.0"):
        LINEAR.ppca(jnp.zeros(3), jnp.eye(3), 1, var=-1.0)


def test_ppca_under_jit_and_in_float32():
    cov = jnp.diag(jnp.asarray([3.0, 2.0, 0.5, 0.3]))
    model = jax.jit(LINEAR.ppca, static_argnums=2)(jnp.zeros(4), cov, 2)
    assert model.weight.dtype == jnp.float32
    rebuilt = model.weight @ model.weight.T + jnp.exp(model.log_var) * jnp.eye(4)
    np.testing.assert_allclose(rebuilt, np.diag([3, 2, 0.4, 0.4]), atol=1e-5)
