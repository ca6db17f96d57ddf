"""What a loss does to the terms of a bound: hand-made numbers, and NVAE's code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import hvae
from diffjax.core.bounds import Bound
from diffjax.hvae import losses

RECONSTRUCTION = np.array([-3.0, -5.0])
KLS = np.array([[0.2, 1.0, 4.0], [0.4, 3.0, 2.0]])  # layers 1..3 of two examples


def terms(kls=KLS, reconstruction=RECONSTRUCTION):
    kls = jnp.asarray(kls)
    return Bound(jnp.asarray(reconstruction), kls[:, :-1], kls[:, -1])


def test_reports():
    np.testing.assert_allclose(hvae.layer_kls(terms()), KLS)
    np.testing.assert_allclose(hvae.kl_report(terms()), [0.3, 2.0, 3.0], rtol=1e-6)
    dead = terms(KLS * np.array([0.02, 1, 1]))
    assert hvae.collapsed(dead).tolist() == [True, False, False]
    assert hvae.collapsed(terms(), threshold=2.5).tolist() == [True, True, False]


def test_annealed():
    """Mean distortion 4, mean rate 0.3 + 2 + 3."""
    np.testing.assert_allclose(losses.annealed(terms()), 9.3, rtol=1e-6)
    np.testing.assert_allclose(losses.annealed(terms(), beta=0.5), 6.65, rtol=1e-6)
    np.testing.assert_allclose(losses.annealed(terms()), -jnp.mean(terms().elbo))


@pytest.mark.parametrize("step, beta", [(0, 0), (30, 0.3), (100, 1), (1000, 1)])
def test_warm_up(step, beta):
    value = jax.jit(lambda s: hvae.warm_up(s, num=100))(step)
    np.testing.assert_allclose(value, beta, rtol=1e-6)


def test_free_bits_take_the_mean_before_the_maximum():
    """4 + max(1, 0.3) + max(1, 2) + max(1, 3); layer 2 dips below 2.5 only singly."""
    value = losses.free_bits(terms(), lam=1.0)
    np.testing.assert_allclose(value, 4 + 1 + 2 + 3, rtol=1e-6)
    value = losses.free_bits(terms(), lam=2.5, beta=0.5)
    np.testing.assert_allclose(value, 4 + 0.5 * (2.5 + 2.5 + 3), rtol=1e-6)
    np.testing.assert_allclose(
        losses.free_bits(terms(), lam=0.0), losses.annealed(terms()), rtol=1e-6
    )


def test_free_bits_do_not_push_a_layer_below_them():
    slope = jax.grad(lambda k: losses.free_bits(terms(k), lam=1.0))(KLS)
    np.testing.assert_allclose(slope, [[0, 0.5, 0.5]] * 2)


def nvae_coefficients(kls, alpha):
    """kl_balancer of the published code, in its own order."""
    coefficient = np.mean(np.abs(kls), axis=0, keepdims=True) + 0.01
    total = np.sum(coefficient)
    coefficient = coefficient / alpha[None] * total
    return (coefficient / np.mean(coefficient, axis=1, keepdims=True))[0]


def test_balanced_is_that_of_nvae_during_warm_up():
    alpha = np.array([4.0, 2.0, 1.0])
    gamma = nvae_coefficients(KLS, alpha)
    wanted = 4 + 0.3 * np.mean(KLS @ gamma)
    value = losses.balanced(terms(), beta=0.3, sizes=alpha)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    # The coefficients are constants to the gradient.
    slope = jax.grad(lambda k: losses.balanced(terms(k), beta=0.3, sizes=alpha))(KLS)
    np.testing.assert_allclose(slope, np.tile(0.15 * gamma, (2, 1)), rtol=1e-6)


def test_balanced_ends_with_warm_up_and_sees_signs():
    np.testing.assert_allclose(
        losses.balanced(terms(), beta=1.0), losses.annealed(terms()), rtol=1e-6
    )
    kls = KLS * np.array([-1.0, 1, 1])  # a climbing encoder's terms may be negative
    wanted = 4 + 0.5 * np.mean(kls @ nvae_coefficients(kls, np.ones(3)))
    value = losses.balanced(terms(kls), beta=0.5)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        lambda b, axis: losses.free_bits(b, lam=1.0, axis_name=axis),
        lambda b, axis: losses.balanced(b, beta=0.5, axis_name=axis),
    ],
    ids=["free_bits", "balanced"],
)
def test_losses_on_two_devices_are_those_of_one(loss):
    """Value and gradient; the device's own mean KLs lie on both sides of lam."""
    kls = jnp.asarray(
        [[0.2, 0.5, 4.0], [0.4, 2.5, 2.0], [1.2, 1.1, 0.2], [3, 0.1, 0.1]]
    )

    def step(scale, kls, axis):
        def f(scale):
            return loss(terms(scale[None] * kls, jnp.zeros(kls.shape[0])), axis)

        return jax.value_and_grad(f)(scale)

    def on_device(kls):
        return jax.lax.pmean(step(jnp.ones(3), kls, "i"), "i")

    value, slope = jax.pmap(on_device, axis_name="i")(kls.reshape(2, 2, 3))
    wanted, wanted_slope = step(jnp.ones(3), kls, None)
    np.testing.assert_allclose(value[0], wanted, rtol=1e-6)
    np.testing.assert_allclose(slope[0], wanted_slope, rtol=1e-6)
    report = jax.pmap(
        lambda k: hvae.kl_report(terms(k, jnp.zeros(2)), axis_name="i"), axis_name="i"
    )(kls.reshape(2, 2, 3))
    np.testing.assert_allclose(report[1], kls.mean(0), rtol=1e-6)
