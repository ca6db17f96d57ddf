"""Losses against the bound they estimate, and against sums written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import exact, tables
from diffjax.core import chain, times
from diffjax.d3pm import losses, masked, predict, transitions

T, K = 4, 4
X_0 = np.array([1, 0, 2])


def network(x_t, t):
    """Some function of (x_t, t), without mass on the last category."""
    phase = x_t[..., None] * 1.3 + jnp.arange(K).reshape((1,) * x_t.ndim + (K,))
    return jnp.sin(phase + t).at[..., K - 1].set(-jnp.inf)


@jax.jit
def vb_of_groups(family, rng):
    """2000 examples to a group, 20 groups."""
    keys = chain.example_keys(rng, 40_000).reshape(2000, 20).T
    batch = jnp.broadcast_to(X_0, (2000, 3))
    return jax.vmap(lambda keys: losses.vb_loss(network, family, keys, batch))(keys)


@pytest.mark.parametrize("law", tables.LAWS)
def test_vb_loss_is_an_unbiased_estimate_of_the_bound(law, x64):
    family = law(T, K)
    terms = exact.expected_terms(
        network, family, X_0[None], np.ones(1), predict=predict.joint
    )
    want = terms.sum() + exact.expected_prior(family, X_0[None], np.ones(1))
    each = np.asarray(vb_of_groups(family, jax.random.key(0)))
    assert abs(each.mean() - want) < 4.5 * each.std() / np.sqrt(20)
    assert each.std() / np.sqrt(20) < 0.02 * want


def test_cross_entropy_is_the_mean_over_t(x64):
    family, num = tables.uniform(T, K), 20_000
    Q = tables.from_data(family)
    every = exact.states(K, 3)
    log_probs = jax.jit(lambda x, t: jax.nn.log_softmax(network(x, t)))
    want = 0
    for t in range(1, T + 1):
        log_p = np.asarray(log_probs(every, t))
        guess = -sum(log_p[:, i, X_0[i]] for i in range(3))
        want += np.sum(np.prod(Q[t][X_0[None], every], axis=-1) * guess) / T
    batch = np.broadcast_to(X_0, (num, 3))
    run = jax.jit(losses.cross_entropy, static_argnums=0)
    got = run(network, family, jax.random.key(1), batch)
    np.testing.assert_allclose(got, want, rtol=0.02)


def test_hybrid_is_the_sum_of_its_parts(x64):
    @jax.jit
    def run(*args):
        args = network, *args
        parts = losses.vb_loss(*args), losses.cross_entropy(*args)
        return parts, losses.hybrid_loss(*args, lam=0.3), losses.hybrid_loss(*args)

    batch = np.broadcast_to(X_0, (50, 3))
    # By default T (L_t + 0.001 CE_t), as the published code weighs them.
    parts, got, published = run(tables.uniform(T, K), jax.random.key(2), batch)
    np.testing.assert_allclose(got, parts[0] + 0.3 * parts[1], rtol=1e-10)
    np.testing.assert_allclose(published, parts[0] + 0.001 * T * parts[1], rtol=1e-10)


@jax.jit
def absorbing_both_ways(family, rng, batch):
    t, x_t = masked.masked_batch(family, rng, batch)
    logits = jax.vmap(predict.carried_over(network, mask=K - 1))(x_t, t)
    terms = losses.bound_terms(family, logits, batch, x_t, t)
    return masked.absorbing_loss(network, family, rng, batch), jnp.mean(terms)


@pytest.mark.parametrize("betas", [1 / np.arange(T, 0, -1), [0.1, 0.6, 0.2, 1.0]])
def test_absorbing_loss_is_vb_loss(betas, x64):
    """The same t and x_t in both: equal to the last digits, not on average."""
    family = transitions.absorbing(betas, K, mask=K - 1)
    batch = np.broadcast_to(X_0, (200, 3))
    got, want = absorbing_both_ways(family, jax.random.key(0), batch)
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_absorbing_weight_is_one_over_t(x64):
    """Paper eq. 12: with beta_t = 1 / (T - t + 1) the weight is 1 / t."""
    family = transitions.absorbing(1 / np.arange(10, 0, -1), K, mask=K - 1)
    got = [masked.unmask_prob(family, jnp.asarray(t), t - 1) for t in range(1, 11)]
    np.testing.assert_allclose(got, 1 / np.arange(1, 11), rtol=1e-12)
    hidden = [masked.masked_prob(family, jnp.asarray(t)) for t in range(11)]
    np.testing.assert_allclose(hidden, np.arange(11) / 10, rtol=1e-12, atol=1e-15)


def test_md4_form_of_the_weight(x64):
    """T expm1(g_t - g_s) a_s with g = logit(a), as MD4 writes it."""
    betas = np.array([0.05, 0.2, 0.4, 0.9])
    family = transitions.absorbing(betas, K, mask=K - 1)
    a = np.append(1, np.cumprod(1 - betas))
    logit = np.log(a[1:]) - np.log1p(-a[1:])
    for t in range(2, T + 1):
        want = -np.expm1(logit[t - 1] - logit[t - 2]) * a[t - 1]
        got = masked.unmask_prob(family, jnp.asarray(t), t - 1)
        np.testing.assert_allclose(got, want, rtol=1e-10)


def test_masked_batch_has_the_law_of_the_process():
    family = transitions.absorbing([0.3, 0.5, 1.0], K, mask=K - 1)
    x_0 = np.broadcast_to([1, 2], (30_000, 2))
    t, x_t = jax.jit(masked.masked_batch)(family, jax.random.key(0), x_0)
    for step, hidden in ((1, 0.3), (2, 0.65), (3, 1.0)):
        at = np.asarray(x_t)[np.asarray(t) == step]
        counts = np.array([(at == K - 1).sum(), (at == [1, 2]).sum()])
        assert counts.sum() == at.size
        assert tables.p_value(counts, np.array([hidden, 1 - hidden])) > 1e-4


@pytest.mark.parametrize("T", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("kind", ["uniform", "absorbing", "table"])
def test_every_term_is_finite_in_value_and_gradient(T, kind):
    """MDLM is NaN at t = 1 / T; here no t is special, T = 1 included."""
    betas = 1 / np.arange(T, 0, -1)
    if kind == "uniform":
        family = transitions.uniform(betas, K)
    elif kind == "absorbing":
        family = transitions.absorbing(betas, K, mask=K - 1)
    else:
        family = tables.absorbing_closed(T, K)
    ts = np.arange(1, T + 1)
    x_t = np.stack([np.full(3, K - 1), X_0])

    def terms(logits):
        def one(t, x):
            masked_logits = logits.at[..., K - 1].set(-jnp.inf)
            cost = losses.bound_terms(
                family, masked_logits[None], X_0[None], x[None], t[None]
            )
            return cost[0]

        values = jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(0, None))(ts, x_t)
        possible = values < jnp.inf  # the token is still there at T: impossible
        return jnp.sum(jnp.where(possible, values, 0)), values

    slope = jax.jit(jax.grad(terms, has_aux=True))
    for logits in (np.zeros((3, K)), 25 * np.eye(K)[X_0 + 1]):
        gradient, values = slope(logits)
        assert not np.isnan(values).any() and np.isfinite(values[:-1]).all()
        assert np.isfinite(values[:, 0]).all() or kind == "uniform"
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("T", [1, 1000])
def test_losses_are_finite_in_value_and_gradient(T):
    family = transitions.absorbing(1 / np.arange(T, 0, -1), K, mask=K - 1)
    batch = np.broadcast_to(X_0, (64, 3))

    def run(scale, loss):
        denoise = predict.zero_masked(
            lambda x, t: scale * x[..., None] * jnp.ones((1, K)), mask=K - 1
        )
        return loss(denoise, family, jax.random.key(0), batch)

    for loss in (losses.vb_loss, masked.absorbing_loss):
        value, slope = jax.jit(jax.value_and_grad(run), static_argnums=1)(0.3, loss)
        assert np.isfinite(value) and np.isfinite(slope)


@pytest.mark.parametrize("draw", [times.uniform, times.stratified])
def test_times_are_uniform(draw):
    u = jax.random.uniform(jax.random.key(0), (400, 60))
    t = np.asarray(jax.vmap(lambda u: draw(u, 7))(u))
    assert t.min() == 1 and t.max() == 7
    counts = np.bincount(t[:, 5], minlength=8)[1:]  # one place, independent rows
    assert tables.p_value(counts, np.full(7, 1 / 7)) > 1e-4
    if draw is times.stratified:
        spread = [np.bincount(row, minlength=8)[1:] for row in t]
        assert np.ptp(spread, axis=1).max() <= 1


def test_bad_input_is_named():
    family = transitions.absorbing([0.3, 1.0], K, mask=K - 1)
    rng = jax.random.key(0)
    for loss in (losses.vb_loss, losses.cross_entropy, masked.absorbing_loss):
        with pytest.raises(ValueError, match="expected x_0 in 0..3, got values from"):
            loss(network, family, rng, jnp.asarray([[0, 4]]))
        with pytest.raises(ValueError, match="expected integer x_0"):
            loss(network, family, rng, jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match="expected x_0 without the mask 3"):
        masked.absorbing_loss(network, family, rng, jnp.asarray([[0, 3]]))
    with pytest.raises(ValueError, match="expected lam >= 0"):
        losses.hybrid_loss(network, family, rng, jnp.asarray([[0]]), lam=-1.0)


def test_under_jit_a_bad_token_gives_nan():
    family = transitions.absorbing([0.3, 1.0], K, mask=K - 1)
    bad = jnp.asarray([[0, 1, 4]])
    for loss in (losses.vb_loss, losses.cross_entropy, masked.absorbing_loss):
        run = jax.jit(lambda x, loss=loss: loss(network, family, jax.random.key(0), x))
        assert np.isnan(run(bad))
