"""The losses against closed forms of the linear-Gaussian VAE, NumPy and two devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from diffjax import vae
from diffjax.core import gaussian, oracle
from diffjax.core.chain import example_keys

LINEAR = oracle.linear_gaussian
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
ENC, DEC, X = RNG.normal(size=(4, 6)), RNG.normal(size=(6, 4)), RNG.normal(size=(8, 6))
LOG_VAR = np.array([-0.4, 0.2, -3.0, 0.0])


def encode(x):
    return jnp.asarray(ENC, x.dtype) @ x / 3, jnp.asarray(LOG_VAR, x.dtype)


def decode(z):
    return jnp.asarray(DEC, z.dtype) @ z / 3


def numpy_terms(x=X):
    """Distortions [B] at the library's own noise, sigma = 1, and divergences [B, 4]."""
    mean = x @ ENC.T / 3
    eps = [jax.random.normal(k, (4,), jnp.float64) for k in example_keys(KEY, len(x))]
    z = mean + np.exp(LOG_VAR / 2) * np.asarray(eps)
    distortion = -stats.norm.logpdf(x, z @ DEC.T / 3).sum(1)
    return distortion, 0.5 * (np.exp(LOG_VAR) + mean**2 - 1 - LOG_VAR)


GAUSSIAN = {"likelihood": vae.gaussian_moments}


def decode_moments(z):
    return decode(z), jnp.zeros(())


