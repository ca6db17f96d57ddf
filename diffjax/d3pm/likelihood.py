"""Exact likelihoods: the variational bound term by term, and its units."""

from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain, checks
from diffjax.core.bounds import Bound, bits_per_dim
from diffjax.d3pm import closed, infill, process
from diffjax.d3pm import predict as predictions
from diffjax.d3pm.predict import Denoise, Predict
from diffjax.d3pm.process import Transitions
from diffjax.d3pm.transitions.learned import Learned
from diffjax.d3pm.transitions.rank_one import RankOne
from diffjax.types import Array


def gumbel(K: int) -> chain.Draw:
    r"""Gumbel noise for a choice among K categories at each position.

        g_k = -log(-log u_k),    u_k ~ U(0, 1)

    with the tail of `mode="high"`: the default of `jax.random` never exceeds 15.94.

    Args: K: categories.
    Returns: (rng, x integer [...]) -> [..., K] (no unit).
    """
    return lambda rng, x: jax.random.gumbel(rng, (*x.shape, K), mode="high")


def divergence(
    transitions: Transitions,
    logits: Array,
    x_0: Array,
    x_t: Array,
    t: Array,
    s: Array,
    *,
    predict: Predict = predictions.joint,
    length_mask: Array | None = None,
) -> Array:
    r"""One term of the bound; at s = 0 it is the reconstruction, -log p(x_0 | x_t).

        KL( q(x_s | x_t, x_0) || p(x_s | x_t) )

    Austin et al. 2021 (arXiv:2107.03006), eq. 1; for rank-one families and `joint` by
    the closed form of `closed`.

    Args: transitions: a family.  logits: [..., K], what the network says at (x_t, t).
        x_0, x_t: integer [...].  t, s: integer [], s < t.  predict: their meaning.
        length_mask: boolean [...], False where a position is padding and costs nothing.
    Returns: [] nats.
    """
    if isinstance(transitions, Learned):
        transitions = transitions.inner  # the law of x_T plays no part in a step
    if predict is predictions.joint and isinstance(transitions, RankOne):
        each = closed.divergence(transitions, logits, x_0, x_t, t, s)
        return jnp.sum(infill.counted(each, length_mask))
    q = process.posterior_logits(transitions, x_0, x_t, t, s=s)
    p = predict(transitions, logits, x_t, t, s=s)
    return categorical.kl(q, infill.counted(p, length_mask, otherwise=q))


def prior(
    transitions: Transitions,
    x_0: Array,
    t: Array,
    *,
    length_mask: Array | None = None,
) -> Array:
    r"""The bound's last term; infinite where the process cannot reach its own prior.

        KL( q(x_t | x_0) || p(x_T) )

    Austin et al. 2021, eq. 1. Absorbing with alpha_bar_T > 0 is infinite: such a model
    cannot start from a token that was never masked.

    Args: transitions: a family.  x_0: integer [...].  t: integer [], T unless the chain
        starts below.  length_mask: as for `divergence`.
    Returns: [] nats.
    """
    q = process.marginal_logits(transitions, x_0, t)
    p = jnp.broadcast_to(transitions.log_prior(), q.shape)
    return categorical.kl(q, infill.counted(p, length_mask, otherwise=q))


