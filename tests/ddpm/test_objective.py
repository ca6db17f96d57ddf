"""The seam to networks: any pair of `init` and `apply`, no Flax needed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffjax import ddpm
from diffjax.core import oracle, schedules
from diffjax.ddpm import conditioning, predict, times

SCHEDULE = schedules.linear(20, beta_max=0.3)


class PlainNet(NamedTuple):
    """Two functions; the network is linear in x, 1 and whatever else it is told."""

    outputs: int = 2

    def init(self, rng, x, t, *extra):
        width = x.shape[-1] + 1 + sum(self._columns(e).shape[-1] for e in extra)
        return {"w": 0.1 * jax.random.normal(rng, (width, self.outputs))}

    def apply(self, params, x, t, *extra):
        one = jnp.ones((x.shape[0], 1))
        columns = [x, one, *(self._columns(e) for e in extra)]
        return jnp.concatenate(columns, axis=-1) @ params["w"]

    def _columns(self, extra):
        return jax.nn.one_hot(extra, 4) if extra.ndim == 1 else extra


BATCH = {
    "x": jax.random.normal(jax.random.key(0), (256, 2)) * 0.5 + 0.3,
    "label": jax.random.randint(jax.random.key(1), (256,), 0, 3),
}


def train(objective, batch, num=300):
    optimizer = optax.adam(3e-2)
    params = objective.init(jax.random.key(2), batch)

    @jax.jit
    def step(carry, rng):
        params, state = carry
        (loss, metrics), grads = jax.value_and_grad(objective.loss, has_aux=True)(
            params, rng, batch
        )
        assert metrics["loss"].shape == ()
        updates, state = optimizer.update(grads, state)
        return (optax.apply_updates(params, updates), state), loss

    carry, losses = jax.lax.scan(
        step, (params, optimizer.init(params)), jax.random.split(jax.random.key(3), num)
    )
    return carry[0], losses


@pytest.mark.parametrize("name", ["EPS", "X_0", "V"])
def test_training_approaches_the_best_linear_network(name):
    """The loss falls to within 10 % of the least squares solution on fresh draws."""
    parameterization = getattr(predict, name)
    objective = ddpm.objective(
        PlainNet(), SCHEDULE, parameterization=parameterization, times=times.stratified
    )
    params, losses = train(objective, BATCH)
    t = np.repeat(np.arange(1, 21), 256)
    x_0 = np.tile(BATCH["x"], (20, 1))
    eps = jax.random.normal(jax.random.key(9), x_0.shape)

    @jax.jit
    @jax.vmap
    def noisy(x_0, eps, t):
        x_t = ddpm.diffuse(SCHEDULE, x_0, eps, t)
        return x_t, parameterization.target(SCHEDULE, x_t, x_0, t)

    x_t, target = map(np.asarray, noisy(x_0, eps, t))
    design = np.concatenate([x_t, np.ones((len(x_t), 1))], axis=1)
    _, residual, _, _ = np.linalg.lstsq(design, target, rcond=None)
    best = residual.sum() / target.size
    ours = np.mean((np.asarray(PlainNet().apply(params, x_t, t)) - target) ** 2)
    assert best <= ours < 1.1 * best
    assert losses[-50:].mean() < losses[:10].mean()


def test_sampler_and_bound_of_a_trained_net():
    objective = ddpm.objective(PlainNet(), SCHEDULE)
    params, _ = train(objective, BATCH)
    sampler = ddpm.sampler(PlainNet(), SCHEDULE, (2,))
    samples = jax.jit(sampler, static_argnums=2)(params, jax.random.key(0), 2000)
    assert samples.shape == (2000, 2)
    np.testing.assert_allclose(samples.mean(0), 0.3, atol=0.25)
    bounded = ddpm.sampler(PlainNet(), SCHEDULE, (2,), guide=ddpm.guidance.clipped)
    clipped = jax.jit(bounded, static_argnums=2)(params, jax.random.key(0), 50)
    assert np.abs(clipped).max() <= 1
    evaluate = jax.jit(ddpm.net_bound(PlainNet(), SCHEDULE))
    bound = evaluate(params, jax.random.key(0), BATCH)
    assert bound.divergences.shape == (256, 19)


def test_conditional_objective_drops_labels_at_the_given_rate():
    """A net that answers with its label reveals what it was told."""

    class Echo(NamedTuple):
        def init(self, rng, x, t, label):
            return {"w": jnp.ones(())}

        def apply(self, params, x, t, label):
            is_null = (label == 3).astype(x.dtype)
            return jnp.broadcast_to(is_null[:, None], x.shape) * params["w"]

    objective = conditioning.conditional_objective(
        Echo(),
        SCHEDULE,
        null_label=3,
        drop=0.25,
        parameterization=predict.X_0,
    )
    batch = {"x": jnp.zeros((20_000, 1)), "label": jnp.ones(20_000, jnp.int32)}
    params = objective.init(jax.random.key(0), batch)
    loss, _ = jax.jit(objective.loss)(params, jax.random.key(1), batch)
    np.testing.assert_allclose(loss, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 20_000))


def test_conditional_sampler_draws_each_class():
    """Exact denoisers of two classes behind a net: guidance 1 draws the class asked."""
    means = jnp.asarray([[-0.5], [0.5]])

    class Exact(NamedTuple):
        def init(self, rng, x, t, label):
            return {}

        def apply(self, params, x, t, label):
            def one(x, t, label):
                mean = jnp.where(label == 2, 0.0, means[label % 2])
                data = oracle.gaussian(mean, jnp.asarray([[0.01]]))
                return oracle.denoiser(data, SCHEDULE)(x, t)

            return jax.vmap(one)(x, t, label)

    for label in (0, 1):
        draw = conditioning.conditional_sampler(
            Exact(),
            SCHEDULE,
            (1,),
            label=label,
            null_label=2,
            parameterization=predict.X_0,
        )
        samples = jax.jit(draw, static_argnums=2)({}, jax.random.key(label), 400)
        np.testing.assert_allclose(samples.mean(), means[label], atol=0.05)


def test_self_conditioned_net_sees_its_own_estimate():
    objective = conditioning.self_conditioned_objective(
        PlainNet(), SCHEDULE, parameterization=predict.X_0
    )
    params, losses = train(objective, BATCH, num=200)
    assert params["w"].shape == (5, 2) and losses[-1] < losses[0]
    draw = conditioning.self_conditioned_sampler(
        PlainNet(), SCHEDULE, (2,), parameterization=predict.X_0
    )
    samples = jax.jit(draw, static_argnums=2)(params, jax.random.key(0), 500)
    np.testing.assert_allclose(samples.mean(0), 0.3, atol=0.3)


def test_self_conditioning_estimates_carry_no_gradient():
    """With share 1 the loss's gradient is that of the second call alone."""
    net, share = PlainNet(), 1.0
    objective = conditioning.self_conditioned_objective(
        net, SCHEDULE, share=share, parameterization=predict.X_0
    )
    params = objective.init(jax.random.key(0), BATCH)
    loss = jax.jit(lambda p: objective.loss(p, jax.random.key(1), BATCH)[0])
    grads = jax.grad(loss)(params)
    bumped = {"w": params["w"].at[:3].add(1e-2)}
    # The rows that read x and 1 also shape the estimate; a finite difference of the
    # whole sees both paths, the gradient only one.
    through_both = float(loss(bumped)) - float(loss(params))
    through_one = float(np.sum(grads["w"][:3]) * 1e-2)
    assert abs(through_both - through_one) > 1e-6


