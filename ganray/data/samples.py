"""Sample sets that need no network: crops of the photographs that scikit-image brings along."""

import difflib
import hashlib
import importlib.util
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from ganray.errors import DataError

Corners = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SampleSet:
    """One photograph, where it comes from, and the squares that are cut from it."""

    name: str
    title: str
    """What the images show, in a few words."""
    file: str
    """Name of the photograph in scikit-image's data folder."""
    crop_px: int
    corners: Corners
    """Left and top of every crop in pixels."""
    licence: str
    credit: str


def _grid(size_px: int, crop_px: int, n: int) -> Corners:
    """`n` x `n` evenly spaced crops that cover a square picture from edge to edge."""
    at = [round(i * (size_px - crop_px) / (n - 1)) for i in range(n)]
    return tuple((x, y) for y in at for x in at)


def _disc(size_px: int, crop_px: int, n: int) -> Corners:
    """The `n` cells of a gapless lattice that lie nearest to the picture's middle: a disc, no overlap."""
    reach = range(-(size_px // (2 * crop_px)), size_px // (2 * crop_px) + 1)
    nearest = sorted((i * i + j * j, j, i) for j in reach for i in reach)[:n]
    start = (size_px - crop_px) // 2
    return tuple((start + i * crop_px, start + j * crop_px) for j, i in sorted(cell[1:] for cell in nearest))


# The 100 brightest spots of the picture after a Gaussian blur of radius 2, each at least 49 px from the others
# along x or y: nearly every crop shows a galaxy at its centre. Written down, not searched for at run time, so
# that another JPEG decoder cannot move a crop; tests/data/test_samples.py repeats the search.
# fmt: off
_GALAXIES: Corners = (
    (796, 30), (869, 31), (459, 34), (133, 35), (197, 39), (373, 44), (319, 48), (571, 49), (63, 53),
    (259, 76), (517, 78), (632, 90), (697, 102), (315, 107), (415, 119), (150, 129), (533, 133),
    (222, 134), (787, 134), (478, 141), (324, 156), (726, 159), (420, 174), (597, 178), (114, 185),
    (65, 193), (508, 217), (725, 227), (799, 228), (558, 229), (614, 235), (193, 238), (317, 249),
    (452, 251), (93, 268), (380, 269), (722, 288), (935, 292), (276, 301), (452, 324), (38, 327),
    (742, 347), (812, 355), (92, 370), (388, 371), (547, 374), (759, 402), (313, 404), (898, 407),
    (479, 408), (695, 441), (257, 446), (744, 453), (54, 456), (935, 458), (354, 465), (862, 471),
    (529, 485), (770, 509), (603, 510), (449, 515), (58, 518), (909, 529), (183, 530), (400, 534),
    (721, 546), (298, 555), (624, 559), (467, 564), (249, 572), (779, 577), (895, 578), (60, 586),
    (365, 601), (158, 603), (691, 605), (621, 615), (255, 627), (484, 630), (37, 643), (593, 666),
    (150, 678), (390, 684), (508, 691), (212, 703), (742, 706), (281, 713), (89, 714), (559, 726),
    (389, 737), (501, 740), (21, 747), (677, 753), (162, 763), (259, 766), (794, 770), (604, 775),
    (874, 779), (745, 794), (551, 807),
)
# fmt: on

SAMPLES: dict[str, SampleSet] = {
    sample.name: sample
    for sample in (
        SampleSet(
            name="hubble",
            title="galaxies of the Hubble eXtreme Deep Field",
            file="hubble_deep_field.jpg",
            crop_px=64,
            corners=_GALAXIES,
            licence="public domain (NASA)",
            credit="NASA, ESA, G. Illingworth, D. Magee, P. Oesch, R. Bouwens and the HUDF09 team, 2012",
        ),
        SampleSet(
            name="ihc",
            title="stained tissue of the colon (FHL2 by DAB, hematoxylin)",
            file="ihc.png",
            crop_px=64,
            corners=_grid(512, 64, 10),
            licence="no known copyright restrictions",
            credit="Center for Microscopy And Molecular Imaging (CMMI)",
        ),
        SampleSet(
            name="retina",
            title="fundus photograph of a healthy left eye",
            file="retina.jpg",
            crop_px=108,
            corners=_disc(1411, 108, 100),
            licence="CC0 1.0",
            credit="Mikael Häggström, WikiJournal of Medicine 1 (2), 2014",
        ),
        SampleSet(
            name="gravel",
            title="gravel, grey",
            file="gravel.png",
            crop_px=64,
            corners=_grid(512, 64, 10),
            licence="CC0 1.0",
            credit="CC0Textures, Gravel04",
        ),
    )
}
"""Every sample set by the NAME of `sample:NAME`."""


def find(name: str) -> SampleSet:
    """The sample set of that name.

    Raises:
        DataError: no such set, with the nearest names.
    """
    if name in SAMPLES:
        return SAMPLES[name]
    near = difflib.get_close_matches(name.lower(), SAMPLES, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(f'sample:{n}' for n in near)}? " if near else ""
    raise DataError(f"no sample set is called {name!r}; {hint}there are {', '.join(f'sample:{n}' for n in SAMPLES)}")


def crop_names(sample: SampleSet) -> list[str]:
    """File names of the crops, in order."""
    return [f"{sample.name}_{i:03d}.png" for i in range(len(sample.corners))]


def crop_png(sample: SampleSet, index: int) -> bytes:
    """One crop as the bytes of a PNG; raises DataError where scikit-image or its photograph is missing."""
    left, top = sample.corners[index]
    buffer = io.BytesIO()
    photograph = _photograph(_find_file(sample))
    photograph.crop((left, top, left + sample.crop_px, top + sample.crop_px)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def crop_digest(sample: SampleSet, index: int) -> str:
    """SHA-256 of the photograph's bytes and the crop's place: no decoding, the same on every machine."""
    source = _source_digest(_find_file(sample))
    return hashlib.sha256(f"{source} {sample.crop_px} {sample.corners[index]}".encode()).hexdigest()


def _find_file(sample: SampleSet) -> Path:
    # The folder is found without importing skimage, which takes longer than cutting the crops.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"sample:{sample.name} is cut from a photograph that scikit-image brings, and scikit-image is not "
            f"installed: pip install 'ganray[samples]'"
        )
    path = Path(spec.submodule_search_locations[0], "data", sample.file)
    if not path.is_file():
        raise DataError(
            f"sample:{sample.name} needs {sample.file}, which this scikit-image does not have ({path}); "
            f"install another version: pip install 'scikit-image>=0.22'"
        )
    return path


@lru_cache(maxsize=2)
def _photograph(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


@lru_cache(maxsize=8)
def _source_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
