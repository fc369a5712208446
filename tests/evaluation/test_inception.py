"""The Inception against pytorch-fid itself, and against the reference values beside the 768-dimension weights."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid import inception as pytorch_fid

from ganray.errors import WeightsError
from ganray.evaluation import weights
from ganray.evaluation.extractors import InceptionExtractor, load_extractor
from ganray.evaluation.frechet import frechet_distance
from ganray.evaluation.inception import LocalInception
from ganray.evaluation.protocols import get_protocol


def read_images(paths):
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@pytest.fixture
def folded(shared_data):
    return shared_data / "fid_inception_768" / "weights.npz"


@pytest.fixture
def reference(shared_data):
    return json.loads((shared_data / "fid_inception_768_evidence" / "reference_values.json").read_text())


@pytest.fixture
def complete(tmp_path, monkeypatch):
    """A whole set of weights with random values, saved as pytorch-fid's file is, and known by its checksum."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        monkeypatch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: {})
        monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        shapes = {k: v.shape for k, v in pytorch_fid.fid_inception_v3().state_dict().items()}
        monkeypatch.undo()
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
        elif name.endswith("running_var"):
            state[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            scale = (2 / max(shape[1:].numel(), 1)) ** 0.5 if len(shape) == 4 else 0.1
            offset = 1.0 if name.endswith("bn.weight") else 0.0
            state[name] = offset + scale * torch.randn(shape, generator=generator)
    path = tmp_path / "complete.pth"
    torch.save(state, path)
    known = replace(weights.COMPLETE, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(weights, "COMPLETE", known)
    return path, state


@pytest.mark.parametrize("dims", [64, 2048])
def test_equals_pytorch_fid_with_the_same_complete_weights(complete, monkeypatch, dims):
    path, state = complete
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: state)
    theirs = pytorch_fid.InceptionV3([pytorch_fid.InceptionV3.BLOCK_INDEX_BY_DIM[dims]]).eval()
    with torch.no_grad():
        expected = torch.nn.functional.adaptive_avg_pool2d(theirs(images / 255)[0], (1, 1)).flatten(1)
    found = InceptionExtractor(path, dims, "cpu")(images)
    assert found.shape == (2, dims)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_weights_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "other.pth"
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="do not fit pytorch-fid's Inception"):
        LocalInception(path, 64)


def test_the_768_file_is_refused_for_a_fid(folded):
    with pytest.raises(WeightsError, match=r"768 features at most, and the protocol needs 2048.*fid_768_1k_train"):
        load_extractor(get_protocol("fid_5k_train"), "cpu", folded)


def test_distances_and_features_equal_the_reference_values(shared_data, folded, reference):
    """One pass over the faces gives all three widths; their two halves are the floor that the table states."""
    network = LocalInception(folded, 768)
    network.output_blocks = [0, 1, 2]
    network.to(memory_format=torch.channels_last)
    batches = []
    for batch in read_images(sorted((shared_data / "emoji_faces_256").glob("*.png"))).split(20):
        with torch.inference_mode():
            batches.append(
                [
                    block.mean(dim=(2, 3))
                    for block in network((batch / 255).contiguous(memory_format=torch.channels_last))
                ]
            )
    for dims, features in zip((64, 192, 768), map(torch.cat, zip(*batches))):
        expected = reference["fid"][str(dims)]["emoji_faces[0::2]|emoji_faces[1::2]"]["eig"]
        assert frechet_distance(features[0::2], features[1::2]) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(features[0, :8], reference["feature_768_first8"]["emoji_faces"], atol=1e-5)
    assert float(features.mean()) == pytest.approx(reference["feature_768_mean_over_set"]["emoji_faces"], rel=1e-4)


def test_photographs_against_faces_through_the_64_dimension_extractor(shared_data, folded, reference):
    extractor = InceptionExtractor(folded, 64, "cpu")
    features = []
    for folder, kind in (("oxford_pets_256/cats", "jpg"), ("emoji_faces_256", "png")):
        images = read_images(sorted((shared_data / folder).glob(f"*.{kind}")))
        features.append(torch.cat([extractor(batch) for batch in images.split(20)]))
    expected = reference["fid"]["64"]["cats|emoji_faces"]["pytorch_fid_sqrtm"]
    assert frechet_distance(*features) == pytest.approx(expected, rel=1e-3)  # JPEG decoders differ a little


@pytest.mark.parametrize("kind", ["cats", "dogs"])
def test_first_768_features_of_photographs(shared_data, folded, reference, kind):
    first = sorted((shared_data / "oxford_pets_256" / kind).glob("*.jpg"))[:1]
    extractor = load_extractor(get_protocol("fid_768_1k_train"), "cpu", folded)
    features = extractor(read_images(first))
    assert (extractor.name, extractor.dims) == ("inception", 768)
    assert extractor.checksum == hashlib.sha256(folded.read_bytes()).hexdigest()
    np.testing.assert_allclose(features[0, :8], reference["feature_768_first8"][kind], atol=1e-3)


def test_192_features_answer_to_blur(shared_data, folded):
    """The evidence: at 192 dimensions blur stands out from the half-against-half floor (56.8 against 2.5)."""
    images = read_images(sorted((shared_data / "oxford_pets_256" / "cats").glob("*.jpg"))[:24])
    extractor = load_extractor(get_protocol("fid_192_1k_train"), "cpu", folded)
    kernel = torch.ones(3, 1, 7, 7) / 49
    blurred = torch.nn.functional.conv2d(images.float(), kernel, padding=3, groups=3).round().to(torch.uint8)
    clean = extractor(images)
    assert frechet_distance(clean, extractor(blurred)) > 5 * frechet_distance(clean[0::2], clean[1::2])
