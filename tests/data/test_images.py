"""A spec becomes a tensor: order, fingerprint, cache, refusals and warnings."""

import multiprocessing
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.data import cache as cache_module
from ganray.data import images as images_module
from ganray.data.images import BadFile, load_images
from ganray.errors import DataError
from ganray.recipe.data import DataSpec


def spec(source, **changes):
    return DataSpec(**{"source": str(source), "resolution": 32, "min_images": 2, **changes})


def pixels(seed, size=(32, 32)):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four images, two of them in folders, and things that are no images."""
    root = tmp_path / "set"
    for seed, name in enumerate(("b/z.png", "a.png", "b/c.bmp", "d.tif")):
        save(root / name, pixels(seed))
    for name in (".hidden.png", "__MACOSX/a.png", "b/.DS_Store", "readme.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"no image")
    return root


@pytest.fixture
def load(tmp_path):
    def call(source, **changes):
        return load_images(spec(source, **changes), cache_dir=tmp_path / "cache")

    return call


@pytest.fixture
def no_decoding(monkeypatch):
    def start():
        def fail(*_):
            raise AssertionError("decoded although the content is cached")

        monkeypatch.setattr(images_module, "read_picture", fail)

    return start


def test_a_nested_folder_in_sorted_order(folder, load):
    found = load(folder)
    assert found.files == ("a.png", "b/c.bmp", "b/z.png", "d.tif")
    want = np.stack([pixels(seed).transpose(2, 0, 1) for seed in (1, 2, 0, 3)])
    assert found.images.dtype == torch.uint8
    assert np.array_equal(found.images.numpy(), want)
    assert (found.name, found.skipped, found.warnings) == ("set", (), ())


def test_a_zip_equals_its_folder(folder, load, tmp_path, no_decoding):
    archive = tmp_path / "set.v1.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*"), reverse=True):
            file.write(path, Path("top") / path.relative_to(folder))
    from_folder = load(folder)
    no_decoding()
    from_zip = load(archive)
    assert from_zip.name == "set.v1"
    assert from_zip.fingerprint == from_folder.fingerprint
    assert torch.equal(from_zip.images, from_folder.images)
    assert from_zip.files == tuple(f"top/{name}" for name in from_folder.files)


def test_linked_folders_are_followed_and_loops_are_not(tmp_path, load):
    save(tmp_path / "elsewhere" / "x.png", pixels(0))
    save(tmp_path / "set" / "a.png", pixels(1))
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert load(tmp_path / "set").files == ("a.png", "linked/x.png")


def test_the_fingerprint_follows_content_and_preprocessing_only(folder, load, tmp_path):
    first = load(folder).fingerprint
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert load(folder, resolution=64).fingerprint != first
    assert load(folder, fit="resize").fingerprint != first
    moved = folder.rename(tmp_path / "renamed")
    (moved / "a.png").touch()
    (moved / "a.png").rename(moved / "aa.png")
    again = load(moved)
    assert again.fingerprint == first
    assert again.files[0] == "aa.png"
    assert load(moved, on_corrupt="skip", min_images=1).fingerprint == first
    save(moved / "aa.png", pixels(99))
    assert load(moved).fingerprint != first


def test_the_fingerprint_is_pinned(tmp_path, load):
    # sha256("images 1 32 crop\n" + file digests), recomputed here from the bytes
    import hashlib

    for seed in range(2):
        save(tmp_path / "p" / f"{seed}.bmp", pixels(seed))
    digests = [hashlib.sha256((tmp_path / "p" / f"{i}.bmp").read_bytes()).hexdigest() for i in range(2)]
    want = hashlib.sha256("\n".join(["images 1 32 crop", *digests]).encode()).hexdigest()[:16]
    assert load(tmp_path / "p").fingerprint == want


def test_a_second_load_does_not_decode(folder, load, no_decoding):
    first = load(folder)
    no_decoding()
    second = load(folder)
    assert torch.equal(first.images, second.images)
    second.images[0, 0, 0, 0] ^= 1  # a private copy: the cache stays as it is
    assert torch.equal(first.images, load(folder).images)


def test_a_damaged_cache_is_made_again(folder, load, tmp_path):
    first = load(folder)
    for suffix, damage in (("npy", b"\x93NUMPY"), ("npy", b""), ("json", b"{"), ("json", b"[]")):
        path = tmp_path / "cache" / "images" / f"{first.fingerprint}.{suffix}"
        path.write_bytes(damage)
        assert torch.equal(load(folder).images, first.images)
        assert path.read_bytes() != damage
    whole = path.with_suffix(".npy").read_bytes()
    path.with_suffix(".npy").write_bytes(whole[:-1000])
    assert torch.equal(load(folder).images, first.images)


def test_large_sets_are_memory_mapped(folder, load, tmp_path, monkeypatch, recwarn):
    in_memory = load(folder)
    monkeypatch.setattr(cache_module, "MEMORY_SHARE", 0.0)
    mapped = load(folder)
    assert torch.equal(mapped.images, in_memory.images)
    assert not recwarn.list
    store = cache_module.ImageCache(tmp_path / "cache" / "images")
    array, _ = store.read(mapped.fingerprint, 32)
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


def test_available_memory_is_plausible():
    assert 2**24 < cache_module.available_bytes() < 2**46


def _load_at_once(source, cache, barrier, queue):
    barrier.wait(30)
    found = load_images(spec(source), cache_dir=cache)
    queue.put((found.fingerprint, int(found.images.long().sum())))


def test_several_processes_at_once(folder, tmp_path):
    for seed in range(40):
        save(folder / f"more/{seed:02d}.png", pixels(100 + seed, (200, 200)))
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(3), context.Queue()
    arguments = (folder, tmp_path / "shared_cache", barrier, queue)
    workers = [context.Process(target=_load_at_once, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    results = {queue.get(timeout=30) for _ in workers}
    for worker in workers:
        worker.join(30)
    found = load_images(spec(folder), cache_dir=tmp_path / "shared_cache")
    assert results == {(found.fingerprint, int(found.images.long().sum()))}
    names = sorted(path.name for path in (tmp_path / "shared_cache" / "images").iterdir())
    assert names == [f"{found.fingerprint}.json", f"{found.fingerprint}.npy"]


@pytest.fixture
def damaged(folder):
    """The folder with three bad files among the four good ones."""
    whole = (folder / "a.png").read_bytes()
    (folder / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.webp").write_bytes(b"no image at all")
    return folder


def test_every_corrupt_file_is_named_with_its_reason(damaged, load, tmp_path):
    with pytest.raises(DataError) as caught:
        load(damaged)
    text = str(caught.value)
    assert text.startswith("3 of 7 images in")
    for part in (
        "b/cut.png: image file is truncated",
        "empty.jpg: empty file",
        "text.webp: not a PNG",
        "on_corrupt: skip",
    ):
        assert part in text
    assert list((tmp_path / "cache" / "images").iterdir()) == []


def test_skipped_files_survive_the_cache(damaged, load, no_decoding):
    first = load(damaged, on_corrupt="skip")
    no_decoding()
    second = load(damaged, on_corrupt="skip")
    for found in (first, second):
        assert found.files == ("a.png", "b/c.bmp", "b/z.png", "d.tif")
        assert [bad.name for bad in found.skipped] == ["b/cut.png", "empty.jpg", "text.webp"]
        assert found.skipped[1] == BadFile("empty.jpg", "empty file (0 bytes)")
        assert "3 of 7 files cannot be read" in found.warnings[0]
        assert np.array_equal(found.images[3].numpy(), pixels(3).transpose(2, 0, 1))
    with pytest.raises(DataError, match=r"3 of 7 .*b/cut.png"):
        load(damaged)  # the cache of `skip` must not hide the files from `fail`


def test_damaged_members_of_a_zip_are_named(folder, load, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for name in ("a.png", "b/c.bmp", "b/z.png", "d.tif"):
            file.write(folder / name, name)
    data = bytearray(archive.read_bytes())
    data[200] ^= 0xFF  # inside the pixels of a.png, the first member
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"1 of 4 .*a\.png: Bad CRC"):
        load(archive)
    assert load(archive, on_corrupt="skip").files == ("b/c.bmp", "b/z.png", "d.tif")
    archive.write_bytes(data[:-50])
    with pytest.raises(DataError, match="neither a folder nor a whole zip"):
        load(archive)


def test_sources_that_hold_nothing(tmp_path, load):
    with pytest.raises(DataError, match=r"does not exist.*sample:hubble"):
        load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no files"):
        load(tmp_path / "empty")
    for name in ("a.gif", "b.gif", "c.txt"):
        (tmp_path / "empty" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"2 x \.gif, 1 x \.txt"):
        load(tmp_path / "empty")
    with pytest.raises(DataError, match="neither a folder nor a whole zip"):
        load(tmp_path / "empty" / "c.txt")
    save(tmp_path / "one.png", pixels(0))
    with pytest.raises(DataError, match="a single image"):
        load(tmp_path / "one.png")


def test_too_few_images(folder, damaged, load):
    with pytest.raises(DataError, match=r"has 4 images \(3 more cannot be read\), but data.min_images is 5"):
        load(damaged, min_images=5, on_corrupt="skip")


def test_one_image_repeated_is_refused_and_some_duplicates_are_told(tmp_path, load):
    for i in range(4):
        save(tmp_path / "same" / f"{i}.{'png' if i % 2 else 'bmp'}", pixels(0))
    with pytest.raises(DataError, match=r"all 4 images .* identical"):
        load(tmp_path / "same")
    save(tmp_path / "same" / "other.png", pixels(1))
    (warning,) = load(tmp_path / "same").warnings
    assert warning == "3 of 5 images repeat another one: 0.bmp = 1.png = 2.bmp = 3.png"
    assert load(tmp_path / "same").warnings == (warning,)


def test_small_images_are_enlarged_with_a_warning(tmp_path, load):
    for name, size in (("a.png", (100, 90)), ("b.png", (40, 20)), ("c.png", (31, 200))):
        save(tmp_path / "small" / name, pixels(len(name), size))
    found = load(tmp_path / "small")
    assert found.images.shape == (3, 3, 32, 32)
    (warning,) = found.warnings
    assert warning.startswith("2 of 3 images are smaller than 32 px")
    assert "b.png (40 x 20)" in warning


def test_large_pictures_are_read_without_pillows_warning(folder, load, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 32 x 32 is more, and less than the limit of twice as many
    assert len(load(folder).files) == 4
    assert not recwarn.list


def test_a_cache_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="GANRAY_CACHE_DIR"):
        load_images(spec(folder), cache_dir=tmp_path / "file")


def test_a_disk_that_fills_up(folder, tmp_path):
    # A limit on the size of files gives the same OSError from write() as a full disk, at byte 5,000.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(DataError, match=r"cannot be written: File too large; make room"):
            load_images(spec(folder), cache_dir=tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "cache" / "images").iterdir()) == []
    assert load_images(spec(folder), cache_dir=tmp_path / "cache").images.shape == (4, 3, 32, 32)


def test_the_default_cache_follows_the_environment(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GANRAY_CACHE_DIR", str(tmp_path / "mine"))
    found = load_images(spec(folder), progress=True)
    assert (tmp_path / "mine" / "images" / f"{found.fingerprint}.npy").is_file()


def test_real_photographs(shared_data, load):
    pets = load(shared_data / "oxford_pets_256", resolution=256)
    assert pets.images.shape == (370, 3, 256, 256)
    assert sum(name.startswith("cats/") for name in pets.files) == 120
    assert pets.warnings == ()
    want = Image.open(shared_data / "oxford_pets_256" / pets.files[7]).convert("RGB")
    assert np.array_equal(pets.images[7].numpy(), np.asarray(want).transpose(2, 0, 1))