def test_hybrid_objective_learns_a_variance_between_small_and_large():
    net = PlainNet(outputs=4)
    objective = ddpm.hybrid_objective(net, SCHEDULE, lam=1.0)
    images = {"x": jnp.round((BATCH["x"].clip(-1, 1) + 1) * 127.5) / 127.5 - 1}
    params, losses = train(objective, images)
    assert losses[-50:].mean() < losses[:50].mean()
    denoise, learned = ddpm.split_net(net, SCHEDULE, params)
    ask = jax.jit(lambda x, t, s: (denoise(x, t), learned(SCHEDULE, x, t, s)))
    assert [said.shape for said in ask(jnp.zeros(2), 10, 9)] == [(2,), (2,)]
    step = ddpm.ancestral_with(learned)
    draw = jax.jit(lambda rng: ddpm.sample(denoise, SCHEDULE, rng, (4, 2), step=step))
    assert np.isfinite(draw(jax.random.key(0))).all()


def test_loss_runs_under_pmap_with_the_keys_of_the_global_batch():
    """Two devices with half the batch each: the mean is the loss of the whole."""
    from diffjax.core import chain

    objective = ddpm.objective(PlainNet(), SCHEDULE)
    params = objective.init(jax.random.key(0), BATCH)
    whole, _ = jax.jit(objective.loss)(params, jax.random.key(5), BATCH)
    keys = chain.example_keys(jax.random.key(5), 256)
    split = lambda a: a.reshape(2, 128, *a.shape[1:])  # noqa: E731

    def on_device(keys, x):
        loss, _ = objective.loss(params, keys, {"x": x})
        return jax.lax.pmean(loss, "devices")

    parts = jax.pmap(on_device, axis_name="devices")(split(keys), split(BATCH["x"]))
    np.testing.assert_allclose(parts, np.full(2, whole), rtol=1e-5)
