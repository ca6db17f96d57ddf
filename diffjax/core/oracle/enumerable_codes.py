"""The exact law of a model with discrete latents, by enumeration of all its codes."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical
from diffjax.types import Array


class CodeModel(NamedTuple):
    """p(x, codes) = p(codes) p(x | codes), the M = K^N states of the codes as a table.

    codes: integer [M, ...], every state, the last position the fastest.
    log_prior: [M] log p(codes), nats.
    log_likelihood: (x [...], codes integer [...]) -> log p(x | codes) [] nats.
    """

    codes: Array
    log_prior: Array
    log_likelihood: Callable[[Array, Array], Array]


def code_model(
    log_likelihood: Callable[[Array, Array], Array],
    K: int,
    shape: tuple[int, ...],
    *,
    log_prior: Callable[[Array], Array] | None = None,
) -> CodeModel:
    r"""A model small enough to write down every state of its codes.

        p(x) = sum over K^N codes of p(codes) p(x | codes)

    Args: log_likelihood: (x, codes) -> nats.  K: codes at each position.  shape: of the
        codes of one example, N positions; at most 2^20 states.  log_prior: codes ->
        nats, by default uniform, -N log K.
    Returns: CodeModel.
    """
    num = math.prod(shape)
    if K < 2 or K**num > 2**20:
        raise ValueError(
            f"expected K >= 2 and at most 2^20 states, got K = {K} at {num} positions"
        )
    every = np.array(list(itertools.product(range(K), repeat=num)), np.int32)
    codes = jnp.asarray(every.reshape(-1, *shape))
    if log_prior is None:
        return CodeModel(codes, jnp.full(K**num, -num * np.log(K)), log_likelihood)
    return CodeModel(codes, jax.vmap(log_prior)(codes), log_likelihood)


def code_log_prob(model: CodeModel, x: Array) -> Array:
    r"""The exact log likelihood of an example.

        log p(x) = log sum_codes p(codes) p(x | codes)

    Args: model: CodeModel.  x: [...].
    Returns: [] nats.
    """
    return jax.nn.logsumexp(_joint(model, x))


def code_posterior(model: CodeModel, x: Array) -> Array:
    r"""What is known of the codes after seeing an example.

        log p(codes | x) = log p(codes) + log p(x | codes) - log p(x)

    Args: model: CodeModel.  x: [...].
    Returns: [M] nats, in the order of `model.codes`.
    """
    return categorical.normalise(_joint(model, x))


def code_encoder(model: CodeModel) -> Callable[[Array], Array]:
    r"""The best encoder of those that give one state of the codes: the tightest bound.

        encode(x) = argmax_codes p(codes | x)

    Args: model: CodeModel.
    Returns: x [...] -> codes integer [...] (category indices).
    """
    return lambda x: model.codes[jnp.argmax(_joint(model, x))]


def _joint(model: CodeModel, x: Array) -> Array:
    each = jax.vmap(model.log_likelihood, in_axes=(None, 0))(x, model.codes)
    return model.log_prior + each
