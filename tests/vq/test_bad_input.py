"""Every mistake in values has a message that says what was expected."""

import jax
import jax.numpy as jnp
import pytest

from diffjax import vq
from diffjax.vq import gumbel, prior, quantizers

KEY = jax.random.key(0)
BOOK, Z, CODES = jnp.zeros((4, 3)), jnp.zeros((5, 3)), jnp.zeros(5, jnp.int32)
STATE = vq.ema_init(BOOK)


def update(z=Z, codes=CODES, decay=0.9, smoothing=1e-5):
    return vq.ema_update(STATE, z, codes, decay=decay, smoothing=smoothing)


MISTAKES = {
    "code too large": (lambda: vq.lookup(BOOK, CODES + 4), "expected codes in 0..3"),
    "code negative": (lambda: update(codes=CODES - 1), "expected codes in 0..3"),
    "counted code": (lambda: vq.counts(CODES + 9, 4), "expected codes in 0..3"),
    "prior's code": (
        lambda: prior.uniform(4).log_prob(CODES + 4),
        "expected codes in 0..3",
    ),
    "causal code": (
        lambda: prior.autoregressive(lambda c: jnp.zeros((5, 4))).log_prob(CODES + 4),
        "expected codes in 0..3",
    ),
    "grid's code": (lambda: vq.fsq_lookup(CODES + 9, [3, 3]), "expected codes in 0..8"),
    "real codes": (lambda: vq.lookup(BOOK, CODES / 2), "expected integer codes"),
    "one code": (lambda: vq.quantize(BOOK[:1], Z), "with K >= 2"),
    "one code averaged": (lambda: vq.ema_init(BOOK[:1]), "with K >= 2"),
    "one code drawn": (lambda: vq.init_from_data(KEY, Z, 1), "with K >= 2"),
    "one code uniform": (lambda: vq.init_uniform(KEY, Z, 1), "with K >= 2"),
    "one code's prior": (lambda: prior.uniform(1), "expected K >= 2, got 1"),
    "logits of a row": (
        lambda: prior.unigram(jnp.zeros((2, 4))),
        r"expected logits \[K\] with K >= 2",
    ),
    "codebook of three axes": (
        lambda: vq.quantize(BOOK[None], Z),
        r"expected a codebook \[K, D\]",
    ),
    "codebooks of two axes": (
        lambda: vq.residual(BOOK, Z),
        r"expected codebooks \[Q, K, D\]",
    ),
    "no codebook": (lambda: quantizers.residual_vector(0, 4), "expected Q >= 1"),
    "width": (lambda: vq.quantize(BOOK, Z[:, :2]), r"expected z \[..., 3\]"),
    "width averaged": (lambda: update(z=Z[:, :2]), r"expected z \[..., 3\]"),
    "width restarted": (
        lambda: vq.restart(KEY, STATE, Z[:, :2]),
        r"expected z \[..., 3\]",
    ),
    "codes for other vectors": (
        lambda: update(codes=CODES[:4]),
        "expected a code for each vector",
    ),
    "straight through": (
        lambda: vq.straight_through(Z, Z[0]),
        "expected z and z_q of one shape",
    ),
    "decay 1": (lambda: update(decay=1.0), "expected 0 <= decay < 1, got 1.0"),
    "decay negative": (lambda: update(decay=-0.1), "expected 0 <= decay < 1"),
    "smoothing": (lambda: update(smoothing=-1e-5), "expected smoothing >= 0"),
    "threshold": (
        lambda: vq.restart(KEY, STATE, Z, threshold=2.0),
        "expected 0 <= threshold < 1",
    ),
    "no steps": (lambda: vq.init_kmeans(KEY, Z, 2, steps=0), "expected steps >= 1"),
    "beta": (lambda: vq.commitment_loss(Z, Z, beta=-1.0), "expected beta >= 0"),
    "level 2": (lambda: vq.fsq(Z, [4, 2, 5]), "expected levels >= 3"),
    "level 1": (lambda: vq.fsq(Z, [4, 1, 5]), "expected levels >= 3"),
    "no levels": (lambda: vq.fsq(Z[:, :0], []), "at least one integer level"),
    "half a level": (lambda: vq.fsq(Z, [4.5, 3, 3]), "at least one integer level"),
    "levels and width": (lambda: vq.fsq(Z, [4, 3]), r"expected z \[..., 2\]"),
    "too many codes": (lambda: vq.fsq_size([1000] * 4), "fewer than 2\\^31 codes"),
    "temperature": (
        lambda: gumbel.relaxed(BOOK, BOOK, jnp.asarray(-1.0)),
        "expected temperature > 0",
    ),
    "temperature 0": (lambda: gumbel.hard(BOOK, BOOK, 0.0), "expected temperature > 0"),
    "cosine below 0": (
        lambda: gumbel.cosine(start=1.0, end=-1.0, steps=10),
        "expected start >= 0, end >= 0",
    ),
    "cosine at once": (
        lambda: gumbel.cosine(start=1.0, end=0.1, steps=0),
        "steps >= 1",
    ),
    "exponential to 0": (
        lambda: gumbel.exponential(rate=0.1, end=0.0),
        "expected rate >= 0 and end > 0",
    ),
    "constant": (lambda: gumbel.constant(-1.0), "expected value >= 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name):
    make, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        make()
