"""The benchmark data sets by name: what each holds, where its authors publish it, and how many images it must have."""

from __future__ import annotations

from dataclasses import dataclass

from ganray.errors import DataError
from ganray.recipe.messages import nearest

PREFIX = "catalog:"

# Both addresses stand in READMEs of the authors.
_MIT = (
    "https://data-efficient-gans.mit.edu/datasets/{}.zip",
    "https://hanlab.mit.edu/projects/data-efficient-gans/datasets/{}.zip",
)
_DIFFAUGMENT = "Zhao et al. 2020 (DiffAugment)"
_FASTGAN = "Liu et al. 2021 (FastGAN)"
_FEW_SHOT = "https://drive.google.com/file/d/1aAJCZbXNHyraJ6Mi13dSbe7pTyfPXha0/view"
_IN_FEW_SHOT = f"the archive few-shot-images of the FastGAN authors ({_FEW_SHOT}; Google Drive wants a browser)"
_FFHQ = "https://github.com/NVlabs/ffhq-dataset"
_FFHQ_LICENCE = "CC BY-NC-SA 4.0; each photograph its own Flickr licence"
_UNSTATED = "not stated (not verified)"


@dataclass(frozen=True)
class Entry:
    """One benchmark data set."""

    name: str
    """The NAME of `catalog:NAME` and of the column `dataset` of a trial."""
    title: str
    counts: tuple[int, ...]
    """Numbers of images that are accepted: several where sources disagree or where two sizes are in use."""
    resolution: int
    """Side at which the published numbers were taken, in pixels."""
    origin: str
    """Who made and published it."""
    home: str
    """Where they publish it."""
    licence: str
    """Of the images; "not verified" where nobody read it at its source."""
    urls: tuple[str, ...] = ()
    """Addresses of one and the same zip, tried in order; empty where it has to be fetched by hand."""
    sha256: str | None = None
    """Of the zip, where it is known; else the one of the first download is kept and demanded later."""
    folder: str | None = None
    """Folder of this set inside the archive few-shot-images of the FastGAN authors."""
    by_hand: str | None = None
    """Where to get it without a direct address."""
    subsets: tuple[int, ...] = ()
    """Sizes that published tables use: the first N files in sorted order here."""
    note: str = ""
    """What could not be verified, or what else to know."""

    @property
    def url(self) -> str | None:
        """The first address."""
        return self.urls[0] if self.urls else None

    @property
    def images(self) -> str:
        """The accepted numbers as a text: `97 or 100`."""
        return " or ".join(f"{n:,}" for n in self.counts)


def _diffaugment(name: str, title: str, n: int, archive: str, origin: str = _DIFFAUGMENT) -> Entry:
    return Entry(
        name=name,
        title=title,
        counts=(n,),
        resolution=256,
        origin=origin,
        home="https://data-efficient-gans.mit.edu/datasets/",
        licence=_UNSTATED,
        urls=tuple(address.format(archive) for address in _MIT),
        folder=archive,
        note="That the addresses still answer is not verified.",
    )


def _fastgan(name: str, title: str, counts: tuple[int, ...], note: str, licence: str = _UNSTATED) -> Entry:
    return Entry(
        name=name,
        title=title,
        counts=counts,
        resolution=1024,
        origin=_FASTGAN,
        home=_FEW_SHOT,
        licence=licence,
        folder=name,
        by_hand=_IN_FEW_SHOT,
        note=f"{note} The number in the archive is not verified.".lstrip(),
    )


_ANIMALFACE = "Si and Zhu 2012; zip by Zhao et al. 2020 (DiffAugment)"
_SUBSETS = (1000, 2000, 5000, 10000)
_SUBSET_RULE = (
    "Which images the paper's subsets held is not known; here a subset is the first N file names in sorted order."
)

