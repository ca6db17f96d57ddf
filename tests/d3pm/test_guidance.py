"""Guides against the laws they promise, written out in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.d3pm import guidance


def test_classifier_free_guidance_mixes_log_probabilities(x64):
    c, u = jnp.asarray([[0.7, 0.2, 0.1, 0]]), jnp.asarray([[0.25, 0.25, 0, 0.5]])
    with np.errstate(divide="ignore"):
        conditional, unconditional = jnp.log(c), jnp.log(u)
    for w in (0.0, 1.0, 2.5):
        guided = guidance.classifier_free(
            lambda x, t: conditional, lambda x, t: unconditional, w
        )
        want = np.where((c > 0) & (u > 0), u ** (1 - w) * c**w, 0)
        got = np.exp(guided(jnp.zeros(1, int), 1))
        np.testing.assert_allclose(got, want / want.sum(), rtol=1e-10)


def test_temperature_and_top_p(x64):
    p = np.array([[0.5, 0.3, 0.15, 0.05]])
    plain, x = (lambda x, t: jnp.log(jnp.asarray(p))), jnp.zeros(1, int)
    got = np.exp(guidance.tempered(plain, temperature=0.5)(x, 1))
    np.testing.assert_allclose(got, p**2 / np.sum(p**2), rtol=1e-10)
    for mass, kept in ((0.0, 1), (0.4, 1), (0.6, 2), (0.9, 3), (1.0, 4)):
        got = np.exp(guidance.top_p(plain, p=mass)(x, 1))
        want = np.where(np.arange(4) < kept, p, 0)
        np.testing.assert_allclose(got, want / want.sum(), rtol=1e-10)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="expected temperature > 0"):
        guidance.tempered(lambda x, t: x, temperature=0.0)
    with pytest.raises(ValueError, match="expected 0 <= p <= 1"):
        guidance.top_p(lambda x, t: x, p=1.5)
