"""The bound, its weights, and the likelihood by many samples."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from diffjax import vae
from diffjax.core import bounds, chain

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
ENC, DEC = (RNG.normal(size=s).astype(np.float32) for s in ((2, 6), (6, 2)))
BITS = np.float32(RNG.integers(2, size=(5, 6)))


def encode(x):
    return jnp.asarray(ENC) @ x, jnp.array([-0.5, 0.3])


def decode(z):
    return jnp.asarray(DEC) @ z


bound_of = jax.jit(vae.bound, static_argnums=(0, 1), static_argnames="likelihood")


def test_the_terms_of_the_bound_by_hand():
    """[B], [B, 0], [B]; the noise of example i is normal(example_keys(rng)[i])."""
    terms = bound_of(encode, decode, KEY, BITS)
    assert terms.divergences.shape == (5, 0)
    std = np.exp([-0.25, 0.15])
    for i, rng in enumerate(chain.example_keys(KEY, 5)):
        mean = ENC @ BITS[i]
        z = mean + std * np.asarray(jax.random.normal(rng, (2,), jnp.float32))
        probability = special.expit(DEC @ z)
        log_p = stats.bernoulli.logpmf(BITS[i], probability).sum()
        np.testing.assert_allclose(terms.reconstruction[i], log_p, rtol=1e-5)
        kl = 0.5 * np.sum(std**2 + mean**2 - 1 - 2 * np.log(std))
        np.testing.assert_allclose(terms.prior[i], kl, rtol=1e-5)


def test_what_a_decoder_says_may_be_any_pytree():
    def likelihood(x, decoded):
        return jnp.sum(x * decoded["a"]) + decoded["b"][0]

    def decode_both(z):
        return {"a": decode(z), "b": (z[0],)}

    terms = bound_of(encode, decode_both, KEY, BITS, likelihood=likelihood)
    assert terms.reconstruction.shape == (5,)


def test_an_example_does_not_know_its_batch():
    """Keys for each example: half a batch has the terms of that half."""
    keys = jax.random.split(KEY, 5)
    whole = bound_of(encode, decode, keys, BITS)
    part = bound_of(encode, decode, keys[2:], BITS[2:])
    np.testing.assert_allclose(whole.elbo[2:], part.elbo, rtol=1e-6)


@pytest.mark.parametrize("name", ["elbo", "free_bits", "iwae", "dreg", "sigma"])
def test_a_repeated_batch_changes_nothing(name):
    """The same examples with the same noise eight times: pythae's losses grow by 8."""
    x = BITS + 0.5 if name == "sigma" else BITS
    loss = {
        "elbo": vae.elbo_loss,
        "free_bits": partial(vae.free_bits_loss, lam=0.3, groups=2),
        "iwae": partial(vae.iwae_loss, num=3),
        "dreg": partial(vae.dreg_loss, num=3),
        "sigma": vae.sigma_vae_loss,
    }[name]

    def of(weights, keys, x):
        return loss(encode, lambda z: weights @ z, keys, x)

    keys = jax.random.split(KEY, 5)
    value = jax.jit(jax.value_and_grad(of))
    once = value(DEC, keys, x)
    eight = value(DEC, jnp.tile(keys, 8), np.tile(x, (8, 1)))
    for a, b in zip(once, eight, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_repeated_batch_has_the_same_bounds():
    keys = jax.random.split(KEY, 5)
    once = bound_of(encode, decode, keys, BITS).elbo
    eight = bound_of(encode, decode, jnp.tile(keys, 8), np.tile(BITS, (8, 1))).elbo
    np.testing.assert_allclose(eight, np.tile(once, 8), rtol=1e-6)


@jax.jit
@partial(jax.value_and_grad, has_aux=True)
def loss_at(logit):
    terms = vae.bound(encode, lambda z: decode(z) * 0 + logit, KEY, BITS)
    return -jnp.mean(terms.elbo), terms


@pytest.mark.parametrize("logit", [-1e4, 1e4, 88.0])
def test_extreme_logits_are_finite_through_the_bound(logit):
    """In value and gradient; the flax example is NaN from 87.5."""
    (value, terms), gradient = loss_at(logit)
    assert np.isfinite(value) and np.isfinite(gradient)
    wrong = np.sum((BITS == 1) != (logit > 0), axis=1)
    np.testing.assert_allclose(terms.distortion, wrong * abs(logit), rtol=1e-6)


@pytest.mark.parametrize("log_var", [-20.0, 20.0])
def test_extreme_variances_are_finite_through_the_losses(log_var):
    for loss in (
        vae.elbo_loss,
        partial(vae.iwae_loss, num=3),
        partial(vae.dreg_loss, num=3),
    ):

        def of(log_var, mean, loss=loss):
            encode = lambda x: (mean, jnp.full(2, log_var))  # noqa: E731
            return loss(encode, decode, KEY, BITS)

        f = jax.jit(jax.value_and_grad(of, argnums=(0, 1)))
        value, gradient = f(log_var, jnp.ones(2))
        assert all(
            np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradient))
        )


