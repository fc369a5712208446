"""Image i of a sample depends on the seed and i alone; nothing else of the process moves."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.data.grid import to_uint8
from ganray.evaluation.sampling import CHUNK, chunks, draw_images, sample_images
from ganray.models.registry import build_generator
from ganray.recipe.networks import FastGANGenerator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def generator():
    """FastGAN with noise that matters: fresh networks start with a weight of zero."""
    torch.manual_seed(0)
    network = build_generator(FastGANGenerator(name="fastgan", width=4, latent_dim=8), 64)
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
    most = sample_images(generator, 8, 2 * CHUNK, 5, CPU)
    for n in (1, 17, CHUNK + 2):
        assert torch.equal(sample_images(generator, 8, n, 5, CPU), most[:n])


def test_the_workers_shares_are_what_one_would_have_drawn(generator):
    whole = sample_images(generator, 8, 60, 5, CPU)
    all_chunks = chunks(60)
    for size in (2, 3):
        parts = {}
        for rank in range(size):
            mine = all_chunks[rank::size]
            parts |= {index: x for (index, _), x in zip(mine, draw_images(generator, 8, mine, 5, CPU))}
        assert torch.equal(torch.cat([parts[index] for index, _ in all_chunks]), whole)


def test_seeds_differ(generator):
    a, b = (sample_images(generator, 8, 4, seed, CPU) for seed in (0, 1))
    assert not torch.equal(a, b)
    assert len({x.numpy().tobytes() for x in a}) == 4


def test_the_random_numbers_of_training_are_left_alone(generator):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    sample_images(generator, 8, 3, 0, CPU)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_and_the_buffers_are_as_before(generator, training):
    generator.train(training)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    images = sample_images(generator, 8, 3, 0, CPU)
    assert generator.training is training
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    generator.eval()
    assert torch.equal(images, sample_images(generator, 8, 3, 0, CPU))


def test_the_mode_is_restored_where_drawing_is_left_early(generator):
    generator.train()
    drawing = draw_images(generator, 8, chunks(60), 0, CPU)
    next(drawing)
    drawing.close()
    assert generator.training
    generator.eval()


def test_pixels_are_what_a_png_stores(generator):
    image = sample_images(generator, 8, 1, 0, CPU)[0]
    assert image.dtype == torch.uint8
    png = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(png, "PNG")
    stored = np.asarray(Image.open(io.BytesIO(png.getvalue()))).transpose(2, 0, 1)
    assert np.array_equal(stored, image.numpy())
    exact = torch.arange(256, dtype=torch.float32) / 127.5 - 1
    assert torch.equal(to_uint8(exact), torch.arange(256, dtype=torch.uint8))
