"""What is asked of every network, on the smallest of each kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import nets
from tests.nets.tiny import KEY, NETS, jit, weights

WITH_DROPOUT = [name for name, case in NETS.items() if hasattr(case.net, "dropout")]
SCANNED = ["Transformer", "FlatUNet"]
ONE_OF_EACH_REMAT = ["ResidualMLP", "Encoder", "Features", *SCANNED]


def slow_if(names, slow):
    marks = pytest.mark.slow
    return [pytest.param(n, marks=marks) if n in slow else n for n in names]


def far_from_one(net, *inputs):
    def loss(params):
        outputs = jax.tree.leaves(net.apply(params, *inputs))
        return sum(jnp.mean(jnp.square(y.astype(jnp.float32) - 1)) for y in outputs)

    return loss


@pytest.mark.parametrize("name", NETS)
def test_an_example_knows_nothing_of_the_others(name):
    """All but one replaced, that one's output stays; batches of 1 have its shape."""
    net, inputs = NETS[name]
    params = weights(net, *inputs)
    apply = jit(net.apply)
    kept = jnp.arange(7) == 2
    others = [
        jnp.where(kept.reshape(7, *(1,) * (x.ndim - 1)), x, jnp.roll(x, 1, axis=0))
        for x in inputs
    ]
    ys, others = (jax.tree.leaves(apply(params, *x)) for x in (inputs, others))
    one = jax.eval_shape(net.apply, params, *(x[:1] for x in inputs))
    for y, other, like in zip(ys, others, jax.tree.leaves(one), strict=True):
        assert y.shape == (7, *like.shape[1:]) and like.shape[0] == 1
        assert float(jnp.std(y)) > 1e-3
        np.testing.assert_allclose(y[2], other[2], rtol=1e-4, atol=1e-5)
        assert not np.allclose(y[1], other[1])


@pytest.mark.parametrize(
    "name", slow_if(NETS, ["CausalTransformer", "DiT", "FlatUNet", "Classifier"])
)
def test_gradients_in_bfloat16_stay_finite(name):
    """At the start, and after each of 10 steps; the parameters stay float32."""
    net, inputs = NETS[name]
    net = net.clone(dtype=jnp.bfloat16)
    grad = jax.grad(far_from_one(net, *inputs))

    def step(params, _):
        g = grad(params)
        finite = jnp.stack([jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(g)])
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, g), finite

    start = jit(net.init)(KEY, *inputs)
    train = jit(lambda params: jax.lax.scan(step, params, length=11))
    params, finite = train(start)
    assert finite.shape[0] == 11 and np.all(finite)
    before, after = jax.tree.leaves(start), jax.tree.leaves(params)
    assert all(p.dtype == jnp.float32 for p in after)
    assert any(np.any(p != q) for p, q in zip(before, after, strict=True))


@pytest.mark.parametrize("name", NETS)
def test_remat_keeps_less_for_the_backward_pass(name):
    net, inputs = NETS[name]
    params = jax.eval_shape(net.init, KEY, *inputs)

    def kept(net):
        loss = far_from_one(net, *inputs)
        backward = jax.eval_shape(lambda p: jax.vjp(loss, p)[1], params)
        return sum(r.size * r.dtype.itemsize for r in jax.tree.leaves(backward))

    assert kept(net.clone(remat=True)) < kept(net)


@pytest.mark.parametrize("name", slow_if(ONE_OF_EACH_REMAT, ["FlatUNet"]))
def test_remat_changes_no_gradient(name):
    """And the compiled program is smaller too, where XLA's CPU compiler lets it."""
    net, inputs = NETS[name]
    inputs = tuple(jnp.concatenate([x] * 16) for x in inputs)
    params = weights(net, *inputs)
    plain, redone = (
        jit(jax.grad(far_from_one(n, *inputs))).lower(params).compile()
        for n in (net, net.clone(remat=True))
    )
    if name in SCANNED:
        bytes_plain, bytes_redone = (
            f.memory_analysis().temp_size_in_bytes for f in (plain, redone)
        )
        assert bytes_redone < bytes_plain
    a, b = (jax.tree.leaves(f(params)) for f in (plain, redone))
    largest = max(float(jnp.max(jnp.abs(g))) for g in a)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6 * largest, rtol=0)


@pytest.mark.parametrize("name", WITH_DROPOUT)
def test_dropout_is_by_key_and_by_example(name):
    """A program without a key has no dropout; an example's mask is its own key's."""
    net, inputs = NETS[name]
    params = weights(net, *inputs)
    dropping = net.clone(dropout=0.5)

    def program(net):
        return str(jax.make_jaxpr(net.apply)(params, *inputs))

    assert program(net) == program(dropping)
    apply = jit(lambda rng: dropping.apply(params, *inputs, rng=rng))
    keys = jax.random.split(KEY, 7)
    one, other = apply(keys), apply(keys.at[:3].set(keys[3:6]))
    np.testing.assert_array_equal(one[3:], other[3:])
    assert all(not np.allclose(one[i], other[i]) for i in range(3))
    whole = jax.eval_shape(lambda: dropping.apply(params, *inputs, rng=KEY))
    assert whole.shape == one.shape


@pytest.mark.parametrize("name", NETS)
def test_every_net_has_the_common_fields(name):
    net, inputs = NETS[name]
    assert all(hasattr(net, f) for f in ("dtype", "param_dtype", "precision", "remat"))
    half = jax.eval_shape(net.clone(param_dtype=jnp.bfloat16).init, KEY, *inputs)
    assert {p.dtype for p in jax.tree.leaves(half)} == {jnp.dtype(jnp.bfloat16)}


def test_the_package_exports_its_modules():
    assert {"conv", "dit", "ladder", "mlp", "transformer", "vdm"} <= set(nets.__all__)
