"""T7-T10, E6 and oracles 1-3 and 8: what the notes and papers claim of DDPM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.core import categorical, gaussian, oracle, schedules
from diffjax.core.bounds import bits_per_dim
from diffjax.ddpm import continuous, likelihood, predict, variance

MEAN, VAR = 0.7, 0.25
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(4)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def gaussian_oracle(schedule):
    """A denoiser and the variance of x_0 given x_t, for x_0 ~ N(MEAN, VAR)."""
    data = oracle.gaussian(jnp.asarray([MEAN]), jnp.asarray([[VAR]]))
    return oracle.denoiser(data, schedule), oracle.posterior_variance(data, schedule)


def expected_over_data_and_noise(f):
    """E f(x_0, eps) for x_0 ~ N(MEAN, VAR): exact for polynomials up to degree 7."""
    x_0, eps = np.meshgrid(MEAN + np.sqrt(VAR) * NODES, NODES, indexing="ij")
    values = jax.vmap(f)(x_0.reshape(-1, 1), eps.reshape(-1, 1))
    weights = np.outer(WEIGHTS, WEIGHTS).reshape(-1)
    return jax.tree.map(lambda leaf: weights @ leaf, values)


# Theorem 2.2.1 -----------------------------------------------------------------------


def five_state_chain(rng):
    """Tables p(x_0), p(x_{i-1} | x_0), p(x_i | x_{i-1}) of a random chain."""
    p_0 = rng.dirichlet(np.ones(5))
    first, second = rng.dirichlet(np.ones(5), 5), rng.dirichlet(np.ones(5), 5)
    joint = p_0[:, None, None] * first[:, :, None] * second[None]  # x_0, x_{i-1}, x_i
    return joint


def test_t7_marginal_and_conditional_kl_differ_by_a_constant_discrete():
    """Lecture 02, theorem 2.2.1, on five states; C = I(x_{i-1}; x_0 | x_i)."""
    rng = np.random.default_rng(0)
    joint = five_state_chain(rng)
    p_i, p_0i = joint.sum((0, 1)), joint.sum(1)
    conditional = joint / p_0i[:, None, :]  # p(x_{i-1} | x_i, x_0)
    marginal = joint.sum(0) / p_i  # p(x_{i-1} | x_i)
    kl = jax.vmap(lambda q, p: categorical.kl(jnp.log(q), jnp.log(p)))

    def objectives(model):
        given_0 = [kl(jnp.asarray(conditional[a].T), model) for a in range(5)]
        cond = sum(p_0i[a] @ np.asarray(given_0[a]) for a in range(5))
        return cond, p_i @ np.asarray(kl(jnp.asarray(marginal.T), model))

    models = [jnp.asarray(rng.dirichlet(np.ones(5), 5)) for _ in range(20)]
    gaps = [np.subtract(*objectives(model)) for model in models]
    information = np.sum(joint * np.log(conditional / marginal[None]))
    np.testing.assert_allclose(gaps, information, atol=1e-12)
    # The minimiser is the average of the conditionals, which is the true reverse.
    average = np.einsum("ai,aji->ij", p_0i / p_i, conditional)
    np.testing.assert_allclose(average, marginal.T, atol=1e-12)
    assert objectives(jnp.asarray(marginal.T))[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("t, published", [(2, 0.393840), (11, 0.0727321)])
def test_t7_marginal_and_conditional_kl_differ_by_a_constant_gaussian(t, published):
    """C = 1/2 log(v_rev / v_cond), and the gradients in the model's mean agree."""
    schedule = schedules.linear(1000)
    denoise, uncertain = gaussian_oracle(schedule)
    t, s = jnp.asarray(t), jnp.asarray(t - 1)
    v_rev = variance.optimal(uncertain)(schedule, jnp.zeros(1), t, s)

    def conditional(a, b, log_var, x_0, eps):
        x_t = ddpm.diffuse(schedule, x_0, eps, t)
        mean_q, var_q = ddpm.posterior(schedule, x_0, x_t, t)
        return gaussian.kl(mean_q, jnp.log(var_q), a * x_t + b, log_var)

    def marginal(a, b, log_var, x_0, eps):
        x_t = ddpm.diffuse(schedule, x_0, eps, t)
        mean_q, _ = ddpm.posterior(schedule, denoise(x_t, t), x_t, t)
        return gaussian.kl(mean_q, jnp.log(v_rev), a * x_t + b, log_var)

    @jax.jit
    def values_and_slopes(model):
        return [
            expected_over_data_and_noise(
                lambda x, e, f=f: jax.value_and_grad(f)(*model, x, e)
            )
            for f in (conditional, marginal)
        ]

    gaps = []
    for model in np.random.default_rng(1).normal(size=(5, 3)):
        (ours, slope), (other, other_slope) = values_and_slopes(model)
        gaps.append(ours - other)
        np.testing.assert_allclose(slope, other_slope, rtol=1e-9)
    v_cond = ddpm.small(schedule, jnp.zeros(1), t, s)
    np.testing.assert_allclose(gaps, 0.5 * np.log(v_rev / v_cond), atol=1e-10)
    np.testing.assert_allclose(gaps, published, atol=5e-7)


