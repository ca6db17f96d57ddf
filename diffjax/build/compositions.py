"""Two stages: a diffusion of the latents of a model that was trained before.

The first stage is frozen: its networks see no gradient, its parameters are the memory
of the second one's training. What is drawn, bounded and kept is the whole.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax import d3pm, ddpm, train, types, vae, vq
from diffjax.build import tables
from diffjax.build.denoisers import ddpm_model
from diffjax.build.diffusions import d3pm_model
from diffjax.build.latents import vae_model, vqvae_model
from diffjax.build.model import Coder, Context, Latent, Model
from diffjax.core.bounds import Bound
from diffjax.train.state import stateful
from diffjax.types import Array, Batch, Objective, Params, example_keys
from diffjax.vae.composed import Scaling

FIRST: Mapping[str, tables.Table] = {
    "latent_ddpm": {"vae": vae_model},
    "d3pm_codes": {"vqvae": vqvae_model},
}
"""Second stage -> the models whose latents it is made for."""
NEEDS = {"latent_ddpm": "Gaussian latents", "d3pm_codes": "codes"}


class _Way(NamedTuple):
    """Between data and what the second stage is a model of.

    see: (memory, keys [B], batch) -> batch of the second stage.
    show: (memory, rng, seen) -> x, of one example.
    bound: (memory, keys [B], batch, prior: (keys, seen [B, ...]) -> Bound) -> Bound.
    """

    see: Callable[[Any, Array, Batch], Batch]
    show: Callable[[Any, Array, Array], Array]
    bound: Callable[..., Bound]


def latent_ddpm_model(
    *,
    context: Context,
    first: Any,
    schedule: Any,
    parameterization: Any = ddpm.predict.V,
    weight: Any = ddpm.weights.uniform,
    variance: Any = ddpm.large,
    loss: Any = "hybrid",
    classes: bool = False,
    drop: float = 0.1,
    label: int | None = None,
    guidance: float = 1.0,
    step: Any = "ancestral",
    steps: int | None = None,
) -> Model:
    r"""A VAE whose prior is a DDPM of its latents, which are standardized.

        {"name": "latent_ddpm", "first": "runs/vae_digits", "schedule": {...}, ...}

    Args: context: Context.  first: the run of a VAE; in a run's config.json its
        "model" and "net".  schedule, parameterization, weight, variance, loss, classes,
        drop, label, guidance, step, steps: as for `ddpm_model`. With v and the large
        variance a network that says 0 is the exact reverse of standard Gaussian
        latents, so that training begins at the best Gaussian prior.
    Returns: Model.
    """
    below, latent = _first("latent_ddpm", first, context)
    real = {"whole": False, "bits": False, "levels": 0, "span": (-1.0, 1.0)}
    above = ddpm_model(
        context=_of_latents(context, latent, real),
        schedule=schedule,
        parameterization=parameterization,
        weight=weight,
        variance=variance,
        loss=loss,
        classes=classes,
        drop=drop,
        label=label,
        guidance=guidance,
        step=step,
        steps=steps,
    )

    if isinstance(above.objective, types.StatefulObjective):
        raise ValueError(
            f"expected a loss without a memory for latents, got {loss!r}; take 'hybrid'"
        )

    def like(rng: Array, batch: Batch) -> Any:
        none = jnp.zeros(latent.shape[-1])
        return {"first": _params(below, rng, batch), "scaling": Scaling(none, none)}

    whole = _two_stages(above, like, _way_of_latents(latent))
    return whole._replace(frozen=functools.partial(_standardized, latent))


def _standardized(latent: Latent, params: Params, batches: Iterable[Batch]) -> Any:
    @jax.jit
    def moments(params: Params, x: Array) -> Any:
        return jax.vmap(latent.bind(params)[0])(x)

    seen = [moments(params, batch["x"]) for batch in batches]
    mean, log_var = (jnp.concatenate(part) for part in zip(*seen, strict=True))
    return {"first": params, "scaling": vae.composed.standardizing(mean, log_var)}


def d3pm_codes_model(
    *,
    context: Context,
    first: Any,
    schedule: Any,
    transitions: Any,
    loss: Any = "vb",
    predict: Any = d3pm.predict.joint,
    steps: int | None = None,
) -> Model:
    r"""A VQ-VAE whose prior is a D3PM of its codes.

        {"name": "d3pm_codes", "first": "runs/vqvae_digits", "schedule": {...}, ...}

    Args: context: Context.  first: the run of a VQ-VAE; in a run's config.json its
        "model" and "net".  schedule, transitions, loss, predict, steps: as for
        `d3pm_model`.
    Returns: Model.
    """
    below, latent = _first("d3pm_codes", first, context)
    codes = below.coder
    assert codes is not None  # every model of FIRST["d3pm_codes"] has some
    span = (0.0, codes.K - 1.0)
    whole = {"whole": True, "bits": False, "levels": codes.K, "span": span}
    above = d3pm_model(
        context=_of_latents(context, latent, whole),
        schedule=schedule,
        transitions=transitions,
        loss=loss,
        predict=predict,
        steps=steps,
    )

    def like(rng: Array, batch: Batch) -> Any:
        return {"first": _params(below, rng, batch)}

    def of_whole(params: Params, batch: Batch) -> Array:
        return codes.codes(params["first"], batch)

    both = _two_stages(above, like, _way_of_codes(latent, codes.K))
    return both._replace(
        coder=Coder(codes.K, of_whole), frozen=lambda params, batches: {"first": params}
    )


def expect_kind(name: str, found: Any) -> None:
    r"""A first stage whose latents the second one is made for.

        found in FIRST[name]

    Args: name: of the second stage's model.  found: that of the first.
    Returns: nothing (no unit).
    """
    if found not in FIRST[name]:
        raise ValueError(
            f"expected model.first to be a run of {' or '.join(FIRST[name])} for "
            f"{name}, which needs {NEEDS[name]}, got one of {found}; choose another"
        )


def _first(name: str, first: Any, context: Context) -> tuple[Model, Latent]:
    if not isinstance(first, Mapping) or not {"model", "net"} <= set(first):
        raise ValueError(
            f"expected model.first with model and net, got {first!r}; "
            "build.stages.read puts those of a run there"
        )
    expect_kind(name, tables.name(first["model"]))
    given = {"context": context._replace(net=first["net"])}
    below = tables.make("model.first.model", FIRST[name], first["model"], given=given)
    assert below.latent is not None
    return below, below.latent


def _of_latents(context: Context, latent: Latent, values: Mapping[str, Any]) -> Context:
    data = context.data
    name = f"the latents of {data.name}"
    seen: dict[str, Any] = {
        "name": name,
        "shape": latent.shape,
        "image": None,
        "alphabet": "",
    }
    return context._replace(data=data._replace(**seen, **values))


def _params(below: Model, rng: Array, batch: Batch) -> Params:
    return below.trained(*stateful(below.objective).init(rng, batch))


def _way_of_latents(latent: Latent) -> _Way:
    def see(memory: Any, rng: Array, batch: Batch) -> Batch:
        encode, _ = latent.bind(memory["first"])

        def one(rng: Array, x: Array) -> Array:
            _, _, z = vae.likelihood.draw(encode, rng, x)
            return vae.composed.scaled(memory["scaling"], z)

        keys = example_keys(rng, len(batch["x"]))
        return {**batch, "x": jax.vmap(one)(keys, batch["x"])}

    def show(memory: Any, rng: Array, u: Array) -> Array:
        _, decode = latent.bind(memory["first"])
        return latent.draw(rng, decode(vae.composed.unscaled(memory["scaling"], u)))

    def bound(memory: Any, rng: Array, batch: Batch, prior: Any) -> Bound:
        encode, decode = latent.bind(memory["first"])
        options = {"scaling": memory["scaling"], "likelihood": latent.log_prob}
        args = encode, decode, rng, batch["x"]
        return vae.composed.bound(*args, prior=prior, **options)

    return _Way(see, show, bound)


def _way_of_codes(latent: Latent, K: int) -> _Way:
    def see(memory: Any, rng: Array, batch: Batch) -> Batch:
        encode, _ = latent.bind(memory["first"])
        return {**batch, "x": jax.vmap(encode)(batch["x"])}

    def show(memory: Any, rng: Array, codes: Array) -> Array:
        of_guess, of_draw = jax.random.split(rng)
        # On the way down a code may still be masked: any other stands for it.
        guess = jax.random.randint(of_guess, codes.shape, 0, K)
        _, decode = latent.bind(memory["first"])
        return latent.draw(of_draw, decode(jnp.where(codes < K, codes, guess)))

    def bound(memory: Any, rng: Array, batch: Batch, prior: Any) -> Bound:
        args = *latent.bind(memory["first"]), rng, batch["x"]
        return vq.composed.bound(*args, prior=prior, likelihood=latent.log_prob)

    return _Way(see, show, bound)


def _two_stages(above: Model, like: Callable[..., Any], way: _Way) -> Model:
    """The model of the whole; its params are those of the prior, and the memory."""
    draw, walk, terms = above.sampler, above.chain, above.bound
    assert draw is not None and walk is not None and terms is not None

    def bound(params: Params, rng: Array, batch: Batch) -> Bound:
        def prior(rng: Array, seen: Array) -> Bound:
            return terms(params["prior"], rng, {**batch, "x": seen})

        return way.bound(params, rng, batch, prior)

    def shown(drawn: Callable[..., Array], params: Params, rng: Array, num: int) -> Any:
        keys = jax.vmap(jax.random.split)(example_keys(rng, num))
        seen = drawn(params["prior"], keys[:, 0], num)
        return keys[:, 1], functools.partial(way.show, params), seen

    def sampler(params: Params, rng: Array, num: int) -> Array:
        keys, show, seen = shown(draw, params, rng, num)
        return jax.vmap(show)(keys, seen)

    def chain(params: Params, rng: Array, num: int) -> Array:
        keys, show, frames = shown(walk, params, rng, num)
        return jax.vmap(jax.vmap(show, in_axes=(None, 0)))(keys, frames)

    def over(objective: Any) -> Any:
        return train.on_frozen(_of_the_prior(objective), like, way.see)

    return Model(
        over(above.objective),
        over(above.evaluated),
        sampler,
        bound,
        chain,
        trained=lambda params, memory: {"prior": params, **memory},
    )


def _of_the_prior(objective: Objective) -> Objective:
    """Bits per dimension would be of the data; those of a prior are of its own."""

    def loss(params: Params, rng: Array, batch: Batch) -> Any:
        value, told = objective.loss(params, rng, batch)
        names = {"bits_per_dim": "bits_per_code"}
        return value, {names.get(name, name): told[name] for name in told}

    return objective._replace(loss=loss)
