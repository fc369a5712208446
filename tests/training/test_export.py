"""A generator shared as safetensors draws what its checkpoint draws."""

import json

import pytest
import safetensors
import safetensors.torch
import torch

from ganray.errors import WeightsError
from ganray.models.registry import build_generator
from ganray.recipe.recipe import Recipe
from ganray.training.checkpoint import FORMAT, VERSION
from ganray.training.export import export_generator, open_generator

CPU = torch.device("cpu")


@pytest.fixture
def checkpoint(tmp_path):
    """A small generator with an EMA that is not its raw weights, and with spectral norm's buffers."""
    recipe = Recipe.model_validate({
        "data": {"source": "anywhere", "resolution": 32, "labels": "folders"},
        "generator": {"name": "resnet", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "resnet", "width": 4},
        "objective": {"conditioning": {"name": "projection"}},
    })  # fmt: skip
    torch.manual_seed(0)
    raw = build_generator(recipe.generator, 32, 2).state_dict()
    ema = {f"module.{name}": value * 0.5 if value.is_floating_point() else value for name, value in raw.items()}
    content = {"format": FORMAT, "version": VERSION, "recipe": recipe.model_dump(mode="json"), "images_shown": 12345}
    content |= {"generator": raw, "ema": {**ema, "decay": torch.tensor(0.9)}, "classes": ["ant", "bee"]}
    torch.save(content, tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def test_round_trip_bit_for_bit(checkpoint, tmp_path):
    target = tmp_path / "new" / "g.safetensors"
    export_generator(checkpoint, target)
    ours, theirs = open_generator(checkpoint, CPU), open_generator(target, CPU)
    assert (ours.recipe, ours.kimg, ours.classes) == (theirs.recipe, theirs.kimg, theirs.classes)
    assert (theirs.kimg, theirs.classes) == (12.345, ("ant", "bee"))
    assert ours.recipe.hash == theirs.recipe.hash
    mine, their = ours.generator.state_dict(), theirs.generator.state_dict()
    assert list(mine) == list(their)
    assert all(torch.equal(mine[name], their[name]) for name in mine)
    assert not theirs.generator.training
    assert [path.name for path in target.parent.iterdir()] == ["g.safetensors"]


def test_the_ema_is_what_is_shared_and_nothing_else(checkpoint, tmp_path):
    target = tmp_path / "g.safetensors"
    export_generator(checkpoint, target)
    saved = torch.load(checkpoint, weights_only=True)
    with safetensors.safe_open(target, framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.offset_keys()}
        metadata = file.metadata()
    assert set(found) == set(saved["generator"])
    assert all(torch.equal(found[name], saved["ema"][f"module.{name}"]) for name in found)
    assert set(metadata) == {"format", "version", "recipe", "kimg", "classes"}
    assert json.loads(metadata["recipe"])["generator"]["width"] == 4


def rewritten(source, target, drop=(), **changes):
    """The file with other metadata, or without some tensors."""
    with safetensors.safe_open(source, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
        metadata = {**file.metadata(), **changes}
    for name in drop:
        del tensors[name]
    safetensors.torch.save_file(tensors, target, {name: text for name, text in metadata.items() if text is not None})
    return target


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": "other"}, "is no generator of GANRay"),
        ({"format": None}, "is no generator of GANRay"),
        ({"version": "99"}, "has version 99, this GANRay reads up to 1"),
        ({"version": "new"}, "its metadata are not those of a generator"),
        ({"recipe": "{}"}, "holds a recipe that this GANRay does not know"),
        ({"recipe": "__import__('os')"}, "holds a recipe that this GANRay does not know"),
        ({"kimg": "much"}, "its metadata are not those of a generator"),
        ({"classes": None}, "its metadata are not those of a generator"),
        ({"classes": "[]"}, "its metadata are not those of a generator"),  # the embedding has two rows
    ],
)
def test_what_others_sent_is_refused_in_a_sentence(checkpoint, tmp_path, changes, complaint):
    export_generator(checkpoint, tmp_path / "g.safetensors")
    path = rewritten(tmp_path / "g.safetensors", tmp_path / "h.safetensors", **changes)
    with pytest.raises(WeightsError, match=r"h\.safetensors") as refused:
        open_generator(path, CPU)
    assert complaint in str(refused.value)


def test_a_missing_tensor_and_a_torn_file(checkpoint, tmp_path):
    whole = tmp_path / "g.safetensors"
    export_generator(checkpoint, whole)
    with safetensors.safe_open(whole, framework="pt") as file:
        name = next(name for name in file.offset_keys() if name.endswith("weight"))
    with pytest.raises(WeightsError, match="not those of a generator"):
        open_generator(rewritten(whole, tmp_path / "h.safetensors", drop=[name]), CPU)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"torn\.safetensors: damaged"):
        open_generator(torn, CPU)


def test_a_place_that_cannot_be_written(checkpoint, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be written"):
        export_generator(checkpoint, tmp_path / "file" / "g.safetensors")
    with pytest.raises(WeightsError, match="no such checkpoint"):
        export_generator(tmp_path / "none.pt", tmp_path / "g.safetensors")