# Forward process ---------------------------------------------------------------------


def test_t8_telescoping_variance():
    """sum_k beta_k ab_i / ab_k = 1 - ab_i for every i (the course: squares)."""
    schedule = schedules.linear(1000)
    beta, ab, noise = (np.asarray(table) for table in schedule)
    for i in range(1, 1001):
        total = np.sum(beta[1 : i + 1] * ab[i] / ab[1 : i + 1])
        np.testing.assert_allclose(total, noise[i], rtol=1e-12)


def test_t8_telescoping_variance_float32():
    with jax.enable_x64(False):
        beta, ab, noise = (np.asarray(table) for table in schedules.linear(1000))
    assert beta.dtype == np.float32
    for i in (1, 10, 100, 1000):
        total = np.sum(beta[1 : i + 1] * (ab[i] / ab[1 : i + 1]))
        np.testing.assert_allclose(total, noise[i], rtol=1e-5)


def test_e6_the_two_conventions():
    """beta_Ho = beta_course^2, alpha_bar_Ho = alpha_bar_course^2."""
    beta_course = np.linspace(0.01, 0.14, 50)
    schedule = schedules.from_betas(beta_course**2)
    alpha_bar_course = np.cumprod(np.sqrt(1 - beta_course**2))
    np.testing.assert_allclose(schedule.alpha_bar[1:], alpha_bar_course**2, rtol=1e-12)
    x_0, eps, t = jnp.asarray([0.4]), jnp.asarray([-1.3]), jnp.asarray(37)
    course = alpha_bar_course[36] * 0.4 + np.sqrt(1 - alpha_bar_course[36] ** 2) * -1.3
    np.testing.assert_allclose(ddpm.diffuse(schedule, x_0, eps, t)[0], course)


def test_forward_steps_compose_to_the_marginal():
    """Composing q(x_k | x_{k-1}) one by one gives q(x_t | x_0) and q(x_t | x_s)."""
    schedule = schedules.cosine(60)
    x = jnp.asarray([0.8])
    mean, var = x, 0.0
    for k in range(1, 41):
        gain = ddpm.transition(schedule, jnp.ones(1), jnp.asarray(k))[0][0]
        mean, step_var = ddpm.transition(schedule, mean, jnp.asarray(k))
        var = gain**2 * var + step_var
    at_40 = ddpm.marginal(schedule, x, jnp.asarray(40))
    np.testing.assert_allclose((mean[0], var), (at_40[0][0], at_40[1]), rtol=1e-12)
    strided = ddpm.transition(schedule, x, jnp.asarray(40), s=jnp.asarray(25))
    ratio = schedule.alpha_bar[40] / schedule.alpha_bar[25]
    np.testing.assert_allclose(strided[0], np.sqrt(ratio) * x, rtol=1e-12)
    np.testing.assert_allclose(strided[1], 1 - ratio, rtol=1e-12)


