"""Training losses of an autoencoder: scalars, the mean over a batch.

    loss                 what is added to the reconstruction, or done before it
    reconstruction_loss  nothing
    denoising_loss       the encoder sees a corrupted x
    l1_loss              lam E ||code||_1
    kl_sparse_loss       lam KL( rho || mean activity )
    k_sparse_loss        only the k largest entries of a code are decoded
    contractive_loss     lam E ||d encode/dx||^2
    hutchinson_loss      the same, estimated

All take (encode, decode, rng, x), so that one can stand for another; those that draw
nothing do not use the key. The reconstruction is `error`, summed over dimensions.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from diffjax.ae import penalties
from diffjax.ae.corruption import Corrupt
from diffjax.core import categorical, chain
from diffjax.core.precision import widen
from diffjax.types import Array

Encode = Callable[[Array], Array]
"""x [...] -> code [...]."""
Decode = Callable[[Array], Array]
"""code [...] -> x_hat, what `Error` compares with x."""
Error = Callable[[Array, Array], Array]
"""(x [...], x_hat) -> [], how bad a reconstruction is."""


def squared_error(x: Array, x_hat: Array) -> Array:
    r"""The reconstruction error of real values.

        ||x - x_hat||^2

    Lecture 02 (AE), the loss of images.

    Args: x, x_hat: [...].
    Returns: [] (data units squared).
    """
    chex.assert_equal_shape([x, x_hat])
    x, x_hat = widen(x, x_hat)
    return jnp.sum(jnp.square(x - x_hat))


def cross_entropy(x: Array, logits: Array) -> Array:
    r"""The reconstruction error of categories.

        -sum log x_hat_{x},    x_hat = softmax(logits)

    Lecture 02 (AE), the categorical loss, of a category instead of its one-hot vector.

    Args: x: integer [...], 0..K-1.  logits: [..., K].
    Returns: [] nats; NaN under jit where x is no category.
    """
    categorical.tokens("x", x, logits.shape[-1])
    return -categorical.log_prob(x.astype(jnp.int32), logits)


def reconstruction_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    error: Error = squared_error,
) -> Array:
    r"""The plain autoencoder.

        L = 1/B sum_i error( x_i, decode(encode(x_i)) )

    Lecture 02 (AE), L_AE; with the linear encoder and decoder it is PCA.

    Args: encode, decode: one example.  rng: not used.  x: [B, ...].  error: of one
        example.
    Returns: [] in the unit of the error.
    """
    return jnp.mean(jax.vmap(lambda x: error(x, decode(encode(x))))(x))


def denoising_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    corrupt: Corrupt,
    error: Error = squared_error,
) -> Array:
    r"""The denoising autoencoder: reconstruct what was there before the noise.

        L = E error( x, decode(encode(x~)) ),    x~ ~ M(x~ | x)

    Lecture 02 (AE), L_DAE; Vincent et al. 2008. The best one is
    `core.oracle.finite_dae`.

    Args: encode, decode, x, error: as for `reconstruction_loss`.  rng: key, or keys
        [B].  corrupt: (key, x) -> x~, see `corruption`.
    Returns: [] in the unit of the error.
    """

    def of_example(rng: Array, x: Array) -> Array:
        return error(x, decode(encode(corrupt(rng, x))))

    return jnp.mean(jax.vmap(of_example)(chain.example_keys(rng, x.shape[0]), x))


def l1_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    lam: float,
    error: Error = squared_error,
) -> Array:
    r"""The sparse autoencoder whose codes have few large entries.

        L = E [ error(x, decode(h)) + lam sum_j |h_j| ],    h = encode(x)

    Lecture 02 (AE), "Sparse AE".

    Args: encode, decode, rng, x, error: as for `reconstruction_loss`.  lam: weight of
        the penalty, >= 0.
    Returns: [] in the unit of the error.
    """
    _weight(lam)

    def of_example(x: Array) -> Array:
        code = encode(x)
        return error(x, decode(code)) + lam * jnp.sum(jnp.abs(code))

    return jnp.mean(jax.vmap(of_example)(x))


def kl_sparse_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    lam: float,
    rho: float = 0.05,
    error: Error = squared_error,
    axis_name: str | None = None,
) -> Array:
    r"""The sparse autoencoder whose units are on a share rho of the time.

        L = E error(x, decode(h)) + lam sum_j KL(rho || rho_hat_j),
        h = sigmoid(encode(x)),    rho_hat = E h

    Lecture 02 (AE), "Sparse AE"; Ng 2011 (CS294A lecture notes).

    Args: decode, rng, x, error: as for `reconstruction_loss`.  encode: x -> the code's
        logits.  lam: weight, >= 0.  rho: in (0, 1).  axis_name: of the devices among
        which the batch is split.
    Returns: [] in the unit of the error.
    """
    _weight(lam)

    def of_example(x: Array) -> tuple[Array, Array]:
        logits = encode(x)
        return error(x, decode(jax.nn.sigmoid(logits))), logits

    errors, logits = jax.vmap(of_example)(x)
    penalty = penalties.kl_sparsity(logits, rho=rho, axis_name=axis_name)
    return jnp.mean(errors) + lam * penalty


def k_sparse_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    k: int,
    alpha: float = 1.0,
    error: Error = squared_error,
) -> Array:
    r"""The k-sparse autoencoder.

        L = E error( x, decode(top-k(encode(x))) )

    Makhzani & Frey 2013 (arXiv:1312.5663).

    Args: encode, decode, rng, x, error: as for `reconstruction_loss`.  k, alpha: as for
        `k_sparse`; alpha > 1 is for evaluation.
    Returns: [] in the unit of the error.
    """

    def sparse(x: Array) -> Array:
        return penalties.k_sparse(encode(x), k=k, alpha=alpha)

    return reconstruction_loss(sparse, decode, rng, x, error=error)


def contractive_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    lam: float,
    error: Error = squared_error,
) -> Array:
    r"""The contractive autoencoder, whose code hardly moves when x does.

        L = E [ error(x, decode(encode(x))) + lam ||d encode/dx||_F^2 ]

    Lecture 02 (AE), "Contractive AE"; Rifai et al. 2011.

    Args: encode, decode, rng, x, error, lam: as for `l1_loss`.
    Returns: [] in the unit of the error.
    """
    _weight(lam)
    plain = reconstruction_loss(encode, decode, rng, x, error=error)
    norms = jax.vmap(lambda x: penalties.jacobian_norm(encode, x))(x)
    return plain + lam * jnp.mean(norms)


def hutchinson_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    lam: float,
    num: int = 1,
    error: Error = squared_error,
) -> Array:
    r"""`contractive_loss`, its norm estimated with a few random directions.

        L = E [ error(x, decode(encode(x))) + lam/P sum_p ||(d encode/dx) u_p||^2 ]

    Args: encode, decode, x, error, lam: as for `l1_loss`.  rng: key, or keys [B].
        num: P, directions for each example.
    Returns: [] in the unit of the error.
    """
    _weight(lam)
    if num < 1:
        raise ValueError(f"expected num >= 1 directions, got {num}")

    def norm(rng: Array, x: Array) -> Array:
        probes = jax.random.rademacher(rng, (num, *x.shape), x.dtype)
        return penalties.hutchinson_norm(probes, encode, x)

    plain = reconstruction_loss(encode, decode, rng, x, error=error)
    norms = jax.vmap(norm)(chain.example_keys(rng, x.shape[0]), x)
    return plain + lam * jnp.mean(norms)


def _weight(lam: float) -> None:
    if lam < 0:
        raise ValueError(f"expected lam >= 0, got {lam}")