def test_a_weight_keeps_its_digits_when_sigma_is_small():
    """(z - mean) / sigma in float32 would lose them: here sigma is 1e-5 of the mean."""
    eps = np.array([0.7, -1.2])
    mean, log_var = np.array([3.0, -2.0]), np.array([-20.0, -21.0])
    got = jax.jit(partial(vae.log_weight, lambda z: jnp.zeros(1)))(
        (np.float32(mean), np.float32(log_var)),
        np.ones(1, np.float32),
        np.float32(eps),
    )
    z = mean + np.exp(log_var / 2) * eps
    log_q = stats.norm.logpdf(eps).sum() - log_var.sum() / 2
    wanted = np.log(0.5) + stats.norm.logpdf(z).sum() - log_q
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def evidence(x):
    """log p(x) of the one-dimensional model below, by quadrature."""

    def joint(z):
        return np.exp(
            stats.norm.logpdf(z)
            + (x * TALL * z).sum()
            - np.logaddexp(0, TALL * z).sum()
        )

    return np.log(integrate.quad(joint, -12, 12, epsabs=1e-13)[0])


TALL = np.array([2.0, -1.0, 0.5, 3.0])
NARROW = np.float32([[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]])


def narrow(x):
    return jnp.asarray([0.5, -0.5, 0.1, 0.3]) @ x[:, None], jnp.full(1, -0.4)


def tall(z):
    return jnp.asarray(TALL) * z


nll = jax.jit(vae.nll, static_argnums=(0, 1), static_argnames=("num", "chunk"))
log_weight = jax.jit(lambda x, eps: vae.log_weight(tall, narrow(x), x, eps))


def test_the_likelihood_by_many_samples_is_the_evidence():
    """And it is -log p, positive for bits: pythae returns +log p under this name."""
    got = np.asarray(nll(narrow, tall, KEY, NARROW, num=20_000, chunk=1000))
    wanted = [-evidence(x) for x in NARROW]
    assert np.all(got > 0)
    np.testing.assert_allclose(got, wanted, atol=0.01)


@pytest.mark.parametrize("num, chunk", [(1, 10), (7, 3), (7, 7), (7, 1), (8, 4)])
def test_exactly_k_samples_are_used_whatever_the_chunk(num, chunk):
    """The logsumexp of k weights minus log k: pythae's k = 5 uses 100, 250 uses 200."""
    got = nll(narrow, tall, KEY, NARROW, num=num, chunk=chunk)
    seen = []
    for rng, x in zip(chain.example_keys(KEY, 2), NARROW, strict=True):
        eps = [jax.random.normal(jax.random.fold_in(rng, j), (1,)) for j in range(num)]
        log_w = [log_weight(x, e) for e in eps]
        seen.append(np.log(num) - special.logsumexp(log_w))
    np.testing.assert_allclose(got, seen, rtol=1e-5)


