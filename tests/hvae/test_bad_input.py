"""Mistakes in values: what was expected, what came, and what to do."""

import jax
import jax.numpy as jnp
import pytest

from diffjax import hvae
from diffjax.core import schedules
from diffjax.core.bounds import Bound
from diffjax.hvae import losses
from hvae.nets import MLP
from hvae.nets import ladder as nets_of

KEY = jax.random.key(0)
X = jnp.zeros((2, 3))
TERMS = Bound(jnp.zeros(2), jnp.zeros((2, 1)), jnp.zeros(2))
SCHEDULE = schedules.constant(3, beta=0.1)


def says(num):
    """A layer of `num` latents."""
    return lambda *z: (jnp.zeros(num), jnp.zeros(num))


def likelihood(x, decoded):
    return jnp.zeros(())


def bound(encode, decode, x=X):
    return hvae.bound(encode, decode, KEY, x, likelihood=likelihood)


def ladder(num, *, L=2):
    merge = hvae.own(*[lambda h, z: h] * L)
    return hvae.Ladder((), hvae.own(*[says(num)] * L), merge, lambda h: h)


def ladder_bound(encode, decode):
    return hvae.ladder.bound(encode, decode, KEY, X, likelihood=likelihood)


def sample(temperature):
    decode = hvae.own(lambda z: z, says(3))
    return hvae.sample(decode, KEY, (2, 3), temperature=temperature)


CASES = {
    "no layers": (lambda: hvae.own(), r"layers >= 1, got 0"),
    "L of 0": (lambda: hvae.alike(says(3), 0), r"L >= 1, got 0.*VAE has one"),
    "one alike net": (
        lambda: hvae.alike_nets(MLP((2,)), MLP((2,)), 1),
        r"L >= 2 layers, got 1; use own_nets",
    ),
    "more encoder layers": (
        lambda: bound(hvae.own(says(3), says(3)), hvae.own(says(3))),
        r"as many encoder as decoder layers, got 2 and 1",
    ),
    "more encoder nets": (
        lambda: hvae.objective(
            hvae.own_nets(MLP((2,)), MLP((2,))),
            hvae.own_nets(MLP((2,))),
            likelihood=likelihood,
        ),
        r"got 2 and 1; the decoder's first",
    ),
    "fewer merges than priors": (
        lambda: hvae.ladder_objective(
            nets_of(8, (2, 2))._replace(merge=(MLP((8,)),)), likelihood=likelihood
        ),
        r"got 2 and 1",
    ),
    "more rungs in the encoder": (
        lambda: ladder_bound(hvae.own(*[says(3)] * 3), ladder(3)),
        r"as many encoder as decoder layers, got 3 and 2",
    ),
    "a ladder that does not match itself": (
        lambda: hvae.ladder.sample(
            ladder(3)._replace(merge=hvae.own(lambda h, z: h)), KEY, 2
        ),
        r"as many .* layers, got 2 and 1",
    ),
    "a schedule of another length": (
        lambda: hvae.diffusion.bound(
            hvae.fixed_gaussian_posterior(SCHEDULE),
            hvae.own(says(3)),
            KEY,
            X,
            likelihood=likelihood,
        ),
        r"got 3 and 1;.* a schedule of T steps is T layers",
    ),
    "latents of two shapes": (
        lambda: bound(hvae.own(says(3), says(2)), hvae.own(says(3), says(2))),
        r"of one shape, got \(3,\) from the encoder and \(2,\) from the decoder",
    ),
    "rungs of two shapes": (
        lambda: ladder_bound(hvae.own(says(3), says(3)), ladder(2)),
        r"z_i of one shape, got \(3,\) from the encoder and \(2,\)",
    ),
    "a decoder of other data": (
        lambda: hvae.diffusion.bound(
            hvae.fixed_gaussian_posterior(SCHEDULE),
            hvae.own(*[says(2)] * 3),
            KEY,
            X,
            likelihood=likelihood,
        ),
        r"got \(3,\) from the encoder and \(2,\) from the decoder",
    ),
    "temperature below 0": (
        lambda: sample(lambda i: -0.1),
        r"temperature >= 0 at every layer, got -0.1, -0.1; 0 takes",
    ),
    "one temperature below 0": (
        lambda: jax.jit(lambda: sample(lambda i: 1 - i))(),
        r"temperature >= 0 at every layer, got 0, -1;",
    ),
    "temperature below 0 of a ladder": (
        lambda: hvae.ladder.sample(ladder(3), KEY, 2, temperature=lambda i: -1.0),
        r"temperature >= 0",
    ),
    "free bits below 0": (
        lambda: losses.free_bits(TERMS, lam=-0.5),
        r"lam >= 0 nats of free bits a layer, got -0.5",
    ),
    "no warm-up": (lambda: losses.warm_up(0, num=0), r"num >= 1 steps of warm-up"),
    "sizes of other layers": (
        lambda: losses.balanced(TERMS, beta=0.5, sizes=jnp.ones(3)),
        r"expected sizes \[2\], one a layer, got \(3,\)",
    ),
    "no draws": (
        lambda: hvae.log_weights(
            hvae.own(says(3)), hvae.own(says(3)), KEY, X, num=0, likelihood=likelihood
        ),
        r"num >= 1, got 0",
    ),
    "keys of another batch": (
        lambda: hvae.bound(
            hvae.own(says(3)),
            hvae.own(says(3)),
            jax.random.split(KEY, 3),
            X,
            likelihood=likelihood,
        ),
        r"one key or 2 keys, got 3",
    ),
}


@pytest.mark.parametrize("call, message", CASES.values(), ids=CASES)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
