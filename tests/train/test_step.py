"""One step: against optax by hand, cut into parts, and with everything gone wrong."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffjax import train, vae, vq
from diffjax.train import averages, guards
from diffjax.types import Objective
from train import toys

SGD = optax.sgd(0.1)
BATCH = next(toys.Numbers(8))
KEY = jax.random.key(3)


def start(objective, optimizer=SGD, **options):
    return train.init_state(objective, optimizer, KEY, BATCH, **options)


def by_hand(w, step, batch):
    """Loss and gradient of `toys.linear`, in NumPy, from the design's keys."""
    key = jax.random.fold_in(KEY, step)
    keys = [jax.random.fold_in(key, i) for i in range(len(batch["x"]))]
    noise = np.array([jax.random.normal(k, ()) for k in keys], np.float64)
    x, w = np.asarray(batch["x"], np.float64), np.asarray(w, np.float64)
    error = x @ w - noise
    return np.mean(error**2), 2 * x.T @ error / len(x)


def test_a_step_is_gradient_descent_with_the_keys_of_the_design():
    state = start(toys.linear())
    for step in range(2):
        value, grad = by_hand(state.params["w"], step, BATCH)
        moved, metrics = train.train_step(toys.linear(), SGD, state, BATCH)
        expected = state.params["w"] - 0.1 * grad
        np.testing.assert_allclose(moved.params["w"], expected, rtol=2e-5)
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
        norm = np.linalg.norm(grad)
        np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)
        assert moved.step == step + 1
        state = moved


def test_clipping_is_the_optimizers():
    clipped = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(1.0))
    state = start(toys.linear(), clipped)
    moved, metrics = train.train_step(toys.linear(), clipped, state, BATCH)
    assert metrics["grad_norm"] > 0.5
    distance = jnp.linalg.norm(moved.params["w"] - state.params["w"])
    np.testing.assert_allclose(distance, 0.5, rtol=1e-5)


@pytest.mark.parametrize("parts", [2, 8])
def test_micro_batches_equal_the_whole(parts):
    state = start(toys.linear())
    step = functools.partial(train.train_step, toys.linear(), SGD)
    whole, told = step(state, BATCH)
    cut, same = step(state, BATCH, micro_batches=parts)
    np.testing.assert_allclose(whole.params["w"], cut.params["w"], rtol=1e-6)
    for name in told:
        np.testing.assert_allclose(told[name], same[name], rtol=1e-6, err_msg=name)


def test_micro_batches_divide_the_batch():
    with pytest.raises(ValueError, match="got 8 examples on a device and 3; change"):
        train.train_step(
            toys.linear(), SGD, start(toys.linear()), BATCH, micro_batches=3
        )


def test_a_memory_sees_the_micro_batches_in_turn():
    def loss(params, memory, rng, batch):
        seen = memory * 10 + batch["x"][0, 0]
        return jnp.sum(params**2), ({}, seen)

    counting = vq.StatefulObjective(lambda rng, b: (jnp.ones(2), jnp.zeros(())), loss)
    batch = {"x": jnp.array([[1.0], [2.0], [3.0], [4.0]])}
    state = train.init_state(counting, SGD, KEY, batch)
    moved, _ = train.train_step(counting, SGD, state, batch, micro_batches=2)
    assert moved.memory == 12  # parts (1, 3) and (2, 4), one after the other
    evaluated = train.eval_step(counting, state, KEY, batch)
    assert evaluated == {}


def test_annealed_objectives_are_told_the_step():
    def make(step):
        return Objective(
            lambda rng, batch: jnp.ones(2),
            lambda params, rng, batch: (jnp.sum(params) * step, {"at": step}),
        )

    objective = vae.annealed(make)
    state = start(objective)._replace(step=jnp.int32(5))
    _, metrics = train.train_step(objective, SGD, state, BATCH, micro_batches=2)
    assert metrics["at"] == 5
    assert train.eval_step(objective, state, KEY, BATCH)["at"] == 5


def test_averages_are_the_sum_they_stand_for():
    """a_n = sum_i (1 - d_i) prod_{j > i} d_j p_i, in float64, from p_0."""
    rules = {"slow": averages.constant(0.9), "soon": averages.warmed_up(0.5)}
    decays = {"slow": lambda n: 0.9, "soon": lambda n: min(0.5, (1 + n) / (10 + n))}
    objective, state = toys.linear(), start(toys.linear(), averages=rules)
    path = [np.asarray(state.params["w"], np.float64)]
    for _ in range(12):
        state, _ = train.train_step(objective, SGD, state, BATCH, averages=rules)
        path.append(np.asarray(state.params["w"], np.float64))
    for name, decay in decays.items():
        d = [decay(n) for n in range(12)]
        weights = [(1 - d[i]) * np.prod(d[i + 1 :]) for i in range(12)]
        expected = np.prod(d) * path[0] + np.tensordot(weights, path[1:], axes=1)
        np.testing.assert_allclose(state.averages[name]["w"], expected, rtol=1e-5)


def test_averages_of_other_names_are_refused():
    with pytest.raises(ValueError, match=r"expected averages \['ema'\], got \[\]"):
        train.train_step(
            toys.linear(),
            SGD,
            start(toys.linear()),
            BATCH,
            averages={"ema": averages.constant(0.9)},
        )
    with pytest.raises(ValueError, match=r"decay in \[0, 1\), got 1.5; try"):
        averages.warmed_up(1.5)