def test_memory_does_not_grow_with_k():
    """The compiled program of 100 chunks needs no more room than that of two."""

    def room(num):
        f = jax.jit(partial(vae.nll, narrow, tall, num=num, chunk=100))
        return f.lower(KEY, NARROW).compile().memory_analysis().temp_size_in_bytes

    assert room(10_000) <= room(200) + 10_000 * 8  # the numbers 1..k, at most


def test_impossible_data_have_no_evidence():
    """A probability of zero is -inf, in the bound and after many samples."""
    never = lambda z: jnp.full(4, -jnp.inf)  # noqa: E731
    likelihood = lambda x, logits: jnp.sum(jnp.where(x > 0, logits, 0))  # noqa: E731
    options = {"likelihood": likelihood}
    assert np.all(vae.bound(narrow, never, KEY, NARROW, **options).elbo == -np.inf)
    assert np.all(
        vae.nll(narrow, never, KEY, NARROW, num=7, chunk=3, **options) == np.inf
    )


def test_one_compilation_serves_every_key():
    traces = []

    @jax.jit
    def estimate(rng):
        traces.append(0)
        return vae.nll(narrow, tall, rng, NARROW, num=10, chunk=5)

    a, b = estimate(KEY), estimate(jax.random.key(1))
    assert len(traces) == 1 and not np.allclose(a, b)


def test_bits_per_dimension_of_the_bound():
    terms = bound_of(encode, decode, KEY, BITS)
    bits = bounds.bits_per_dim(-terms.elbo, 6)
    np.testing.assert_allclose(
        bits, (terms.rate + terms.distortion) / 6 / np.log(2), rtol=1e-6
    )


def grey(decoded):
    return lambda z: decoded


