"""T6 and its kin: what the notes say of hierarchical VAEs, exactly.

A bound's terms are quadratic in the noise when all is linear and Gaussian, so that
their expectations are a value and a trace of second derivatives: no draws.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hvae import toys

from diffjax import ddpm, hvae, vae
from diffjax.core import gaussian, likelihoods, oracle, schedules
from diffjax.core.bounds import mean_and_standard_error
from diffjax.ddpm import variance

SIZES = (4, 3, 2, 2)
X = np.array([0.7, -1.2, 0.4, 1.9])
NUM = sum(SIZES[1:])
EVIDENCE = jax.jit(oracle.chain_log_prob)
GAP = jax.jit(oracle.chain_gap)
CONDITIONAL = jax.jit(oracle.chain_conditional, static_argnums=(1, 2))


def expected_terms(room, encode, decode, x, sizes, likelihood=toys.likelihood):
    def terms(eps):
        return room.terms(
            encode, decode, toys.cut(eps, sizes), x, likelihood=likelihood
        )

    return toys.expected(terms, sum(sizes))


# T6a ----------------------------------------------------------------------------------


def small_vae():
    rng = np.random.default_rng(0)
    up, down = (jnp.asarray(rng.normal(size=shape)) for shape in ((6, 5), (5, 3)))

    def encode(x):
        mean, log_var = jnp.split(jnp.tanh(up @ x), 2)
        return mean, log_var

    x = (rng.uniform(size=(8, 5)) < 0.5).astype(float)
    return encode, lambda z: jnp.sin(down @ z), jnp.asarray(x)


@pytest.mark.parametrize("keys", ["one", "each"])
def test_t6a_an_hvae_with_one_layer_is_the_vae(keys):
    """Same key, same functions: the same terms, bit for bit."""
    encode, decode, x = small_vae()
    rng = jax.random.key(5) if keys == "one" else jax.random.split(jax.random.key(5), 8)
    theirs = vae.bound(encode, decode, rng, x)
    layers = hvae.own(encode), hvae.own(decode)
    ours = hvae.bound(*layers, rng, x, likelihood=likelihoods.bernoulli)
    assert ours.divergences.shape == theirs.divergences.shape == (8, 0)
    jax.tree.map(np.testing.assert_array_equal, tuple(ours), tuple(theirs))


def test_t6a_by_the_formula():
    """Bernoulli(z), KL to the prior, the draw from the key of each example."""
    encode, decode, x = small_vae()
    layers = hvae.own(encode), hvae.own(decode)
    ours = hvae.bound(*layers, jax.random.key(5), x, likelihood=likelihoods.bernoulli)
    for i in range(8):
        mean, log_var = map(np.asarray, encode(x[i]))
        key = jax.random.fold_in(jax.random.key(5), i)
        z = mean + np.exp(log_var / 2) * jax.random.normal(key, (3,))
        p = 1 / (1 + np.exp(-np.asarray(decode(z))))
        log_p = np.sum(np.where(x[i] == 1, np.log(p), np.log1p(-p)))
        np.testing.assert_allclose(ours.reconstruction[i], log_p, rtol=1e-12)
        kl = 0.5 * np.sum(np.exp(log_var) + mean**2 - 1 - log_var)
        np.testing.assert_allclose(ours.prior[i], kl, rtol=1e-12)


def test_t6a_a_ladder_of_one_rung_is_the_vae_and_so_are_samples():
    encode, decode, x = small_vae()
    merge, prior = hvae.own(lambda h, z: z), hvae.own(lambda h: (jnp.zeros(3),) * 2)
    ladder = hvae.Ladder((), prior, merge, decode)
    of_h = hvae.own(lambda h, x: encode(x))
    theirs = vae.bound(encode, decode, jax.random.key(5), x)
    ours = hvae.ladder.bound(
        of_h, ladder, jax.random.key(5), x, likelihood=likelihoods.bernoulli
    )
    close = partial(np.testing.assert_allclose, rtol=1e-12)
    jax.tree.map(close, tuple(ours), tuple(theirs))
    draws = vae.sample(decode, jax.random.key(6), (8, 3), draw=lambda rng, d: d)
    close(hvae.sample(hvae.own(decode), jax.random.key(6), (8, 3)), draws)
    close(hvae.ladder.sample(ladder, jax.random.key(6), 8), draws)


# The bottom-up bound ------------------------------------------------------------------


def joint_of_encoder(maps, x):
    """Mean and covariance of all the latents under q(z | x), by NumPy."""
    mean, cov, z = [], np.zeros((0, 0)), np.asarray(x)
    for a, b, log_var in maps:
        z = a @ z + b
        near = cov[:, -a.shape[1] :] if mean else np.zeros((0, a.shape[1]))
        corner = np.diag(np.exp(log_var))
        if mean:
            corner = corner + a @ near[-a.shape[1] :] @ a.T
        cov = np.block([[cov, near @ a.T], [a @ near.T, corner]])
        mean.append(z)
    return np.concatenate(mean), cov


def test_hvae_elbo_is_the_evidence_minus_the_kl_of_all_latents():
    """log p(x) - ELBO = KL(q(z_1..3 | x) || p(z_1..3 | x)) > 0."""
    law, (encode, maps) = toys.chain(SIZES), toys.encoder(SIZES)
    bound = expected_terms(hvae.markov, encode, toys.decoder(law), X, SIZES[1:])
    gap = GAP(law, jnp.asarray(X), *map(jnp.asarray, joint_of_encoder(maps, X)))
    log_p = EVIDENCE(law, jnp.asarray(X))
    assert bound.divergences.shape == (2,) and gap > 0.1
    np.testing.assert_allclose(bound.elbo, log_p - gap, rtol=1e-10)


def test_hvae_gap_is_the_sum_of_a_kl_for_each_layer():
    """gap = KL(q(z_1 | x) || p) + sum_i E_q KL(q(z_i | z_{i-1}) || p)."""
    law, (encode, maps) = toys.chain(SIZES), toys.encoder(SIZES)

    def layer_kls(eps):
        noise, below, kls = toys.cut(eps, SIZES[1:]), jnp.asarray(X), []
        for i in range(1, len(SIZES)):
            gain, offset, cov = CONDITIONAL(law, (i - 1,), (i,))
            mean, log_var = encode.at(i, below)
            q_cov = jnp.diag(jnp.exp(jnp.asarray(log_var)))
            kls.append(gaussian.kl_full(mean, q_cov, gain @ below + offset, cov))
            below = gaussian.reparameterize(mean, log_var, noise(i, mean))
        return jnp.stack(kls)

    kls = toys.expected(layer_kls, NUM)
    gap = GAP(law, jnp.asarray(X), *map(jnp.asarray, joint_of_encoder(maps, X)))
    assert np.all(kls > 0)
    np.testing.assert_allclose(jnp.sum(kls), gap, rtol=1e-10)


def test_e3_each_terms_expectation_is_that_of_its_own_latent():
    """The product over p(z_{i-1} | z_i) starts at i = 2: p(x | z_1) is counted once."""
    law, (encode, maps) = toys.chain(SIZES), toys.encoder(SIZES)
    bound = expected_terms(hvae.markov, encode, toys.decoder(law), X, SIZES[1:])
    mean, cov = joint_of_encoder(maps, X)
    ends = np.cumsum([0, *SIZES[1:]])
    place = [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]

    def cross_entropy(i):
        """-E_q log p(z_i | z_{i+1}); z_0 = x is known."""
        w, b, v = (np.asarray(part[i]) for part in law)
        above, spread = mean[place[i]], w @ cov[place[i], place[i]] @ w.T
        if i == 0:
            shift = X - w @ above - b
        else:
            here = place[i - 1]
            shift = mean[here] - w @ above - b
            mixed = w @ cov[place[i], here]
            spread = spread + cov[here, here] - mixed - mixed.T
        second = np.diag(spread) + shift**2
        return 0.5 * np.sum(np.log(2 * np.pi) + v + second * np.exp(-v))

    def entropy(i):
        return 0.5 * np.sum(np.log(2 * np.pi) + 1 + maps[i][2])

    m, c = mean[place[2]], np.diag(cov[place[2], place[2]])
    top = 0.5 * np.sum(np.log(2 * np.pi) + c + m**2) - entropy(2)
    np.testing.assert_allclose(bound.reconstruction, -cross_entropy(0), rtol=1e-10)
    inner = [cross_entropy(i) - entropy(i - 1) for i in (1, 2)]
    np.testing.assert_allclose(bound.divergences, inner, rtol=1e-10)
    np.testing.assert_allclose(bound.prior, top, rtol=1e-10)


# Tight bounds: chains whose posteriors are diagonal -----------------------------------

THIN = (3, 1, 1, 1)


def conditional(law, given, wanted):
    gain, offset, cov = CONDITIONAL(law, given, wanted)
    return lambda *z: (gain @ jnp.concatenate(z) + offset, jnp.log(jnp.diag(cov)))


def test_the_bottom_up_bound_with_the_posterior_is_tight():
    law, x = toys.chain(THIN), jnp.asarray(X[:3])
    encode = hvae.own(*[conditional(law, (i - 1,), (i,)) for i in (1, 2, 3)])
    log_p = EVIDENCE(law, x)
    bound = expected_terms(hvae.markov, encode, toys.decoder(law), x, THIN[1:])
    np.testing.assert_allclose(bound.elbo, log_p, rtol=1e-10)
    args = encode, toys.decoder(law), jax.random.key(0), x[None]
    weights = hvae.log_weights(*args, num=20, likelihood=toys.likelihood)
    np.testing.assert_allclose(weights, log_p, rtol=1e-10)  # every draw says the same


def ladder_of(law, L):
    """The chain as a ladder, the state h_i = z_{i+1}."""

    def above(i):
        w, b, v = (part[i] for part in law)
        return lambda h: (w @ h + b, v)

    prior = [*(above(i) for i in range(1, L)), lambda h: (jnp.zeros(1), jnp.zeros(1))]
    w, b, v = (part[0] for part in law)
    return hvae.Ladder(
        jnp.zeros(1),
        hvae.own(*prior),
        hvae.alike(lambda i, h, z: z, L),
        lambda h: (w @ h + b, v),
    )


def absolute(q, p):
    return q


def residual(q, p):
    return q[0] - p[0], q[1] - p[1]


def precision(q, p):
    """What the data must say on its own for the product with the prior to be q."""
    weight = jnp.exp(-q[1]) - jnp.exp(-p[1])
    mean = (q[0] * jnp.exp(-q[1]) - p[0] * jnp.exp(-p[1])) / weight
    return mean, -jnp.log(weight)


READINGS = [
    (hvae.ABSOLUTE, absolute),
    (hvae.RESIDUAL, residual),
    (hvae.PRECISION, precision),
]


@pytest.mark.parametrize(
    "posterior, says", READINGS, ids=["absolute", "residual", "precision"]
)
def test_the_top_down_bound_with_the_posterior_is_tight(posterior, says):
    """q(z_i | z_{>i}, x) = p(z_i | z_{i+1}, x), however the encoder words it."""
    law, x = toys.chain(THIN), jnp.asarray(X[:3])
    decode = ladder_of(law, 3)

    def layer(i):
        inner = conditional(law, (0, i + 1) if i < 3 else (0,), (i,))

        def encode(h, x):
            return says(inner(x, h) if i < 3 else inner(x), decode.prior.at(i, h))

        return encode

    encode = hvae.own(*[layer(i) for i in (1, 2, 3)])
    room = partial(hvae.ladder.terms, posterior=posterior)

    def terms(eps):
        return room(
            encode, decode, toys.cut(eps, (1, 1, 1)), x, likelihood=toys.likelihood
        )

    bound = toys.expected(terms, 3)
    log_p = EVIDENCE(law, x)
    np.testing.assert_allclose(bound.elbo, log_p, rtol=1e-10)
    assert np.all(bound.divergences > 1e-4) and bound.prior > 1e-4
    weights = hvae.ladder.log_weights(
        encode,
        decode,
        jax.random.key(0),
        x[None],
        num=20,
        likelihood=toys.likelihood,
        posterior=posterior,
    )
    np.testing.assert_allclose(weights, log_p, rtol=1e-10)


def test_a_wrong_top_down_posterior_loses_its_kl():
    """Widened and shifted, as a joint Gaussian: the gap is the oracle's."""
    law, x = toys.chain(THIN), jnp.asarray(X[:3])
    gains = [conditional(law, (0, 2), (1,)), conditional(law, (0, 3), (2,))]
    top = conditional(law, (0,), (3,))

    def wrong(moments):
        return moments[0] + 0.2, moments[1] + 0.4

    encode = hvae.own(
        *[lambda h, x, f=f: wrong(f(x, h)) for f in gains], lambda h, x: wrong(top(x))
    )
    bound = expected_terms(hvae.ladder, encode, ladder_of(law, 3), x, THIN[1:])

    # z = M eps + m, by differentiating the draw itself.
    def draw(eps):
        z_3 = gaussian.reparameterize(*wrong(top(x)), eps[2:])
        z_2 = gaussian.reparameterize(*wrong(gains[1](x, z_3)), eps[1:2])
        z_1 = gaussian.reparameterize(*wrong(gains[0](x, z_2)), eps[:1])
        return jnp.concatenate([z_1, z_2, z_3])

    mean, root = draw(jnp.zeros(3)), jax.jacobian(draw)(jnp.zeros(3))
    gap = GAP(law, x, mean, root @ root.T)
    log_p = EVIDENCE(law, x)
    np.testing.assert_allclose(bound.elbo, log_p - gap, rtol=1e-10)