def spoiled(what):
    """`toys.linear` with something infinite or not a number in it at step 1."""
    plain = toys.linear()

    def loss(params, rng, batch):
        value, metrics = plain.loss(params, rng, batch)
        bad = jnp.where(batch["step"][0] == 1, jnp.nan, 0.0)
        if what == "loss":
            return value + jax.lax.stop_gradient(bad), metrics
        slope = params["w"][0] - jax.lax.stop_gradient(params["w"][0])
        return value + jnp.where(batch["step"][0] == 1, jnp.inf, 0.0) * slope, metrics

    return plain._replace(loss=loss)


@pytest.mark.parametrize("what", ["batch", "loss", "gradient"])
def test_what_is_not_finite_is_skipped_and_counted(what):
    objective = toys.linear() if what == "batch" else spoiled(what)
    adam, rules = optax.adam(0.1), {"ema": averages.constant(0.9)}
    state = start(objective, adam, averages=rules)
    step = jax.jit(functools.partial(train.train_step, objective, adam, averages=rules))
    first, _ = step(state, BATCH)
    poison = {**BATCH, "x": BATCH["x"] * (np.nan if what == "batch" else 1)}
    second, metrics = step(first, poison)
    assert (metrics["skipped"], metrics["in_a_row"], second.step) == (1, 1, 2)
    for name in ("params", "opt_state", "averages", "memory"):
        old, new = getattr(first, name), getattr(second, name)
        jax.tree.map(np.testing.assert_array_equal, old, new)
    third, metrics = step(second, BATCH)
    assert (metrics["skipped"], metrics["in_a_row"], third.watch.kept) == (1, 0, 2)
    assert np.all(third.params["w"] != second.params["w"])


def test_a_memory_that_is_not_finite_is_not_kept():
    def loss(params, memory, rng, batch):
        return jnp.sum(params**2), ({}, memory + jnp.inf)

    objective = vq.StatefulObjective(lambda rng, b: (jnp.ones(2), jnp.zeros(())), loss)
    state, metrics = train.train_step(objective, SGD, start(objective), BATCH)
    assert state.memory == 0 and metrics["skipped"] == 1


def watch_of(guard, norms):
    watch, kept = guards.start(), []
    for norm in norms:
        keep, level = guard(watch, jnp.float32(norm))
        watch = guards.record(watch, keep, level)
        kept.append(bool(keep))
    return watch, kept


def test_the_level_is_the_mean_of_log_norms():
    norms = np.exp(np.linspace(-1, 1, 30))
    watch, kept = watch_of(guards.adaptive(decay=0.99), norms)
    assert all(kept)
    np.testing.assert_allclose(watch.level, np.log(norms).mean(), atol=1e-5)


def test_a_huge_gradient_is_skipped_a_lasting_change_is_let_through():
    """1000 times the scale: ten and doubled seven times is less, so 7 are skipped."""
    guard = guards.adaptive(factor=10, growth=2, patience=5)
    _, kept = watch_of(guard, [*[1.0] * 10, 1e3, *[1.0] * 3, np.inf, 0.0, 1.0])
    assert kept == [True] * 10 + [False] + [True] * 3 + [False, True, True]
    _, kept = watch_of(guard, [1.0] * 10 + [1e3] * 9)
    assert kept == [True] * 10 + [False] * 7 + [True] * 2
    _, kept = watch_of(guard, [1.0, 1e6, np.nan])
    assert kept == [True, True, False]  # patience: no scale is known yet


def test_a_limit_given_beforehand_is_one():
    _, kept = watch_of(guards.below(3.0), [1.0, 2.9, 3.0, np.inf, np.nan, 1e-9])
    assert kept == [True, True, False, False, False, True]


def test_guards_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="expected factor > 1, growth > 1"):
        guards.adaptive(growth=1.0)
    for most in (0.0, np.inf):
        with pytest.raises(ValueError, match="expected 0 < most < inf, got"):
            guards.below(most)


def test_dropout_has_a_mask_for_each_example_and_none_in_evaluation():
    def apply(params, x, rng=None):
        if rng is None:
            return x * params
        return x * params * jax.random.bernoulli(rng, 0.5, x.shape) * 2

    net = toys.Functions(lambda rng, x: jnp.ones((1, 6)), apply)

    def objective_of(net):
        def loss(params, rng, batch):
            out = net.apply(params, batch["x"])
            zeros = jnp.mean(jnp.sum(out == 0, axis=-1) ** 2.0)
            return jnp.mean(out), {"zeros": zeros}

        return Objective(lambda rng, batch: net.init(rng, batch["x"]), loss)

    objective = train.dropped(objective_of, net)
    batch = {"x": jnp.ones((2000, 6))}
    params = objective.init(KEY, batch)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(2000))
    loss = jax.jit(objective.loss)
    value, metrics = loss(params, keys, batch)
    # Masks shared among examples would make both far off: E n^2 = 6/4 + 9.
    np.testing.assert_allclose(value, 1, atol=0.05)
    np.testing.assert_allclose(metrics["zeros"], 10.5, atol=0.5)
    np.testing.assert_array_equal(value, loss(params, KEY, batch)[0])
    words = jax.random.key_data(KEY)  # a key as JAX had them before
    np.testing.assert_array_equal(value, loss(params, words, batch)[0])
    backwards, _ = loss(params, keys[::-1], batch)
    np.testing.assert_allclose(value, backwards, rtol=1e-5)
    assert objective_of(net).loss(params, keys, batch)[0] == 1


def test_a_key_of_another_generator_is_refused():
    with pytest.raises(ValueError, match="default generator, got key<rbg>; set"):
        train.init_state(toys.linear(), SGD, jax.random.key(0, impl="rbg"), BATCH)