def on_x(loss, decode=decode_moments, **options):
    """A loss of the linear VAE on X, as one program."""
    return jax.jit(lambda: loss(encode, decode, KEY, jnp.asarray(X), **options))()


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_beta_weights_the_rate(x64, beta):
    distortion, kl = numpy_terms()
    loss = on_x(vae.elbo_loss, beta=beta, **GAUSSIAN)
    wanted = distortion.mean() + beta * kl.sum(1).mean()
    np.testing.assert_allclose(loss, wanted, rtol=1e-10)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_free_bits_are_the_maximum_outside_the_mean(x64, groups):
    """sum_g max(lam, E KL_g): some groups above lam, some examples of each below."""
    distortion, kl = numpy_terms()
    each = kl.reshape(8, groups, -1).sum(-1)
    lam = np.sort(each.mean(0))[groups // 2] * 0.99 if groups > 1 else each.mean() + 1
    loss = on_x(vae.free_bits_loss, lam=lam, groups=groups, **GAUSSIAN)
    wanted = distortion.mean() + np.maximum(each.mean(0), lam).sum()
    np.testing.assert_allclose(loss, wanted, rtol=1e-10)
    inside = distortion.mean() + np.maximum(each, lam).mean(0).sum()
    assert inside > wanted + 1e-3  # the order that the issue is about
    free = on_x(vae.free_bits_loss, lam=0.0, groups=groups, **GAUSSIAN)
    np.testing.assert_allclose(free, on_x(vae.elbo_loss, **GAUSSIAN), rtol=1e-12)


def test_a_free_group_has_no_gradient(x64):
    def rate(mean):
        kl = vae.losses.grouped_kl(mean, jnp.zeros(4), groups=2)
        return vae.free_bits(kl[None], lam=1.0)

    gradient = jax.jit(jax.grad(rate))(np.array([0.1, 0.2, 3.0, 0.0]))
    np.testing.assert_allclose(gradient, [0, 0, 3, 0])


def test_the_batch_of_free_bits_and_sigma_is_that_of_all_devices(x64):
    """Two devices with half the batch each: the loss and the gradient of one device."""

    def free_bits(scale, keys, x, axis_name=None):
        options = {"lam": 0.9, "groups": 4, "axis_name": axis_name, **GAUSSIAN}
        moments = lambda z: (scale * decode(z), jnp.zeros(()))  # noqa: E731
        enc = lambda x: (scale * encode(x)[0], encode(x)[1])  # noqa: E731
        return vae.free_bits_loss(enc, moments, keys, x, **options)

    def sigma(scale, keys, x, axis_name=None):
        f = lambda z: scale * decode(z)  # noqa: E731
        return vae.sigma_vae_loss(encode, f, keys, x, axis_name=axis_name)

    keys = jax.random.split(KEY, 8)
    for loss in (free_bits, sigma):
        value, gradient = jax.jit(jax.value_and_grad(loss))(1.0, keys, X)

        def shard(keys, x, loss=loss):
            f = jax.value_and_grad(partial(loss, axis_name="devices"))
            return jax.lax.pmean(f(1.0, keys, x), "devices")

        mapped = jax.pmap(shard, axis_name="devices")
        values, gradients = mapped(keys.reshape(2, 4), X.reshape(2, 4, 6))
        np.testing.assert_allclose(values, value, rtol=1e-12)
        np.testing.assert_allclose(gradients, gradient, rtol=1e-10)


def test_the_sigma_vae_is_the_best_gaussian_decoder(x64):
    """Its loss is the least of all sigmas, and has the gradient of that sigma held."""
    loss = on_x(vae.sigma_vae_loss, decode)

    @jax.jit
    @jax.value_and_grad
    def at(log_var):
        moments = lambda z: (decode(z), log_var)  # noqa: E731
        return vae.elbo_loss(encode, moments, KEY, jnp.asarray(X), **GAUSSIAN)

    @jax.jit
    @jax.vmap
    def means(key, x):
        return decode(vae.likelihood.draw(encode, key, x)[2])

    mean = np.asarray(means(example_keys(KEY, 8), X))
    best = vae.optimal_log_var(X, mean)
    np.testing.assert_allclose(best, np.log(np.mean((X - mean) ** 2)), rtol=1e-12)
    value, slope = at(best)
    np.testing.assert_allclose(value, loss, rtol=1e-12)
    np.testing.assert_allclose(slope, 0, atol=1e-10)
    assert at(best + 0.1)[0] > loss and at(best - 0.1)[0] > loss

    def held(scale):
        moments = lambda z: (scale * decode(z), best)  # noqa: E731
        return vae.elbo_loss(encode, moments, KEY, jnp.asarray(X), **GAUSSIAN)

    def free(scale):
        return vae.sigma_vae_loss(
            encode, lambda z: scale * decode(z), KEY, jnp.asarray(X)
        )

    held, free = (jax.jit(jax.grad(f))(1.0) for f in (held, free))
    np.testing.assert_allclose(free, held, rtol=1e-10)


def test_without_the_constant_sigma_would_not_be_learned(x64):
    """Errata E8: the bound has a best sigma, the squared error over 2 sigma^2 none."""
    loss = [vae.gaussian_with(s)(jnp.ones(5), jnp.zeros(5)) for s in (0.1, 1.0, 10.0)]
    assert loss[1] > loss[0] and loss[1] > loss[2]
    wanted = stats.norm.logpdf(np.ones(5), scale=10).sum()
    np.testing.assert_allclose(loss[2], wanted, rtol=1e-12)


def weights_of(x, num, keys):
    """log w [B, k] with NumPy, at the library's own noise."""
    rows = []
    for key, value in zip(keys, x, strict=True):
        noise = [
            jax.random.normal(jax.random.fold_in(key, j), (4,), jnp.float64)
            for j in range(num)
        ]
        z = ENC @ value / 3 + np.exp(LOG_VAR / 2) * np.asarray(noise)
        log_p = stats.norm.logpdf(value[None], z @ DEC.T / 3).sum(1)
        log_p += stats.norm.logpdf(z).sum(1)
        log_q = stats.norm.logpdf(z, ENC @ value / 3, np.exp(LOG_VAR / 2)).sum(1)
        rows.append(log_p - log_q)
    return np.array(rows)


def test_iwae_takes_the_logarithm_of_each_example_before_the_mean(x64):
    """logsumexp over k for each example, then the mean: pyro#3104 had it reversed."""
    log_w = weights_of(X, 5, example_keys(KEY, 8))
    right = -(special.logsumexp(log_w, axis=1) - np.log(5)).mean()
    reversed_order = -(special.logsumexp(log_w.mean(0)) - np.log(5))
    for loss in (vae.iwae_loss, vae.dreg_loss):
        value = on_x(loss, num=5, **GAUSSIAN)
        np.testing.assert_allclose(value, right, rtol=1e-10)
    assert abs(right - reversed_order) > 0.1
    nll = on_x(vae.nll, num=5, chunk=2, **GAUSSIAN)
    np.testing.assert_allclose(np.mean(nll), right, rtol=1e-10)


def parameters():
    return {
        "mean": jnp.asarray(ENC) / 3,
        "log_var": jnp.asarray(LOG_VAR),
        "dec": jnp.asarray(DEC) / 3,
    }


def gradients(loss, params, keys, x, num):
    """The gradient for each key apart, the batch one example."""

    def of(params, key):
        encode = lambda x: (params["mean"] @ x, params["log_var"])  # noqa: E731
        decode = lambda z: (params["dec"] @ z, jnp.zeros(()))  # noqa: E731
        return loss(encode, decode, key[None], x[None], num=num, **GAUSSIAN)

    return jax.jit(jax.vmap(jax.grad(of), in_axes=(None, 0)))(params, keys)


def test_iwae_has_the_gradient_of_its_normalised_weights(x64):
    """grad = -sum_j w~_j grad log w_j, every log w differentiated by itself."""
    params, x = parameters(), jnp.asarray(X[0])
    keys = jax.random.split(KEY, 1)
    got = jax.tree.map(lambda g: g[0], gradients(vae.iwae_loss, params, keys, x, 3))
    eps = [jax.random.normal(jax.random.fold_in(keys[0], j), (4,)) for j in range(3)]

    @jax.jit
    @jax.value_and_grad
    def log_w(params, eps):
        mean, log_var = params["mean"] @ x, params["log_var"]
        z = mean + jnp.exp(log_var / 2) * eps
        joint = gaussian.log_prob(x, params["dec"] @ z, jnp.zeros(()))
        joint += gaussian.log_prob(z, jnp.zeros(4), jnp.zeros(()))
        return joint - gaussian.log_prob(z, mean, log_var)

    values, each = zip(*(log_w(params, e) for e in eps), strict=True)
    shares = special.softmax(values)
    wanted = jax.tree.map(lambda *g: -np.tensordot(shares, np.stack(g), axes=1), *each)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_dreg_is_the_same_gradient_in_the_mean(x64):
    """Means agree within 4.5 standard errors in every entry; the decoder's exactly."""
    keys, x = jax.random.split(jax.random.key(3), 20_000), jnp.asarray(X[0])
    plain = gradients(vae.iwae_loss, parameters(), keys, x, 8)
    double = gradients(vae.dreg_loss, parameters(), keys, x, 8)
    np.testing.assert_allclose(double["dec"], plain["dec"], rtol=1e-8, atol=1e-10)
    for name in ("mean", "log_var"):
        gap = np.asarray(plain[name] - double[name]).reshape(len(keys), -1)
        error = gap.std(0) / len(keys) ** 0.5
        assert np.all(np.abs(gap.mean(0)) < 4.5 * error), name
        # Enough draws to tell w~^2 from w~, whose gradients differ by far more.
        size = np.abs(np.asarray(double[name]).reshape(len(keys), -1).mean(0))
        assert np.max(size / error) > 30


def test_resampling_picks_each_draw_as_often_as_its_weight_says(x64):
    """Systematically: so many picks that nothing is left to chance are the sum itself,
    the value is that of all draws, and the gradient of one pick is right on average."""
    keys, x = jax.random.split(KEY, 2000), jnp.asarray(X[0])
    plain = on_x(vae.iwae_loss, num=8, **GAUSSIAN)
    found = on_x(vae.resampled_iwae_loss, num=8, kept=1, **GAUSSIAN)
    np.testing.assert_allclose(found, plain, rtol=1e-12)
    few = partial(vae.resampled_iwae_loss, kept=1)
    many = partial(vae.resampled_iwae_loss, kept=10_000)
    exact = gradients(vae.iwae_loss, parameters(), keys, x, 8)
    close = gradients(many, parameters(), keys[:2], x, 8)
    picked = gradients(few, parameters(), keys, x, 8)
    for name in ("mean", "log_var", "dec"):
        np.testing.assert_allclose(close[name], exact[name][:2], rtol=1e-2, atol=1e-3)
        gap = np.asarray(picked[name] - exact[name]).reshape(len(keys), -1)
        error = gap.std(0) / len(keys) ** 0.5
        assert np.all(np.abs(gap.mean(0)) < 4.5 * error), name
        assert error.max() > 0
    with pytest.raises(ValueError, match="expected kept >= 1 draws, got 0"):
        on_x(vae.resampled_iwae_loss, num=8, kept=0, **GAUSSIAN)


def test_dreg_at_the_posterior_is_exactly_zero(x64):
    """Every log w is log p(x): nothing moves the encoder; plain IWAE is pure noise."""
    orthogonal = np.linalg.qr(DEC)[0]
    model = LINEAR.LinearGaussian(jnp.asarray(orthogonal), jnp.zeros(6), jnp.zeros(()))
    best = jax.jit(LINEAR.best_encoder)(model)
    params = {"mean": best.weight, "log_var": best.log_var, "dec": model.weight}
    keys, x = jax.random.split(KEY, 50), jnp.asarray(X[0])
    double = gradients(vae.dreg_loss, params, keys, x, 4)
    plain = gradients(vae.iwae_loss, params, keys, x, 4)
    for name in ("mean", "log_var"):
        np.testing.assert_allclose(double[name], 0, atol=1e-12)
    assert np.abs(plain["mean"]).max() > 0.1


def test_one_draw_of_the_importance_bound_is_an_elbo(x64):
    """k = 1: E log w = ELBO, here within 4 standard errors of the closed form."""
    model = LINEAR.LinearGaussian(jnp.asarray(DEC) / 3, jnp.zeros(6), jnp.zeros(()))
    nll = jax.jit(partial(vae.nll, encode, decode_moments, num=1, **GAUSSIAN))
    log_w = -np.asarray(nll(KEY, np.tile(X[0], (20_000, 1))))
    exact = jax.jit(lambda x: LINEAR.expected_bound(model, x, *encode(x)).elbo)(X[0])
    assert abs(log_w.mean() - exact) < 4 * log_w.std() / 20_000**0.5


def test_annealing():
    step = jnp.array([0, 5, 10, 12, 25])
    warm = vae.warm_up(step, num=10)
    np.testing.assert_allclose(warm, [0, 0.5, 1, 1, 1])
    cycles = vae.cyclical(step, period=10, share=0.5)
    np.testing.assert_allclose(cycles, [0, 1, 0, 0.4, 1])
