"""Against double loops over single examples."""

import numpy as np
import pytest

from diffjax.evaluate import kid, precision_recall

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(12, 3)) * 2, RNG.normal(size=(9, 3)) + 1


def brute_mmd(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(z):
        pairs = [k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]
        return sum(pairs) / len(pairs)

    across = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


def test_mmd_against_a_double_loop():
    assert kid.mmd(X, Y) == pytest.approx(brute_mmd(X, Y), rel=1e-6)
    wide = RNG.normal(size=(2, 5, 40)).astype(np.float32) * 20
    assert kid.mmd(*wide) == pytest.approx(brute_mmd(*wide.astype(float)), rel=1e-6)


def test_kid_is_the_mean_over_disjoint_blocks():
    """Three blocks of three; what is left of x is not used."""
    values = [brute_mmd(X[i : i + 3], Y[i : i + 3]) for i in (0, 3, 6)]
    value, error = kid.distance(X, Y, block=3)
    assert value == pytest.approx(np.mean(values), rel=1e-6)
    assert error == pytest.approx(np.std(values, ddof=1) / np.sqrt(3), rel=1e-6)


def test_kid_is_unbiased():
    """Of one law with itself it is zero within its own error, and not of two."""
    x, y = RNG.normal(size=(2, 4000, 2))
    value, error = kid.distance(x, y, block=20)
    assert abs(value) < 4 * error
    value, error = kid.distance(x, y + 1, block=20)
    assert value > 10 * error


def brute_inside(manifold, x, k):
    def gap(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    def radius(i):
        rest = [gap(manifold[i], m) for j, m in enumerate(manifold) if j != i]
        return sorted(rest)[k - 1]

    balls = [(m, radius(i)) for i, m in enumerate(manifold)]
    return np.array([any(gap(p, m) <= r for m, r in balls) for p in x])


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("offset", [0, 1e8])
def test_precision_and_recall_against_a_double_loop(k, offset, monkeypatch):
    """In chunks; features far from zero as well."""
    monkeypatch.setattr(precision_recall, "CHUNK", 5)
    x, y = X + offset, Y + offset
    found = precision_recall.score(x, y, neighbours=k)
    assert found.precision == brute_inside(x, y, k).mean()
    assert found.recall == brute_inside(y, x, k).mean()
    assert found.precision != found.recall


def test_what_precision_and_recall_mean():
    """Samples of one mode of two are good and cover half."""
    modes = RNG.normal(size=(2, 40, 2)) + np.array([[[0, 0]], [[99, 0]]])
    data, one = modes.reshape(80, 2), modes[0]
    assert precision_recall.score(data, one) == (1.0, 0.5)
    assert precision_recall.score(data, data) == (1.0, 1.0)
    assert precision_recall.score(data, one - 1e3) == (0.0, 0.0)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: kid.mmd(X, Y[:, :2]), r"got \[12, 3\] and \[9, 2\]; use one function"),
        (lambda: kid.mmd(X[0], Y), r"\[N, F\] and \[M, F\], got \[3\] and"),
        (lambda: kid.mmd(X, Y[:1]), "2 examples or more of each, got 12 and 1; draw"),
        (lambda: kid.mmd(X, Y * np.inf), "expected finite features, got inf or NaN"),
        (lambda: kid.distance(X, Y, block=5), "got 12 and 9 examples with block=5; t"),
        (lambda: kid.distance(X, Y, block=1), "got 12 and 9 examples with block=1; t"),
        (lambda: precision_recall.score(X, Y, neighbours=0), "neighbours >= 1, got 0"),
        (
            lambda: precision_recall.score(X, Y, neighbours=9),
            "expected 10 examples or more of each, got 12 and 9; draw more samples",
        ),
    ],
)
def test_bad_sets(call, message):
    with pytest.raises(ValueError, match=message):
        call()
