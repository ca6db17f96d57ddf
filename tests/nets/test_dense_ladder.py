"""The dense ladder: sizes by hand, and where it starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import hvae
from diffjax.core import likelihoods
from diffjax.nets import dense_ladder
from tests.nets.tiny import KEY, jit


def test_it_starts_from_standard_priors_and_has_the_parameters_it_should():
    """d: of the data, w: the width, z: of a latent; each layer costs 8 w z + ..."""
    d, w, latents = 6, 5, (3, 2)
    nets = hvae.LadderNets(*dense_ladder.top_down((d,), latents, width=w))
    objective = hvae.ladder_objective(nets, likelihood=likelihoods.bernoulli)
    x = jnp.ones((2, d))
    params = jit(objective.init)(KEY, {"x": x})
    dense = [d * w + w, w * w + w, w * w + w, w * d + d]  # features, then read
    for z in latents:
        dense += [2 * w * 2 * z + 2 * z, w * 2 * z + 2 * z]  # encoder, prior
        dense += [z * w + w, w * w + w]  # merge
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == sum(dense)

    h = jax.random.normal(KEY, (2, w))
    for net, of_net, z in zip(nets.prior, params["prior"], latents, strict=True):
        mean, log_var = jit(net.apply)(of_net, h)
        np.testing.assert_array_equal(mean, np.zeros((2, z)))
        np.testing.assert_array_equal(log_var, np.zeros((2, z)))


def test_a_latent_adds_to_the_state():
    net = dense_ladder.Merge()
    h, other, z = (jax.random.normal(jax.random.key(i), (2, 4)) for i in range(3))
    params = net.init(KEY, h, z)
    added = net.apply(params, h, z) - h
    np.testing.assert_allclose(net.apply(params, other, z) - other, added, atol=1e-5)


@pytest.mark.parametrize("latents", [(), (4, 0)])
def test_every_layer_has_a_latent(latents):
    with pytest.raises(ValueError, match="expected a latent of 1 or more in every"):
        dense_ladder.top_down((6,), latents)
