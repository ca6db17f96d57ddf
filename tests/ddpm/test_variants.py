"""Public functions give the same under jit, pmap, on a device and without."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from diffjax import ddpm
from diffjax.core import schedules
from diffjax.ddpm import predict

T = 30
BETA = np.linspace(1e-4, 0.2, T)
ALPHA_BAR = np.cumprod(1 - BETA)
X_0 = np.array([0.3, -0.8], np.float32)
X_T = np.array([1.1, 0.2], np.float32)
EPS = np.array([-0.4, 0.9], np.float32)
STEP = 12
AB, BEFORE = ALPHA_BAR[STEP - 1], ALPHA_BAR[STEP - 2]
B = BETA[STEP - 1]

CASES = {
    "diffuse": (ddpm.diffuse, (X_0, EPS), np.sqrt(AB) * X_0 + np.sqrt(1 - AB) * EPS),
    "marginal": (ddpm.marginal, (X_0,), (np.sqrt(AB) * X_0, 1 - AB)),
    "transition": (ddpm.transition, (X_0,), (np.sqrt(1 - B) * X_0, B)),
    "forward": (ddpm.forward, (X_0, EPS), np.sqrt(1 - B) * X_0 + np.sqrt(B) * EPS),
    "posterior": (
        ddpm.posterior,
        (X_0, X_T),
        (
            (np.sqrt(BEFORE) * B * X_0 + np.sqrt(1 - B) * (1 - BEFORE) * X_T)
            / (1 - AB),
            B * (1 - BEFORE) / (1 - AB),
        ),
    ),
    "x_0_from_eps": (
        predict.x_0_from_eps,
        (X_T, EPS),
        (X_T - np.sqrt(1 - AB) * EPS) / np.sqrt(AB),
    ),
    "x_0_from_v": (
        predict.x_0_from_v,
        (X_T, EPS),
        np.sqrt(AB) * X_T - np.sqrt(1 - AB) * EPS,
    ),
    "score_from_eps": (predict.score_from_eps, (X_T, EPS), -EPS / np.sqrt(1 - AB)),
    "mean_from_eps": (
        predict.mean_from_eps,
        (X_T, EPS),
        (X_T - B / np.sqrt(1 - AB) * EPS) / np.sqrt(1 - B),
    ),
}


class VariantsTest(chex.TestCase):
    @chex.all_variants
    @parameterized.named_parameters(*((name, name) for name in CASES))
    def test_closed_form(self, name):
        function, arrays, expected = CASES[name]
        schedule = schedules.linear(T, beta_max=0.2)
        got = self.variant(function)(schedule, *arrays, jnp.asarray(STEP))
        jax.tree.map(
            lambda g, e: np.testing.assert_allclose(g, e, rtol=2e-5), got, expected
        )

    @chex.all_variants(without_jit=False, without_device=False)
    def test_sample_and_bound(self):
        schedule = schedules.linear(T, beta_max=0.2)

        def run(schedule, rng, x_0):
            sample = ddpm.sample(lambda x, t: 0.5 * x, schedule, rng, (2, 2))
            bound = ddpm.bound(lambda x, t: 0.5 * x, schedule, rng, x_0)
            return sample, bound.elbo

        arguments = (schedule, jax.random.key(0), jnp.asarray([X_0, X_T / 2]))
        plain = jax.jit(run)(*arguments)
        got = self.variant(run)(*arguments)
        jax.tree.map(
            lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-4), got, plain
        )
