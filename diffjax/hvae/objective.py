"""The only place where networks are seen: anything with `init` and `apply` will do.

A network takes and returns batches. One of an encoder layer, or of a decoder layer
above the first, returns a pair (mean [B, ...], log_var [B, ...]); a decoder's first
returns what its likelihood reads.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound
from diffjax.hvae import ladder, losses, markov
from diffjax.hvae.ladder import Ladder
from diffjax.hvae.layers import Layers, alike, one_height, own
from diffjax.hvae.losses import Weigh
from diffjax.hvae.markov import Draw, Likelihood
from diffjax.hvae.posteriors import ABSOLUTE, Posterior
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params, Sampler

Inputs = Callable[[int, Any], Array]
"""(i, what layer i - 1 said) -> the input of layer i, [B, ...]."""


class Nets(NamedTuple):
    """A stack of networks.

    init: (rng, `Inputs`) -> params.
    bind: params -> Layers of one example.
    L: layers.
    """

    init: Callable[[Array, Inputs], Params]
    bind: Callable[[Params], Layers]
    L: int


def own_nets(*nets: Net) -> Nets:
    r"""A network for each layer, with parameters of its own.

        layer i = net_i(params_i, .)

    Args: nets: of layers 1..L, from the data upwards.
    Returns: Nets, its params a tuple of L.
    """

    def init(rng: Array, inputs: Inputs) -> Params:
        params, said = [], None
        for i, net in enumerate(nets, 1):
            x = inputs(i, said)
            params.append(net.init(jax.random.fold_in(rng, i), x))
            said = jax.eval_shape(net.apply, params[-1], x)
        return tuple(params)

    def bind(params: Params) -> Layers:
        return own(*map(of_example, nets, params))

    return Nets(init, bind, len(nets))


def alike_nets(first: Net, net: Net, L: int) -> Nets:
    r"""One network for all layers but the first, its parameters stacked, one scan.

        layer i = net(params_rest[i - 2], .),    i = 2..L

    Args: first: of layer 1.  net: of the others.  L: layers, >= 2.
    Returns: Nets, its params {"first": ..., "rest": stacked [L - 1, ...]}.
    """
    if L < 2:
        raise ValueError(f"expected L >= 2 layers, got {L}; use own_nets for one")

    def init(rng: Array, inputs: Inputs) -> Params:
        bottom = first.init(jax.random.fold_in(rng, 1), inputs(1, None))
        said = jax.eval_shape(first.apply, bottom, inputs(1, None))
        z = inputs(2, said)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, jnp.arange(2, L + 1))
        return {"first": bottom, "rest": jax.vmap(lambda rng: net.init(rng, z))(keys)}

    def bind(params: Params) -> Layers:
        def layer(i: Array, z: Array) -> Any:
            return of_example(net, jax.tree.map(lambda p: p[i - 2], params["rest"]))(z)

        return alike(layer, L, first=of_example(first, params["first"]))

    return Nets(init, bind, L)


def frozen(layers: Layers) -> Nets:
    r"""Layers without parameters, such as `fixed_gaussian_encoder(schedule)`.

        leaves(params) = []

    Args: layers: Layers of one example.
    Returns: Nets.
    """
    return Nets(lambda rng, inputs: (), lambda params: layers, layers.L)


def objective(
    enc: Nets,
    dec: Nets,
    *,
    likelihood: Likelihood,
    weigh: Weigh = lambda bound, batch: losses.annealed(bound),
) -> Objective:
    r"""Train a Markov HVAE on its bound, the terms weighted as one likes.

        L = weigh(bound(params, x)),    by default E_x [-elbo]

    Lecture 02 (VAE), "From VAE to Hierarchical VAEs".

    Args: enc, dec: Nets of L layers.  likelihood: of x.  weigh: (Bound, batch) -> loss,
        from the functions in `losses`.
    Returns: Objective, nats per example; params {"enc": ..., "dec": ...}.
    """
    one_height(enc.L, dec.L)

    def init(rng: Array, batch: Batch) -> Params:
        x, (rng_enc, rng_dec) = batch["x"], jax.random.split(rng)
        params = enc.init(rng_enc, lambda i, said: x if i == 1 else _blank(said[0]))
        shapes = _latents(enc.bind(params), x)
        return {"enc": params, "dec": dec.init(rng_dec, lambda i, said: shapes(i))}

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        encode, decode = enc.bind(params["enc"]), dec.bind(params["dec"])
        terms = markov.bound(encode, decode, rng, batch["x"], likelihood=likelihood)
        return _weighed(weigh, terms, batch)

    return Objective(init, loss)


def sampler(
    dec: Nets,
    shape: tuple[int, ...],
    *,
    temperature: Callable[[int], float] = lambda i: 1.0,
    draw: Draw = lambda rng, decoded: decoded,
) -> Sampler:
    r"""The generative half of a trained Markov HVAE.

        sample(params, rng, num) = markov.sample(decode, rng, (num, *shape))

    Args: dec: Nets.  shape: of z_L, one example.  temperature, draw: as for
        `markov.sample`.
    Returns: Sampler, [num, ...].
    """

    def sample(params: Params, rng: Array, num: int) -> Array:
        decode = dec.bind(params["dec"])
        return markov.sample(
            decode, rng, (num, *shape), temperature=temperature, draw=draw
        )

    return sample


class LadderNets(NamedTuple):
    """The networks of a top-down HVAE; its state h is an array, zeros at the top.

    features: x -> any pytree.
    encode: L nets, (h, features) -> a pair.
    prior: L nets, h -> (mean, log_var).
    merge: L nets, (h, z) -> h of the layer below.
    read: h_0 -> decoded.
    width: shape of h_L, one example.
    """

    features: Net
    encode: tuple[Net, ...]
    prior: tuple[Net, ...]
    merge: tuple[Net, ...]
    read: Net
    width: tuple[int, ...]


def ladder_objective(
    nets: LadderNets,
    *,
    likelihood: Likelihood,
    posterior: Posterior = ABSOLUTE,
    weigh: Weigh = lambda bound, batch: losses.annealed(bound),
) -> Objective:
    r"""Train a top-down HVAE on its bound, the terms weighted as one likes.

        L = weigh(bound(params, x)),    by default E_x [-elbo]

    Args: nets: LadderNets.  likelihood: of x.  posterior: what the encoder's pair
        means.  weigh: (Bound, batch) -> loss, from the functions in `losses`.
    Returns: Objective, nats per example; params are those of the nets, by field.
    """
    one_height(len(nets.encode), len(nets.prior))
    one_height(len(nets.encode), len(nets.merge))

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        encode, decode, features = ladder_of(nets, params)
        terms = ladder.bound(
            encode,
            decode,
            rng,
            batch["x"],
            likelihood=likelihood,
            posterior=posterior,
            features=features,
        )
        return _weighed(weigh, terms, batch)

    return Objective(lambda rng, batch: _init_ladder(nets, rng, batch["x"]), loss)


def ladder_of(
    nets: LadderNets, params: Params
) -> tuple[Layers, Ladder, Callable[[Array], Any]]:
    r"""The functions that `hvae.ladder` takes, of trained networks.

        encode, decode, features

    Args: nets: LadderNets.  params: of its objective.
    Returns: Layers, Ladder, and x [...] -> features (any pytree).
    """
    stacks = {
        name: own(*map(of_example, getattr(nets, name), params[name]))
        for name in ("encode", "prior", "merge")
    }
    read, features = (
        of_example(getattr(nets, name), params[name]) for name in ("read", "features")
    )
    decode = Ladder(jnp.zeros(nets.width), stacks["prior"], stacks["merge"], read)
    return stacks["encode"], decode, features


def _init_ladder(nets: LadderNets, rng: Array, x: Array) -> Params:
    """Walk down once, on blank inputs of the right shapes."""
    names = ("encode", "prior", "merge")
    keys = iter(jax.random.split(rng, 2 + len(names) * len(nets.encode)))

    def start(net: Net, *inputs: Any) -> tuple[Params, Any]:
        params = net.init(next(keys), *inputs)
        return params, jax.tree.map(_blank, jax.eval_shape(net.apply, params, *inputs))

    of_features, seen = start(nets.features, x)
    h = jnp.zeros((x.shape[0], *nets.width))
    params: dict[str, Any] = {"features": of_features, **{n: [] for n in names}}
    for encode, prior, merge in reversed(
        list(zip(nets.encode, nets.prior, nets.merge, strict=True))
    ):
        of_prior, (mean, _) = start(prior, h)
        of_encode, _ = start(encode, h, seen)
        of_merge, h = start(merge, h, mean)
        for name, one in zip(names, (of_encode, of_prior, of_merge), strict=True):
            params[name].insert(0, one)
    params["read"], _ = start(nets.read, h)
    return {n: tuple(p) if n in names else p for n, p in params.items()}


def _weighed(weigh: Weigh, terms: Bound, batch: Batch) -> tuple[Array, Metrics]:
    value = weigh(terms, batch)
    report = losses.kl_report(terms)
    return value, {
        "loss": value,
        "elbo": jnp.mean(terms.elbo),
        "distortion": jnp.mean(terms.distortion),
        "rate": jnp.mean(terms.rate),
        **{f"kl_{i + 1}": report[i] for i in range(report.shape[0])},
    }


def _latents(encode: Layers, x: Array) -> Callable[[int], Array]:
    """i -> z_i of a batch, blank."""

    def blank(i: int) -> Array:
        z = x[0] if i == 1 else blank(i - 1)[0]
        mean, _ = jax.eval_shape(lambda z: encode.at(i, z), z)
        return jnp.zeros((x.shape[0], *mean.shape), mean.dtype)

    return blank


def _blank(like: Any) -> Array:
    return jnp.zeros(like.shape, like.dtype)
