"""Classifiers: features, logits, and what the noisy one knows of time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.core import categorical, schedules
from diffjax.nets import classifier
from tests.nets.tiny import KEY, NETS, T, images, jit, weights

PLAIN, TIMED = NETS["Classifier"].net, NETS["TimedClassifier"].net
X = images(9, 11, 2)


def test_logits_are_linear_in_the_features():
    params = weights(PLAIN, X)
    features = jit(lambda p, x: PLAIN.apply(p, x, method="features"))(params, X)
    assert features.shape == (7, 8)
    head = params["params"]["head"]
    wanted = features @ head["kernel"] + head["bias"].reshape(1, -1)
    np.testing.assert_allclose(
        jit(PLAIN.apply)(params, X), wanted, rtol=1e-4, atol=1e-5
    )


def test_it_learns_which_half_is_bright():
    """Twenty steps of gradient descent on 28 images."""
    x = 0.1 * images(8, 8, 1, num=28)
    label = jnp.arange(28) % 2
    x = x.at[:, :4].add((1.0 * label).reshape(-1, 1, 1, 1))
    net = classifier.Classifier(num_classes=2, widths=(4,), groups=2)

    def loss(params):
        logits = net.apply(params, x)
        return -jnp.mean(jax.vmap(categorical.log_prob)(label, logits))

    def step(params, _):
        value, g = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - 1.0 * g, params, g), value

    values = jit(lambda p: jax.lax.scan(step, p, length=20)[1])(weights(net, x))
    assert values[-1] < 0.5 * values[0]


def test_guidance_follows_the_timed_classifier():
    """The gradient that tilts a denoiser, of one example, finite and told of t."""
    schedule = schedules.linear(10)
    params = weights(TIMED, X, T)

    def log_prob(x, t):
        logits = TIMED.apply(params, x[None], t[None])[0]
        return categorical.log_prob(jnp.asarray(1), logits)

    guided = ddpm.guidance.classifier(
        lambda x, t: jnp.zeros_like(x), schedule, log_prob
    )
    early, late = (jit(guided)(X[0], jnp.asarray(t)) for t in (2, 9))
    assert np.all(np.isfinite(early)) and float(jnp.max(jnp.abs(early))) > 0
    assert not np.allclose(early, late)


def test_bad_input():
    with pytest.raises(ValueError, match=r"height and width >= 8, got \(7, 11\)"):
        jax.eval_shape(PLAIN.init, KEY, X[:, :7])
    with pytest.raises(ValueError, match=r"expected t \[B\]"):
        jax.eval_shape(TIMED.init, KEY, X, jnp.asarray(1))
