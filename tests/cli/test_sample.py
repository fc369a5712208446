"""`ganray import-fastgan` and `ganray sample`, end to end on a checkpoint as the FastGAN authors' code writes it."""

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from ganray.models.registry import build_generator
from ganray.recipe.recipe import Recipe
from ganray.training.checkpoint import FORMAT, VERSION


@pytest.fixture
def authors(shared_data, tmp_path):
    """256 px, width 16, latent 32, with a moving average (a list of parameters) that is not the raw weights."""
    with np.load(shared_data / "fastgan_reference" / "fastgan_256_width16_latent32.npz") as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    content = {
        key: {f"module.{name[2:]}": value for name, value in tensors.items() if name.startswith(f"{key}/")}
        for key in ("g", "d")
    }
    buffers = ("weight_u", "weight_v", "running_mean", "running_var", "num_batches_tracked")
    content["g_ema"] = [value * 0.9 for name, value in content["g"].items() if not name.endswith(buffers)]
    torch.save(content, tmp_path / "all_50000.pth")
    return tmp_path / "all_50000.pth"


def test_import_then_sample(ganray, authors, tmp_path):
    ours = tmp_path / "obama.pt"
    code, out, err = ganray("import-fastgan", authors, "-o", ours)
    assert (code, err) == (0, "")
    assert out == f"wrote {ours}: FastGAN at 256 px, width 16; samples come from its moving average\n"

    pictures = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        target = tmp_path / "new" / "folder" / f"{name}.png"
        code, out, err = ganray("sample", ours, "--grid", "2x1", "--seed", seed, "--device", "cpu", "-o", target)
        assert (code, err) == (0, "")
        assert out == f"wrote {target}: 2x1 images of 256 px at 0 kimg\n"
        pictures[name] = target.read_bytes()
    assert pictures["a"] == pictures["b"] != pictures["c"]
    with Image.open(tmp_path / "new" / "folder" / "a.png") as grid:
        assert grid.mode == "RGB"
        assert 2 * 256 <= grid.width <= 2 * 256 + 32
        assert 256 <= grid.height <= 256 + 32

    code, out, _ = ganray("sample", ours, "--grid", "2x1", "--device", "cpu", "--folder", tmp_path / "fakes")
    assert (code, out) == (0, f"wrote 2 images of 256 px to {tmp_path / 'fakes'}\n")
    first, second = (np.asarray(Image.open(path)) for path in sorted((tmp_path / "fakes").iterdir()))
    assert first.shape == (256, 256, 3)
    assert (first != second).any()


def test_the_converted_file_goes_beside_the_original(ganray, authors):
    code, out, _ = ganray("import-fastgan", authors)
    assert code == 0
    assert (authors.parent / "all_50000.ganray.pt").is_file()
    assert "all_50000.ganray.pt" in out


@pytest.mark.parametrize("verb", ["import-fastgan", "sample"])
@pytest.mark.parametrize("kind", ["text", "missing", "folder", "other"])
def test_a_wrong_file_is_one_paragraph(ganray, tmp_path, verb, kind):
    path = tmp_path / "wrong.pth"
    if kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "folder":
        path.mkdir()
    elif kind == "other":
        torch.save({"model": {}}, path)
    code, out, err = ganray(verb, path)
    assert (code, out) == (2, "")
    assert "wrong.pth" in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_the_authors_checkpoint_itself_cannot_be_sampled(ganray, authors):
    code, _, err = ganray("sample", authors)
    assert code == 2
    assert "all_50000.pth" in err


def test_a_suffix_that_is_no_picture(ganray, tmp_path):
    code, _, err = ganray("sample", tmp_path / "any.pt", "-o", tmp_path / "out.docx")
    assert code == 2
    assert "the suffix says how to write it; use one of .png" in err


def test_an_output_that_cannot_be_written(ganray, authors, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = ganray("import-fastgan", authors, "-o", tmp_path / "file" / "x.pt")
    assert code == 2
    assert "file" in err
    assert len(err.splitlines()) == 1


def checkpoint(path, classes=(), **generator):
    """A small ResNet at 32 px with fresh weights, as training would save it."""
    labelled = {"labels": "folders"} if classes else {}
    recipe = Recipe.model_validate({
        "data": {"source": "anywhere", "resolution": 32, **labelled},
        "generator": {"name": "resnet", "width": 4, "latent_dim": 8, **generator},
        "discriminator": {"name": "resnet", "width": 4},
        "objective": {"conditioning": {"name": "projection"}} if classes else {},
    })  # fmt: skip
    torch.manual_seed(0)
    network = build_generator(recipe.generator, 32, len(classes))
    content = {"format": FORMAT, "version": VERSION, "recipe": recipe.model_dump(mode="json"), "images_shown": 2500}
    content |= {"generator": network.state_dict(), "ema": None, "classes": list(classes)}
    torch.save(content, path)
    return path


@pytest.fixture
def draw(ganray, tmp_path):
    """Draw with these options; return the images, [N, 32, 32, 3], in the order of the grid."""

    def draw(path, *options):
        folder = tmp_path / "drawn" / str(abs(hash(options)))
        code, out, err = ganray("sample", path, "--device", "cpu", "--folder", folder, *options)
        assert (code, err) == (0, "")
        images = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])
        assert out == f"wrote {len(images)} images of 32 px to {folder}\n"
        return images

    return draw


