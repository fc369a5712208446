"""`ganray data catalog` and `ganray data fetch` as a user types them."""

import io
import json
import zipfile
from dataclasses import replace

import pytest
from PIL import Image

from ganray.data.catalog import CATALOG
from tests.data.web import serving


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRAY_DATA_DIR", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


@pytest.fixture
def site(monkeypatch):
    """A server with a zip of 3 red images, which is what `obama` wants here."""
    picture, packed = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(picture, "PNG")
    with zipfile.ZipFile(packed, "w") as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", picture.getvalue())
    with serving() as site:
        site.body = packed.getvalue()
        monkeypatch.setitem(CATALOG, "obama", replace(CATALOG["obama"], urls=(site.url(),), counts=(3,)))
        yield site


def test_fetch_says_where_the_images_are_and_how_to_use_them(ganray, site, root):
    code, out, err = ganray("data", "fetch", "obama")
    assert (code, err) == (0, "")
    assert f"obama is here now: 3 images in {root / 'obama'}" in out
    assert "data.source: catalog:obama" in out
    assert "is here already" in ganray("data", "fetch", "obama")[1]
    assert "3 of 3 files" in ganray("data", "inspect", "catalog:obama", "-o", root / "sheet.png")[1]


def test_a_wrong_count_is_one_paragraph_and_can_be_accepted(ganray, site):
    code, _, err = ganray("data", "fetch", "panda", "--from", site.url())
    assert code == 2
    assert err.count("\n") == 1
    assert "has 3 images, but panda has 100" in err
    code, out, err = ganray("data", "fetch", "panda", "--from", site.url(), "--accept-count")
    assert code == 0
    assert "panda is here now: 3 images" in out
    assert "the catalogue expects 100 images" in err


def test_a_subset_has_a_sheet_of_its_own(ganray, site, root, tmp_path, monkeypatch):
    ganray("data", "fetch", "obama")
    monkeypatch.chdir(tmp_path)
    assert ganray("data", "inspect", "catalog:obama:2")[0] == 0
    assert (tmp_path / "obama-2_contact.png").is_file()


def test_an_unknown_name_and_a_set_without_address_are_explained(ganray):
    code, _, err = ganray("data", "fetch", "pandas")
    assert (code, "did you mean 'panda'" in err) == (2, True)
    code, _, err = ganray("data", "fetch", "ffhq")
    assert code == 2
    assert "github.com/NVlabs/ffhq-dataset" in err
    assert "ganray data fetch ffhq --from" in err


def test_the_catalogue_lists_every_set_and_where_it_is(ganray, site, root):
    ganray("data", "fetch", "obama")
    code, out, _ = ganray("data", "catalog")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert set(CATALOG) <= set(lines)
    assert " no " in lines["panda"]
    assert " no " not in lines["obama"]
    rows = json.loads(ganray("data", "catalog", "--format", "json")[1])
    assert [row["name"] for row in rows] == list(CATALOG)
    assert {row["name"]: row["place"] for row in rows if row["place"]} == {"obama": str(root / "obama")}
    assert all(row["licence"] and row["origin"] and row["counts"] for row in rows)