CATALOG: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _diffaugment("obama", "portraits of Barack Obama", 100, "100-shot-obama"),
        _diffaugment("panda", "faces of pandas", 100, "100-shot-panda"),
        _diffaugment("grumpy-cat", "photographs of Grumpy Cat", 100, "100-shot-grumpy_cat"),
        _diffaugment("animalface-cat", "faces of cats", 160, "AnimalFace-cat", _ANIMALFACE),
        _diffaugment("animalface-dog", "faces of dogs", 389, "AnimalFace-dog", _ANIMALFACE),
        Entry(
            name="ffhq-1k",
            title="1,000 faces of Flickr-Faces-HQ",
            counts=(1000,),
            resolution=1024,
            origin="Karras et al. 2019; chosen by Liu et al. 2021 (FastGAN)",
            home=_FFHQ,
            licence=_FFHQ_LICENCE,
            by_hand=f"a folder with 1,000 of images1024x1024 of FFHQ ({_FFHQ})",
            note="Which 1,000 faces the paper took is not known. "
            "Where ffhq is fetched, catalog:ffhq:1000 is its first 1,000.",
        ),
        Entry(
            name="art-paintings",
            title="paintings of WikiArt",
            counts=(1000, 10000),
            resolution=1024,
            origin=_FASTGAN,
            home=_FEW_SHOT,
            licence="of each painting, see wikiart.org (not verified)",
            folder="art-painting",
            by_hand=f"{_IN_FEW_SHOT} for 1,000; the 10,000 are not published",
            subsets=_SUBSETS,
            note=f"{_SUBSET_RULE} That the archive holds 1,000 is not verified.",
        ),
        Entry(
            name="nature-photograph",
            title="landscapes of Unsplash",
            counts=(1000, 10000),
            resolution=1024,
            origin=f"{_FASTGAN}, who may not share it",
            home="https://github.com/odegeasslbc/FastGAN-pytorch/issues/16",
            licence="Unsplash (not verified)",
            by_hand="its authors may not share it (their issue 16): take landscapes of unsplash.com yourself, "
            "and do not compare with published numbers",
            subsets=_SUBSETS,
            note=_SUBSET_RULE,
        ),
        _fastgan(
            "pokemon", "drawings of Pokemon", (833, 800), "FastGAN's tables say 800, Projected GAN's 833.",
            "copyright Nintendo, Creatures, Game Freak (not verified)",
        ),
        _fastgan("anime-face", "drawn faces", (120,), ""),
        _fastgan("skulls", "photographs of skulls", (97, 100), "Sources say 97 or 100."),
        _fastgan("shells", "photographs of shells", (60, 64), "Sources say 60 or 64."),
        Entry(
            name="ffhq",
            title="Flickr-Faces-HQ",
            counts=(70000,),
            resolution=1024,
            origin="Karras et al. 2019",
            home=_FFHQ,
            licence=_FFHQ_LICENCE,
            by_hand=f"images1024x1024 of FFHQ (about 90 GB), with the script of {_FFHQ}",
            subsets=_SUBSETS,
            note=_SUBSET_RULE,
        ),
    )
}  # fmt: skip
"""Every data set by its NAME."""


def find(name: str) -> Entry:
    """The data set of that name. Raises DataError with the nearest name."""
    if name in CATALOG:
        return CATALOG[name]
    raise DataError(f"no data set of the catalogue is called {name!r}; {nearest(name.lower(), list(CATALOG))}")


def parse(text: str) -> tuple[Entry, int | None]:
    """The data set and the number of images of `catalog:NAME` or `catalog:NAME:N`. Raises DataError."""
    name, colon, number = text.removeprefix(PREFIX).partition(":")
    entry = find(name)
    if not colon:
        return entry, None
    if not (number.isascii() and number.isdecimal() and len(number) < 10) or int(number) < 1:
        raise DataError(f"{text}: {number!r} is no number of images; write {PREFIX}{name}:N with N of 1 or more")
    return entry, int(number)


def how_to_get(entry: Entry) -> str:
    """What a user does to have the data set here."""
    register = f"ganray data fetch {entry.name} --from FOLDER_OR_ZIP_OR_URL"
    if entry.urls:
        return f"run `ganray data fetch {entry.name}`, or register your own copy: `{register}`"
    return f"it has no direct address. By hand: {entry.by_hand}. Then run `{register}`"