def test_t9_two_forms_of_the_sampler_mean():
    """A x_t + B x_0_hat = (x_t - beta_t / sqrt(1 - ab_t) eps) / sqrt(alpha_t)."""
    schedule = schedules.linear(1000)
    rng = np.random.default_rng(2)
    for t in (1, 2, 10, 500, 1000):
        x_t, eps = jnp.asarray(rng.normal(size=(2, 5)))
        t = jnp.asarray(t)
        x_0 = predict.x_0_from_eps(schedule, x_t, eps, t)
        one = predict.mean_from_x_0(schedule, x_t, x_0, t)
        other = predict.mean_from_eps(schedule, x_t, eps, t)
        np.testing.assert_allclose(one, other, atol=1e-12 * float(jnp.abs(x_0).max()))
        # And both are the literal formula of the blog, from NumPy.
        beta = np.linspace(1e-4, 0.02, 1000)
        alpha_bar = np.cumprod(1 - beta)[int(t) - 1]
        b = beta[int(t) - 1]
        literal = (x_t - b / np.sqrt(1 - alpha_bar) * eps) / np.sqrt(1 - b)
        np.testing.assert_allclose(other, literal, rtol=1e-11)


def test_t10_the_prior_term_is_small_but_not_zero():
    """KL(q(x_T | x_0) || N(0, I)) = 1/2 (ab x_0^2 - ab - log(1 - ab)); errata E7."""
    schedule = schedules.linear(1000)
    at_T = schedule.alpha_bar[-1]
    np.testing.assert_allclose(np.sqrt(at_T), 6.3528e-3, rtol=1e-5)
    nats = likelihood.prior(schedule, jnp.ones(1), jnp.asarray(1000))
    np.testing.assert_allclose(nats, 2.018e-5, rtol=5e-4)
    np.testing.assert_allclose(bits_per_dim(nats, 1), 2.91e-5, rtol=1e-3)
    np.testing.assert_allclose(nats, -0.5 * np.log1p(-at_T), rtol=1e-10)
    closed = 0.5 * (at_T * 0.49 - at_T - np.log1p(-at_T))
    got = likelihood.prior(schedule, jnp.asarray([0.7]), jnp.asarray(1000))
    np.testing.assert_allclose(got, closed, rtol=1e-10)
    with jax.enable_x64(False):
        single = schedules.linear(1000)
        nats = likelihood.prior(single, jnp.ones(1), jnp.asarray(1000))
    np.testing.assert_allclose(nats, 2.018e-5, rtol=2e-3)


# The bound ---------------------------------------------------------------------------


def expected_bound(schedule, denoise, reverse_variance, first_variance):
    """-E elbo over Gaussian data, every expectation by exact quadrature."""
    decode = likelihood.gaussian_decoder(variance=first_variance)

    def terms(x_0, eps):
        def at(t):
            x_t = ddpm.diffuse(schedule, x_0, eps, t)
            return x_t, denoise(x_t, t)

        def divergence(t):
            x_t, x_0_hat = at(t)
            return likelihood.divergence(
                schedule, x_0, x_0_hat, x_t, t, t - 1, variance=reverse_variance
            )

        x_1, x_0_hat = at(jnp.asarray(1))
        first = -decode(schedule, x_0, x_1, x_0_hat, jnp.asarray(1))
        kls = jnp.sum(jax.vmap(divergence)(jnp.arange(2, schedule.T + 1)))
        return first, kls, likelihood.prior(schedule, x_0, jnp.asarray(schedule.T))

    return jax.jit(lambda: expected_over_data_and_noise(terms))()


