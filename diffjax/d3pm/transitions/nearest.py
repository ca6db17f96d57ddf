"""A walk over tokens with similar embeddings, for vocabularies of any size.

    Q_t = (1 - beta_t) I + beta_t P,    P = I + R / max_i d_i,
    R = A - diag(d),    A = (G + G^T) / (2 k),    d_i = sum_j A_ij

G_ij = 1 where j is one of the k nearest neighbours of i. P is symmetric, so doubly
stochastic, and every Q_{s..t} is a mixture of its powers, weighted by how many of the
steps from s to t were jumps. Memory is O(K k); no K x K table exists, and only
`matrix` makes one.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical
from diffjax.d3pm.transitions import inputs, logspace
from diffjax.types import Array

ROWS_AT_ONCE = 512
"""Rows of similarities that the search for neighbours holds at a time."""


class Graph(NamedTuple):
    """The matrix P of one jump, by the edges of G.

    neighbours: [k, K] integers, the j-th nearest of each token.  stay: [K] P_ii.
    edge: [] what G_ij = 1 adds to P_ij, and to P_ji.
    """

    neighbours: Array
    stay: Array
    edge: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Nearest:
    """A walk on a graph: K k integers, K + T (M + 2) numbers, M <= T + 1 jumps.

    graph: of one jump.  beta, keep: [T] beta_t and 1 - beta_t.  jumps: [T + 1, M] the
    law of the number of jumps from 0 to t.
    """

    graph: Graph
    beta: Array
    keep: Array
    jumps: Array

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.graph.stay.shape[0]

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.beta.shape[0]

    def log_prior(self) -> Array:
        r"""The uniform law, which every doubly stochastic matrix leaves as it is.

            log(1 / K)

        Args: none.
        Returns: [K] nats.
        """
        return jnp.full(self.K, -np.log(self.K), self.beta.dtype)

    def jump_law(self, s: Array, t: Array) -> Array:
        r"""How many of the steps from s to t are jumps: a lookup for s = 0.

            w_m = P(m of the steps s+1..t jump),    step k jumps with probability beta_k

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [M] probabilities.
        """
        inputs.span(self.T, s, t)
        return self._jump_law(s, t)

    @jax.jit  # a loop outside jit would be compiled at every call
    def _jump_law(self, s: Array, t: Array) -> Array:
        none = (jnp.arange(self.jumps.shape[1]) == 0).astype(self.beta.dtype)
        start = jnp.where(s == 0, self.jumps[t], none)

        def step(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            w, k = carry
            jumped = jnp.concatenate([jnp.zeros_like(w[:1]), w[:-1]])
            return self.keep[k] * w + self.beta[k] * jumped, k + 1

        first = jnp.where(s == 0, t, s)
        return jax.lax.while_loop(lambda c: c[1] < t, step, (start, first))[0]

    def matrix(self, s: Array, t: Array) -> Array:
        r"""The transition from s to t as a matrix, the one K x K array; for small K.

            Q_{s..t} = sum_m w_m P^m

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K, K], rows and columns sum to 1 (probabilities).
        """
        eye = jnp.eye(self.K, dtype=self.beta.dtype)
        return walk(self.graph, self.jump_law(s, t), eye)

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given one of x_s.

            log( sum_m w_m p P^m )

        Austin et al. 2021 (arXiv:2107.03006), eq. 3. What is too small for the dtype
        is bounded from below by its share that never jumped.

        Args: log_p: [..., K].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        inputs.log_law(self.K, log_p)
        w = self.jump_law(s, t)
        stay = categorical.log(w[:1])
        return logspace.linear(lambda p: walk(self.graph, w, p), log_p, stay)

    def row(self, x_s: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given x_s.

            log Q_{s..t}[x_s, :]

        Austin et al. 2021, eq. 2.

        Args: x_s: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_s", x_s, self.K)
        start = jax.nn.one_hot(x_s, self.K, dtype=self.beta.dtype)
        return categorical.log(walk(self.graph, self.jump_law(s, t), start))

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        r"""The likelihood of x_s, given x_t: the same as `row`, for Q is symmetric.

            log Q_{s..t}[:, x_t]

        Austin et al. 2021, eq. 3, its first factor.

        Args: x_t: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        return self.row(x_t, s, t)


def nearest(
    embeddings: np.ndarray | Array,
    betas: Sequence[float] | np.ndarray,
    *,
    neighbours: int,
) -> Nearest:
    r"""A token moves to one that is like it.

        Q_t = (1 - beta_t) I + beta_t (I + R / max_i d_i)

    Austin et al. 2021 (arXiv:2107.03006), appendix A.2.4: their symmetrised rates, one
    jump at a time. The best connected token leaves with probability beta_t, the others
    in proportion to theirs. A graph in several parts never mixes between them.

    Args: embeddings: [K, D], brought to unit length.  betas: [T], for t = 1..T, in
        [0, 1].  neighbours: k, in 1..K-1.
    Returns: the family, in K k integers and K + T (M + 2) numbers.
    """
    beta, unit = inputs.betas(betas), _unit(np.asarray(embeddings, np.float32))
    K = len(unit)
    if not isinstance(neighbours, int | np.integer) or not 1 <= neighbours < K:
        raise ValueError(
            f"expected neighbours in 1..K-1 = 1..{K - 1}, got {neighbours!r}; a token "
            "is not its own neighbour"
        )
    closest = nearest_neighbours(unit, int(neighbours))
    degree = neighbours + np.bincount(closest.ravel(), minlength=K)
    graph = Graph(
        neighbours=jnp.asarray(closest.T),
        stay=inputs.table(1 - degree / degree.max()),
        edge=inputs.table(1 / degree.max()),
    )
    return _on(graph, beta)