# T6b: the DDPM is an HVAE -------------------------------------------------------------

T, D, DECODER_LOG_VAR = 5, 2, -1.0
BETA = np.array([0.1, 0.2, 0.3, 0.45, 0.6])
AB = np.concatenate([[1.0], np.cumprod(1 - BETA)])
SLOPE, SHIFT = np.linspace(0.9, 0.3, T), np.linspace(0.0, 0.4, T)
X_0 = np.array([0.8, -0.5])


def denoise(z, t):
    """A linear guess of x_0, right for no data in particular."""
    return jnp.asarray(SLOPE)[t - 1] * z + jnp.asarray(SHIFT)[t - 1]


def ddpm_parts():
    schedule = schedules.from_betas(BETA)
    encode = hvae.fixed_gaussian_encoder(schedule)
    decode = hvae.denoising_decoder(denoise, schedule)
    return schedule, encode, decode


def log_p_x(x, x_hat):
    return gaussian.log_prob(x, x_hat, jnp.asarray(DECODER_LOG_VAR))


def exact_ddpm_terms():
    """L_0, [L_1 .. L_{T-1}] and L_T in NumPy, by Bayes' rule for the posterior."""
    v = np.exp(DECODER_LOG_VAR)
    mean, var = np.sqrt(AB)[:, None] * X_0, 1 - AB
    bias = SLOPE[0] * mean[1] + SHIFT[0] - X_0
    squared = np.sum(bias**2) + D * SLOPE[0] ** 2 * var[1]
    first = -0.5 * (D * np.log(2 * np.pi * v) + squared / v)
    inner = []
    for t in range(2, T + 1):
        precision = (1 - BETA[t - 1]) / BETA[t - 1] + 1 / (1 - AB[t - 1])
        gain = np.sqrt(AB[t - 1]) / (1 - AB[t - 1]) / precision
        bias = SLOPE[t - 1] * mean[t] + SHIFT[t - 1] - X_0
        squared = np.sum(bias**2) + D * SLOPE[t - 1] ** 2 * var[t]
        inner.append(0.5 * gain**2 * squared * precision)
    last = 0.5 * np.sum(mean[T] ** 2 + var[T] - 1 - np.log(var[T]))
    return first, np.array(inner), last


