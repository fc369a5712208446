"""Image i of a sample depends on the seed and i alone; nothing else of the process moves."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.data.grid import to_uint8
from ganray.errors import GanrayError
from ganray.evaluation.sampling import CHUNK, chunks, draw_images, interpolate_images, sample_images
from ganray.models.latents import shape_latents, slerp, truncate
from ganray.models.outputs import ImagePair
from ganray.models.registry import build_generator
from ganray.recipe.generators import DCGANGenerator, FastGANGenerator, ResNetGenerator

CPU = torch.device("cpu")
SPEC = FastGANGenerator(name="fastgan", width=4, latent_dim=8)


@pytest.fixture(scope="module")
def generator():
    """FastGAN with noise that matters: fresh networks start with a weight of zero."""
    torch.manual_seed(0)
    network = build_generator(SPEC, 64)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.shape == (1,):
                parameter.fill_(0.5)
                assert "weight" in name
    return network.eval()


def test_chunks_make_up_the_number():
    assert chunks(2 * CHUNK + 3) == [(0, CHUNK), (1, CHUNK), (2, 3)]
    assert chunks(CHUNK) == [(0, CHUNK)]
    assert chunks(3) == [(0, 3)]


def test_an_image_does_not_depend_on_how_many_are_drawn(generator):
    most = sample_images(generator, SPEC, 2 * CHUNK, 5, CPU)
    for n in (1, 17, CHUNK + 2):
        assert torch.equal(sample_images(generator, SPEC, n, 5, CPU), most[:n])


def test_the_workers_shares_are_what_one_would_have_drawn(generator):
    whole = sample_images(generator, SPEC, 60, 5, CPU)
    all_chunks = chunks(60)
    for size in (2, 3):
        parts = {}
        for rank in range(size):
            mine = all_chunks[rank::size]
            parts |= {index: x for (index, _), x in zip(mine, draw_images(generator, SPEC, mine, 5, CPU))}
        assert torch.equal(torch.cat([parts[index] for index, _ in all_chunks]), whole)


def test_seeds_differ(generator):
    a, b = (sample_images(generator, SPEC, 4, seed, CPU) for seed in (0, 1))
    assert not torch.equal(a, b)
    assert len({x.numpy().tobytes() for x in a}) == 4


def test_the_random_numbers_of_training_are_left_alone(generator):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    sample_images(generator, SPEC, 3, 0, CPU)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_and_the_buffers_are_as_before(generator, training):
    generator.train(training)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    images = sample_images(generator, SPEC, 3, 0, CPU)
    assert generator.training is training
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    generator.eval()
    assert torch.equal(images, sample_images(generator, SPEC, 3, 0, CPU))


def test_the_mode_is_restored_where_drawing_is_left_early(generator):
    generator.train()
    drawing = draw_images(generator, SPEC, chunks(60), 0, CPU)
    next(drawing)
    drawing.close()
    assert generator.training
    generator.eval()


def test_pixels_are_what_a_png_stores(generator):
    image = sample_images(generator, SPEC, 1, 0, CPU)[0]
    assert image.dtype == torch.uint8
    png = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(png, "PNG")
    stored = np.asarray(Image.open(io.BytesIO(png.getvalue()))).transpose(2, 0, 1)
    assert np.array_equal(stored, image.numpy())
    exact = torch.arange(256, dtype=torch.float32) / 127.5 - 1
    assert torch.equal(to_uint8(exact), torch.arange(256, dtype=torch.uint8))


class Recorder(torch.nn.Module):
    """A generator that keeps what it was asked, and paints each image in the first coordinate of its latent."""

    def __init__(self):
        super().__init__()
        self.z, self.labels = [], []

    def forward(self, z, labels=None):
        self.z.append(z)
        self.labels.append(labels)
        return ImagePair(z[:, :1, None, None].expand(-1, 3, 2, 2), None)


def asked(spec, n=60, **options):
    recorder = Recorder()
    sample_images(recorder, spec, n, 5, CPU, **options)
    labels = None if recorder.labels[0] is None else torch.cat(recorder.labels)[:n]
    return torch.cat(recorder.z)[:n], labels


def dcgan(latent="normal"):
    return DCGANGenerator(name="dcgan", latent_dim=8, latent=latent)


@pytest.mark.parametrize("kind", ["uniform", "sphere"])
def test_latents_are_those_of_the_recipe(kind):
    z, labels = asked(dcgan())
    assert labels is None
    assert torch.equal(asked(dcgan(kind))[0], shape_latents(z, kind))


def test_the_default_latents_are_as_they_ever_were():
    # The definition of a sample, from before there were kinds of latents: it must not move.
    expected = []
    for index in range(3):
        torch.manual_seed(5 * 1_000_003 + index)
        expected.append(torch.randn(25, 8))
    assert torch.equal(asked(dcgan())[0], torch.cat(expected)[:60])


def test_the_class_of_an_image_depends_on_its_number_alone():
    z, labels = asked(dcgan(), n_classes=3)
    assert labels.tolist() == [i % 3 for i in range(60)]
    assert torch.equal(z, asked(dcgan())[0])  # and its latent does not depend on the class
    recorder = Recorder()
    list(draw_images(recorder, dcgan(), [(1, 25)], 5, CPU, n_classes=3))
    assert recorder.labels[0].tolist() == [i % 3 for i in range(25, 50)]


def test_one_class():
    z, labels = asked(dcgan(), n_classes=3, label=2)
    assert labels.tolist() == [2] * 60
    assert torch.equal(z, asked(dcgan())[0])


def test_labelled_images_do_not_depend_on_how_many_are_drawn():
    spec = ResNetGenerator(name="resnet", width=4, latent_dim=8, dropout=0.2, hierarchical=True)
    torch.manual_seed(0)
    network = build_generator(spec, 32, 3)
    most = sample_images(network, spec, CHUNK + 5, 1, CPU, n_classes=3)
    assert torch.equal(sample_images(network, spec, 7, 1, CPU, n_classes=3), most[:7])
    assert torch.equal(sample_images(network, spec, CHUNK + 1, 1, CPU, n_classes=3), most[: CHUNK + 1])
    second = sample_images(network, spec, 4, 1, CPU, n_classes=3, label=1)
    assert torch.equal(second[1], most[1])
    assert not torch.equal(second[0], most[0])


def test_truncation_is_of_the_same_draws():
    z = asked(dcgan())[0]
    assert torch.equal(asked(dcgan(), truncation=0.5)[0], truncate(z, 0.5))


@pytest.mark.parametrize("kind", ["uniform", "sphere"])
def test_truncation_of_other_latents_is_refused(kind):
    with pytest.raises(GanrayError, match=f"generator.latent: {kind}"):
        asked(dcgan(kind), truncation=0.5)
    with pytest.raises(GanrayError, match=f"generator.latent: {kind}"):
        list(interpolate_images(Recorder(), dcgan(kind), 2, 3, 0, CPU, truncation=0.5))


@pytest.mark.parametrize("rows", [2, CHUNK + 2])
def test_each_row_leads_from_one_latent_to_the_next(generator, rows):
    grid = torch.stack(list(interpolate_images(generator, SPEC, rows, 3, 5, CPU)))
    assert grid.shape == (rows, 3, 3, 64, 64)
    assert grid.dtype == torch.uint8
    recorder = Recorder()
    list(interpolate_images(recorder, SPEC, rows, 3, 5, CPU, n_classes=2))
    parts = len(chunks(rows))  # each is asked for column by column
    columns = [torch.cat([recorder.z[3 * part + c] for part in range(parts)]) for c in range(3)]
    torch.testing.assert_close(columns[2][:-1], columns[0][1:])
    torch.testing.assert_close(columns[1], slerp(columns[0], columns[2], 0.5))
    assert torch.cat(recorder.labels[::3]).tolist() == [i % 2 for i in range(rows)]


def test_noise_is_the_same_all_along_a_row(generator):
    # Columns of a row differ by their latent alone: an end that is asked for twice is the same image twice.
    (row,) = interpolate_images(generator, SPEC, 1, 2, 5, CPU)
    (fine,) = interpolate_images(generator, SPEC, 1, 5, 5, CPU)
    assert torch.equal(row, fine[[0, -1]])
    assert not torch.equal(row[0], row[1])


def test_interpolation_leaves_mode_and_random_numbers_alone(generator):
    generator.train()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    drawing = interpolate_images(generator, SPEC, 2, 2, 0, CPU)
    next(drawing)
    drawing.close()
    assert generator.training
    assert torch.equal(before, torch.get_rng_state())
    generator.eval()
