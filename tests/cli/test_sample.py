"""`ganray import-fastgan` and `ganray sample`, end to end on a checkpoint as the FastGAN authors' code writes it."""

import numpy as np
import pytest
import torch
from PIL import Image


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
