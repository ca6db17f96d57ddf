"""Samplers in law: with an oracle, what they draw is known exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import tables
from d3pm.toys import NUM, K, absorbing, counts, data_law, draw_three, three_tokens
from diffjax.core import chain, oracle
from diffjax.d3pm import predict, samplers, transitions, unmasking
from diffjax.d3pm.samplers import sample

P = np.array([0.1, 0.6, 0.3, 0.0])  # of one token; the last category is the mask
ONE = jnp.arange(3)[:, None]


def one_token(family, make=oracle.discrete_leave_one_out):
    return make(ONE, family, log_weights=jnp.log(P[:3]))


@functools.partial(jax.jit, static_argnames=("step", "predict", "num"))
def draw_one(family, rng, ts, *, step=None, predict=predict.joint, num=NUM):
    make = oracle.discrete_leave_one_out
    if predict is PREDICT_MEAN:
        make = oracle.discrete_denoiser
    denoise = one_token(family, make)
    return sample(denoise, family, rng, (num, 1), step=step, predict=predict, ts=ts)


PREDICT_MEAN = predict.posterior_mean


@pytest.mark.parametrize("law", [tables.absorbing, tables.uniform, tables.banded])
@pytest.mark.parametrize("ts", [[6, 5, 4, 3, 2, 1, 0], [6, 4, 3, 0]])
@pytest.mark.parametrize("parameterization", [predict.joint, PREDICT_MEAN])
def test_one_token_has_the_law_of_the_data_on_any_grid(law, ts, parameterization):
    """Exact at any skip, but for how far q(x_T) is from the prior it starts from."""
    family = law(6, K)
    x = draw_one(family, jax.random.key(1), np.array(ts), predict=parameterization)
    want = reached(family, ts)
    assert tables.p_value(counts(x), want) > 1e-4


def reached(family, ts):
    """The law of the oracle's chain from the prior: Bayes backwards, in NumPy."""
    Q = tables.products(family)
    law = np.exp(np.asarray(family.log_prior(), np.float64))
    for t, s in zip(ts, ts[1:], strict=False):
        q_s, q_t = P @ Q[0, s], P @ Q[0, t]
        back = (q_s[:, None] * Q[s, t]).T / np.where(q_t > 0, q_t, 1)[:, None]
        law = law @ back
    return np.where(law > 1e-9, law, 0)


def test_reverse_steps_have_the_law_of_the_posterior():
    """One step at a time: x_s against p(x_s | x_t), for every x_t."""
    family = tables.banded(5, K)
    logits = jnp.asarray([[0.3, -1.0, 2.0, 0.1]])

    @jax.jit
    def run(x_t, rng):
        noise = jax.random.gumbel(rng, (NUM, 1, K), mode="high")
        step = jax.vmap(
            lambda g: samplers.ancestral(
                lambda x, t: logits, family, x_t, 3, 2, g, None
            )[0]
        )
        return step(noise), predict.joint(family, logits, x_t, 3)[0]

    for x_t in range(K):
        x, log_p = run(np.array([x_t]), jax.random.key(x_t))
        assert tables.p_value(counts(x), np.exp(log_p)) > 1e-4


def total_variation(x):
    return 0.5 * np.abs(counts(x) / len(x) - data_law()).sum()


@pytest.mark.slow
def test_several_tokens_approach_the_law_as_T_grows():
    distance = [
        total_variation(draw_three(absorbing(T), jax.random.key(0))) for T in (1, 8, 64)
    ]
    assert np.all(np.diff(distance) < 0)
    assert distance[0] > 0.3 and distance[-1] < 0.04


def test_argmax_last_takes_the_likeliest():
    family = absorbing(1)
    logits = jnp.asarray([[0.1, 0.3, 0.2, -jnp.inf]])
    step = samplers.argmax_last()
    x = jax.jit(
        lambda rng: sample(lambda x, t: logits, family, rng, (100, 1), step=step)
    )(jax.random.key(0))
    assert (np.asarray(x) == 1).all()


def test_trajectory_returns_the_same_samples():
    @jax.jit
    def run(family, rng):
        args = three_tokens(family), family, rng, (20, 3)
        return samplers.trajectory(*args, every=2), sample(*args)

    (end, records), samples = run(absorbing(6), jax.random.key(0))
    np.testing.assert_array_equal(end, samples)
    assert records.shape == (20, 3, 3)
    assert (records[:, 0] == K - 1).all()


