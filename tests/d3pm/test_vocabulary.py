"""Large vocabularies: the same numbers as in one piece, in little memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import tables
from diffjax.core import categorical
from diffjax.d3pm import masked, samplers, transitions, unmasking, vocabulary

TOKENS, K = 8192, 50_257


def test_log_prob_is_that_of_one_piece(monkeypatch):
    monkeypatch.setattr(vocabulary, "BLOCK", 64)
    logits = jax.random.normal(jax.random.key(0), (5, 12, 16)) * 3
    x = jax.random.randint(jax.random.key(1), (5, 12), 0, 15)

    def in_blocks(logits):
        return jnp.sum(vocabulary.log_prob(x, logits))

    def whole(logits):
        return categorical.log_prob(x, logits)

    @jax.jit
    def run(logits):
        without = logits.at[..., 15].set(-jnp.inf)
        impossible = vocabulary.log_prob(x, logits, impossible=15)
        values = in_blocks(logits), whole(logits)
        slopes = jax.grad(in_blocks)(logits), jax.grad(whole)(logits)
        return values, (impossible, vocabulary.log_prob(x, without)), slopes

    values, possible, slopes = run(logits)
    np.testing.assert_allclose(*values, rtol=1e-6)
    np.testing.assert_allclose(*possible, rtol=1e-6)
    np.testing.assert_allclose(*slopes, atol=1e-6)


def test_log_prob_of_bfloat16_is_reduced_in_float32():
    logits = (jax.random.normal(jax.random.key(0), (4, 3000)) * 3).astype(jnp.bfloat16)
    x = jnp.asarray([0, 1, 2999, 7])
    got = vocabulary.log_prob(x, logits)
    want = np.asarray(logits, np.float64)
    want = want[np.arange(4), x] - np.log(np.exp(want).sum(-1))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_draw_has_the_law_of_the_logits(monkeypatch):
    monkeypatch.setattr(vocabulary, "BLOCK", 4000)
    p = np.array([0.5, 0.2, 0.2, 0.1])
    logits = jnp.broadcast_to(jnp.log(jnp.asarray(p, jnp.float32)), (20_000, 4))
    got = np.bincount(vocabulary.draw(logits, jax.random.key(0)), minlength=4)
    assert tables.p_value(got, p) > 1e-4
    drawn = vocabulary.draw(logits, jax.random.key(1), impossible=0)
    got = np.bincount(drawn, minlength=4)
    assert tables.p_value(got, np.array([0, 0.4, 0.4, 0.2])) > 1e-4
    alike = vocabulary.draw_alike(jnp.log(p), jax.random.key(2), (100, 200))
    assert tables.p_value(np.bincount(alike.ravel(), minlength=4), p) > 1e-4


def test_rows_divide():
    assert vocabulary.rows(8192, 50_257) == 8
    assert vocabulary.rows(7, 50_257) == 7
    assert vocabulary.rows(13 * 1000, vocabulary.BLOCK // 14) == 13
    assert vocabulary.rows(5, 10**9) == 1


@pytest.mark.slow
def test_memory_of_the_absorbing_loss_and_its_gradient():
    """8192 tokens at K = 50 257: at most 1.2 times the bf16 logits beyond them."""
    family = transitions.absorbing(1 / np.arange(1000, 0, -1), K, mask=K - 1)
    x_0 = jnp.zeros((8, TOKENS // 8), jnp.int32)
    logits = jax.ShapeDtypeStruct((8, TOKENS // 8, K), jnp.bfloat16)
    size = 2 * TOKENS * K

    def loss(logits, rng):
        # The logits are an argument: what a network holds besides is its own affair.
        t, x_t = masked.masked_batch(family, rng, x_0)
        return masked.loss_of_logits(family, logits, x_0, x_t, t)

    lowered = jax.jit(jax.value_and_grad(loss)).lower(logits, jax.random.key(0))
    memory = lowered.compile().memory_analysis()
    extra = memory.temp_size_in_bytes + memory.output_size_in_bytes
    assert size <= extra <= 1.2 * size  # the gradient itself is the size of the logits


@pytest.mark.slow
def test_memory_of_a_sampling_step():
    family = transitions.absorbing(1 / np.arange(1000, 0, -1), K, mask=K - 1)
    logits = jax.ShapeDtypeStruct((8, TOKENS // 8, K), jnp.bfloat16)
    size = 2 * TOKENS * K

    def step(logits, rng):
        def one(logits, rng):
            move = samplers.bind(unmasking.reveal, lambda x, t: logits, family)
            x_t = jnp.full(TOKENS // 8, K - 1)
            return move(x_t, jnp.asarray(500), jnp.asarray(499), rng, None)[0]

        return jax.vmap(one)(logits, jax.random.split(rng, 8))

    memory = jax.jit(step).lower(logits, jax.random.key(0)).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 1.2 * size