def test_oracle_1_the_exact_reverse_kernel_attains_the_data_entropy():
    """-E elbo = H(data) + KL(p_T || N(0, I)) with the exact mean and variance."""
    schedule = schedules.linear(1000)
    denoise, uncertain = gaussian_oracle(schedule)
    exact = variance.optimal(uncertain)
    ours = sum(expected_bound(schedule, denoise, exact, exact))
    at_T = schedule.alpha_bar[-1]
    entropy = 0.5 * np.log(2 * np.pi * np.e * VAR)
    mismatch = gaussian.kl_standard(
        jnp.sqrt(at_T) * MEAN, jnp.log(at_T * VAR + schedule.one_minus_alpha_bar[-1])
    )
    np.testing.assert_allclose(ours, entropy + mismatch, atol=1e-10)


@pytest.mark.parametrize(
    "name, published", [("small", 0.4563), ("large", 0.00109)], ids=["small", "large"]
)
def test_oracle_1_what_the_fixed_variances_cost(name, published):
    """With the exact mean, the sum over t >= 2 exceeds the optimum by these nats."""
    schedule = schedules.linear(1000)
    denoise, uncertain = gaussian_oracle(schedule)
    exact = variance.optimal(uncertain)
    fixed = getattr(variance, name)
    costs = [expected_bound(schedule, denoise, v, exact)[1] for v in (fixed, exact)]
    np.testing.assert_allclose(costs[0] - costs[1], published, rtol=5e-3)


def test_oracle_2_snr_identity():
    """KL_t with the small variance = 1/2 (SNR_{t-1} - SNR_t) || x_0 - x_0_hat ||^2."""
    schedule = schedules.cosine(200)
    rng = np.random.default_rng(3)
    x_0, x_0_hat, x_t = jnp.asarray(rng.normal(size=(3, 4)))
    ab = np.asarray(schedule.alpha_bar)
    snr = ab / np.asarray(schedule.one_minus_alpha_bar).clip(1e-300)
    divergence = jax.jit(likelihood.divergence)
    for t in range(2, 201):
        got = divergence(schedule, x_0, x_0_hat, x_t, t, t - 1)
        expected = 0.5 * (snr[t - 1] - snr[t]) * np.sum((x_0 - x_0_hat) ** 2)
        np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_oracle_2_vdm_steps_are_the_ddpm_divergences():
    """T/2 (SNR(s) - SNR(t)) || . ||^2 on gamma = the KLs of the schedule it makes."""
    T, gamma = 20, continuous.linear_gamma(-9.0, 4.0)
    schedule = schedules.from_gamma(gamma(jnp.linspace(0, 1, T + 1)))
    x, x_hat, eps = jnp.asarray(np.random.default_rng(4).normal(size=(3, 3)))

    @jax.jit
    def stepped(t):
        denoise = lambda z, t: x_hat  # noqa: E731
        return continuous.stepped_diffusion_loss(denoise, gamma, x, eps, t, T=T)

    divergence = jax.jit(likelihood.divergence)
    for i in range(1, T + 1):
        step = divergence(schedule, x, x_hat, x, i + 1, i)
        np.testing.assert_allclose(stepped((i - 0.5) / T) / T, step, rtol=1e-9)


def test_oracle_2_the_continuous_loss_depends_on_gamma_by_its_ends_only():
    """int L_inf dt is the same for two gammas, and equals 1/2 int mmse dSNR."""
    straight = continuous.linear_gamma(-6.0, 4.0)

    def bent(t):
        return straight(t) + 3 * jnp.sin(jnp.pi * t) * t

    nodes, weights = np.polynomial.legendre.leggauss(200)

    def mean_loss(gamma):
        def denoise(z, t):
            ab, noise = jax.nn.sigmoid(-gamma(t)), jax.nn.sigmoid(gamma(t))
            shift = z - jnp.sqrt(ab) * MEAN
            return MEAN + jnp.sqrt(ab) * VAR * shift / (ab * VAR + noise)

        def at(t):
            return expected_over_data_and_noise(
                lambda x, e: continuous.diffusion_loss(denoise, gamma, x, e, t)
            )

        return weights / 2 @ jax.jit(jax.vmap(at))((nodes + 1) / 2)

    snr = np.exp([6.0, -4.0])
    closed = 0.5 * np.diff(np.log1p(VAR * snr[::-1]))[0]
    np.testing.assert_allclose(mean_loss(straight), closed, rtol=1e-9)
    np.testing.assert_allclose(mean_loss(bent), closed, rtol=1e-9)


