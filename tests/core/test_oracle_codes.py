"""The oracle of enumerable codes against loops."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.core import oracle

K, N = 3, 2
TABLE = np.random.default_rng(0).normal(size=(N, K))
X = 0.7


def log_likelihood(x, codes):
    mean = jnp.sum(jnp.asarray(TABLE)[jnp.arange(N), codes.reshape(N)])
    return -0.5 * (x - mean) ** 2 - 0.5 * jnp.log(2 * jnp.pi)


def log_prior(codes):
    return jnp.log(jnp.asarray([0.2, 0.5, 0.3]))[codes].sum()


def brute(prior):
    """Every p(codes) p(x | codes), in the order of `itertools.product`."""
    joint = []
    for codes in itertools.product(range(K), repeat=N):
        mean = sum(TABLE[i, c] for i, c in enumerate(codes))
        p = np.prod(np.asarray(prior)[list(codes)])
        joint.append(p * np.exp(-0.5 * (X - mean) ** 2) / np.sqrt(2 * np.pi))
    return np.array(joint)


@pytest.mark.parametrize("law", ["uniform", "given"])
def test_evidence_posterior_and_encoder(law, x64):
    given = {} if law == "uniform" else {"log_prior": log_prior}
    model = oracle.code_model(log_likelihood, K, (N,), **given)
    joint = brute(np.full(K, 1 / K) if law == "uniform" else [0.2, 0.5, 0.3])
    x = jnp.asarray(X)
    evidence = oracle.code_log_prob(model, x)
    np.testing.assert_allclose(evidence, np.log(joint.sum()), rtol=1e-12)
    posterior = oracle.code_posterior(model, x)
    np.testing.assert_allclose(np.exp(posterior), joint / joint.sum(), rtol=1e-12)
    best = oracle.code_encoder(model)(x)
    np.testing.assert_array_equal(best, np.unravel_index(joint.argmax(), (K,) * N))


def test_codes_of_an_image_keep_their_shape(x64):
    flat = oracle.code_model(log_likelihood, K, (N,))
    image = oracle.code_model(log_likelihood, K, (1, N, 1))
    assert image.codes.shape == (K**N, 1, N, 1)
    np.testing.assert_array_equal(image.codes.reshape(-1, N), flat.codes)
    np.testing.assert_allclose(
        oracle.code_log_prob(image, jnp.asarray(X)),
        oracle.code_log_prob(flat, jnp.asarray(X)),
    )


@pytest.mark.parametrize("K, shape", [(1, (2,)), (2, (21,))])
def test_too_few_codes_and_too_many_states(K, shape):
    with pytest.raises(ValueError, match="expected K >= 2 and at most 2"):
        oracle.code_model(log_likelihood, K, shape)
