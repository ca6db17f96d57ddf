"""The models that a configuration can name."""

from typing import Any

from diffjax.build import tables
from diffjax.build.autoencoders import ae_model
from diffjax.build.autoregressive import ar_model
from diffjax.build.compositions import d3pm_codes_model, latent_ddpm_model
from diffjax.build.denoisers import ddpm_model
from diffjax.build.diffusions import CHOICES, d3pm_model
from diffjax.build.latents import hvae_model, vae_model, vqvae_model
from diffjax.build.masking import masked_model
from diffjax.build.model import Context, Model
from diffjax.build.variational import vdm_model

MODELS: tables.Table = {
    "ae": ae_model,
    "vae": vae_model,
    "hvae": hvae_model,
    "ddpm": ddpm_model,
    "vdm": vdm_model,
    "vqvae": vqvae_model,
    "d3pm": d3pm_model,
    "masked": masked_model,
    "ar": ar_model,
    "latent_ddpm": latent_ddpm_model,
    "d3pm_codes": d3pm_codes_model,
}


def model(spec: Any, context: Context) -> Model:
    r"""The model of a configuration.

        MODELS[spec["name"]](context, **options)

    Args: spec: of the configuration.  context: Context.
    Returns: Model.
    """
    given = {"context": context}
    return tables.make("model", MODELS, spec, given=given, choices=CHOICES)
