"""The catalogue, and `data.source: catalog:NAME` where the set is here."""

import json

import pytest
from PIL import Image

from ganray.data.catalog import CATALOG, find, parse
from ganray.data.fetch import fetch
from ganray.data.fingerprint import fingerprints
from ganray.data.images import load_images
from ganray.data.inspect import inspect
from ganray.data.listing import listing
from ganray.data.sources import open_source
from ganray.errors import DataError
from ganray.recipe.data import DataSpec


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRAY_DATA_DIR", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


@pytest.fixture
def shells(tmp_path):
    """A folder with the 60 images that the catalogue wants, written last name first."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in reversed(range(60)):
        Image.new("RGB", (40, 40), (4 * i, 255 - 4 * i, 7)).save(folder / f"{i:03d}.png")
    return folder


@pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)
def test_every_entry_says_how_to_get_it(entry):
    assert entry.counts
    assert all(n > 0 for n in entry.counts)
    assert entry.resolution in (256, 1024)
    assert entry.home.startswith("https://")
    assert entry.licence
    assert bool(entry.urls) != bool(entry.by_hand)
    assert all(url.startswith("https://") and url.endswith(".zip") for url in entry.urls)
    assert entry.sha256 is None or len(entry.sha256) == 64


def test_the_numbers_of_images_of_the_papers():
    counts = {name: entry.counts for name, entry in CATALOG.items()}
    hundred = {"obama", "panda", "grumpy-cat"}
    assert {name for name in counts if counts[name] == (100,)} == hundred
    assert counts["animalface-cat"] == (160,)
    assert counts["animalface-dog"] == (389,)
    assert 833 in counts["pokemon"]
    assert counts["anime-face"] == (120,)
    assert counts["ffhq"] == (70000,)
    assert {name for name, entry in CATALOG.items() if 10000 in entry.subsets} == {
        "art-paintings", "nature-photograph", "ffhq",
    }  # fmt: skip


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(DataError, match="called 'Grumpycat'; did you mean 'grumpy-cat'"):
        find("Grumpycat")
    with pytest.raises(DataError, match="did you mean 'skulls'"):
        open_source("catalog:skull")


@pytest.mark.parametrize("number", ["0", "-5", "2k", "", "1.5", "²", "9" * 5000])
def test_a_subset_needs_a_number(number):
    with pytest.raises(DataError, match="is no number of images; write catalog:shells:N"):
        parse(f"catalog:shells:{number}")


def test_a_set_that_is_not_here_names_the_way():
    with pytest.raises(DataError, match="not on this machine; run `ganray data fetch obama`"):
        open_source("catalog:obama")
    with pytest.raises(DataError, match=r"few-shot-images.*Then run `ganray data fetch skulls --from"):
        open_source("catalog:skulls")


def test_a_set_is_used_as_its_folder_is(shells):
    fetch("shells", source=str(shells))
    source = open_source("catalog:shells")
    assert source.name == "shells"
    assert [entry.name for entry in source.entries] == [f"{i:03d}.png" for i in range(60)]
    assert fingerprints("catalog:shells", 32) == fingerprints(shells, 32)
    assert inspect("catalog:shells").n_images == 60
    images = load_images(DataSpec(source="catalog:shells", resolution=32))
    plain = load_images(DataSpec(source=str(shells), resolution=32))
    assert images.name == "shells"
    assert images.fingerprint == plain.fingerprint
    assert (images.images == plain.images).all()


def test_a_subset_is_the_first_names_in_order(shells):
    fetch("shells", source=str(shells))
    source = open_source("catalog:shells:12")
    assert source.name == "shells:12"
    assert [entry.name for entry in source.entries] == [f"{i:03d}.png" for i in range(12)]
    assert fingerprints("catalog:shells:12", 32) != fingerprints("catalog:shells", 32)
    assert load_images(DataSpec(source="catalog:shells:12", resolution=32)).images.shape[0] == 12
    assert len(open_source("catalog:shells:60").entries) == 60
    with pytest.raises(DataError, match="only 60 images are here"):
        open_source("catalog:shells:61")


def test_files_that_vanish_or_come_are_noticed(shells):
    fetch("shells", source=str(shells))
    (shells / "007.png").unlink()
    with pytest.raises(DataError, match=r"holds 59 images, but 60 were fetched.*--from"):
        open_source("catalog:shells")


def test_a_folder_that_is_gone_counts_as_not_fetched(shells):
    fetch("shells", source=str(shells))
    shells.rename(shells.with_name("elsewhere"))
    with pytest.raises(DataError, match="not on this machine"):
        open_source("catalog:shells")


def test_the_list_tells_what_is_here(shells, data_dir):
    fetch("shells", source=str(shells))
    (data_dir / "obama.json").write_text("{")
    rows = {row.entry.name: row for row in listing()}
    assert list(rows) == list(CATALOG)
    assert rows["shells"].state == f"{shells} (60 images)"
    assert rows["panda"].state == "no"
    assert "obama.json is damaged" in rows["obama"].state
    shown = json.loads(json.dumps(rows["shells"].to_json()))
    assert shown["place"] == str(shells)
    assert shown["n_images"] == 60
    assert shown["counts"] == [60, 64]
