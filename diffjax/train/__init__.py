"""Training: one step, on any devices, in a loop that a kill cannot hurt.

    state = train.init_state(objective, optimizer, rng, batch)
    state, metrics = train.train_step(objective, optimizer, state, batch)

    train.train(objective, optimizer, rng, batches, workdir=..., plan=train.Plan(9000))

The layouts are `devices.mesh()`, `devices.mesh(rule=devices.fsdp())`, `devices.pmap()`.
"""

from diffjax.train import averages, checkpoint, devices, guards, metrics, rundir
from diffjax.train.checkpoint import Keep
from diffjax.train.devices import Layout, connect
from diffjax.train.dropout import dropped, masked
from diffjax.train.evaluation import evaluation
from diffjax.train.frozen import on_frozen
from diffjax.train.loop import train
from diffjax.train.plan import Batches, Event, Plan
from diffjax.train.state import State, init_state, stateful
from diffjax.train.step import eval_step, example_keys, train_step

__all__ = [
    "Batches",
    "Event",
    "Keep",
    "Layout",
    "Plan",
    "State",
    "averages",
    "checkpoint",
    "connect",
    "devices",
    "dropped",
    "eval_step",
    "evaluation",
    "example_keys",
    "guards",
    "init_state",
    "masked",
    "metrics",
    "on_frozen",
    "rundir",
    "stateful",
    "train",
    "train_step",
]
