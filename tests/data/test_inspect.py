"""What `ganray data inspect` finds, and what it prints."""

import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ganray.cli.data import command
from ganray.data.inspect import contact_sheet, inspect
from ganray.errors import DataError


def pixels(seed, size):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "mixed"
    for name, array in (
        ("cats/a.png", pixels(0, (40, 30))),
        ("cats/b.png", pixels(1, (40, 30))),
        ("cats/c.png", pixels(0, (40, 30))),
        ("dogs/a.bmp", pixels(0, (40, 30))),
        ("dogs/d.jpg", pixels(2, (200, 100))),
        ("dogs/e.png", pixels(3, (64, 64))[..., 0]),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / name)
    (root / "dogs" / "bad.png").write_bytes(b"")
    (root / "notes.txt").write_text("x")
    return root


def test_the_facts(folder):
    found = inspect(folder, resolution=16)
    assert (found.name, found.n_files, found.n_images) == ("mixed", 7, 6)
    assert found.total_bytes == sum(path.stat().st_size for path in folder.rglob("*.*") if path.suffix != ".txt")
    assert found.sizes == {(40, 30): 4, (200, 100): 1, (64, 64): 1}
    assert found.side_px("width") == (40, 40, 200)
    assert found.side_px("height") == (30, 30, 100)
    assert found.formats == {"PNG": 4, "BMP": 1, "JPEG": 1}
    assert found.modes == {"RGB": 5, "L": 1}
    assert found.class_folders == {"cats": 3, "dogs": 4}
    assert found.duplicates == (("cats/a.png", "cats/c.png"),)
    assert found.same_pixels == (("cats/a.png", "cats/c.png", "dogs/a.bmp"),)
    assert [(bad.name, bad.reason) for bad in found.unreadable] == [("dogs/bad.png", "empty file (0 bytes)")]
    assert found.ignored == ("notes.txt",)
    assert found.largest_resolution is None
    assert found.thumbnails.shape == (6, 3, 16, 16)
    for part in ("dogs/bad.png", "the same file 2 times", "the same pixels", "(.txt)", "drops more than 25% of 1"):
        assert any(part in warning for warning in found.warnings), part


def test_thumbnails_are_spread_over_the_source(folder):
    found = inspect(folder, resolution=8, limit=2)
    assert found.thumbnails.shape == (2, 3, 8, 8)
    want = Image.open(folder / "dogs" / "e.png").convert("RGB").resize((8, 8), Image.Resampling.LANCZOS)
    assert np.array_equal(found.thumbnails[1], np.asarray(want).transpose(2, 0, 1))
    assert contact_sheet(found.thumbnails, columns=2).size == (22, 12)


def test_real_photographs(shared_data):
    found = inspect(shared_data / "oxford_pets_256", resolution=32)
    assert found.class_folders == {"cats": 120, "dogs": 250}
    assert found.sizes == {(256, 256): 370}
    assert (found.formats, found.modes, found.warnings) == ({"JPEG": 370}, {"RGB": 370}, ())
    assert found.largest_resolution == 256
    assert len(found.thumbnails) == 200


def test_the_verb_prints_and_writes_the_sheet(folder, tmp_path):
    output = tmp_path / "new" / "sheet.png"
    result = CliRunner().invoke(
        command, ["inspect", str(folder), "-o", str(output), "--resolution", "16", "--columns", "4"]
    )
    assert result.exit_code == 0, result.output
    for part in ("6 of 7 files", "40 x 30: 4", "cats: 3, dogs: 4", "warning: dogs/bad.png", f"contact sheet: {output}"):
        assert part in result.output
    assert Image.open(output).size == (4 * 18 + 2, 2 * 18 + 2)


def test_the_sheet_is_named_after_the_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["inspect", "sample:ihc", "--resolution", "16"])
    assert result.exit_code == 0, result.output
    assert "100 of 100 files" in result.output
    assert Image.open("ihc_contact.png").size == (182, 182)


def test_errors_are_the_users_errors(tmp_path):
    result = CliRunner().invoke(command, ["inspect", str(tmp_path / "missing")])
    assert isinstance(result.exception, DataError)


def test_the_sample_sets_are_listed():
    result = CliRunner().invoke(command, ["samples"])
    assert result.exit_code == 0
    for part in ("sample:hubble", "100 images of 64 px", "public domain", "hubble_deep_field.jpg", "sample:ihc"):
        assert part in result.output


def test_looking_at_images_does_not_import_torch():
    code = (
        "import sys; from ganray.cli.data import command; assert 'PIL' not in sys.modules; "
        "import ganray.data, ganray.data.inspect, ganray.data.samples; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
