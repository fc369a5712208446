"""What must not stand on a page: credentials, the machine's folders, the end of a script."""

import json

import pytest

from ganray.report.site.clean import clean, script_json, store_name


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("s3://key:secret@bucket/runs", "s3://bucket/runs"),
        ("s3://key:p@ss@bucket/runs", "s3://bucket/runs"),
        ("cannot read https://host/a/b.png?X-Amz-Signature=abc#x now", "cannot read https://host/a/b.png now"),
        ("/home/ada/images", "…/images"),
        ("/home/ada lovelace/my images", "…/my images"),
        ("~/data/cats/", "…/cats"),
        ("file:///srv/data/cats", "…/cats"),
        ("FileNotFoundError: /home/ada/cats/1.png: no such file", "FileNotFoundError: …/1.png: no such file"),
        (r"in C:\Users\ada\cats.zip", "in …/cats.zip"),
        ("precision/recall of 1/2", "precision/recall of 1/2"),
        ("arXiv 1904.06991, see https://arxiv.org/abs/1904.06991", "arXiv 1904.06991, see https://arxiv.org/abs/1904.06991"),
        ("runs/store", "runs/store"),
        ("sample:hubble", "sample:hubble"),
    ],
)  # fmt: skip
def test_uris_lose_credentials_and_paths_their_folders(text, cleaned):
    assert clean(text) == cleaned


def test_nested_values_are_cleaned_and_others_stay():
    value = {"a": ["/home/ada/x", 1, None], "/home/ada/y": {"b": True}}
    assert clean(value) == {"a": ["…/x", 1, None], "…/y": {"b": True}}


def test_a_store_is_named_without_its_place():
    assert store_name("/home/ada/runs/store") == "store"
    assert store_name("s3://key:secret@bucket/runs?endpoint=x") == "s3://bucket/runs"


def test_json_in_a_script_reads_back_and_cannot_end_it():
    value = {"</script><!--": ["<script>", "&amp;", "'", "\u2028\u2029", "é"]}
    text = script_json(value)
    assert json.loads(text) == value
    assert not set("<>&'\u2028\u2029") & set(text)
    assert text.isascii()


def test_numbers_that_json_has_not_become_null():
    assert json.loads(script_json({"a": [float("nan"), float("inf"), 1.5]})) == {"a": [None, None, 1.5]}
