"""The report's folder: written whole or not at all, and never over other files."""

import os

import pytest

from ganray.errors import GanrayError
from ganray.report.site.folder import MARKER, replaced


def write(folder, text="new"):
    with replaced(folder) as root:
        (root / "index.html").write_text(text)


def test_a_report_appears_whole_and_an_earlier_one_is_replaced(tmp_path):
    folder = tmp_path / "a" / "report"
    write(folder, "old")
    (folder / "trials").mkdir()
    write(folder, "new")
    assert (folder / "index.html").read_text() == "new"
    assert sorted(os.listdir(folder)) == [MARKER, "index.html"]
    assert os.listdir(folder.parent) == ["report"]


def test_an_error_leaves_the_earlier_report(tmp_path):
    folder = tmp_path / "report"
    write(folder, "old")
    with pytest.raises(TypeError):
        write(folder, text=None)  # after the new folder is there
    assert (folder / "index.html").read_text() == "old"
    assert os.listdir(tmp_path) == ["report"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "report").mkdir()
    write(tmp_path / "report")
    assert (tmp_path / "report" / "index.html").exists()


def test_other_files_are_never_replaced(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "index.html").write_text("mine")
    with pytest.raises(GanrayError, match=r"thesis.*no report of ours.*-o"):
        write(folder)
    assert (folder / "index.html").read_text() == "mine"


def test_files_put_beside_a_report_are_not_lost(tmp_path):
    folder = tmp_path / "report"
    write(folder, "old")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(GanrayError, match=r"notes\.txt.*move that away"):
        write(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_and_an_unwritable_place_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GanrayError, match="is a file"):
        write(tmp_path / "file")
    with pytest.raises(GanrayError, match=r"cannot write the report.*Not a directory"):
        write(tmp_path / "file" / "report")


def test_a_link_keeps_pointing_to_the_new_report(tmp_path):
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "index.html").read_text() == "new"
