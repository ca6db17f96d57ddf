"""Streaming moments against NumPy; the distance against SciPy and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from diffjax.evaluate import Moments, features, frechet

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(23, 5)) @ RNG.normal(size=(5, 5)) + 50).astype(np.float32)


def of(x):
    """Moments by NumPy, in one go."""
    x = np.asarray(x, np.float64)
    deviations = x - x.mean(0)
    return Moments(len(x), x.mean(0), deviations.T @ deviations)


def close(found, wanted, rtol=1e-5):
    assert int(found.num) == int(wanted.num)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=rtol)
    scale = np.abs(wanted.scatter).max()
    np.testing.assert_allclose(found.scatter, wanted.scatter, atol=rtol * scale)


@pytest.mark.parametrize("size", [1, 4, 23])
def test_moments_do_not_depend_on_the_batches(size):
    """A mean fifty times the deviations costs no digits."""
    update, seen = jax.jit(frechet.update), frechet.zero(5)
    for start in range(0, 23, size):
        batch = np.zeros((size, 5), np.float32)
        part = X[start : start + size]
        batch[: len(part)] = part
        seen = update(seen, batch, mask=np.arange(size) < len(part))
    close(seen, of(X))


def test_moments_of_parts_merge():
    a, b = (frechet.update(frechet.zero(5), part) for part in (X[:6], X[6:]))
    close(frechet.merge(a, b), of(X))
    close(frechet.merge(frechet.zero(5), b), of(X[6:]))


def test_moments_over_devices():
    """One batch cut in two, the halves of different means and numbers that count."""
    mask = np.arange(22) < 15

    def update(seen, x, mask):
        return frechet.update(seen, x, mask=mask, axis_name="devices")

    spread = jax.pmap(update, axis_name="devices", in_axes=(None, 0, 0))
    seen = frechet.update(frechet.zero(5), X[:8])
    seen = jax.device_get(spread(seen, X[1:].reshape(2, 11, 5), mask.reshape(2, 11)))
    for device in range(2):
        one = jax.tree.map(lambda leaf, device=device: leaf[device], seen)
        close(one, of(np.concatenate([X[:8], X[1:16]])))


@pytest.mark.parametrize("num, dims", [(30, 4), (200, 12)])
def test_frechet_distance_against_scipy(num, dims):
    rng = np.random.default_rng(dims)
    mix = rng.normal(size=(2, dims, dims))
    x, y = (rng.normal(size=(num, dims)) @ m + i for i, m in enumerate(mix))
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T))
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum()
    wanted += np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root.real)
    assert frechet.distance(of(x), of(y)) == pytest.approx(wanted, rel=1e-6)


def test_frechet_distance_of_singular_covariances():
    """Commuting ones have it in closed form: sum (sqrt a_i - sqrt b_i)^2."""
    turn = np.linalg.qr(RNG.normal(size=(40, 40)))[0]
    a, b = np.zeros(40), np.zeros(40)
    a[:9], b[5:20] = RNG.uniform(1, 4, 9), RNG.uniform(1, 4, 15)
    many = 100
    seen = [
        Moments(many, np.full(40, mean), (many - 1) * (turn * v) @ turn.T)
        for mean, v in ((0.0, a), (0.5, b))
    ]
    wanted = 40 * 0.25 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet.distance(*seen) == pytest.approx(wanted, rel=1e-12)
    assert abs(frechet.distance(seen[0], seen[0])) < 1e-11


def test_frechet_distance_of_fewer_examples_than_features():
    """The oracle works on the data, without a null space. That of moments in float32
    is noise, whose root is not small; but how large it is is known."""
    x, y = RNG.normal(size=(2, 40, 160)).astype(np.float32)
    centred = [(z - z.mean(0, dtype=np.float64)) / np.sqrt(39) for z in (x, y)]
    overlap = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() - 2 * overlap
    wanted += sum((z**2).sum() for z in centred)
    assert frechet.distance(of(x), of(y)) == pytest.approx(wanted, rel=1e-7)
    seen = [frechet.update(frechet.zero(160), z) for z in (x, y)]
    assert frechet.distance(*seen) == pytest.approx(wanted, rel=1e-7)


def test_frechet_distance_of_samples_that_are_all_alike():
    wanted = ((X.mean(0) - 50) ** 2).sum() + np.trace(np.cov(X.T))
    alike = of(np.full((7, 5), 50.0))
    assert frechet.distance(of(X), alike) == pytest.approx(wanted, rel=1e-6)
    assert frechet.distance(alike, alike) == 0


def halves(x):
    return x.reshape(-1, 4)[:, ::2] * 0.5


def batches(x, size):
    for start in range(0, len(x), size):
        part = x[start : start + size]
        padded = np.resize(part, (size, *x.shape[1:]))
        yield {"x": padded, "mask": np.arange(size) < len(part)}


def test_features_of_a_stream():
    """Moments and rows of a function of masked batches; compiled once."""
    x, traces = RNG.normal(size=(11, 2, 2)).astype(np.float32), []

    def traced(x):
        traces.append(x.shape)
        return halves(x)

    wanted = halves(x)
    close(features.moments(traced, batches(x, 4)), of(wanted))
    assert len(traces) == 2  # for the number of features, and to compile
    found = features.collect(halves, batches(x, 4))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    both = features.see(halves, batches(x, 4), rows=6)  # one and a half batches
    np.testing.assert_allclose(both.rows, wanted[:6], rtol=1e-6)
    close(both.moments, of(wanted))
    whole = features.moments(lambda x: jnp.asarray(halves(x)), [{"x": x}])
    close(whole, of(wanted))


MANY = of(X)
NOT_FINITE = MANY._replace(scatter=MANY.scatter * np.nan)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: frechet.distance(of(X[:1]), MANY), "2 examples or more, got 1; a"),
        (lambda: frechet.distance(MANY, of(X[:, :3])), "got 5 and 3 of them; use one"),
        (lambda: frechet.distance(MANY, NOT_FINITE), "expected finite features, got"),
        (lambda: features.moments(halves, []), "expected batches, got none; see the"),
        (lambda: features.collect(halves, []), "expected batches, got none; see the"),
        (
            lambda: features.collect(lambda x: x[..., None], [{"x": X}]),
            r"expected features \[B, F\] of a batch, got \[23, 5, 1\]; flatten",
        ),
    ],
)
def test_bad_features(call, message):
    with pytest.raises(ValueError, match=message):
        call()
