"""The images of a zip that came from somewhere: nothing in it can write outside its folder or fill the disk."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

from ganray.data.sources import UNREADABLE_ZIP, split_names
from ganray.errors import DataError

MAX_IMAGE_BYTES = 256 << 20
"""An unpacked image file may not be larger; 1024 px as an uncompressed TIFF has 12 MiB at most."""
MAX_RATIO = 50
"""Images hardly shrink in a zip. Beyond this the archive is taken for a bomb, if it is large at all:"""
SMALL_BYTES = 64 << 20


def unpack_images(archive: Path, into: Path, folder: str | None = None, *, called: str = "") -> int:
    """Write the image files of a zip below a new folder and count them.

    Args:
        archive: the zip.
        into: an empty folder.
        folder: where the zip has a folder of that name, only what lies in there is taken, without the folders above.
        called: what the user knows the archive by, for messages; else its path.

    Raises:
        DataError: not a zip, damaged, encrypted, a member outside, a link or device, a bomb, no image.
        OSError: the disk is full or cannot be written.
    """
    called = called or str(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _safe(opened, called)
            wanted = _wanted(members, folder, called)
            _refuse_bomb(members, wanted, archive.stat().st_size, called)
            _refuse_full_disk(sum(members[name].file_size for name in wanted), into)
            for name in wanted:
                _write(opened, members[name], into / wanted[name])
    except (OSError, *UNREADABLE_ZIP) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk; the two others are bzip2's, and a member that is said to begin before the file
        raise DataError(f"{called} is not a whole zip ({error}){_web_page(archive)}") from None
    if not wanted:
        raise DataError(f"the zip {called} holds no image")
    return len(wanted)


def _safe(opened: zipfile.ZipFile, called: str) -> dict[str, zipfile.ZipInfo]:
    """Every file of the zip by its name with forward slashes; the whole zip is refused for one bad member."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in opened.infolist():
        written = info.filename.replace("\\", "/")
        name = str(PurePosixPath(written))  # without `./` and `//`
        kind = stat.S_IFMT(info.external_attr >> 16)
        fault = None
        if written.startswith("/") or re.match(r"[A-Za-z]:", name):
            fault = "an absolute path"
        elif ".." in PurePosixPath(name).parts:
            fault = "a path that leads out of its folder"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            fault = "a link" if kind == stat.S_IFLNK else "a device or pipe"
        elif name in members:
            fault = "the same name a second time"
        if fault:
            raise _refused(called, fault, info.filename)
        if not info.is_dir():
            members[name] = info
    return members


def _refused(called: str, fault: str, name: str) -> DataError:
    return DataError(
        f"the zip {called} holds {fault} ({name!r}), which no honest archive of images has; "
        f"nothing was unpacked. Unpack it by hand where you trust it, and register the folder with --from"
    )


def _wanted(members: dict[str, zipfile.ZipInfo], folder: str | None, called: str) -> dict[str, PurePosixPath]:
    """The images' names, and where each goes; no two to one place."""
    images = [PurePosixPath(name) for name in split_names(iter(members))[0]]
    inside = [path for path in images if folder in path.parts[:-1]]
    if folder is None or not inside:
        wanted = {str(path): path for path in images}
    else:
        wanted = {str(path): PurePosixPath(*path.parts[path.parts.index(folder) + 1 :]) for path in inside}
    places = Counter(wanted.values())
    for name, place in wanted.items():
        if places[place] > 1:
            raise _refused(called, "two images for one place", name)
        if any(above in places for above in place.parents):
            raise _refused(called, "a file that is a folder too", name)
    return wanted


def _refuse_bomb(
    members: dict[str, zipfile.ZipInfo], wanted: dict[str, PurePosixPath], packed: int, called: str
) -> None:
    # zipfile yields no more than the announced size of a member, so the announced sizes can be relied on.
    total = sum(members[name].file_size for name in wanted)
    huge = next((name for name in wanted if members[name].file_size > MAX_IMAGE_BYTES), None)
    if huge is not None:
        what = f"{huge} would have {members[huge].file_size / 1e6:,.0f} MB"
    elif total > SMALL_BYTES and total > MAX_RATIO * packed:
        what = f"{packed / 1e6:,.1f} MB would become {total / 1e6:,.0f} MB"
    else:
        return
    raise DataError(
        f"the zip {called} looks like a zip bomb: {what}; nothing was unpacked. Unpack it by hand where you trust it, "
        f"and register the folder with --from"
    )


def _refuse_full_disk(total: int, into: Path) -> None:
    free = shutil.disk_usage(into).free
    if total > free:
        raise OSError(errno.ENOSPC, f"{total / 1e6:,.1f} MB of images, but {free / 1e6:,.1f} MB are free")


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(info) as packed, open(target, "xb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)


def _web_page(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(512).lstrip().lower()
    page = start.startswith((b"<!doctype", b"<html", b"<?xml"))
    return ": it is a web page, perhaps a log-in. Get the zip with a browser and name it with --from" if page else ""
