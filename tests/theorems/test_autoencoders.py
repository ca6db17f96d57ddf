"""T4a (trained), T12, T15, T16: the statements of the autoencoder lecture."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffjax import ae, ddpm
from diffjax.core import bounds, oracle, schedules

KEY = jax.random.key(0)


def linear(weight):
    return lambda x: weight @ x


def pca_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6)) @ np.diag([2.0, 1.5, 1.0, 0.5, 0.3, 0.2])
    x = x @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    x -= x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    return jnp.asarray(x), values[:4].sum(), jnp.asarray(vectors[:, 4:])


def linear_loss(params, x):
    enc, dec = params
    return ae.reconstruction_loss(linear(enc), linear(dec), KEY, x)


def test_t12_the_linear_autoencoder_is_pca():
    """The least loss is the sum of the discarded eigenvalues, at the eigenvectors."""
    x, discarded, basis = pca_data()
    best = basis.T, basis
    np.testing.assert_allclose(linear_loss(best, x), discarded, rtol=1e-10)
    for leaf in jax.grad(linear_loss)(best, x):
        np.testing.assert_allclose(leaf, 0, atol=1e-10)
    rng = np.random.default_rng(1)
    for _ in range(5):
        other = [w + 0.1 * rng.normal(size=w.shape) for w in best]
        assert linear_loss(other, x) > discarded + 1e-3


def test_t12_a_trained_linear_autoencoder_finds_the_principal_subspace():
    """Within 1e-4 of the least loss; decode(encode(x)) projects as PCA does."""
    x, discarded, basis = pca_data()
    enc, dec = 0.3 * jax.random.normal(jax.random.key(1), (2, 2, 6))
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-2, 1500))

    @jax.jit
    def train(params):
        def step(carry, _):
            params, state = carry
            gradient = jax.grad(linear_loss)(params, x)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), None

        start = params, optimizer.init(params)
        return jax.lax.scan(step, start, None, length=1500)[0][0]

    params = train((enc, dec.T))
    np.testing.assert_allclose(linear_loss(params, x), discarded, rtol=1e-4)
    np.testing.assert_allclose(params[1] @ params[0], basis @ basis.T, atol=1e-2)


def sigmoid_layer():
    rng = np.random.default_rng(2)
    weight, bias = jnp.asarray(rng.normal(size=(4, 9))), jnp.asarray(rng.normal(size=4))
    return weight, lambda x: jax.nn.sigmoid(weight @ x + bias)


@pytest.mark.parametrize("transposed", [False, True])
def test_t15_the_contractive_penalty_of_a_sigmoid_layer(transposed):
    """sum_j (h_j (1 - h_j))^2 sum_i W_ji^2, by rows, and by columns when D < d."""
    weight, encode = sigmoid_layer()
    x = jnp.asarray(np.random.default_rng(3).normal(size=9))
    if transposed:
        weight = weight.T
        encode, x = (lambda x: jax.nn.sigmoid(weight @ x)), x[:4]
    h = np.asarray(encode(x))
    closed = ((h * (1 - h)) ** 2 * np.square(weight).sum(1)).sum()
    np.testing.assert_allclose(ae.jacobian_norm(encode, x), closed, rtol=1e-12)
    by_jacobian = np.square(jax.jacrev(encode)(x)).sum()
    np.testing.assert_allclose(ae.jacobian_norm(encode, x), by_jacobian, rtol=1e-12)


def test_t15_hutchinson_estimates_it():
    """20000 random directions within four standard errors."""
    _, encode = sigmoid_layer()
    x = jnp.asarray(np.random.default_rng(3).normal(size=9))
    probes = jax.random.rademacher(jax.random.key(4), (20_000, 1, 9), jnp.float64)
    each = jax.vmap(lambda u: ae.hutchinson_norm(u, encode, x))(probes)
    mean, error = bounds.mean_and_standard_error(each)
    exact = ae.jacobian_norm(encode, x)
    assert abs(mean - exact) < 4 * error < 0.05 * exact
    together = ae.hutchinson_norm(probes[:, 0], encode, x)
    np.testing.assert_allclose(together, mean, rtol=1e-10)


def test_t16_the_linear_denoising_autoencoder_is_contractive():
    """E ||R(x + eps) - x||^2 = ||R x - x||^2 + sigma^2 ||R||_F^2."""
    rng, sigma = np.random.default_rng(5), 0.4
    enc, dec = (
        jnp.asarray(rng.normal(size=(2, 5))),
        jnp.asarray(rng.normal(size=(5, 2))),
    )
    x = jnp.asarray(rng.normal(size=(3, 5)))
    model = linear(enc), linear(dec)

    def loss(rng):
        corrupt = ae.gaussian_noise(sigma)
        return ae.denoising_loss(*model, rng, x, corrupt=corrupt)

    draws = jax.vmap(loss)(jax.random.split(jax.random.key(6), 20_000))
    mean, error = bounds.mean_and_standard_error(draws)
    # The penalty of a linear map does not depend on x: here of decode(encode(.)).
    whole, same = linear(dec @ enc), linear(jnp.eye(5))
    wanted = ae.contractive_loss(whole, same, KEY, x, lam=sigma**2)
    by_hand = np.mean(np.sum((x @ (dec @ enc).T - x) ** 2, axis=1))
    by_hand += sigma**2 * np.square(dec @ enc).sum()
    np.testing.assert_allclose(wanted, by_hand, rtol=1e-12)
    assert abs(mean - wanted) < 4 * error


POINTS = np.array([[0.3, -1.2], [1.1, 0.4], [-0.8, 0.9], [0.2, 2.0], [-1.5, -0.6]])


@pytest.mark.slow
def test_t4a_a_trained_denoising_autoencoder_is_the_closed_form():
    """Five points on a line: within 1e-2 of sum_i P(x_i | x) x_i all along it."""
    sigma, widths = np.float32(0.4), (1, 32, 32, 1)
    points = jnp.asarray([[-1.5], [-0.8], [0.1], [0.5], [1.4]], jnp.float32)
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, 3000))
    corrupt, batch = ae.gaussian_noise(sigma), jnp.tile(points, (400, 1))

    def init(rng):
        pairs = zip(jax.random.split(rng, 3), widths[:-1], widths[1:], strict=True)
        weights = [jax.random.normal(k, (b, a)) * (2 / a**0.5) for k, a, b in pairs]
        return [(w, jax.random.normal(rng, (len(w),))) for w in weights]

    def model(params):
        def encode(x):
            for weight, bias in params[:-1]:
                x = jnp.tanh(weight @ x + bias)
            return x

        return encode, lambda code: params[-1][0] @ code + params[-1][1]

    @jax.jit
    def train(params):
        def loss(params, rng):
            return ae.denoising_loss(*model(params), rng, batch, corrupt=corrupt)

        def step(carry, rng):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, rng), state)
            return (optax.apply_updates(params, updates), state), None

        start = params, optimizer.init(params)
        keys = jax.random.split(jax.random.key(1), 3000)
        return jax.lax.scan(step, start, keys)[0][0]

    with jax.enable_x64(False):
        encode, decode = model(train(init(jax.random.key(2))))
        grid = jnp.linspace(-1.8, 1.8, 61)[:, None]
        trained = jax.vmap(lambda x: decode(encode(x)))(grid)
        exact = jax.vmap(oracle.finite_dae(points, sigma))(grid)
    assert np.abs(trained - exact).max() < 1e-2


def test_the_denoising_autoencoder_is_a_ddpm_denoiser():
    """x = x_t / sqrt(ab) has noise of sigma^2 = (1 - ab) / ab: one network, two names.

    DAE(x) = x_0_hat(x_t),    x - DAE(x) = sigma eps_hat,    and the scores agree.
    """
    schedule, points = schedules.linear(50), jnp.asarray(POINTS)
    denoise = oracle.finite_denoiser(points, schedule)
    for t in (1, 20, 50):
        ab, var = schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t]
        sigma = jnp.sqrt(var / ab)
        dae = oracle.finite_dae(points, sigma)
        for x_t in jnp.asarray(np.random.default_rng(t).normal(size=(4, 2))):
            x = x_t / jnp.sqrt(ab)
            x_0_hat = denoise(x_t, t)
            eps_hat = ddpm.predict.eps_from_x_0(schedule, x_t, x_0_hat, jnp.asarray(t))
            noise = ae.predicted_noise(dae, x)
            np.testing.assert_allclose(noise, sigma * eps_hat, rtol=0, atol=1e-10)
            slope = jax.grad(oracle.smoothed_log_prob, argnums=2)(points, sigma, x)
            got = ae.score(dae, x, sigma=sigma)
            np.testing.assert_allclose(got, slope, rtol=1e-8, atol=1e-8)


def test_the_small_step_is_that_of_attract():
    """x' = x - eta (x - DAE(x)): T4e proves where its repetition leads."""
    dae = oracle.finite_dae(jnp.asarray(POINTS), jnp.asarray(0.4))
    x = start = jnp.asarray([0.7, -0.2])
    for _ in range(3):
        x = ae.denoising_step(dae, x, eta=0.3)
    path = oracle.attract(dae, start, eta=0.3, num=3)
    np.testing.assert_allclose(x, path[-1], rtol=0, atol=1e-14)