MISTAKES = {
    "grey levels for bits": (
        lambda: vae.bound(encode, decode, KEY, BITS / 2),
        r"bits x in \{0, 1\}, got values from 0.0 to 0.5; binarise",
    ),
    "bytes for bits, one of them": (
        lambda: vae.bernoulli(jnp.array([1, 7]), jnp.zeros(2)),
        r"from 1 to 7",
    ),
    "level above the last": (
        lambda: vae.bound(
            encode,
            grey(jnp.zeros((6, 3))),
            KEY,
            BITS.astype(int) + 2,
            likelihood=vae.categorical,
        ),
        r"x in 0\.\.2, got values from 2 to 3",
    ),
    "negative level": (
        lambda: vae.discretized_logistic()(
            jnp.array([-1]), (jnp.zeros(1), jnp.zeros(1))
        ),
        r"x in 0\.\.255, got values from -1 to -1",
    ),
    "level of a mixture": (
        lambda: vae.logistic_mixture(levels=8)(jnp.array([0, 8, 1]), jnp.zeros(10)),
        r"x in 0\.\.7, got values from 0 to 8",
    ),
    "real levels": (
        lambda: vae.categorical(jnp.array([0.5]), jnp.zeros((1, 3))),
        r"integer x in 0\.\.2, got dtype float32",
    ),
    "level of many samples": (
        lambda: vae.nll(
            encode,
            grey(jnp.zeros((6, 3))),
            KEY,
            BITS.astype(int) * 9,
            num=2,
            likelihood=vae.categorical,
        ),
        r"x in 0\.\.2, got values from 0 to 9",
    ),
    "sigma of 0": (lambda: vae.gaussian_with(0.0), r"sigma > 0, got 0.0"),
    "negative sigma": (lambda: vae.gaussian_with(-1.0), r"sigma > 0, got -1.0"),
    "negative sigma of a draw": (
        lambda: vae.draw_gaussian_with(-1.0),
        r"sigma >= 0, got -1.0",
    ),
    "no samples": (
        lambda: vae.nll(encode, decode, KEY, BITS, num=0),
        r"num >= 1 and chunk >= 1, got 0 and 10",
    ),
    "no chunk": (
        lambda: vae.nll(encode, decode, KEY, BITS, num=5, chunk=0),
        r"got 5 and 0",
    ),
    "no draws": (
        lambda: vae.iwae_loss(encode, decode, KEY, BITS, num=0),
        r"num >= 1 draws, got 0",
    ),
    "no draws for dreg": (
        lambda: vae.dreg_loss(encode, decode, KEY, BITS, num=0),
        r"num >= 1 draws, got 0",
    ),
    "negative beta": (
        lambda: vae.elbo_loss(encode, decode, KEY, BITS, beta=-1.0),
        r"beta >= 0, got -1.0",
    ),
    "negative free bits": (
        lambda: vae.free_bits(jnp.ones((2, 2)), lam=-1.0),
        r"lam >= 0 nats, got -1.0",
    ),
    "groups that do not divide": (
        lambda: vae.free_bits_loss(encode, decode, KEY, BITS, lam=1.0, groups=3),
        r"groups to divide the 2 latents, got 3",
    ),
    "warm-up of no steps": (
        lambda: vae.warm_up(jnp.asarray(0), num=0),
        r"num >= 1 steps of warm-up, got 0",
    ),
    "cycle without rise": (
        lambda: vae.cyclical(jnp.asarray(0), period=10, share=0.0),
        r"0 < share <= 1, got 10 and 0.0",
    ),
    "odd output": (lambda: vae.halves(jnp.zeros(5)), r"even last axis.*got \(5,\)"),
    "no limit": (lambda: vae.bounded_halves(limit=0.0), r"limit > 0, got 0.0"),
    "one example's variance": (
        lambda: vae.active_units(jnp.zeros((1, 2))),
        r"means of 2 examples or more, got 1",
    ),
    "negative threshold": (
        lambda: vae.active_units(jnp.zeros((2, 2)), threshold=-1.0),
        r"threshold >= 0, got -1.0",
    ),
    "keys for another batch": (
        lambda: vae.bound(encode, decode, jax.random.split(KEY, 4), BITS),
        r"one key or 5 keys, got 4 keys",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name):
    call, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_under_jit_a_value_out_of_range_is_nan():
    """Where it cannot be seen it cannot be mistaken for another either."""
    level = jax.jit(vae.discretized_logistic())
    assert np.isnan(level(jnp.array([256]), (jnp.zeros(1), jnp.zeros(1))))
    assert np.isnan(jax.jit(vae.categorical)(jnp.array([-1]), jnp.zeros((1, 3))))
    assert np.isnan(jax.jit(vae.bernoulli)(jnp.array([0.5]), jnp.zeros(1)))
    mixture = jax.jit(vae.logistic_mixture())
    assert np.isnan(mixture(jnp.array([0, -1, 1]), jnp.zeros(10)))
    assert np.isfinite(level(jnp.array([255]), (jnp.zeros(1), jnp.zeros(1))))


def test_bytes_are_levels():
    """256 does not fit into a byte, but is their number."""
    x = jnp.array([0, 200, 255])
    logits = jnp.asarray(RNG.normal(size=(3, 256)), jnp.float32)
    for likelihood, decoded in (
        (vae.categorical, logits),
        (vae.discretized_logistic(), (jnp.zeros(3), jnp.zeros(3))),
        (vae.logistic_mixture(), jnp.zeros(10)),
    ):
        of_bytes = likelihood(x.astype(jnp.uint8), decoded)
        np.testing.assert_array_equal(of_bytes, likelihood(x, decoded))
        assert np.isfinite(of_bytes)


def test_a_nan_of_the_network_is_reported_and_not_an_error():
    terms = vae.bound(encode, lambda z: decode(z) * jnp.nan, KEY, BITS)
    assert np.isnan(terms.reconstruction).all()