# Identities --------------------------------------------------------------------------


@pytest.mark.parametrize("s, t", [(1, 2), (49, 50), (3, 40), (10, 60)])
def test_oracle_8_bayes_identity(s, t):
    """q(x_s | x_t, x_0) q(x_t | x_0) = q(x_t | x_s) q(x_s | x_0) at any s < t."""
    schedule = schedules.linear(60)
    x_0, x_s, x_t = jnp.asarray(np.random.default_rng(5).normal(size=(3, 4)))
    s, t = jnp.asarray(s), jnp.asarray(t)

    def log_prob(x, moments):
        return gaussian.log_prob(x, moments[0], jnp.log(moments[1]))

    left = log_prob(x_s, ddpm.posterior(schedule, x_0, x_t, t, s=s))
    left += log_prob(x_t, ddpm.marginal(schedule, x_0, t))
    right = log_prob(x_t, ddpm.transition(schedule, x_s, t, s=s))
    right += log_prob(x_s, ddpm.marginal(schedule, x_0, s))
    np.testing.assert_allclose(left, right, rtol=1e-11)


def test_oracle_8_respaced_chains_keep_the_marginals():
    schedule = schedules.linear(1000)
    for spec in ("ddim50", "quad20", "10,15,20", "1"):
        kept = schedules.respace_steps(1000, spec)
        respaced = schedules.respace(schedule, kept)
        assert respaced.T == len(kept)
        np.testing.assert_allclose(
            respaced.alpha_bar[1:], schedule.alpha_bar[kept], rtol=1e-12
        )
        product = np.cumprod(1 - np.asarray(respaced.beta))
        np.testing.assert_allclose(product, respaced.alpha_bar, rtol=1e-11)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("s, t", [(0, 1), (0, 30), (1, 2), (17, 43)])
def test_oracle_8_ddim_keeps_the_marginals_given_the_exact_x_0(eta, s, t):
    """With x_0 known, x_s is N(sqrt(ab_s) x_0, 1 - ab_s) for every eta."""
    schedule = schedules.linear(50)
    x_0 = jnp.asarray([0.6])
    s, t = jnp.asarray(s), jnp.asarray(t)

    def draw(eps_t, eps):
        x_t = ddpm.diffuse(schedule, x_0, eps_t, t)
        step = ddpm.ddim(eta)
        return step(lambda x, t: x_0, schedule, x_t, t, s, eps, None)[0][0]

    zero = jnp.zeros(1)
    mean, var = jnp.sqrt(schedule.alpha_bar[s]) * x_0, schedule.one_minus_alpha_bar[s]
    np.testing.assert_allclose(draw(zero, zero), mean[0], rtol=1e-12)
    slopes = jax.grad(draw, argnums=(0, 1))(zero, zero)
    np.testing.assert_allclose(
        float(slopes[0][0] ** 2 + slopes[1][0] ** 2), var, atol=1e-12
    )
    fresh = eta**2 * ddpm.posterior(schedule, x_0, x_0, t, s=s)[1]
    np.testing.assert_allclose(slopes[1][0] ** 2, fresh, atol=1e-12)


@pytest.mark.parametrize("s, t", [(0, 1), (0, 30), (1, 2), (17, 43)])
def test_oracle_8_ddim_with_eta_1_is_ancestral(s, t):
    schedule = schedules.linear(50)
    denoise, _ = gaussian_oracle(schedule)
    x_t, eps = jnp.asarray(np.random.default_rng(6).normal(size=(2, 1)))
    arguments = (denoise, schedule, x_t, jnp.asarray(t), jnp.asarray(s), eps, None)
    np.testing.assert_allclose(
        ddpm.ddim(1.0)(*arguments)[0], ddpm.ancestral(*arguments)[0], rtol=1e-12
    )
