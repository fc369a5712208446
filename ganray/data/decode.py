"""One file's bytes to one RGB picture, and that to one square of uint8 numbers."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

Array = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""Pillow's names of the formats that are read, whatever a file's suffix says (a camera's MPO opens as a JPEG)."""

ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF 2.3, tag 0x0112: what undoes each orientation; 1 is upright."""


class UnreadableImage(Exception):
    """The bytes are no usable picture; the text is the reason, without the file's name."""


@dataclass(frozen=True)
class BadFile:
    """A file that could not be used."""

    name: str
    """Relative to the source."""
    reason: str


@dataclass(frozen=True)
class Picture:
    """A decoded file: upright RGB pixels, and what the file itself said."""

    rgb: Image.Image
    """Mode RGB, rotated as EXIF says."""
    format: str
    """Pillow's name: PNG, JPEG, MPO (a JPEG with further frames), WEBP, BMP, TIFF."""
    mode: str
    """Pillow's mode of the stored pixels: RGB, L, P, RGBA, CMYK, I;16, ..."""


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about large pictures and odd EXIF blocks, which change no pixel.

    For the thread that starts the decoding threads, not for these: Python keeps one list of filters.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def read_picture(data: bytes) -> Picture:
    """Decode the first frame of a file completely.

    EXIF rotation is applied; transparency is composited on white; 16-bit grey is scaled to 8 bits (v / 257,
    rounded). Colour profiles are not applied: values are taken as sRGB.

    Raises:
        UnreadableImage: with the reason (unknown format, truncated, unusable pixel type, ...).
    """
    if not data:
        raise UnreadableImage("empty file (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            stored_format, stored_mode = image.format or "?", image.mode
            image.load()
            return Picture(rgb=_to_rgb(_upright(image)), format=stored_format, mode=stored_mode)
    except UnidentifiedImageError:
        raise UnreadableImage("not a PNG, JPEG, WebP, BMP or TIFF picture, or its header is damaged") from None
    except Image.DecompressionBombError as error:
        raise UnreadableImage(str(error)) from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise UnreadableImage(str(error) or type(error).__name__) from None


def to_square(rgb: Image.Image, resolution: int, fit: Literal["crop", "resize"]) -> Array:
    """Square pixels `uint8 [3, R, R]`; antialiased (Lanczos, which widens its filter when it shrinks).

    `crop` takes the largest centre square first, `resize` squeezes the whole picture into the square.
    """
    if fit == "crop":
        side = min(rgb.size)
        left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
        rgb = rgb.crop((left, top, left + side, top + side))
    if rgb.size != (resolution, resolution):
        rgb = rgb.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(rgb, dtype=np.uint8).transpose(2, 0, 1))


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # Pillow lets several types through; a damaged EXIF block leaves the pixels intact
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no agreed range; convert to 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _grey_16_to_8(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _grey_16_to_8(image: Image.Image) -> Image.Image:
    """Scale by 1 / 257, so that 65535 becomes 255; Pillow's own conversion clips at 255."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableImage("32-bit integer pixels outside 0 .. 65535; convert to 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