def spread(images):
    return images.astype(float).std(axis=0).mean()


def test_truncation_brings_images_together(draw, tmp_path):
    path = checkpoint(tmp_path / "a.pt")
    whole, some, few = (draw(path, "--grid", "5x4", *o) for o in ([], ["--truncation", 1], ["--truncation", 0.1]))
    assert spread(whole) > spread(some) > spread(few) > 0
    assert np.array_equal(draw(path, "--grid", "5x4", "--truncation", 50), whole)


def test_interpolation_is_a_chain_of_rows(ganray, draw, tmp_path):
    path = checkpoint(tmp_path / "a.pt", latent="sphere")
    images = draw(path, "--interpolate", 5, "--grid", "5x3").reshape(3, 5, 32, 32, 3).astype(float)
    assert np.abs(images[:-1, -1] - images[1:, 0]).max() <= 1  # one row ends where the next begins
    steps = np.abs(np.diff(images, axis=1)).mean(axis=(2, 3, 4))
    ends = np.abs(images[:, -1] - images[:, 0]).mean(axis=(1, 2, 3))
    assert (steps > 0).all()
    assert (steps < ends[:, None]).all()
    code, out, _ = ganray("sample", path, "--interpolate", 3, "--device", "cpu", "-o", tmp_path / "walk.png")
    assert (code, out) == (0, f"wrote {tmp_path / 'walk.png'}: 3x8 images of 32 px at 2.5 kimg\n")


def test_a_class_by_its_name_or_its_index(draw, tmp_path):
    path = checkpoint(tmp_path / "a.pt", classes=("ant", "bee", "7", "1"))
    every = draw(path, "--grid", "4x1")
    bees = draw(path, "--grid", "4x1", "--class", "bee")
    assert np.array_equal(bees[1], every[1])  # the second of all is a bee
    assert not np.array_equal(bees[0], every[0])
    assert np.array_equal(draw(path, "--grid", "4x1", "--class", "2"), draw(path, "--grid", "4x1", "--class", "7"))
    # A name goes before an index.
    assert not np.array_equal(draw(path, "--grid", "4x1", "--class", "1"), bees)
    rows = draw(path, "--interpolate", 2, "--grid", "2x4", "--class", "ant")
    assert np.array_equal(rows[:2], draw(path, "--interpolate", 2, "--grid", "2x4")[:2])  # the first row is of ants


@pytest.mark.parametrize(
    ("classes", "options", "complaint"),
    [
        ((), ["--class", "bee"], "a.pt was trained without classes (data.labels: none); leave --class out"),
        (("ant", "bee"), ["--class", "been"], "a.pt has no class 'been', but 2: ant, bee; did you mean bee?"),
        (("ant", "bee"), ["--class", "2"], "has no class '2', but 2: ant, bee; give a name or an index from 0 to 1"),
    ],
)
def test_a_class_that_there_is_not(ganray, tmp_path, classes, options, complaint):
    path = checkpoint(tmp_path / "a.pt", classes)
    code, out, err = ganray("sample", path, "--device", "cpu", "-o", tmp_path / "x.png", *options)
    assert (code, out) == (2, "")
    assert complaint in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "x.png").exists()


def test_many_classes_are_not_all_listed(ganray, tmp_path):
    path = checkpoint(tmp_path / "a.pt", tuple(f"kind{i:02d}" for i in range(30)))
    _, _, err = ganray("sample", path, "--class", "zebra")
    assert "but 30: kind00" in err
    assert "kind09, ...; give" in err
    assert "kind10" not in err


@pytest.mark.parametrize("kind", ["uniform", "sphere"])
def test_latents_that_cannot_be_truncated(ganray, tmp_path, kind):
    path = checkpoint(tmp_path / "a.pt", latent=kind)
    code, _, err = ganray("sample", path, "--truncation", 0.7, "--device", "cpu", "-o", tmp_path / "x.png")
    assert code == 2
    assert f"those of generator.latent: {kind}" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--truncation", 0], "0 is not in the range x>0"),
        (["--interpolate", 1], "1 is not in the range x>=2"),
        (["--interpolate", 5, "--grid", "8x3"], "write --grid 5x3"),
    ],
)
def test_options_that_cannot_be_meant(ganray, tmp_path, options, complaint):
    code, _, err = ganray("sample", tmp_path / "any.pt", *options)
    assert code == 2
    assert complaint in err


def test_a_checkpoint_behind_a_uri(ganray, tmp_path):
    local = checkpoint(tmp_path / "a.pt")
    uri = f"memory://{tmp_path.name}/a.pt"
    fsspec.filesystem("memory").pipe_file(uri, local.read_bytes())
    pictures = []
    for place in (local, uri):
        code, _, err = ganray("sample", place, "--grid", "2x1", "--device", "cpu", "-o", tmp_path / "x.png")
        assert (code, err) == (0, "")
        pictures.append((tmp_path / "x.png").read_bytes())
    assert pictures[0] == pictures[1]
    code, _, err = ganray("sample", uri + "x", "--device", "cpu", "-o", tmp_path / "y.png")
    assert (code, err) == (2, f"ganray: {uri}x: no such file\n")
