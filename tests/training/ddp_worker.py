"""One of the two workers behind test_ddp.py: python ddp_worker.py RANK FOLDER

A script, because a spawned process cannot import a test module. Both workers run every section; the main one
writes what was found to FOLDER/found.json.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
from torch import nn

from ganray.errors import StoreError
from ganray.models.outputs import ImagePair
from ganray.models.registry import GENERATORS
from ganray.recipe.recipe import Recipe
from ganray.training.checkpoint import restore_checkpoint, save_checkpoint
from ganray.training.distributed import World
from ganray.training.game import Perception, build_game
from ganray.training.health import Unhealthy
from ganray.training.loop import Every, train
from ganray.training.state import build_state
from ganray.training.step import train_step

SIZE = 2
LOUDER = 8.0
IMAGES = torch.randint(256, (12, 3, 64, 64), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)
R1, GP = {"name": "r1", "gamma": 2.0}, {"name": "wgan_gp"}
OBJECTIVES = {
    "minimax": {"loss": {"name": "minimax"}},
    "non_saturating": {"loss": {"name": "non_saturating"}},
    "hinge": {"loss": {"name": "hinge"}},
    "lsgan": {"loss": {"name": "lsgan"}},
    "wasserstein": {"loss": {"name": "wasserstein"}, "penalties": [GP]},
    "rpgan": {"loss": {"name": "rpgan"}},
    "ragan": {"loss": {"name": "ragan"}},
    "ralsgan": {"loss": {"name": "ralsgan"}},
    "rahinge": {"loss": {"name": "rahinge"}},
    "dual_contrastive": {"loss": {"name": "dual_contrastive"}},
    "ebgan": {"loss": {"name": "ebgan", "pull_away": 0.5}},
    "ragan-r1": {"loss": {"name": "ragan"}, "penalties": [R1]},
    "hinge-r1-gp": {"loss": {"name": "hinge"}, "penalties": [R1, GP]},
    "lecam-orthogonal": {
        "loss": {"name": "hinge"},
        "penalties": [{"name": "lecam", "weight": 1.0}],
        "weight_penalties": [{"name": "orthogonal", "network": "both"}],
    },
    "feature-matching": {"loss": {"name": "lsgan"}, "generator_losses": [{"name": "feature_matching"}]},
}


class PlainGenerator(nn.Module):
    """Without batch norm, whose statistics differ between half a batch and a whole one."""

    def __init__(self, spec, resolution):
        super().__init__()
        self.latent_dim = spec.latent_dim
        self.stages = nn.Sequential(
            nn.ConvTranspose2d(spec.latent_dim, 16, 4),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 8, resolution // 8, resolution // 8),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 3, 4, 2, 1),
        )

    def forward(self, z, labels=None):
        return ImagePair(torch.tanh(self.stages(z[:, :, None, None])), None)


def recipe_of(resolution=32, **sections):
    plain = {
        "data": {"source": "synthetic", "resolution": resolution},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "dcgan", "width": 8},
        "budget": {"kimg": 0.08, "batch_size": 8},
    }
    return Recipe.model_validate({**plain, **sections})


def begin(recipe, world):
    side = recipe.data.resolution
    state = build_state(recipe, len(IMAGES), world)
    return state, build_game(state, Perception(nn.functional.l1_loss)), IMAGES[..., :side, :side]


def gradients(objective, world):
    """Of both networks after one step, by name, with learning rates so small that D stays where it is."""
    slow = {"generator": {"lr": 1e-14}, "discriminator": {"lr": 1e-14}}
    coder = {"name": "autoencoder", "width": 8, "code_dim": 8}
    other = {"discriminator": coder} if objective["loss"]["name"] == "ebgan" else {}
    state, game, images = begin(recipe_of(objective=objective, optimizers=slow, **other), world)
    with torch.no_grad():  # fresh logits are about 1e-4, where every loss is linear: made to be about 1
        for p in state.discriminator.parameters():
            p.mul_(LOUDER)
    # WGAN-GP draws a mixing weight per pair, each worker its own: fixed here, so that the two worlds agree.
    with mock.patch("torch.rand", lambda *shape, generator=None, **options: torch.full(shape, 0.3, **options)):
        stats = train_step(state, game, images)
    networks = {"d": state.discriminator, "g": state.generator}
    found = {f"{role}.{n}": p.grad.clone() for role, network in networks.items() for n, p in network.named_parameters()}
    return found, world.mean({name: float(value) for name, value in stats.items()})


def compare_gradients(expected, world):
    """{objective: {tensor or reading: largest difference, relative to the largest gradient of its network}}."""
    result = {}
    for name, objective in OBJECTIVES.items():
        found, stats = gradients(objective, world)
        if world.is_main:
            reference, reference_stats = expected[name]
            scale = {role: max(float(g.abs().max()) for n, g in reference.items() if n[0] == role) for role in "dg"}
            result[name] = {n: float((found[n] - g).abs().max()) / scale[n[0]] for n, g in reference.items()}
            result[name] |= {n: abs(stats[n] - value) / max(abs(value), 0.1) for n, value in reference_stats.items()}
    return result


def unequal(state, world):
    """Names of tensors that are not the same on every worker, bit for bit."""
    modules = {"generator": state.generator, "discriminator": state.discriminator, "ema": state.ema}
    modules |= {
        name: module for name, module in state.extras.named_children() if name != "replay"
    }  # each has fakes of its own
    mine = {f"{n}.{k}": v.clone() for n, m in modules.items() for k, v in m.state_dict().items()}
    for name, optimizer in (("adam_g", state.optimizer_g), ("adam_d", state.optimizer_d)):
        for index, moments in optimizer.state_dict()["state"].items():
            mine |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
    everyone = world.gather(mine)
    return len(mine), [name for name in mine if not torch.equal(everyone[0][name], everyone[1][name])]


TRICKS = [{"name": "diffaugment"}, {"name": "flips"}, {"name": "ema", "decay": 0.8}]
STATEFUL = {
    "loss": {"name": "non_saturating"},
    "penalties": [{"name": "lecam"}, {"name": "dragan"}],
    "weight_penalties": [{"name": "historical_averaging"}],
    "generator_losses": [{"name": "path_length", "every": 2}],
    "self_supervision": [{"name": "rotation"}, {"name": "contrastive"}],
}
FOLLOWING = [
    {"name": "ada", "kimg": 0.05, "interval": 1},
    {"name": "apa", "kimg": 0.05, "interval": 1},
    {"name": "skip_discriminator"},
    {"name": "top_k"},
    {"name": "ema", "decay": 0.8, "warmup": True},
]
HALF = {"kimg": 0.08, "batch_size": 4}
FASTGAN = {"name": "fastgan", "width": 4, "latent_dim": 8}


def consistency(world, folder):
    """Several real steps leave the same networks everywhere; a checkpoint goes on exactly, on both workers."""
    recipes = {
        "fastgan": recipe_of(64, generator=FASTGAN, discriminator={"name": "fastgan", "width": 4,
                             "decode": {"distance": "l1"}}, tricks=[*TRICKS, {"name": "noisy_margins"}], budget=HALF),
        "batch-norm": recipe_of(64, generator=FASTGAN, discriminator={"name": "dcgan", "width": 4, "norm": "batch"},
                                tricks=TRICKS, budget=HALF),
        "stateful": recipe_of(32, generator={"name": "dcgan", "width": 4, "latent_dim": 8, "norm": "instance"},
                              objective=STATEFUL, tricks=FOLLOWING, budget=HALF),
        # The checkpoint and the end lie between two turns of G, which makes images in every step.
        "several-steps": recipe_of(32, tricks=[*TRICKS, {"name": "discriminator_steps", "n": 3}], budget=HALF),
        "pretrained": recipe_of(32, objective={"generator_losses": [{"name": "l1"}]}, budget=HALF,
                                tricks=[*TRICKS, {"name": "pretrain", "kimg": 0.004}, {"name": "replay"}]),
    }  # fmt: skip
    result = {}
    for name, recipe in recipes.items():
        state, game, images = begin(recipe, world)
        path = folder / f"{name}.pt"
        for step in range(4):
            if step == 2:
                save_checkpoint(state, path)
            train_step(state, game, images)
        resumed, game, images = begin(recipe, world)
        world.in_turn(lambda resumed=resumed, path=path: restore_checkpoint(resumed, path))
        for _ in range(2):
            train_step(resumed, game, images)
        pairs = zip(state.generator.state_dict().values(), resumed.generator.state_dict().values())
        exact = all(torch.equal(a, b) for a, b in pairs)
        tensors, bad = unequal(state, world)
        adam = len(state.optimizer_g.state_dict()["state"])
        result[name] = {"tensors": tensors, "unequal": bad, "exact": world.gather(exact), "adam_g": adam}
        result[name]["rngs_differ"] = not torch.equal(*world.gather(torch.get_rng_state()))
    return result


def failures(world):
    """What fails on one worker fails on all of them, at once."""

    def on_main():
        world.on_main(lambda: fail(StoreError("disk full")))

    def in_turn():
        world.in_turn(lambda: fail(KeyError("only the second")) if not world.is_main else None)

    def poisoned():
        state, game, images = begin(recipe_of(), world)
        if not world.is_main:
            with torch.no_grad():
                next(state.generator.parameters()).fill_(float("nan"))
        train(state, game, images, [Every(0.008, lambda *_: True)])

    def pause_of_one():
        state, game, images = begin(recipe_of(), world)
        return str(train(state, game, images, [], pause=lambda: not world.is_main))

    result = {}
    for act in (on_main, in_turn, poisoned, pause_of_one):
        try:
            said = str(act())
        except (StoreError, KeyError, RuntimeError, Unhealthy) as error:
            said = f"{type(error).__name__}: {error}"
        result[act.__name__] = world.gather(said)
    result["value"] = world.gather(world.on_main(lambda: world.rank + 40))
    return result


def fail(error):
    raise error


def main():
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    dcgan, GENERATORS["dcgan"] = GENERATORS["dcgan"], PlainGenerator
    # The reference first: relativistic averages ask torch whether there are other workers.
    expected = {name: gradients(objective, World()) for name, objective in OBJECTIVES.items()} if rank == 0 else {}
    rendezvous = f"file://{folder}/rendezvous"
    dist.init_process_group("gloo", rendezvous, timedelta(seconds=60), world_size=SIZE, rank=rank)
    world = World(rank, SIZE)
    found = {"gradients": compare_gradients(expected, world)}
    GENERATORS["dcgan"] = dcgan
    found["consistency"] = consistency(world, folder)
    found["failures"] = failures(world)
    if world.is_main:
        (folder / "found.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads may abort an interpreter that goes away: see ganray.cli.main
