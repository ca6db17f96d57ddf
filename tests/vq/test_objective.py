"""The seam to networks: training, sampling, the bound of what was trained."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from diffjax import vq
from diffjax.core import chain, likelihoods, oracle
from diffjax.vq import gumbel, quantizers
from vq import toys

K = 5
LIKELIHOOD = likelihoods.bernoulli
BATCH = toys.batch(jax.random.key(0))
QUANTIZERS = {
    "vector": quantizers.vector(K),
    "residual": quantizers.residual_vector(2, K),
    "scalar": quantizers.finite_scalar([3, 4, 3]),
}
ANNEALED = gumbel.cosine(start=1.0, end=0.3, steps=200)
RENEW = functools.partial(vq.restart, threshold=0.1)


def stateless(quantizer):
    """An objective without a memory, as one with an empty memory."""
    plain = vq.objective(toys.ENC, toys.DEC, quantizer, likelihood=LIKELIHOOD)

    def init(rng, batch):
        return plain.init(rng, batch), ()

    def loss(params, memory, rng, batch):
        value, metrics = plain.loss(params, rng, batch)
        return value, (metrics, memory)

    return vq.StatefulObjective(init, loss)


def averages():
    return vq.ema_objective(
        toys.ENC, toys.DEC, K, likelihood=LIKELIHOOD, decay=0.9, renew=RENEW
    )


def law(relax=gumbel.relaxed, temperature=ANNEALED):
    enc = toys.Dense((toys.POSITIONS, K))
    return vq.gumbel_objective(
        enc,
        toys.DEC,
        K,
        width=4,
        likelihood=LIKELIHOOD,
        temperature=temperature,
        relax=relax,
    )


OBJECTIVES = {
    **{name: functools.partial(stateless, q) for name, q in QUANTIZERS.items()},
    "averages": averages,
    "law": law,
    "hard law": functools.partial(law, gumbel.hard),
}


@functools.cache
def trained(name, steps=400):
    """Gradient descent with momentum, the memory carried along in one scan."""
    model = OBJECTIVES[name]()
    slope = jax.value_and_grad(model.loss, has_aux=True)

    def step(carry, rng):
        params, speed, memory = carry
        data, noise = jax.random.split(rng)
        (value, (metrics, memory)), grad = slope(
            params, memory, noise, toys.batch(data)
        )
        speed = jax.tree.map(lambda v, g: 0.9 * v + g, speed, grad)
        params = jax.tree.map(lambda p, v: p - 0.02 * v, params, speed)
        return (params, speed, memory), metrics

    params, memory = model.init(jax.random.key(1), BATCH)
    start = (params, jax.tree.map(jnp.zeros_like, params), memory)
    keys = jax.random.split(jax.random.key(2), steps)
    (params, _, memory), metrics = jax.jit(lambda c: jax.lax.scan(step, c, keys))(start)
    return params, memory, jax.tree.map(np.asarray, metrics)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_lowers_the_loss(name):
    params, memory, metrics = trained(name)
    first, last = metrics["loss"][:20].mean(), metrics["loss"][-20:].mean()
    assert last < 0.75 * first
    assert all(np.isfinite(v).all() for v in jax.tree.leaves((params, memory)))
    assert metrics["distortion"][-1] < 3.0  # of 8 log 2 = 5.5 nats
    assert metrics["perplexity"][-20:].mean() > 2
    if "law" in name:
        assert memory == 400
        assert metrics["temperature"][-1] == pytest.approx(0.3)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_bound_of_a_trained_model(name):
    """What the metrics said of the same batch, and below the exact log p(x)."""
    params, _, _ = trained(name)
    quantizer = QUANTIZERS[name]
    evaluate = vq.net_bound(toys.ENC, toys.DEC, quantizer, likelihood=LIKELIHOOD)
    bound = jax.jit(evaluate)(params, jax.random.key(0), BATCH)
    model = vq.objective(toys.ENC, toys.DEC, quantizer, likelihood=LIKELIHOOD)
    _, metrics = jax.jit(model.loss)(params, jax.random.key(0), BATCH)
    bits = -bound.elbo.mean() / (toys.BITS * np.log(2))
    np.testing.assert_allclose(metrics["bits_per_dim"], bits, rtol=1e-5)
    np.testing.assert_allclose(
        metrics["distortion"], bound.distortion.mean(), rtol=1e-5
    )
    num = toys.POSITIONS * (2 if name == "residual" else 1)
    np.testing.assert_allclose(bound.prior, num * np.log(quantizer.K), rtol=1e-6)
    assert bound.divergences.shape == (48, 0)


def test_the_bound_of_averages_is_below_the_exact_log_likelihood():
    params, state, _ = trained("averages")
    params = params | {"codebook": state.codebook}
    quantizer = quantizers.vector(K)
    evaluate = vq.net_bound(toys.ENC, toys.DEC, quantizer, likelihood=LIKELIHOOD)
    bound = jax.jit(evaluate)(params, jax.random.key(0), BATCH)
    decode = vq.trained.example_decoder(toys.DEC, quantizer, params)
    exact = oracle.code_model(
        lambda x, codes: LIKELIHOOD(x, decode(codes)), K, (toys.POSITIONS,)
    )
    log_p = jax.jit(jax.vmap(lambda x: oracle.code_log_prob(exact, x)))(BATCH["x"])
    assert (bound.elbo <= log_p + 1e-5).all()
    assert (log_p - bound.elbo).mean() < np.log(K**2)


def test_the_bound_of_a_law_is_of_whole_codes():
    params, _, metrics = trained("law")
    evaluate = vq.gumbel_net_bound(
        toys.Dense((toys.POSITIONS, K)), toys.DEC, K, likelihood=LIKELIHOOD
    )
    bound = jax.jit(evaluate)(params, jax.random.key(0), BATCH)
    np.testing.assert_allclose(bound.prior.mean(), metrics["kl"][-1], rtol=0.3)
    assert (bound.prior >= 0).all() and (bound.prior <= 2 * np.log(K) + 1e-5).all()


def test_samples_are_decoded_codes_of_the_prior():
    params, state, _ = trained("averages")
    params = params | {"codebook": state.codebook}
    quantizer = quantizers.vector(K)
    certain = vq.prior.unigram(jnp.log(jnp.eye(K)[3]))
    draw = vq.sampler(
        toys.DEC,
        quantizer,
        certain,
        (toys.POSITIONS,),
        emit=lambda rng, logits: jax.nn.sigmoid(logits),
    )
    x = jax.jit(draw, static_argnums=2)(params, jax.random.key(0), 4)
    z_q = jnp.tile(state.codebook[3][None, None], (4, toys.POSITIONS, 1))
    want = jax.nn.sigmoid(toys.DEC.apply(params["dec"], z_q))
    np.testing.assert_allclose(x, want, rtol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_eight_times_has_the_same_loss(name):
    """Loss, KL, perplexity, usage and bits: all of them per example."""
    params, memory, _ = trained(name)
    loss = jax.jit(OBJECTIVES[name]().loss)
    keys = chain.example_keys(jax.random.key(3), 48)
    once, (metrics, _) = loss(params, memory, keys, BATCH)
    many = {"x": np.tile(BATCH["x"], (8, 1))}
    eight, (same, _) = loss(params, memory, jnp.tile(keys, 8), many)
    np.testing.assert_allclose(eight, once, rtol=1e-5)
    for key, value in metrics.items():
        np.testing.assert_allclose(same[key], value, rtol=1e-5, err_msg=key)


def test_the_kl_is_of_one_image():
    """Certain codes at two positions cost 2 log K, not the batch's 48 times that."""
    model = law()
    params, memory = model.init(jax.random.key(1), BATCH)
    params["enc"] = [params["enc"][0] + 1, params["enc"][1] * 1e4]
    value, (metrics, _) = jax.jit(model.loss)(params, memory, jax.random.key(0), BATCH)
    np.testing.assert_allclose(metrics["kl"], 2 * np.log(K), rtol=1e-3)
    np.testing.assert_allclose(value, metrics["distortion"] + metrics["kl"], rtol=1e-5)


