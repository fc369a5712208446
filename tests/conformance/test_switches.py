"""Every switch of the book: it trains, it changes the training, it resumes exactly."""

import copy

import pytest
import torch

from ganray.recipe import book
from ganray.training.checkpoint import restore_checkpoint, save_checkpoint
from ganray.training.step import train_step
from tests.conformance.games import allowed, begin, content, little, pictures, play

BASE_TRICKS = [{"name": "ema", "decay": 0.9}]
NEEDS = {  # what a component cannot be without, laid over the baseline
    "cutmix": {"discriminator": little("unet")},
    "ebgan": {"discriminator": little("autoencoder")},
    "l1": {"tricks": [{"name": "pretrain", "kimg": 0.008}]},
    "content": {"tricks": [{"name": "pretrain", "kimg": 0.008}], "evaluation": {"protocols": ["fid_768_1k_train"]}},
    "style": {"evaluation": {"protocols": ["fid_768_1k_train"]}},
    "path_length": {"generator": {"name": "dcgan", "width": 4, "latent_dim": 8, "norm": "none"}},
    "projection": {"data": {"source": "synthetic", "resolution": 32, "labels": "folders"}},
    "acgan": {"data": {"source": "synthetic", "resolution": 32, "labels": "folders"}},
    "autoencoder": {"objective": {"loss": {"name": "rpgan"}}},
    "projected": {"evaluation": {"protocols": ["fid_768_1k_train"]}},
    "noisy_margins": {"objective": {"loss": {"name": "hinge"}}},
    "joined_batches": {"discriminator": little("dcgan", norm="batch")},
    "wasserstein": {"objective": {"penalties": [{"name": "dragan"}]}},
    "skip_discriminator": {"optimizers": {"discriminator": {"lr": 0.05}}},
}
FIELDS = {
    "pretrain": {"kimg": 0.008}, "ada": {"kimg": 0.05, "interval": 1},
    "apa": {"kimg": 0.008, "interval": 1, "target": 0.1},
    "replay": {"capacity": 8}, "skip_discriminator": {"accuracy": 0.55}, "clip_gradients": {"max_norm": 0.01},
    "linear": {"warmup_kimg": 0.1}, "cosine": {"warmup_kimg": 0.1}, "constant": {"warmup_kimg": 0.1},
    "label_flips": {"probability": 0.5}, "top_k": {"until": 0.01}, "cutmix": {"until": 0.0},
}  # fmt: skip
ELSEWHERE = ("freeze_d",)  # needs an earlier checkpoint: tests/training/test_initial.py
LOSS_FREE = {"loss": {"name": "non_saturating"}}


def with_component(component):
    """The baseline with this component, and the baseline that it is to be compared with."""
    base = content(objective=copy.deepcopy(LOSS_FREE), tricks=list(BASE_TRICKS))
    for key, value in copy.deepcopy(NEEDS.get(component.name, {})).items():
        if key == "tricks":
            base["tricks"] += value
        elif key == "objective":
            base["objective"] |= value
        else:
            base[key] = value
    changed = copy.deepcopy(base)
    if component.name == "ema":
        base["tricks"] = []
    spec = {"name": component.name, **FIELDS.get(component.name, {})}
    match component.place.split("."):
        case ["tricks"]:
            changed["tricks"] = [t for t in changed["tricks"] if t["name"] != component.name] + [spec]
        case ["generator"] | ["discriminator"]:
            extra = {"latent_dim": 8} if component.place == "generator" else {}
            networks = {"discriminator": base["discriminator"], "generator": base["generator"]}
            rest = {k: v for k, v in base.items() if k not in (*networks, "data")}
            changed = content(**{**networks, component.place: little(component.name, **extra)}, **rest)
        case ["objective", "loss"]:
            changed["objective"]["loss"] = spec
        case ["objective", "conditioning"]:
            changed["objective"]["conditioning"] = spec
        case ["objective", family]:
            changed["objective"].setdefault(family, []).append(spec)
        case ["optimizers", "schedule"]:
            changed.setdefault("optimizers", {})["schedule"] = spec
        case _:
            changed.setdefault("optimizers", {})["discriminator"] = spec
    return base, changed


COMPONENTS = [c for c in book.components() if c.name not in ELSEWHERE]
NAMES = [f"{c.place.split('.')[-1].split(' ')[0]}-{c.name}" for c in COMPONENTS]


@pytest.mark.parametrize("component", COMPONENTS, ids=NAMES)
def test_it_trains_changes_the_training_and_resumes_exactly(component, tmp_path):
    base, changed = with_component(component)
    recipe = allowed(changed)
    assert recipe is not None, f"{component.name} is refused in {changed}"
    straight, stats = play(recipe, 6)
    assert all(torch.isfinite(value) for step in stats for value in step.values())
    rng = torch.get_rng_state()

    other = allowed(base)
    if other is not None and other != recipe:
        plain, plain_stats = play(other, 6)
        # (Margins move the hinge and, as long as no logit reaches them, no gradient.)
        assert not same(plain.sampling_generator, straight.sampling_generator) or losses(plain_stats) != losses(stats)

    first, _ = play(recipe, 3)
    save_checkpoint(first, tmp_path / "checkpoint.pt")
    torch.manual_seed(123)
    resumed, game = begin(recipe)
    torch.manual_seed(456)
    restore_checkpoint(resumed, tmp_path / "checkpoint.pt")
    for _ in range(3):
        train_step(resumed, game, pictures(recipe.data.resolution))
    assert torch.equal(torch.get_rng_state(), rng)
    for part in ("generator", "discriminator", "ema", "extras"):
        assert same(getattr(straight, part), getattr(resumed, part)), part


def losses(stats):
    return [float(step["loss_d"]) for step in stats if "loss_d" in step]


def same(a, b):
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())
