"""The losses of an autoencoder against NumPy, finite differences and counting."""

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


def test_the_plain_loss_is_the_mean_over_examples_of_a_sum(x64):
    loss = ae.reconstruction_loss(encode, decode, KEY, jnp.asarray(X))
    np.testing.assert_allclose(loss, numpy_error(CODES).mean(), rtol=1e-12)


def test_the_categorical_loss_is_the_cross_entropy_of_the_lecture(x64):
    """-sum_k x_k log x_hat_k with x one-hot; bytes are categories too."""
    logits = RNG.normal(size=(4, 256))
    x = np.array([0, 255, 17, 3], np.uint8)
    lecture = -np.sum(np.eye(256)[x] * special.log_softmax(logits, axis=1))
    value = ae.cross_entropy(jnp.asarray(x), jnp.asarray(logits))
    np.testing.assert_allclose(value, lecture, rtol=1e-12)
    loss = ae.reconstruction_loss(
        lambda x: x.astype(float)[:1],
        lambda code: jnp.asarray(logits),
        KEY,
        jnp.asarray(x)[None],
        error=ae.cross_entropy,
    )
    np.testing.assert_allclose(loss, lecture, rtol=1e-12)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_extreme_logits_stay_finite(logit):
    x, logits = jnp.array([0, 2]), jnp.full((2, 3), logit).at[:, 0].set(0)
    value, gradient = jax.value_and_grad(ae.cross_entropy, argnums=1)(x, logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()

    def sparsity(logits):
        return ae.kl_sparsity(logits, rho=0.05)

    value, gradient = jax.value_and_grad(sparsity)(jnp.full((4, 2), logit))
    expected = 2 * (0.05 * np.log(0.05) + 0.95 * np.log(0.95))
    expected += 2 * 1e4 * (0.05 if logit < 0 else 0.95)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_the_l1_penalty(x64):
    loss = ae.l1_loss(encode, decode, KEY, jnp.asarray(X), lam=0.3)
    wanted = numpy_error(CODES).mean() + 0.3 * np.abs(CODES).sum(1).mean()
    np.testing.assert_allclose(loss, wanted, rtol=1e-12)


def test_the_kl_penalty(x64):
    """Of the mean activity, against scipy; a batch repeated eight times is the same."""
    h = special.expit(CODES)
    share = h.mean(0)
    divergence = special.rel_entr(0.1, share) + special.rel_entr(0.9, 1 - share)
    wanted = numpy_error(h).mean() + 0.7 * divergence.sum()
    for x in (X, np.tile(X, (8, 1))):
        loss = ae.kl_sparse_loss(encode, decode, KEY, jnp.asarray(x), lam=0.7, rho=0.1)
        np.testing.assert_allclose(loss, wanted, rtol=1e-12)
    at_rho = jnp.full((4, 3), special.logit(0.05))
    np.testing.assert_allclose(ae.kl_sparsity(at_rho, rho=0.05), 0, atol=1e-12)


def test_the_mean_activity_is_over_all_devices(x64):
    """Two devices with half the batch each say what one says of it all."""

    def penalty(logits, axis_name=None):
        return ae.kl_sparsity(logits, rho=0.05, axis_name=axis_name)

    logits = jnp.asarray(CODES * 3)
    whole, gradient = jax.value_and_grad(penalty)(logits)

    def shard(logits):
        value, gradient = jax.value_and_grad(penalty)(logits, "devices")
        return value, gradient / 2  # as train's mean over devices does

    parts, gradients = jax.pmap(shard, axis_name="devices")(logits.reshape(2, 3, 3))
    np.testing.assert_allclose(parts, whole, rtol=1e-12)
    np.testing.assert_allclose(gradients.reshape(6, 3), gradient, rtol=1e-10)
    separately = np.mean([penalty(half) for half in logits.reshape(2, 3, 3)])
    assert separately > whole + 1e-3  # the mean of local divergences is another thing


def test_k_sparse_keeps_the_largest_and_exactly_k():
    code = jnp.array([0.5, 2.0, -3.0, 2.0, 2.0, 1.0])
    np.testing.assert_array_equal(ae.k_sparse(code, k=2), [0, 2, 0, 2, 0, 0])
    np.testing.assert_array_equal(ae.k_sparse(code, k=2, alpha=2), [0, 2, 0, 2, 2, 1])
    for k in range(1, 7):
        gradient = jax.grad(lambda c, k=k: ae.k_sparse(c, k=k).sum())(jnp.ones(6))
        np.testing.assert_array_equal(gradient, [1.0] * k + [0.0] * (6 - k))
    grid = code.reshape(2, 3)
    np.testing.assert_array_equal(ae.k_sparse(grid, k=1), [[0, 2, 0], [0, 0, 0]])
    np.testing.assert_array_equal(ae.k_sparse(code, k=6), code)


def test_the_gradient_of_k_sparse_is_that_of_the_kept_units(x64):
    """Through encoder rows of the support alone, against finite differences."""
    x = jnp.asarray(X[:1])

    def loss(weight):
        return ae.k_sparse_loss(lambda x: weight @ x, decode, KEY, x, k=2)

    weight = jnp.asarray(ENC)
    gradient = np.asarray(jax.grad(loss)(weight))
    assert np.all(gradient[np.argmin(CODES[0])] == 0)
    nudges = 1e-6 * jnp.eye(15).reshape(15, 3, 5)
    sides = jax.vmap(lambda nudge: loss(weight + nudge) - loss(weight - nudge))(nudges)
    np.testing.assert_allclose(gradient.ravel(), sides / 2e-6, rtol=1e-5, atol=1e-5)
    kept = CODES.copy()
    kept[np.arange(6), CODES.argmin(1)] = 0
    whole = ae.k_sparse_loss(encode, decode, KEY, jnp.asarray(X), k=2)
    np.testing.assert_allclose(whole, numpy_error(kept).mean(), rtol=1e-12)
    at_test = ae.k_sparse_loss(encode, decode, KEY, jnp.asarray(X), k=2, alpha=1.5)
    np.testing.assert_allclose(at_test, numpy_error(CODES).mean(), rtol=1e-12)


def test_the_contractive_losses(x64):
    """Of a linear encoder the Jacobian is its matrix; many directions estimate it."""
    x = jnp.asarray(X)
    wanted = numpy_error(CODES).mean() + 0.2 * np.square(ENC).sum()
    exact = ae.contractive_loss(encode, decode, KEY, x, lam=0.2)
    np.testing.assert_allclose(exact, wanted, rtol=1e-12)
    one = ae.hutchinson_loss(encode, decode, KEY, x, lam=0.2)
    many = ae.hutchinson_loss(encode, decode, KEY, x, lam=0.2, num=4000)
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
    x, eight = (
        jnp.asarray(F32),
        jnp.tile(jnp.asarray(F32), (8, 1)),
    )
    for loss in (ae.reconstruction_loss, ae.contractive_loss, ae.l1_loss):
        options = {} if loss is ae.reconstruction_loss else {"lam": 0.1}
        once = loss(encode, decode, KEY, x, **options)
        np.testing.assert_allclose(
            loss(encode, decode, KEY, eight, **options), once, rtol=1e-5
        )


def corrupted(corrupt, x, num=4000):
    return np.asarray(jax.vmap(corrupt, (0, None))(jax.random.split(KEY, num), x))


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
    x = jnp.asarray(F32)
    loss = ae.denoising_loss(encode, decode, KEY, x, corrupt=ae.masking(1.0))
    np.testing.assert_allclose(loss, np.square(X).sum(1).mean(), rtol=1e-5)


def test_noise_belongs_to_the_example_and_not_to_the_batch():
    x, keys = jnp.asarray(F32), jax.random.split(KEY, 6)
    options = {"corrupt": ae.gaussian_noise(0.5)}
    whole = ae.denoising_loss(encode, decode, keys, x, **options)
    halves = [
        ae.denoising_loss(encode, decode, keys[part], x[part], **options)
        for part in (slice(3), slice(3, 6))
    ]
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
