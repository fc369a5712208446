"""Class folders: the folder that holds an image names its class (`data.labels: folders`)."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath

from ganray.data.sources import SAMPLE_PREFIX, Source
from ganray.errors import DataError

FIX = "or set data.labels: none (and objective.conditioning: null)"


def class_folders(names: Sequence[str]) -> list[str]:
    """The folder of each file, relative to the innermost folder that holds all of them; "" for a file right there.

    So a zip of `photos/cats/...` and `photos/dogs/...` has the classes `cats` and `dogs`, like the folder `photos`.
    """
    folders = [PurePosixPath(name).parent.parts for name in names]
    first, last = min(folders), max(folders)  # what these two share, all that lie between them share
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last)))
    return ["/".join(parts[shared:]) for parts in folders]


def refuse_without_classes(source: Source, classes: Sequence[str]) -> None:
    """Raise DataError where the files of a source do not all lie in one of several class folders.

    Args:
        source: as `open_source` found it.
        classes: the class of each of its files, from `class_folders`.
    """
    if source.place.startswith(SAMPLE_PREFIX):
        raise DataError(
            f"{source.place} is a sample set and has no class folders; name a folder or zip that has, {FIX}"
        )
    found = sorted({name for name in classes if name})
    if not found:
        raise DataError(
            f"data.labels: folders needs at least 2 class folders, and all images in {source.place} lie in one folder; "
            f"put the images of each class into a folder of its own, {FIX}"
        )
    outside = [entry.name for entry, name in zip(source.entries, classes) if not name]
    if outside:
        raise DataError(
            f"{len(outside)} of {len(classes)} images in {source.place} lie in no class folder ({_some(outside)}), but "
            f"there are the class folders {_some(found)}; move each image into the folder of its class, {FIX}"
        )


def numbered(source: Source, classes: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """The class of each usable image as a number, and the names of the classes, sorted.

    Raises DataError where skipped files left fewer than two classes.
    """
    names = tuple(sorted(set(classes)))
    if len(names) < 2:
        raise DataError(
            f"data.labels: folders needs at least 2 classes, and all usable images in {source.place} are of the class "
            f"{', '.join(names)}; repair or add images of another class, {FIX}"
        )
    return [names.index(name) for name in classes], names


def _some(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
