"""Archives that are unsafe, damaged, or not what they seem."""

import random
import stat
import zipfile
from contextlib import suppress

import pytest

from ganray.data import unpack
from ganray.data.decode import UnreadableImage
from ganray.data.fetch import fetch
from ganray.data.sources import open_source
from ganray.data.unpack import unpack_images
from ganray.errors import DataError
from tests.data.archives import GOOD, PICTURES, SOON, N, leftovers, zipped


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def pipe(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFIFO | 0o666) << 16
    return info


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (("../../evil.png", b"x"), "a path that leads out of its folder"),
        (("a/../../evil.png", b"x"), "a path that leads out of its folder"),
        (("..\\evil.png", b"x"), "a path that leads out of its folder"),
        (("/tmp/evil.png", b"x"), "an absolute path"),
        (("C:\\evil.png", b"x"), "an absolute path"),
        ((link("evil.png"), b"/etc/passwd"), "a link"),
        ((pipe("evil.png"), b""), "a device or pipe"),
        (("../evil.txt", b"x"), "a path that leads out of its folder"),
    ],
    ids=["slip", "inner slip", "backslash slip", "absolute", "drive", "link", "pipe", "slip of another file"],
)
def test_an_unsafe_archive_is_refused_whole(site, root, member, fault):
    site.body = zipped([*PICTURES, member])
    before = {p for p in root.parent.rglob("*") if "evil" in p.name}
    with pytest.raises(DataError, match=rf"holds {fault} .*nothing was unpacked"):
        fetch("obama", patience=SOON)
    assert {p for p in root.parent.rglob("*") if "evil" in p.name} == before == set()
    assert not (root / "obama").exists()
    assert not leftovers(root)


def test_a_name_twice_is_refused(site):
    with pytest.warns(UserWarning, match="Duplicate name"):
        site.body = zipped([*PICTURES, PICTURES[0]])
    with pytest.raises(DataError, match="the same name a second time"):
        fetch("obama", patience=SOON)


def test_bombs_are_refused(site, root, monkeypatch):
    monkeypatch.setattr(unpack, "SMALL_BYTES", 1 << 20)
    zeros = bytes(1 << 20)
    site.body = zipped([(f"{i}.png", zeros) for i in range(N)])
    with pytest.raises(DataError, match=r"looks like a zip bomb: 0.0 MB would become 4 MB; nothing was unpacked"):
        fetch("obama", patience=SOON)
    monkeypatch.setattr(unpack, "MAX_IMAGE_BYTES", 1 << 19)
    with pytest.raises(DataError, match=r"zip bomb: 0.png would have 1 MB"):
        fetch("obama", patience=SOON)
    assert not leftovers(root)
    assert not (root / "obama").exists()


def test_a_member_larger_than_it_says_is_damage(site, root):
    """The announced size is what the bomb's limit relies on."""
    site.body = zipped([*PICTURES[:3], ("liar.png", bytes(100_000))])
    where = site.body.rindex(b"liar.png") - 46 + 24  # the size in the central directory
    assert site.body[where : where + 4] == (100_000).to_bytes(4, "little")
    site.body = site.body[:where] + (10).to_bytes(4, "little") + site.body[where + 4 :]
    with pytest.raises(DataError, match="is not a whole zip"):
        fetch("obama", patience=SOON)
    assert not (root / "obama").exists()


def test_names_as_other_programs_write_them(site):
    """bsdtar and 7z keep a leading `./`."""
    site.body = zipped([("./100-shot//0.png", PICTURES[0][1]), ("./1.png", PICTURES[1][1]), *PICTURES[2:]])
    place = fetch("obama", patience=SOON).place
    assert (place / "100-shot/0.png").read_bytes() == PICTURES[0][1]
    assert (place / "1.png").read_bytes() == PICTURES[1][1]


@pytest.mark.parametrize(
    "members",
    [
        [("./1.png", b"x"), ("1.png", b"y")],
        [("1.png", b"x"), ("1.png/2.png", b"y")],
        [("a/100-shot-obama/1.png", b"x"), ("b/100-shot-obama/1.png", b"y")],
    ],
    ids=["dot", "a file as a folder", "two folders of the set"],
)
def test_two_members_for_one_place_are_refused(site, root, members):
    site.body = zipped(members)
    with pytest.raises(DataError, match=r"the zip .* holds .*nothing was unpacked"):
        fetch("obama", patience=SOON)
    assert not leftovers(root)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_no_damage_is_anything_but_an_error_that_says_so(tmp_path, method):
    rng = random.Random(0)
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w", method) as archive:
        for i in range(3):
            archive.writestr(f"d/{i}.png", rng.randbytes(50) * 3)
    content, bad = good.read_bytes(), tmp_path / "bad.zip"
    refused = 0
    for n in range(400):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 2, 4])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 255, rng.randrange(256)])
        bad.write_bytes(damaged)
        try:
            (tmp_path / str(n)).mkdir()
            unpack_images(bad, tmp_path / str(n))
        except DataError:
            refused += 1
        with suppress(DataError):
            for entry in open_source(bad).entries:
                with suppress(UnreadableImage):
                    entry.read()
    assert refused > 100


@pytest.mark.parametrize("damage", ["cut", "flipped", "encrypted", "no image"])
def test_a_damaged_archive_is_refused(site, root, damage):
    site.body = {
        "cut": GOOD[: len(GOOD) // 2],
        "flipped": GOOD[:5000] + bytes([GOOD[5000] ^ 255]) + GOOD[5001:],
        "encrypted": zipped(PICTURES).replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
        "no image": zipped([("a.txt", "x")]),
    }[damage]
    with pytest.raises(DataError, match="holds no image" if damage == "no image" else "is not a whole zip"):
        fetch("obama", patience=SOON)
    assert not (root / "obama").exists()
    assert not leftovers(root)