def test_the_kl_is_of_the_encoder_and_no_temperature():
    params, _ = law().init(jax.random.key(1), BATCH)
    logits = toys.Dense((toys.POSITIONS, K)).apply(params["enc"], BATCH["x"])
    entropy = special.entr(special.softmax(logits, axis=-1)).sum((1, 2)).mean()
    for tau in (0.2, 5.0):
        model = law(temperature=gumbel.constant(tau))
        _, (metrics, _) = jax.jit(model.loss)(params, 0, jax.random.key(0), BATCH)
        np.testing.assert_allclose(metrics["kl"], 2 * np.log(K) - entropy, rtol=1e-4)


def test_the_loss_is_the_likelihood_and_the_two_squares():
    """VQ-VAE's equation 3, by hand from the networks' outputs."""
    params, _, _ = trained("vector")
    x, codebook = BATCH["x"], params["codebook"]
    z = np.asarray(toys.ENC.apply(params["enc"], x), np.float64)
    gap = np.square(z[..., None, :] - np.asarray(codebook)).sum(-1)
    z_q = codebook[gap.argmin(-1)]
    logits = np.asarray(toys.DEC.apply(params["dec"], z_q), np.float64)
    nats = (np.logaddexp(0, logits) - np.asarray(x) * logits).sum(-1)
    want = (nats + 1.25 * gap.min(-1).sum(-1)).mean()
    model = vq.objective(
        toys.ENC, toys.DEC, QUANTIZERS["vector"], likelihood=LIKELIHOOD
    )
    value, metrics = jax.jit(model.loss)(params, jax.random.key(0), BATCH)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    np.testing.assert_allclose(metrics["distortion"], nats.mean(), rtol=1e-5)


def test_averages_come_out_as_the_update_says():
    """And gradients reach the networks alone: the codebook is not a parameter."""
    model = averages()
    params, state = model.init(jax.random.key(1), BATCH)
    assert set(params) == {"enc", "dec"}
    np.testing.assert_allclose(state.n, np.full(K, 48 * toys.POSITIONS / K))
    _, (_, after) = jax.jit(model.loss)(params, state, jax.random.key(0), BATCH)

    @jax.jit
    def updated(params, state):
        z = toys.ENC.apply(params["enc"], BATCH["x"])
        codes, _ = vq.quantize(state.codebook, z)
        return vq.ema_update(state, z, codes, decay=0.9)

    want = updated(params, state)
    np.testing.assert_allclose(after.codebook, want.codebook, rtol=1e-6)
    np.testing.assert_allclose(after.n, want.n, rtol=1e-6)


@pytest.mark.parametrize("end", [0.0, -1.0])
def test_a_temperature_that_does_not_stay_positive(end):
    with pytest.raises(ValueError, match="expected a temperature > 0 at every step"):
        law(temperature=lambda step: jnp.where(step > 9, end, 1.0))


def test_an_encoder_of_another_number_of_logits():
    model = vq.gumbel_objective(
        toys.Dense((toys.POSITIONS, K + 1)),
        toys.DEC,
        K,
        width=4,
        likelihood=LIKELIHOOD,
        temperature=gumbel.constant(1.0),
    )
    with pytest.raises(ValueError, match=r"expected logits \[B, ..., 5\]"):
        model.init(jax.random.key(0), BATCH)