def retimed(walk: Nearest, betas: Sequence[float] | np.ndarray) -> Nearest:
    r"""The same graph, other probabilities of a jump.

        Q_t = (1 - beta_t) I + beta_t P

    Args: walk: a family.  betas: [T], for t = 1..T, in [0, 1]; T may differ.
    Returns: a family, which shares the graph.
    """
    return _on(walk.graph, inputs.betas(betas))


def nearest_neighbours(unit: np.ndarray, k: int) -> np.ndarray:
    r"""The k vectors of largest inner product with each, itself left out; exact.

        argtop_k_{j != i} <e_i, e_j>

    Args: unit: [K, D], of unit length.  k: how many.
    Returns: int32 [K, k] (indices), in no order.
    """
    found = np.empty((len(unit), k), np.int32)
    for start in range(0, len(unit), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(unit)))
        likeness = unit[rows] @ unit.T
        likeness[np.arange(len(rows)), rows] = -np.inf
        found[rows] = np.argpartition(likeness, -k, axis=1)[:, -k:]
    return found


def jump_laws(beta: np.ndarray) -> np.ndarray:
    r"""The law of the number of jumps from 0 to each t, as far as it is not 0.

        w_m(t) = (1 - beta_t) w_m(t - 1) + beta_t w_{m-1}(t - 1)

    Args: beta: float64 [T].
    Returns: float64 [T + 1, M], M <= T + 1 (probabilities).
    """
    w = np.zeros((len(beta) + 1, len(beta) + 1))
    w[0, 0] = 1
    for t, b in enumerate(beta, start=1):
        w[t] = (1 - b) * w[t - 1]
        w[t, 1:] += b * w[t - 1, :-1]
    smallest = np.finfo(jax.dtypes.canonicalize_dtype(np.float64)).tiny
    return w[:, : np.nonzero((w >= smallest).any(0))[0].max() + 1]


@jax.custom_vjp
@jax.jit
def walk(graph: Graph, w: Array, p: Array) -> Array:
    r"""A law after a random number of jumps; reverse-mode differentiable in p alone.

        sum_m w_m p P^m

    The map is its own transpose, which is its gradient. Terms whose weight is 0 are not
    computed.

    Args: graph: of P.  w: [M] the law of the number of jumps.  p: [..., K].
    Returns: [..., K] in the unit of p.
    """
    last = jnp.max(jnp.where(w > 0, jnp.arange(len(w)), 0))

    def jump(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        m, moved, mean = carry
        moved = _jump(graph, moved)
        return m + 1, moved, mean + w[m + 1] * moved

    # Categories first: a gather then copies whole rows.
    first = jnp.moveaxis(p.astype(w.dtype), -1, 0)
    start = (jnp.zeros_like(last), first, w[0] * first)
    mean = jax.lax.while_loop(lambda c: c[0] < last, jump, start)[2]
    return jnp.moveaxis(mean, 0, -1).astype(p.dtype)


def _walk_fwd(graph: Graph, w: Array, p: Array) -> tuple[Array, tuple[Graph, Array]]:
    return walk(graph, w, p), (graph, w)


def _walk_bwd(saved: tuple[Graph, Array], cotangent: Array) -> tuple[None, None, Array]:
    return None, None, walk(*saved, cotangent)


walk.defvjp(_walk_fwd, _walk_bwd)


def _jump(graph: Graph, p: Array) -> Array:
    def add(total: Array, neighbour: Array) -> tuple[Array, None]:
        return total.at[neighbour].add(p) + p[neighbour], None

    edges, _ = jax.lax.scan(add, jnp.zeros_like(p), graph.neighbours)
    stay = graph.stay.reshape((-1,) + (1,) * (p.ndim - 1))
    return stay * p + graph.edge * edges


def _on(graph: Graph, beta: np.ndarray) -> Nearest:
    jumps = inputs.table(jump_laws(beta))
    return Nearest(graph, inputs.table(beta), inputs.table(1 - beta), jumps)


def _unit(embeddings: np.ndarray) -> np.ndarray:
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(
            f"expected embeddings of shape [K, D], K >= 2, got {embeddings.shape}"
        )
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not np.isfinite(embeddings).all() or (length == 0).any():
        raise ValueError(
            "expected finite embeddings that are not zero, got lengths from "
            f"{length.min():.6g} to {length.max():.6g}; unit vectors are made of them"
        )
    return embeddings / length