def test_t6b_the_generic_elbo_of_a_fixed_gaussian_chain_is_that_of_ddpm():
    """joint-Gaussian ELBO = L_0 - L_T - sum L_{t-1}: climbing, and refactored."""
    schedule, encode, decode = ddpm_parts()
    first, inner, last = exact_ddpm_terms()

    # One scan over all layers: the noise is looked up by a traced number.
    def terms(room, encode):
        def f(eps):
            noise = lambda i, mean: eps.reshape(T, D)[i - 1]  # noqa: E731
            return room.terms(
                encode, decode, noise, jnp.asarray(X_0), likelihood=log_p_x
            )

        return toys.expected(f, T * D)

    climbing = terms(hvae.markov, encode)
    np.testing.assert_allclose(climbing.elbo, first - inner.sum() - last, rtol=1e-10)
    known = terms(hvae.diffusion, hvae.fixed_gaussian_posterior(schedule))
    np.testing.assert_allclose(known.reconstruction, first, rtol=1e-10)
    np.testing.assert_allclose(known.divergences, inner, rtol=1e-10)
    np.testing.assert_allclose(known.prior, last, rtol=1e-10)


def test_t6b_draws_of_the_generic_code_are_within_4_standard_errors():
    schedule, encode, decode = ddpm_parts()
    first, inner, last = exact_ddpm_terms()
    x = jnp.tile(jnp.asarray(X_0), (20_000, 1))
    climbing = jax.jit(
        lambda rng: hvae.bound(encode, decode, rng, x, likelihood=log_p_x).elbo
    )(jax.random.key(0))
    mean, error = mean_and_standard_error(climbing)
    assert abs(mean - (first - inner.sum() - last)) < 4 * error < 0.1


