"""Which masked tokens to show, and when: each sampler in law."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import tables
from d3pm.toys import (
    NUM,
    K,
    absorbing,
    alike_p,
    counts,
    data_law,
    draw_three,
    three_tokens,
)
from diffjax.core import oracle
from diffjax.d3pm import samplers, unmasking
from diffjax.d3pm.samplers import sample


@pytest.mark.slow
def test_first_hitting_has_the_law_of_ancestral_sampling():
    """Two-sample chi-square over all 64 states, at a T where steps coincide."""
    for T in (2, 5):
        a = counts(draw_three(absorbing(T), jax.random.key(1)))
        b = counts(
            draw_three(absorbing(T), jax.random.key(2), sampler=unmasking.first_hitting)
        )
        assert alike_p(a, b) > 1e-4


def test_first_hitting_is_exact_and_makes_few_calls():
    """Fine steps never coincide: the law of the data, in three calls."""
    calls = []
    family = absorbing(1 << 20)

    def counting(denoise):
        def wrapped(x_t, t):
            jax.debug.callback(lambda: calls.append(1))
            return denoise(x_t, t)

        return wrapped

    x = draw_three(family, jax.random.key(0), sampler=unmasking.first_hitting)
    assert tables.p_value(counts(x), data_law()) > 1e-4
    denoise = counting(three_tokens(family))
    jax.jit(lambda rng: unmasking.first_hitting(denoise, family, rng, (1, 3)))(
        jax.random.key(0)
    )
    jax.effects_barrier()
    assert len(calls) == 3


def test_reveal_has_the_law_of_ancestral_sampling():
    family = absorbing(4)

    def revealing(denoise, family, rng, shape):
        return sample(
            denoise, family, rng, shape, step=unmasking.reveal, draw=unmasking.keys
        )

    a = counts(draw_three(family, jax.random.key(1)))
    b = counts(draw_three(family, jax.random.key(2), sampler=revealing))
    assert alike_p(a, b) > 1e-4


@pytest.mark.slow
def test_remasking_keeps_the_law_and_mends():
    """One token: exact for any strength. Three at few steps: closer than without."""
    family = absorbing(5)
    one, law = jnp.arange(3)[:, None], np.array([0.1, 0.6, 0.3, 0.0])
    denoise = oracle.discrete_denoiser(one, family, log_weights=jnp.log(law[:3]))
    for strength in (0.5, 1.0):
        step = unmasking.remasking(strength)
        draw = jax.jit(
            lambda rng, step=step: sample(denoise, family, rng, (NUM, 1), step=step)
        )
        x = draw(jax.random.key(3))
        assert tables.p_value(counts(x), law) > 1e-4
    steps = unmasking.remasking(0.0), samplers.ancestral

    @jax.jit
    def same(family, rng):
        args = three_tokens(family), family, rng, (50, 3)
        return [sample(*args, step=step) for step in steps]

    np.testing.assert_array_equal(*same(absorbing(6), jax.random.key(0)))


path_of = jax.jit(
    functools.partial(samplers.trajectory, every=1),
    static_argnums=(0, 3),
    static_argnames="step",
)


def test_confidence_shows_the_surest_first():
    """All of a known length, in ceil-free counts: T = 3 tokens, one a step."""
    family = absorbing(3)

    def denoise(x_t, t):
        surer = jnp.asarray([1.0, 5.0, 3.0])
        return jnp.stack([surer, 0 * surer, 0 * surer, 0 * surer], axis=-1)

    step = unmasking.confidence()
    end, path = path_of(denoise, family, jax.random.key(0), (200, 3), step=step)
    shown = np.asarray(path) != K - 1
    np.testing.assert_array_equal(shown.sum(-1), np.tile([0, 1, 2], (200, 1)))
    assert (np.asarray(end) != K - 1).all()
    first = shown[:, 1].argmax(-1)
    assert (first == 1).mean() > 0.9


def test_confidence_order_is_random_at_a_high_temperature():
    family = absorbing(3)
    args = family, jax.random.key(0), (6000, 3)
    step = unmasking.confidence(temperature=100.0)
    _, path = path_of(lambda x, t: jnp.zeros((3, K)), *args, step=step)
    first = (np.asarray(path)[:, 1] != K - 1).argmax(-1)
    assert tables.p_value(np.bincount(first, minlength=3), np.ones(3) / 3) > 1e-4
