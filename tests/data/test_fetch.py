"""Data sets over a bad network, from local copies, onto bad disks."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ganray.data import fetch as fetching
from ganray.data.catalog import CATALOG
from ganray.data.fetch import WrongCount, fetch
from ganray.data.fingerprint import fingerprints
from ganray.data.sources import open_source
from ganray.errors import DataError
from tests.data.archives import GOOD, PICTURES, SOON, N, leftovers, picture, zipped


def pin(monkeypatch, **changes):
    monkeypatch.setitem(CATALOG, "obama", replace(CATALOG["obama"], **changes))


def total(site):
    return len(site.body)


def test_a_whole_download_leaves_only_the_images(site, root):
    got = fetch("obama", patience=SOON)
    assert (got.n_images, got.was_here, got.place) == (N, False, root / "obama")
    assert got.sha256 == sha256(GOOD).hexdigest()
    files = sorted(p.relative_to(got.place).as_posix() for p in got.place.rglob("*") if p.is_file())
    assert files == [name for name, _ in PICTURES]
    assert (got.place / "100-shot/2.png").read_bytes() == PICTURES[2][1]
    assert not leftovers(root)
    assert site.asked == [("/set.zip", None, None)]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(got.place.stat().st_mode) == 0o777 & ~umask  # others may read a shared folder
    assert stat.S_IMODE((root / "obama.json").stat().st_mode) == 0o666 & ~umask


def test_a_set_that_is_here_asks_nobody(site):
    fetch("obama", patience=SOON)
    assert fetch("obama", patience=SOON).was_here
    assert fetch("obama", source=site.url(), patience=SOON).was_here
    assert len(site.asked) == 1


def test_a_set_that_lost_files_comes_again(site):
    place = fetch("obama", patience=SOON).place
    (place / "100-shot/1.png").unlink()
    assert not fetch("obama", patience=SOON).was_here
    assert len(open_source("catalog:obama").entries) == N


def test_a_cut_off_download_goes_on_where_it_stopped(site):
    site.cuts = [50_000]
    assert fetch("obama", patience=SOON).n_images == N
    assert [asked for _, asked, _ in site.asked] == [None, "bytes=50000-"]
    assert site.asked[1][2] == '"v1"'
    assert site.sent == [50_000, total(site) - 50_000]


def test_a_later_call_goes_on_too(site, root):
    site.cuts = [30_000, 0, 0]
    with pytest.raises(DataError, match=rf"cut off after 30,000 of {total(site):,} bytes.*30,000 bytes are kept"):
        fetch("obama", patience=SOON)
    assert not (root / "obama").exists()
    fetch("obama", patience=SOON)
    assert site.asked[-1][1] == "bytes=30000-"
    assert site.sent[-1] == total(site) - 30_000
    assert not leftovers(root)


def test_progress_renews_the_patience(site):
    site.cuts = [10_000] * 6
    fetch("obama", patience=SOON)
    assert sum(site.sent) == total(site)


def test_ctrl_c_keeps_what_came(site, root):
    site.stalls = 1
    code = (
        "from ganray.data.catalog import CATALOG; from dataclasses import replace\n"
        f"CATALOG['obama'] = replace(CATALOG['obama'], urls=({site.url()!r},), counts=({N},))\n"
        "from ganray.cli.main import main; main(['data', 'fetch', 'obama'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and not any(p.stat().st_size for p in root.glob(".obama-*.partial")):
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    kept = next(root.glob(".obama-*.partial")).stat().st_size
    assert 0 < kept <= total(site) // 2
    fetch("obama", patience=SOON)
    assert site.asked[-1][1] == f"bytes={kept}-"


def test_a_server_without_range_starts_again(site):
    site.ranges, site.cuts = False, [50_000]
    assert fetch("obama", patience=SOON).n_images == N
    assert site.asked[1][1] == "bytes=50000-"
    assert site.sent == [50_000, total(site)]


@pytest.mark.parametrize("checks", [True, False], ids=["If-Range", "If-Range ignored"])
def test_a_file_that_changed_starts_again(site, checks):
    first, other = (zipped((f"{i}.png", bytes([value]) * 30_000) for i in range(N)) for value in (1, 2))
    assert len(first) == len(other)  # so that nothing but the ETag tells
    site.body, site.cuts = first, [200, 0, 0]
    with pytest.raises(DataError, match="cut off"):
        fetch("obama", patience=SOON)
    site.body, site.etag, site.checks_if_range = other, '"v2"', checks
    got = fetch("obama", patience=SOON)
    assert got.sha256 == sha256(other).hexdigest()
    assert (got.place / "0.png").read_bytes() == bytes([2]) * 30_000
    assert site.asked[3][1:] == ("bytes=200-", '"v1"')


def test_a_shorter_file_than_what_is_here_starts_again(site):
    site.etag, site.cuts = None, [60_000, 0, 0]
    with pytest.raises(DataError, match="cut off"):
        fetch("obama", patience=SOON)
    site.body = zipped([(name, picture(i)[:9000]) for i, (name, _) in enumerate(PICTURES)])
    assert total(site) < 60_000
    assert fetch("obama", patience=SOON).sha256 == sha256(site.body).hexdigest()


def test_a_silent_server_is_left_and_asked_for_the_rest(site):
    site.stalls = 1
    fetch("obama", patience=replace(SOON, timeout_s=0.3))
    assert site.asked[1][1] == f"bytes={total(site) // 2}-"


def test_a_server_that_stays_silent_is_named(site):
    site.body, site.stalls = GOOD[:1], 9
    with pytest.raises(DataError, match="fell silent; given up after 3 attempts"):
        fetch("obama", patience=replace(SOON, timeout_s=0.2))


def test_a_busy_server_is_asked_again(site):
    site.statuses = [503, 429]
    assert fetch("obama", patience=SOON).n_images == N
    assert len(site.asked) == 3


def test_404_is_final_and_names_the_way(site, root):
    site.statuses = [404]
    with pytest.raises(DataError, match=r"answered 404 Not Found.*fetch obama --from FOLDER_OR_ZIP_OR_URL"):
        fetch("obama", patience=SOON)
    assert len(site.asked) == 1


def test_the_next_address_is_tried(site, monkeypatch):
    pin(monkeypatch, urls=("http://127.0.0.1:9/gone.zip", site.url()))
    assert fetch("obama", patience=SOON).n_images == N


def test_a_log_in_page_is_not_taken_and_the_partial_file_stays(site, root):
    site.cuts = [50_000, 0, 0]
    with pytest.raises(DataError, match="cut off"):
        fetch("obama", patience=SOON)
    site.body, site.content_type, site.etag = b"<html>log in", "text/html; charset=utf-8", None
    with pytest.raises(DataError, match="a web page came instead of a file"):
        fetch("obama", patience=SOON)
    assert next(root.glob(".obama-*.partial")).stat().st_size == 50_000
    site.body, site.content_type, site.etag = GOOD, "application/zip", '"v1"'
    fetch("obama", patience=SOON)
    assert site.sent[-1] == total(site) - 50_000


def test_a_page_in_a_zips_clothes_is_recognised(site, root):
    site.body = b"<!DOCTYPE html><html>Please log in</html>"
    with pytest.raises(DataError, match=r"is not a whole zip .*it is a web page"):
        fetch("obama", patience=SOON)
    assert not leftovers(root)


def test_a_pinned_checksum_is_demanded(site, root, monkeypatch):
    pin(monkeypatch, sha256="0" * 64)
    with pytest.raises(DataError, match=rf"SHA-256 is {sha256(GOOD).hexdigest()}, but the catalogue's is 0000"):
        fetch("obama", patience=SOON)
    assert not (root / "obama").exists()
    assert not leftovers(root)
    pin(monkeypatch, sha256=sha256(GOOD).hexdigest())
    assert fetch("obama", patience=SOON).n_images == N


def test_the_first_checksum_is_demanded_later(site, root):
    place = fetch("obama", patience=SOON).place
    record = json.loads((root / "obama.json").read_text())
    assert record["checksums"] == {site.url(): sha256(GOOD).hexdigest()}
    place.rename(root / "moved")
    site.body = zipped([(name, picture(i + 9)) for i, (name, _) in enumerate(PICTURES)])
    with pytest.raises(DataError, match=r"that of the first download is .*remove the checksum from .*obama.json"):
        fetch("obama", patience=SOON)
    with pytest.raises(DataError, match="not on this machine"):
        open_source("catalog:obama")
    got = fetch("obama", source=site.url("mirror.zip"), patience=SOON)  # another address, another checksum
    assert got.sha256 == sha256(site.body).hexdigest()
    assert set(json.loads((root / "obama.json").read_text())["checksums"]) == {site.url(), site.url("mirror.zip")}


def test_signatures_in_an_address_are_never_kept(site, root):
    fetch("obama", source=site.url("m.zip?X-Amz-Signature=hunter2"), patience=SOON)
    assert site.asked[0][0] == "/m.zip?X-Amz-Signature=hunter2"
    assert "hunter2" not in (root / "obama.json").read_text()
    assert fetch("obama", source=site.url("m.zip?X-Amz-Signature=other"), patience=SOON).was_here
    site.statuses = [403]
    with pytest.raises(DataError, match="403 Forbidden") as caught:
        fetch("obama", source=site.url("n.zip?X-Amz-Signature=hunter2"), patience=SOON)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(DataError, match="user name is not supported") as caught:
        fetch("obama", source=site.url().replace("//", "//me:hunter2@"), patience=SOON)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_count_is_refused_and_not_downloaded_again(site, root):
    site.body = zipped(PICTURES[:3])
    with pytest.raises(WrongCount, match=r"has 3 images, but obama has 4: .*--accept-count"):
        fetch("obama", patience=SOON)
    assert not (root / "obama").exists()
    assert not (root / "obama.json").exists()
    got = fetch("obama", accept_count=True, patience=SOON)
    assert got.n_images == 3
    assert json.loads((root / "obama.json").read_text())["count_accepted"] is True
    assert sum(site.sent) == total(site)  # the second call had it all
    assert len(open_source("catalog:obama").entries) == 3


def test_from_a_local_zip_is_a_copy(site, root, tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(GOOD)
    fetch("obama", source=str(path))
    path.unlink()
    assert len(open_source("catalog:obama").entries) == N
    assert not site.asked


def test_from_a_local_folder_is_a_reference(site, root, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, data in PICTURES:
        (folder / Path(name).name).write_bytes(data)
    got = fetch("obama", source=str(folder))
    assert got.place == folder
    assert not (root / "obama").exists()
    by_reference = fingerprints("catalog:obama", 32)[0]
    fetch("obama", source=site.url(), patience=SOON)
    assert open_source("catalog:obama").entries[0].name == "100-shot/0.png"
    assert fingerprints("catalog:obama", 32)[0] == by_reference  # the same content, whichever way it came
    assert len(list(folder.iterdir())) == N  # the user's own files are never touched


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_of_the_fastgan_archive_only_the_sets_own_folder_is_taken(root, tmp_path, monkeypatch, packed):
    monkeypatch.setitem(CATALOG, "skulls", replace(CATALOG["skulls"], counts=(2,)))
    members = [(f"few-shot-images/{kind}/img/{i}.png", picture(i)) for kind in ("skulls", "shells") for i in range(2)]
    path = tmp_path / "few-shot-images.zip"
    path.write_bytes(zipped(members))
    if not packed:
        zipfile.ZipFile(path).extractall(tmp_path)
        path = tmp_path / "few-shot-images"
    got = fetch("skulls", source=str(path))
    assert [entry.name for entry in open_source("catalog:skulls").entries] == ["img/0.png", "img/1.png"]
    assert got.place == (root / "skulls" if packed else path / "skulls")


def test_a_folder_that_somebody_made_is_never_replaced(site, root):
    (root / "obama").mkdir(parents=True)
    (root / "obama" / "mine.png").write_bytes(picture(0))
    with pytest.raises(DataError, match="was not fetched by ganray; move it away, or register it"):
        fetch("obama", patience=SOON)
    fetch("obama", source=str(root / "obama"), accept_count=True)
    assert len(open_source("catalog:obama").entries) == 1
    with pytest.raises(DataError, match="was not fetched by ganray"):
        fetch("obama", source=site.url(), patience=SOON)
    assert (root / "obama" / "mine.png").exists()


def test_another_folder_is_found_from_the_usual_one(site, root, tmp_path):
    shared = tmp_path / "shared"
    got = fetch("obama", folder=shared, patience=SOON)
    assert got.place == shared / "obama"
    assert len(open_source("catalog:obama").entries) == N
    assert json.loads((shared / "obama.json").read_text())["place"] == "obama"  # so that the folder can be moved


@pytest.mark.parametrize("source", ["nowhere", "s3://bucket/x.zip"])
def test_a_source_that_is_not_there(site, source):
    with pytest.raises(DataError, match=f"--from {source} does not exist"):
        fetch("obama", source=source)


def test_two_processes_download_once(site, root):
    code = (
        "from dataclasses import replace; from ganray.data.catalog import CATALOG; from ganray.data.fetch import fetch"
        "\n"
        f"CATALOG['obama'] = replace(CATALOG['obama'], urls=({site.url()!r},), counts=({N},))\n"
        "print(fetch('obama', say=print).was_here)"
    )
    site.statuses = [503]  # the first waits a second before it goes on, long enough for the other to come
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0].split()[-1] for process in both)
    assert said == ["False", "True"]
    assert len(site.sent) == 1
    assert not leftovers(root)


def test_what_a_killed_process_left_is_removed(site, root):
    (root / ".obama.part-dead" / "images").mkdir(parents=True)
    fetch("obama", patience=SOON)
    assert not leftovers(root)


def test_a_disk_too_small_for_the_images_is_named_and_the_download_kept(site, small_disk):
    assert 120_000 < total(site) < 160_000
    with pytest.raises(DataError, match=rf"cannot write to {small_disk}: .* MB of images, but .*the disk is full"):
        fetch("obama", folder=small_disk, patience=SOON)
    assert next(small_disk.glob(".obama-*.partial")).stat().st_size == total(site)
    assert not (small_disk / "obama").exists()
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    fetch("obama", folder=small_disk, patience=SOON)
    assert sum(site.sent) == total(site)


def test_a_disk_too_small_for_the_download_is_named_and_the_start_kept(site, small_disk):
    (small_disk / "ballast").write_bytes(bytes(100_000))
    with pytest.raises(DataError, match="the disk is full: make room there"):
        fetch("obama", folder=small_disk, patience=SOON)
    kept = next(small_disk.glob(".obama-*.partial")).stat().st_size
    assert kept < total(site)
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    fetch("obama", folder=small_disk, patience=SOON)
    assert site.asked[-1][1] == (f"bytes={kept}-" if kept else None)


def test_a_read_only_disk_is_named(site, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DataError, match=r"Read-only file system.*mount it for writing.*--folder or GANRAY_DATA_DIR"):
        fetch("obama", folder=small_disk, patience=SOON)


def test_a_set_on_a_read_only_disk_is_here_all_the_same(site, small_disk):
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    fetch("obama", folder=small_disk, patience=SOON)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert fetch("obama", folder=small_disk, patience=SOON).was_here


@pytest.mark.parametrize("replaces", [False, True], ids=["first", "again"])
def test_a_disk_that_fills_up_at_the_very_end_costs_neither_the_download_nor_what_was_there(
    site, root, monkeypatch, replaces
):
    if replaces:
        fetch("obama", patience=SOON)
    write, source = fetching.write_record, site.url("mirror.zip")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching, "write_record", full)
    with pytest.raises(DataError, match="the disk is full"):
        fetch("obama", source=source, patience=SOON)
    assert (root / "obama").exists() == replaces
    if replaces:
        assert len(open_source("catalog:obama").entries) == N
    monkeypatch.setattr(fetching, "write_record", write)
    assert fetch("obama", source=source, patience=SOON).n_images == N
    assert sum(site.sent) == total(site) * (1 + replaces)
    assert not leftovers(root)


@pytest.mark.parametrize("moved", [False, True], ids=["before the move", "after the move"])
def test_a_process_that_is_killed_at_the_very_end_leaves_nothing_in_the_way(site, root, monkeypatch, moved):
    rename = os.rename

    def killed(source, target):
        if Path(target) != root / "obama" or moved:
            rename(source, target)
        if Path(target) == root / "obama":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fetching.os, "rename", killed)
        with pytest.raises(Killed):
            fetch("obama", patience=SOON)
    got = fetch("obama", patience=SOON)
    assert (got.n_images, got.was_here) == (N, moved)
    assert sum(site.sent) == total(site)


class Killed(BaseException):
    pass


def test_a_redirect_out_of_tls_is_not_followed(site, monkeypatch):
    """The first download's checksum is kept for good, so it must not be anybody's on the way."""
    urlopen = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", lambda request, timeout: urlopen(site.url(), timeout=timeout))
    with pytest.raises(DataError, match="led from https to http"):
        fetch("obama", source="https://example.invalid/set.zip", patience=SOON)


@pytest.mark.parametrize("length", ["", "many", "-5"])
def test_a_length_that_is_no_number_is_unknown(site, length):
    site.length = length
    assert fetch("obama", patience=SOON).n_images == N


@pytest.mark.parametrize("source", ["https://[half/x.zip", "http://[::1/x.zip?sig=hunter2"])
def test_an_address_that_is_none_is_named(site, source):
    with pytest.raises(DataError, match="not a web address") as caught:
        fetch("obama", source=source)
    assert "hunter2" not in str(caught.value)
    fetch("obama", patience=SOON)
    with pytest.raises(DataError, match="not a web address"):
        fetch("obama", source=source)


def test_nobodys_home_is_not_there(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="--from ~nobody-of-that-name/x does not exist"):
        fetch("obama", source="~nobody-of-that-name/x")
    with pytest.raises(DataError, match="~nobody-of-that-name/x does not exist"):
        open_source("~nobody-of-that-name/x")


def test_a_file_in_the_way_is_named(site, root):
    root.write_text("I am a file")
    with pytest.raises(DataError, match="part of that path is a file"):
        fetch("obama", patience=SOON)