def test_t6b_an_hvae_with_a_fixed_gaussian_encoder_is_the_ddpm():
    """The same terms as `ddpm.bound`, draw for draw, to machine precision.

    With a reverse variance other than the posterior's too: then KL(q || p) is not
    KL(p || q).
    """
    schedule, _, small = ddpm_parts()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, D)))

    def decoder(schedule, x_0, x_t, x_0_hat, t):
        return log_p_x(x_0, x_0_hat)

    def wider(i, z):
        return small.at(i, z)[0], jnp.log(schedule.beta[i])

    large = hvae.alike(wider, T, first=partial(small.at, 1))
    encode = hvae.fixed_gaussian_posterior(schedule)
    for decode, var in ((small, variance.small), (large, variance.large)):
        ours = hvae.diffusion.bound(
            encode, decode, jax.random.key(3), x, likelihood=log_p_x
        )
        theirs = ddpm.bound(
            denoise, schedule, jax.random.key(3), x, decoder=decoder, variance=var
        )
        assert ours.divergences.shape == (6, T - 1)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_t6b_properties():
    """(i) T latents, (ii) as large as x, (iii) an encoder without parameters."""
    schedule, encode, decode = ddpm_parts()
    x = jnp.zeros((3, D))
    assert encode.L == schedule.T == T
    z = jax.eval_shape(lambda: x[0])
    for i in range(1, T + 1):
        z, _ = jax.eval_shape(lambda z, i=i: encode.at(i, z), z)
        assert z.shape == (D,)
    params = hvae.frozen(encode).init(jax.random.key(0), lambda i, said: x)
    assert jax.tree.leaves(params) == []
    key = jax.random.key(0)
    ours = jax.eval_shape(
        lambda: hvae.bound(encode, decode, key, x, likelihood=log_p_x)
    )
    assert ours == jax.eval_shape(lambda: ddpm.bound(denoise, schedule, key, x))