def bound(
    denoise: Denoise,
    transitions: Transitions,
    rng: Array,
    x_0: Array,
    *,
    predict: Predict = predictions.joint,
    ts: Any = None,
    length_mask: Array | None = None,
) -> Bound:
    r"""Every term of the variational bound, each estimated with one draw of x_t.

        log p(x_0) >= E log p(x_0 | x_1) - sum_{t=2}^T E KL(q(x_{t-1} | x_t, x_0) || p)
                      - KL(q(x_T | x_0) || p(x_T))

    Austin et al. 2021, eq. 1. One scan over t: memory does not grow with T. On a
    sub-grid it is the bound of the strided sampler on that grid. Over a batch,
    `core.bounds.mean_and_standard_error` says how well it is known.

    Args: denoise: one example.  transitions: a family.  rng: key, or keys [B].  x_0:
        integer [B, ...].  predict: what the logits mean.  ts: integers descending from
        T to 0, by default all.  length_mask: boolean [B, ...], False at padding, which
        stays as it is in x_0 and costs nothing.
    Returns: Bound of [B], [B, T - 1] for t = 2..T ascending, [B]; nats.
    """
    categorical.tokens("x_0", x_0, transitions.K)
    ascending = jnp.flip(grid(transitions, ts))
    noise, some = gumbel(transitions.K), infill.lengths(length_mask, x_0.shape)

    def of_example(rng: Array, x_0: Array, real: Array | None) -> Bound:
        def term(_: None, s_t: tuple[Array, Array]) -> tuple[None, Array]:
            s, t = s_t
            eps = noise(jax.random.fold_in(rng, t), x_0)
            x_t = process.diffuse(transitions, x_0, eps, t)
            x_t = infill.counted(x_t, real, otherwise=x_0)
            args = denoise(x_t, t), x_0, x_t, t, s
            cost = divergence(transitions, *args, predict=predict, length_mask=real)
            return None, cost

        # q(x_0 | x_1, x_0) is certain, so the first divergence is -log p(x_0 | x_1).
        _, terms = jax.lax.scan(term, None, (ascending[:-1], ascending[1:]))
        last = prior(transitions, x_0, ascending[-1], length_mask=real)
        return Bound(-categorical.guard(terms[0], x_0, transitions.K), terms[1:], last)

    return jax.vmap(of_example)(chain.example_keys(rng, x_0.shape[0]), x_0, some)


def grid(transitions: Transitions, ts: Any) -> Array:
    r"""A sampling grid, checked; by default every step.

        T, T - 1, ..., 1, 0

    Args: transitions: a family.  ts: integers descending to 0, or None.
    Returns: integers [N + 1] (steps, no unit).
    """
    if ts is None:
        return jnp.arange(transitions.T, -1, -1)
    return checks.grid(transitions.T, ts)


def bits_per_char(nats: Array, num_chars: int) -> Array:
    r"""A code length on the scale of text8.

        bits/char = nats / (N log 2)

    Austin et al. 2021, table 2.

    Args: nats: [...], for example -elbo.  num_chars: N, the characters of one example.
    Returns: [...] bits per character.
    """
    return bits_per_dim(nats, num_chars)


def perplexity_per_token(nats: Array, num_tokens: int) -> Array:
    r"""Among how many tokens one is left to guess.

        ppl = exp( nats / N )

    The figure of MDLM and SEDD; it depends on the tokenizer. For a corpus, give the
    mean of nats over examples: the exponent is outside the mean.

    Args: nats: [...], for example -elbo.  num_tokens: N, the tokens of one example.
    Returns: [...] perplexity (no unit).
    """
    if num_tokens < 1:
        raise ValueError(f"expected num_tokens >= 1, got {num_tokens}")
    return jnp.exp(nats / num_tokens)


def perplexity_per_word(nats: Array, num_words: Array) -> Array:
    r"""Among how many words one is left to guess, whatever the tokenizer.

        ppl = exp( sum_i nats_i / sum_i words_i )

    Austin et al. 2021, table 3 (LM1B), where the end of a sentence counts as a word.
    Not comparable with perplexities per token.

    Args: nats: [B] of each example.  num_words: [B] words in each.
    Returns: [] perplexity (no unit).
    """
    if jnp.shape(nats) != jnp.shape(num_words):
        raise ValueError(
            "expected nats and num_words of one shape, an entry for each example, got "
            f"{jnp.shape(nats)} and {jnp.shape(num_words)}"
        )
    return jnp.exp(jnp.sum(nats) / jnp.sum(num_words))
