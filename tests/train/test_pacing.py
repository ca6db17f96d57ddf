"""The host waits for what it asked for long ago, and for nothing newer."""

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.train import pacing


def test_a_call_waits_for_the_one_so_many_before(monkeypatch):
    waited = []
    monkeypatch.setattr(jax, "block_until_ready", waited.append)
    run = pacing.limited(lambda i: ({"state": None}, {"loss": i}), ahead=3)
    for i in range(10):
        assert run(i) == ({"state": None}, {"loss": i})
        assert waited == list(range(max(0, i - 2)))


def test_what_later_calls_reuse_is_not_held():
    """The state is donated to the next call: only the metrics may be waited for."""
    step = jax.jit(lambda state: (state + 1, {"loss": state.sum()}), donate_argnums=0)
    run, state = pacing.limited(step, ahead=2), jnp.zeros(3)
    for _ in range(5):
        state, metrics = run(state)
    np.testing.assert_array_equal(state, 5)
    assert metrics["loss"] == 12
