"""The losses of an autoencoder against NumPy, finite differences and counting."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats

from diffjax import ae
from diffjax.vae.objective import Functions

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
ENC, DEC = RNG.normal(size=(3, 5)), RNG.normal(size=(5, 3))
X = RNG.normal(size=(6, 5))
F32 = X.astype(np.float32)


def encode(x):
    return jnp.asarray(ENC, x.dtype) @ x


def decode(code):
    return jnp.asarray(DEC, code.dtype) @ code


def numpy_error(codes):
    return np.square(X - codes @ DEC.T).sum(1)


CODES = X @ ENC.T


def on(x, loss, **options):
    """A loss of the linear autoencoder on a batch, as one program."""
    return jax.jit(lambda x: loss(encode, decode, KEY, x, **options))(x)


def test_the_plain_loss_is_the_mean_over_examples_of_a_sum(x64):
    loss = on(X, ae.reconstruction_loss)
    np.testing.assert_allclose(loss, numpy_error(CODES).mean(), rtol=1e-12)


def test_the_categorical_loss_is_the_cross_entropy_of_the_lecture(x64):
    """-sum_k x_k log x_hat_k with x one-hot; bytes are categories too."""
    logits = RNG.normal(size=(4, 256))
    x = np.array([0, 255, 17, 3], np.uint8)
    lecture = -np.sum(np.eye(256)[x] * special.log_softmax(logits, axis=1))
    value = jax.jit(ae.cross_entropy)(x, logits)
    np.testing.assert_allclose(value, lecture, rtol=1e-12)

    @jax.jit
    def loss_of(x):
        nets = lambda x: x.astype(float)[:1], lambda code: jnp.asarray(logits)  # noqa: E731
        return ae.reconstruction_loss(*nets, KEY, x, error=ae.cross_entropy)

    loss = loss_of(x[None])
    np.testing.assert_allclose(loss, lecture, rtol=1e-12)


cross_entropy = jax.jit(jax.value_and_grad(ae.cross_entropy, argnums=1))
kl_sparsity = jax.jit(jax.value_and_grad(partial(ae.kl_sparsity, rho=0.05)))


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_extreme_logits_stay_finite(logit):
    logits = np.float32([[0, logit, logit]] * 2)
    value, gradient = cross_entropy(np.array([0, 2]), logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    value, gradient = kl_sparsity(np.full((4, 2), logit, np.float32))
    expected = 2 * (0.05 * np.log(0.05) + 0.95 * np.log(0.95))
    expected += 2 * 1e4 * (0.05 if logit < 0 else 0.95)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_the_l1_penalty(x64):
    loss = on(X, ae.l1_loss, lam=0.3)
    wanted = numpy_error(CODES).mean() + 0.3 * np.abs(CODES).sum(1).mean()
    np.testing.assert_allclose(loss, wanted, rtol=1e-12)


def test_the_kl_penalty(x64):
    """Of the mean activity, against scipy; a batch repeated eight times is the same."""
    h = special.expit(CODES)
    share = h.mean(0)
    divergence = special.rel_entr(0.1, share) + special.rel_entr(0.9, 1 - share)
    wanted = numpy_error(h).mean() + 0.7 * divergence.sum()
    for x in (X, np.tile(X, (8, 1))):
        loss = on(x, ae.kl_sparse_loss, lam=0.7, rho=0.1)
        np.testing.assert_allclose(loss, wanted, rtol=1e-12)
    divergence, _ = kl_sparsity(np.full((4, 3), special.logit(0.05)))
    np.testing.assert_allclose(divergence, 0, atol=1e-12)


def test_the_mean_activity_is_over_all_devices(x64):
    """Two devices with half the batch each say what one says of it all."""

    penalty = partial(ae.kl_sparsity, rho=0.05, axis_name="devices")
    logits = CODES * 3
    whole, gradient = kl_sparsity(logits)

    def shard(logits):
        value, gradient = jax.value_and_grad(penalty)(logits)
        return value, gradient / 2  # as train's mean over devices does

    parts, gradients = jax.pmap(shard, axis_name="devices")(logits.reshape(2, 3, 3))
    np.testing.assert_allclose(parts, whole, rtol=1e-12)
    np.testing.assert_allclose(gradients.reshape(6, 3), gradient, rtol=1e-10)
    separately = np.mean([kl_sparsity(half)[0] for half in logits.reshape(2, 3, 3)])
    assert separately > whole + 1e-3  # the mean of local divergences is another thing


def test_k_sparse_keeps_the_largest_and_exactly_k():
    code = np.float32([0.5, 2.0, -3.0, 2.0, 2.0, 1.0])
    k_sparse = jax.jit(ae.k_sparse, static_argnames=("k", "alpha"))
    np.testing.assert_array_equal(k_sparse(code, k=2), [0, 2, 0, 2, 0, 0])
    np.testing.assert_array_equal(k_sparse(code, k=2, alpha=2), [0, 2, 0, 2, 2, 1])

    @jax.jit
    def gradients(code):
        sums = [lambda c, k=k: ae.k_sparse(c, k=k).sum() for k in range(1, 7)]
        return [jax.grad(f)(code) for f in sums]

    kept = np.tri(6)  # ones on and below the diagonal
    np.testing.assert_array_equal(gradients(np.ones(6, np.float32)), kept)
    grid = code.reshape(2, 3)
    np.testing.assert_array_equal(k_sparse(grid, k=1), [[0, 2, 0], [0, 0, 0]])
    np.testing.assert_array_equal(k_sparse(code, k=6), code)


def test_the_gradient_of_k_sparse_is_that_of_the_kept_units(x64):
    """Through encoder rows of the support alone, against finite differences."""

    def loss(weight):
        return ae.k_sparse_loss(lambda x: weight @ x, decode, KEY, X[:1], k=2)

    gradient = np.asarray(jax.jit(jax.grad(loss))(ENC))
    assert np.all(gradient[np.argmin(CODES[0])] == 0)
    nudges = 1e-6 * np.eye(15).reshape(15, 3, 5)
    losses = jax.jit(jax.vmap(loss))
    sides = losses(ENC + nudges) - losses(ENC - nudges)
    np.testing.assert_allclose(gradient.ravel(), sides / 2e-6, rtol=1e-5, atol=1e-5)
    kept = CODES.copy()
    kept[np.arange(6), CODES.argmin(1)] = 0
    whole = on(X, ae.k_sparse_loss, k=2)
    np.testing.assert_allclose(whole, numpy_error(kept).mean(), rtol=1e-12)
    at_test = on(X, ae.k_sparse_loss, k=2, alpha=1.5)
    np.testing.assert_allclose(at_test, numpy_error(CODES).mean(), rtol=1e-12)


def test_the_contractive_losses(x64):
    """Of a linear encoder the Jacobian is its matrix; many directions estimate it."""
    wanted = numpy_error(CODES).mean() + 0.2 * np.square(ENC).sum()
    exact = on(X, ae.contractive_loss, lam=0.2)
    np.testing.assert_allclose(exact, wanted, rtol=1e-12)
    one = on(X, ae.hutchinson_loss, lam=0.2)
    many = on(X, ae.hutchinson_loss, lam=0.2, num=4000)
    assert abs(many - wanted) < 0.02 * wanted and many != one


@pytest.mark.parametrize("rows, columns", [(2, 60), (60, 2)])
def test_the_exact_penalty_costs_the_smaller_side(rows, columns):
    """min(d, D) products: no array of 60 directions is ever pushed or pulled."""
    weight = jnp.ones((rows, columns))

    def norm(x):
        return ae.jacobian_norm(lambda x: jnp.tanh(weight @ x), x)

    text = str(jax.make_jaxpr(norm)(jnp.ones(columns)))
    assert "[2,60]" in text.replace(" ", "")
    assert "[60,60]" not in text.replace(" ", "")


def test_a_repeated_batch_changes_nothing():
    """Eight times the same examples: losses are means over them."""
    for loss in (ae.reconstruction_loss, ae.contractive_loss, ae.l1_loss):
        options = {} if loss is ae.reconstruction_loss else {"lam": 0.1}
        once, eight = (on(x, loss, **options) for x in (F32, np.tile(F32, (8, 1))))
        np.testing.assert_allclose(eight, once, rtol=1e-5)


def corrupted(corrupt, x, num=4000):
    draws = jax.jit(jax.vmap(corrupt, (0, None)))
    return np.asarray(draws(jax.random.split(KEY, num), x))


def test_gaussian_noise():
    x = jnp.array([0.5, -2.0])
    seen = corrupted(ae.gaussian_noise(0.3), x)
    assert stats.kstest((seen - np.asarray(x)).ravel() / 0.3, "norm").pvalue > 1e-3
    np.testing.assert_array_equal(corrupted(ae.gaussian_noise(0), x, 2), [x, x])


def test_masking():
    x = jnp.array([3, 5, 7])
    seen = corrupted(ae.masking(0.3, value=9), x)
    assert seen.dtype == x.dtype
    lost = seen == 9
    np.testing.assert_array_equal(
        np.where(lost, x, seen), np.broadcast_to(x, (4000, 3))
    )
    assert stats.binomtest(int(lost.sum()), 12_000, 0.3).pvalue > 1e-3
    pairs = (lost[:, 0] & lost[:, 1]).sum()
    assert stats.binomtest(int(pairs), 4000, 0.09).pvalue > 1e-3
    assert np.all(corrupted(ae.masking(1), x, 3) == 0)
    np.testing.assert_array_equal(corrupted(ae.masking(0.0), x, 2), [x, x])


def test_salt_and_pepper():
    seen = corrupted(ae.salt_and_pepper(0.4, low=-1, high=1), jnp.array([0.2, 0.6]))
    for value in (-1, 1):
        hits = int((seen == value).sum())
        assert stats.binomtest(hits, 8000, 0.2).pvalue > 1e-3
    kept = (seen == np.float32([0.2, 0.6])).sum()
    assert kept + (np.abs(seen) == 1).sum() == 8000
    assert np.all(np.isin(corrupted(ae.salt_and_pepper(1), jnp.ones(2) / 2, 9), [0, 1]))


def test_the_denoising_loss_compares_with_the_clean_example():
    """All entries lost: what is left is ||x - decode(encode(0))||^2 = ||x||^2."""
    loss = on(F32, ae.denoising_loss, corrupt=ae.masking(1.0))
    np.testing.assert_allclose(loss, np.square(X).sum(1).mean(), rtol=1e-5)


def test_noise_belongs_to_the_example_and_not_to_the_batch():
    keys, corrupt = jax.random.split(KEY, 6), ae.gaussian_noise(0.5)
    loss = jax.jit(partial(ae.denoising_loss, encode, decode, corrupt=corrupt))
    whole = loss(keys, F32)
    halves = [loss(keys[part], F32[part]) for part in (slice(3), slice(3, 6))]
    np.testing.assert_allclose(whole, np.mean(halves), rtol=1e-5)


def linear_net(outputs):
    def init(rng, x):
        return 0.3 * jax.random.normal(rng, (x.shape[-1], outputs))

    return Functions(init, lambda params, x: x @ params)


def test_the_objective_trains_two_networks():
    """On data of rank two a linear autoencoder with two units ends at 0."""
    rank_two = jnp.asarray(X[:, :2] @ RNG.normal(size=(2, 5)), jnp.float32)
    objective = ae.objective(linear_net(2), linear_net(5))
    params = objective.init(KEY, {"x": rank_two})
    assert params["enc"].shape == (5, 2) and params["dec"].shape == (2, 5)
    optimizer = optax.adam(2e-2)

    def step(carry, _):
        params, state = carry
        gradient, metrics = jax.grad(objective.loss, has_aux=True)(
            params, KEY, {"x": rank_two}
        )
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, updates), state), metrics["loss"]

    start = params, optimizer.init(params)
    (params, _), losses = jax.lax.scan(step, start, None, length=1000)
    assert losses[-1] < 1e-3 * losses[0]
    encode, decode = ae.bind(linear_net(2), linear_net(5), params)
    np.testing.assert_allclose(decode(encode(rank_two[0])), rank_two[0], atol=0.05)


MISTAKES = {
    "k above the latent": (
        lambda: ae.k_sparse(jnp.ones(3), k=4),
        r"1 <= k <= 3, the latent, got k = 4",
    ),
    "k of 0": (lambda: ae.k_sparse(jnp.ones(3), k=0), r"got k = 0"),
    "alpha below 1": (
        lambda: ae.k_sparse(jnp.ones(3), k=2, alpha=0.5),
        r"alpha >= 1 and alpha k <= 3, the latent, got alpha = 0.5",
    ),
    "alpha k above the latent": (
        lambda: ae.k_sparse(jnp.ones(3), k=2, alpha=2),
        r"alpha k <= 3",
    ),
    "rho of 0": (
        lambda: ae.kl_sparsity(jnp.zeros((2, 3)), rho=0.0),
        r"rho in \(0, 1\), got 0.0",
    ),
    "rho of 1": (
        lambda: ae.kl_sparse_loss(encode, decode, KEY, F32, lam=1.0, rho=1.0),
        r"rho in \(0, 1\), got 1.0",
    ),
    "negative sigma": (lambda: ae.gaussian_noise(-0.1), r"sigma >= 0, got -0.1"),
    "sigma of 0 for a score": (
        lambda: ae.score(lambda x: x, jnp.ones(2), sigma=0.0),
        r"sigma > 0, got 0.0",
    ),
    "noise on bytes": (
        lambda: ae.gaussian_noise(0.1)(KEY, jnp.zeros(2, jnp.uint8)),
        r"x of a floating dtype, got uint8",
    ),
    "probability above 1": (lambda: ae.masking(1.5), r"in \[0, 1\], got 1.5"),
    "probability below 0": (lambda: ae.salt_and_pepper(-0.5), r"\[0, 1\], got -0.5"),
    "negative weight": (
        lambda: ae.l1_loss(encode, decode, KEY, F32, lam=-1.0),
        r"lam >= 0, got -1.0",
    ),
    "no directions": (
        lambda: ae.hutchinson_loss(encode, decode, KEY, F32, lam=1.0, num=0),
        r"num >= 1 directions, got 0",
    ),
    "category out of range": (
        lambda: ae.cross_entropy(jnp.array([3]), jnp.zeros((1, 3))),
        r"x in 0\.\.2, got values from 3 to 3",
    ),
    "real categories": (
        lambda: ae.cross_entropy(jnp.array([0.5]), jnp.zeros((1, 3))),
        r"integer x in 0\.\.2, got dtype float32",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name):
    call, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_shapes_that_differ_are_refused():
    with pytest.raises(AssertionError):
        ae.squared_error(jnp.zeros(3), jnp.zeros(1))
    with pytest.raises(AssertionError):
        ae.predicted_noise(lambda x: x[:1], jnp.zeros(3))