def test_a_batch_may_be_cut():
    @jax.jit
    def run(family, rng):
        args, keys = (three_tokens(family), family), chain.example_keys(rng, 6)
        return sample(*args, rng, (6, 3)), sample(*args, keys[2:4], (2, 3))

    whole, part = run(absorbing(6), jax.random.key(0))
    np.testing.assert_array_equal(part, whole[2:4])


@pytest.mark.parametrize("name", ["ancestral", "reveal", "remasking", "confidence"])
def test_infilling_keeps_what_is_known(name):
    family = absorbing(6)
    step = {
        "ancestral": samplers.ancestral,
        "reveal": unmasking.reveal,
        "remasking": unmasking.remasking(0.8),
        "confidence": unmasking.confidence(),
    }[name]

    @jax.jit
    def run(rng):
        return sample(
            three_tokens(family),
            family,
            rng,
            (8, 3),
            step=step,
            draw=unmasking.keys if name == "reveal" else None,
            known=np.array([[1, 0, 0]] * 8),
            known_mask=np.array([True, False, False]),
            length_mask=np.array([[True, True, i % 2 == 0] for i in range(8)]),
            pad=2,
        )

    x = np.asarray(run(jax.random.key(0)))
    assert (x[:, 0] == 1).all() and (x[1::2, 2] == 2).all()
    assert (x != K - 1).all()


@pytest.mark.parametrize("sampler", [sample, unmasking.first_hitting])
def test_infilling_one_token_is_exact(sampler):
    """p(x_3 | x_1 = x_2 = 0) = (2/3, 1/3), at any T for absorbing."""
    family = absorbing(3)
    # The posterior of absorbing data is the same at every t; at T nothing is shown.
    denoise = three_tokens(family)
    x = jax.jit(
        lambda rng: sampler(
            lambda x_t, t: denoise(x_t, jnp.ones_like(t)),
            family,
            rng,
            (NUM, 3),
            known=jnp.zeros(3, jnp.int32),
            known_mask=jnp.asarray([True, True, False]),
        )
    )(jax.random.key(0))
    got = np.bincount(x[:, 2], minlength=K)
    assert tables.p_value(got, np.array([2, 1, 0, 0]) / 3) > 1e-4


def test_one_program_for_every_grid_of_a_length():
    family = tables.uniform(20, K)
    traces = []

    @jax.jit
    def run(ts):
        traces.append(1)
        return sample(one_token(family), family, jax.random.key(0), (4, 1), ts=ts)

    for ts in ([20, 10, 0], [20, 5, 0], [7, 3, 0]):
        run(np.array(ts))
    assert len(traces) == 1


def test_the_program_does_not_grow_with_T():
    def size(T):
        family = transitions.uniform(np.full(T, 0.1), K)

        def run(rng, family, ts):
            return sample(lambda x, t: jnp.zeros((2, K)), family, rng, (4, 2), ts=ts)

        ts = jnp.arange(T, -1, -1)
        return len(jax.jit(run).lower(jax.random.key(0), family, ts).as_text())

    assert size(1000) <= 1.1 * size(10)


def test_bad_input_is_named():
    family = absorbing(3)
    args = three_tokens(family), family, jax.random.key(0), (2, 3)
    known, mask = np.zeros((2, 3), np.int32), np.ones((2, 3), bool)
    for sampler in (sample, unmasking.first_hitting):
        run = functools.partial(sampler, *args)
        with pytest.raises(ValueError, match="expected known_mask of shape"):
            run(known=known, known_mask=mask[:, :2])
        with pytest.raises(ValueError, match="expected a boolean known_mask"):
            run(known=known, known_mask=known)
        with pytest.raises(ValueError, match="expected known and known_mask together"):
            run(known=known)
        with pytest.raises(ValueError, match="expected known in 0..3"):
            run(known=known + 4, known_mask=mask)
        with pytest.raises(ValueError, match="expected length_mask and pad together"):
            run(length_mask=mask)
        with pytest.raises(ValueError, match="expected pad in 0..3"):
            run(length_mask=mask, pad=4)
        with pytest.raises(ValueError, match="expected ts to descend"):
            run(ts=[0, 1, 3])
    with pytest.raises(ValueError, match="expected Gumbel noise .* leave out `draw`"):
        sample(*args, draw=lambda rng, x: jnp.zeros((1, K)))
    with pytest.raises(ValueError, match="expected 0 <= strength <= 1"):
        unmasking.remasking(1.5)
    with pytest.raises(ValueError, match="expected temperature >= 0"):
        unmasking.confidence(temperature=-1.0)
