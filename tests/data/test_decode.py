"""Every kind of file becomes the RGB pixels that its own specification promises."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from ganray.data.decode import UnreadableImage, read_picture, to_square

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
NOISE = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)


def encode(image, fmt, **options):
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def decoded(data):
    picture = read_picture(data)
    assert picture.rgb.mode == "RGB"
    return np.asarray(picture.rgb)


@pytest.mark.parametrize(
    ("fmt", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_lossless_rgb_is_exact(fmt, options):
    assert np.array_equal(decoded(encode(Image.fromarray(RGB), fmt, **options)), RGB)


@pytest.mark.parametrize(("fmt", "options"), [("JPEG", {"quality": 95, "subsampling": 0}), ("WEBP", {"quality": 95})])
def test_lossy_rgb_is_close(fmt, options):
    smooth = np.stack([*np.indices((64, 64)), np.full((64, 64), 90)], -1) * 2
    got = decoded(encode(Image.fromarray(smooth.astype(np.uint8)), fmt, **options))
    assert np.abs(got.astype(int) - smooth.astype(np.uint8)).mean() < 3


def test_grey_and_bilevel():
    grey = RGB[..., 0]
    assert np.array_equal(decoded(encode(Image.fromarray(grey), "PNG")), np.stack([grey] * 3, -1))
    bits = Image.fromarray(grey > 127)
    assert np.array_equal(decoded(encode(bits, "PNG")), np.stack([(grey > 127) * 255] * 3, -1))


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_not_clipped(fmt):
    values = np.array([[0, 128, 129, 257], [32768, 65406, 65407, 65535]], dtype=np.uint16)
    # round(v / 257): 128/257 = 0.498, 129/257 = 0.502, 65406/257 = 254.498, 65407/257 = 254.502
    want = np.array([[0, 0, 1, 1], [128, 254, 255, 255]])
    assert np.array_equal(decoded(encode(Image.fromarray(values), fmt))[..., 0], want)


def test_palette_with_and_without_a_transparent_entry():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    assert decoded(encode(image, "PNG")).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert decoded(encode(image, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_composited_on_white(fmt):
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], dtype=np.uint8)
    # alpha 51 is exactly 1/5: 200/5 + 255 * 4/5 = 244, 100/5 + 204 = 224, 0 + 204 = 204
    options = {"lossless": True, "exact": True} if fmt == "WEBP" else {}
    got = decoded(encode(Image.fromarray(rgba), fmt, **options))
    assert np.abs(got.astype(int) - [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]).max() <= 1


def test_grey_with_alpha_and_a_transparent_colour():
    la = np.array([[[40, 255], [40, 0]]], dtype=np.uint8)
    assert decoded(encode(Image.fromarray(la, "LA"), "PNG")).tolist() == [[[40] * 3, [255] * 3]]
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    assert decoded(encode(image, "PNG", transparency=(1, 2, 3))).tolist() == [[[255] * 3, [4, 5, 6]]]


@pytest.mark.parametrize(("fmt", "tolerance"), [("TIFF", 0), ("JPEG", 6)])
def test_cmyk(fmt, tolerance):
    # Inks to light: (255 - c)(255 - k) / 255; Adobe's JPEGs store the inks inverted.
    for ink, light in (((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))):
        got = decoded(encode(Image.new("CMYK", (16, 16), ink), fmt, **({"quality": 95} if fmt == "JPEG" else {})))
        assert np.abs(got[8, 8].astype(int) - light).max() <= tolerance


# EXIF 2.3, tag 0x0112: (side of the picture that row 0 of the file shows, side that column 0 shows)
SIDES = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip


def as_stored(seen, orientation):
    """The pixels that a camera writes for a scene, from the definition of the tag, pixel by pixel."""
    row0, column0 = SIDES[orientation]
    height, width, _ = seen.shape
    sideways = row0 in ("left", "right")
    stored = np.zeros((width, height, 3) if sideways else seen.shape, np.uint8)
    for i in range(stored.shape[0]):
        for j in range(stored.shape[1]):
            y, x = (j, i) if sideways else (i, j)
            y = height - 1 - y if "bottom" in (row0, column0) else y
            x = width - 1 - x if "right" in (row0, column0) else x
            stored[i, j] = seen[y, x]
    return stored


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", SIDES)
def test_exif_rotation_is_exact(fmt, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if fmt == "WEBP" else {}
    data = encode(Image.fromarray(as_stored(RGB, orientation)), fmt, exif=exif, **options)
    assert np.array_equal(decoded(data), RGB)


def test_the_first_frame_counts():
    first, second = Image.fromarray(RGB), Image.fromarray(RGB[::-1])
    assert np.array_equal(decoded(encode(first, "TIFF", save_all=True, append_images=[second])), RGB)
    mpo = encode(Image.fromarray(NOISE), "MPO", save_all=True, append_images=[second], quality=95)
    assert read_picture(mpo).format == "MPO"
    assert np.array_equal(decoded(mpo), decoded(encode(Image.fromarray(NOISE), "JPEG", quality=95)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture():
    data = encode(Image.fromarray(NOISE), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xffgarbage")
    assert decoded(data).shape == (64, 64, 3)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_files_are_refused(fmt, share):
    data = encode(Image.fromarray(NOISE), fmt)
    with pytest.raises(UnreadableImage):
        read_picture(data[: int(len(data) * share)])


def test_reasons_are_in_words():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w"):
        pass
    for data, reason in (
        (b"", "empty file"),
        (b"hello, I am text", "not a PNG, JPEG"),
        (buffer.getvalue(), "not a PNG, JPEG"),
        (encode(Image.fromarray(RGB), "GIF"), "not a PNG, JPEG"),
        (encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "floating-point"),
        (encode(Image.fromarray(np.full((2, 2), 70000, np.int32)), "TIFF"), "32-bit"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            read_picture(data)


def test_a_huge_header_is_refused_without_decoding(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImage, match="exceeds limit"):
        read_picture(encode(Image.fromarray(NOISE), "PNG"))


def test_crop_takes_the_centre_and_resize_the_whole():
    wide = RNG.integers(0, 256, (32, 63, 3), dtype=np.uint8)
    cropped = to_square(Image.fromarray(wide), 32, "crop")
    assert cropped.shape == (3, 32, 32)
    assert cropped.flags.c_contiguous
    assert np.array_equal(cropped, wide[:, 15:47].transpose(2, 0, 1))
    halves = np.zeros((32, 64, 3), np.uint8)
    halves[:, 32:] = 255
    squeezed = to_square(Image.fromarray(halves), 32, "resize")
    assert squeezed[0, :, :14].max() <= 1
    assert squeezed[0, :, 18:].min() >= 254


def test_shrinking_is_antialiased():
    board = np.indices((256, 256)).sum(0) % 2 * 255
    small = to_square(Image.fromarray(board.astype(np.uint8)).convert("RGB"), 32, "crop")
    # Without a wider filter each output pixel would be 0 or 255.
    assert np.abs(small[:, 2:-2, 2:-2].astype(int) - 127.5).max() < 3
