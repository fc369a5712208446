"""URIs among the values of a file: `s3://bucket/runs` in place of a folder."""

import re

_SECRETS = (
    # Anywhere, not at the beginning alone: fsspec chains URIs, as in zip://a.zip::https://USER:PASSWORD@HOST/.
    r"://[^/?#]*@",
    # A secret key may hold slashes; what follows a colon is no user where it is a port.
    r"://[^/?#@:]+:(?!\d+(?:[/?#]|$))[^@]*@",
    r"[?&](X-Amz-|X-Goog-|AWSAccessKeyId=|sig=|signature=|[\w-]*token=|password=|passwd=|secret=|[\w-]*api_?key=)",
)


def is_remote(place: str) -> bool:
    """Whether this names a place behind fsspec; `file://` and `local://` are paths of this machine."""
    return "://" in place and not place.startswith(("file://", "local://"))


def holds_credentials(uri: str) -> bool:
    """Whether a URI carries a password or a signature: URIs end up in rows, reports and logs."""
    return any(re.search(pattern, uri, re.IGNORECASE) for pattern in _SECRETS)


def refuse_credentials(uri: str) -> str:
    """The URI as it is. ValueError, which does not repeat the URI, where it holds a secret."""
    if "://" in uri and holds_credentials(uri):
        raise ValueError(
            "this URI holds credentials, which would end up in rows and reports; leave them out and set them in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...) or in fsspec's settings"
        )
    return uri
