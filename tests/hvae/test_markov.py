"""The Markov HVAE: stacks of two kinds, importance weights, samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import hvae
from diffjax.core import likelihoods, oracle
from diffjax.core.bounds import importance_bound, mean_and_standard_error
from hvae import toys

SIZES = (4, 3, 2, 2)
KEY = jax.random.key(0)


def model():
    law = toys.chain(SIZES)
    return law, toys.encoder(SIZES)[0], toys.decoder(law)


def same(got, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), got, wanted)


def test_alike_layers_are_own_layers_in_one_scan():
    """The same functions, visited either way, and mixed."""
    L, rng = 6, np.random.default_rng(0)
    up, down = (jnp.asarray(rng.normal(size=(L + 1, 3, 3)) / 2) for _ in "ab")
    first = jnp.asarray(rng.normal(size=(3, 5)))

    def encode(i, z):
        return up[i] @ z, jnp.tanh(z)

    def decode(i, z):
        return down[i] @ z, jnp.sin(z)

    bottom_up = lambda x: (first @ x, jnp.zeros(()))  # noqa: E731
    bottom_down = lambda z: (first.T @ z, jnp.zeros(5))  # noqa: E731
    scanned = (
        hvae.alike(encode, L, first=bottom_up),
        hvae.alike(decode, L, first=bottom_down),
    )

    def unroll(stack):
        return hvae.own(*[lambda z, i=i: stack.at(i, z) for i in range(1, L + 1)])

    unrolled = tuple(map(unroll, scanned))
    x = jnp.asarray(rng.normal(size=(7, 5)))
    evaluate = jax.jit(
        lambda e, d: hvae.bound(e, d, KEY, x, likelihood=toys.likelihood),
        static_argnums=(0, 1),
    )
    expected = evaluate(*scanned)
    assert expected.divergences.shape == (7, L - 1)
    for pair in (unrolled, (unrolled[0], scanned[1])):
        got = evaluate(*pair)
        same(got, expected)


def test_alike_layers_are_traced_once_however_many():
    counts = []

    def layer(i, z):
        counts.append(i)
        return 0.9 * z, jnp.zeros(())

    def bound(L):
        stack = hvae.alike(layer, L)
        decode = hvae.alike(lambda i, z: (0.9 * z, jnp.zeros(())), L, first=lambda z: z)
        likelihood = lambda x, m: -jnp.sum((x - m) ** 2)  # noqa: E731
        return jax.eval_shape(
            lambda: hvae.bound(
                stack, decode, KEY, jnp.zeros((2, 3)), likelihood=likelihood
            )
        )

    bound(5)
    few = len(counts)
    assert bound(500).divergences.shape == (2, 499)
    assert len(counts) == 2 * few


def test_an_examples_terms_do_not_depend_on_its_batch():
    _, encode, decode = model()
    x = jax.random.normal(jax.random.key(1), (4, 4))
    bound = jax.jit(
        lambda rng, x: hvae.bound(encode, decode, rng, x, likelihood=toys.likelihood)
    )
    whole = bound(KEY, x)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(4))
    half = bound(keys[2:], x[2:])
    same(jax.tree.map(lambda a: a[2:], whole), half)


def test_layers_do_not_share_noise():
    """q(z_i | z_{i-1}) here ignores z_{i-1}, so that z_2 is independent of z_1."""
    noisy = hvae.alike(lambda i, z: (jnp.zeros(1), jnp.zeros(1)), 2)
    spy = hvae.own(lambda z: z, lambda z: (z, jnp.zeros(1)))  # p(z_1 | z_2) = N(z_2, 1)

    @jax.jit
    def evaluate(x):
        return hvae.bound(noisy, spy, KEY, x, likelihood=lambda x, z: z[0])

    bound = evaluate(jnp.zeros((4000, 1)))
    # log q(z_1) - log p(z_1 | z_2) = ((z_1 - z_2)^2 - z_1^2) / 2, mean 1/2
    mean, error = mean_and_standard_error(bound.divergences[:, 0])
    assert abs(mean - 0.5) < 4 * error < 0.1


def test_importance_weights_tighten_to_the_evidence(x64):
    """The posterior shifted and widened, so that the weights have small tails."""
    law, x = toys.chain((3, 1, 1)), np.array([0.7, -1.2, 0.4])

    def near(i):
        gain, offset, cov = oracle.chain_conditional(law, (i - 1,), (i,))
        return lambda z: (gain @ z + offset + 0.1, jnp.log(jnp.diag(cov)) + 0.5)

    @jax.jit
    def log_weights(rng, xs):
        args = hvae.own(near(1), near(2)), toys.decoder(law), rng, xs
        return hvae.log_weights(*args, num=2000, likelihood=toys.likelihood)

    log_w = np.asarray(log_weights(KEY, np.tile(x, (20, 1))))
    assert log_w.shape == (2000, 20)
    log_p = np.asarray(jax.jit(oracle.chain_log_prob)(law, x))
    mean_bound = jax.jit(lambda log_w: importance_bound(log_w).mean())
    bounds = [mean_bound(log_w.reshape(k, -1)) for k in (1, 5, 50)]
    assert bounds[0] < bounds[1] < bounds[2] < log_p + 0.01
    # E w = p(x): the mean weight of all draws, in its own standard error.
    mean, error = mean_and_standard_error(np.exp(log_w - log_p).ravel())
    assert abs(mean - 1) < 4 * error < 0.05


def test_mean_log_weight_is_the_elbo(x64):
    """The sampled top log ratio and its closed form have one expectation."""
    _, encode, decode = model()
    x = jnp.asarray([0.7, -1.2, 0.4, 1.9])
    sizes = SIZES[1:]

    def both(eps):
        args = encode, decode, toys.cut(eps, sizes), x
        weight = hvae.markov.log_weight(*args, likelihood=toys.likelihood)
        return weight, hvae.markov.terms(*args, likelihood=toys.likelihood).elbo

    weight, elbo = toys.expected(both, sum(sizes))
    np.testing.assert_allclose(weight, elbo, rtol=1e-11)


def test_samples_have_the_law_of_the_chain():
    law, _, decode = model()

    def draw(rng, moments):
        return moments[0] + jnp.exp(0.5 * moments[1]) * jax.random.normal(rng, (4,))

    x = jax.jit(lambda: hvae.sample(decode, KEY, (40_000, 2), draw=draw))()
    mean, cov = jax.jit(oracle.chain_law)(law)
    deviation = np.sqrt(np.diag(cov)[:4])
    np.testing.assert_allclose(x.mean(0), mean[:4], atol=4 * deviation.max() / 200)
    np.testing.assert_allclose(
        np.cov(x.T), cov[:4, :4], atol=0.04 * deviation.max() ** 2
    )


def test_temperature_is_a_function_of_the_layer():
    """0 everywhere takes the means; 0 but at z_1 leaves only z_1's noise."""
    law, _, decode = model()

    def sample(num, temperature):
        draw = lambda: hvae.sample(decode, KEY, (num, 2), temperature=temperature)  # noqa: E731
        return jax.jit(draw)()[0]

    cold = sample(3, lambda i: 0.0)
    mean = np.zeros(2)
    for w, b, _ in reversed(list(zip(*law, strict=True))):
        mean = w @ mean + b
    np.testing.assert_allclose(cold, np.tile(mean, (3, 1)), rtol=1e-5)

    def only_first(i):
        return 2.0 if i == 1 else 0.0

    x = sample(20_000, only_first)
    w = np.asarray(law.weights[0])
    cov = w @ np.diag(4 * np.exp(law.log_vars[1])) @ w.T
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.05 * cov.max())


@jax.jit
@jax.value_and_grad
def elbo_at(log_var):
    encode = hvae.own(*[lambda z: (z, jnp.full(3, log_var))] * 2)
    decode = hvae.own(lambda z: 1e4 * jnp.sign(z), lambda z: (z, jnp.full(3, log_var)))
    x = jnp.ones((2, 3))
    terms = hvae.bound(encode, decode, KEY, x, likelihood=likelihoods.bernoulli)
    return jnp.sum(terms.elbo)


@pytest.mark.parametrize("log_var", [-40.0, -20.0, 20.0, 40.0])
def test_extreme_variances_are_finite_in_float32(log_var):
    """Value and gradient, the decoder's logits at 1e4 besides."""
    value, slope = elbo_at(log_var)
    assert np.isfinite(value) and np.isfinite(slope)
