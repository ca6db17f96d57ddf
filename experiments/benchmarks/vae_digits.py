"""2000 steps of a small VAE: one scanned program here, pythae in torch.

Command:   make bench-vae     (its own environment: extra `bench`)
Cost:      two minutes on two cores.
Expected:  scikit-learn's digits, 8 x 8 and binarised at 1/2, an MLP 64-512-8 on either
           side, Adam 1e-3, batches of 100: 3 times sooner than pythae's trainer. A bare
           torch loop around its model is kinder to it: measured numbers are in the
           README.

Each framework has a process of its own; both are warmed up by a whole run (ours
compiles in it), and the runs alternate. The peer runs with one thread and with one a
core: the better row counts.
"""

import logging
import os
import tempfile

import numpy as np
import processes

STEPS, BATCH, HIDDEN, LATENT, ROUNDS = 2000, 100, 512, 8, 3
SCAN, LOOP, TRAINER = "one scanned program", "bare torch loop", "its own trainer"


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The first 1500 digits, [1500, 64], and the rows of every batch."""
    from sklearn import datasets

    x = datasets.load_digits().images.reshape(-1, 64)[:1500] / 16 > 0.5
    rows = np.random.default_rng(0).integers(0, 1500, (STEPS, BATCH))
    return x.astype(np.float32), rows


def ours():
    """All the steps in one program."""
    import typing

    import jax
    import jax.numpy as jnp
    import optax

    from diffjax import vae

    class Mlp(typing.NamedTuple):
        sizes: tuple[int, ...]

        def init(self, rng, x):
            pairs = zip(self.sizes[:-1], self.sizes[1:], strict=True)
            keys = jax.random.split(rng, len(self.sizes) - 1)
            return [
                (jax.random.normal(k, (b, a)) / a**0.5, jnp.zeros(b))
                for k, (a, b) in zip(keys, pairs, strict=True)
            ]

        def apply(self, params, x):
            (w, b), (v, c) = params  # [out, in], as torch keeps them
            return jax.nn.relu(x @ w.T + b) @ v.T + c

    enc, dec = Mlp((64, HIDDEN, 2 * LATENT)), Mlp((LATENT, HIDDEN, 64))
    objective, optimizer = vae.objective(enc, dec), optax.adam(1e-3)
    x, rows = map(jnp.asarray, digits())

    @jax.jit
    def train(rng, x, rows):
        params = objective.init(rng, {"x": x[:2]})

        def step(carry, i):
            params, state = carry
            batch, key = {"x": x[rows[i]]}, jax.random.fold_in(rng, i)
            (loss, _), grads = jax.value_and_grad(objective.loss, has_aux=True)(
                params, key, batch
            )
            updates, state = optimizer.update(grads, state)
            return (optax.apply_updates(params, updates), state), loss

        carry = params, optimizer.init(params)
        return jax.lax.scan(step, carry, jnp.arange(STEPS))[1]

    return {SCAN: lambda: float(train(jax.random.key(0), x, rows)[-100:].mean())}


def pythae():
    """The same in torch: pythae's VAE and its loss, in a loop and in its trainer."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from torch import nn

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU())
            self.mean = nn.Linear(HIDDEN, LATENT)
            self.log_var = nn.Linear(HIDDEN, LATENT)

        def forward(self, x):
            h = self.hidden(x)
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 64)
            )

        def forward(self, z):
            return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))

    x, rows = digits()
    config = VAEConfig(input_dim=(64,), latent_dim=LATENT, reconstruction_loss="bce")

    def model():
        torch.manual_seed(0)
        return VAE(config, encoder=Encoder(), decoder=Decoder()).train()

    def loop():
        vae, data, losses = model(), torch.from_numpy(x), []
        optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
        for batch in torch.from_numpy(rows):
            loss = vae({"data": data[batch]}).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses[-100:]))

    def trainer():
        with tempfile.TemporaryDirectory() as folder:
            asked = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=STEPS * BATCH // len(x),
                per_device_train_batch_size=BATCH,
                learning_rate=1e-3,
                keep_best_on_train=True,
                no_cuda=True,
            )
            data = BaseDataset(torch.from_numpy(x), torch.zeros(len(x)))
            BaseTrainer(model(), data, training_config=asked).train()
        return float("nan")

    logging.disable(logging.INFO)
    os.environ["TQDM_DISABLE"] = "1"
    return {LOOP: loop, TRAINER: trainer}


def main() -> None:
    """Print a table of ratios; every ratio is of runs made side by side."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    mine, counts = processes.start(ours), sorted({1, os.cpu_count() or 1})
    print("pythae (threads)      ours s  theirs s  ratio (min .. max)  last losses")
    for threads in counts:
        peer = processes.start(pythae, threads)
        for task in (LOOP, TRAINER):
            runs = [
                (processes.run(mine, SCAN), processes.run(peer, task))
                for _ in range(ROUNDS)
            ]
            fast, slow = (np.median([pair[i][0] for pair in runs]) for i in range(2))
            ratios = [there[0] / here[0] for here, there in runs]
            print(
                f"{f'{task} ({threads})':20s}  {fast:6.2f}  {slow:8.2f}  "
                f"{slow / fast:5.1f} ({min(ratios):.1f} .. {max(ratios):.1f})  "
                f"{runs[0][0][1]:.2f} {runs[0][1][1]:.2f}  >= 3?"
            )


if __name__ == "__main__":
    main()
