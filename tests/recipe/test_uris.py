"""Credentials in a URI are found wherever fsspec would take them from; ordinary places are let through."""

import pytest

from ganray.recipe.uris import is_remote, refuse_credentials

WITH = [
    "s3://KEY:planted@bucket/runs",
    "s3://KEY:pla/nt/ed+x=@bucket/runs",
    "ftp://planted@host/x",
    "zip://a.zip::https://u:planted@h/a.zip",
    "zip://x::simplecache::s3://KEY:planted@bucket/a.zip",
    "simplecache::https://u:planted@h/x",
    "file:///tmp/a::https://u:planted@h/x",
    "https://h/x?X-Amz-Signature=planted",
    "https://h/x?a=1&X-Goog-Credential=planted",
    "https://h/x?AWSAccessKeyId=a&Signature=planted",
    "https://h/x?sig=planted",
    "https://h/x?access_token=planted",
    "https://h/x?api_key=planted",
    "zip://x::https://h/x?token=planted",
]
WITHOUT = [
    "runs",
    "runs/a@b",
    "s3://bucket/runs",
    "s3://bucket/me@home/runs",
    "s3://bucket:9000/me@home",
    "https://h:8443/a@2x.png?size=2",
    "zip://a/b.png::s3://bucket/set.zip",
    "memory://x",
    "gs://bucket/tokens/x",
    "file:///home/me@work/runs",
]


@pytest.mark.parametrize("uri", WITH)
def test_refused_and_not_repeated(uri):
    with pytest.raises(ValueError, match="holds credentials") as refused:
        refuse_credentials(uri)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("uri", WITHOUT)
def test_let_through(uri):
    assert refuse_credentials(uri) == uri


def test_what_is_remote():
    assert [is_remote(uri) for uri in ("runs", "/a", "file:///a", "local://a", "s3://b/a")] == [False] * 4 + [True]
