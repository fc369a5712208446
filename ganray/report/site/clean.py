"""What may stand on a page: no credentials, no folders of this machine, nothing that ends a script."""

from __future__ import annotations

import json
import math
import re
from pathlib import PurePath
from typing import Any

_CREDENTIALS = re.compile(r"(?<=://)[^\s/'\"]*@")
_QUERY = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")
_FILE_URI = re.compile(r"\b(?:file|local)://(?=/)")
_POSIX = re.compile(r"(?<![\w:/.<~])~?/(?:[^\s/'\"<>:,;()]+/)+")
_WINDOWS = re.compile(r"\b[A-Za-z]:\\(?:[^\s\\'\"<>:,;()]+\\)+")
_WHOLE_PATH = re.compile(r"~?/[^\n:]*/[^\n:/]+/?")


def clean(value: Any) -> Any:
    """The same, in every text of it, without user and query in URIs, and of local paths the last part only."""
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, dict):
        return {_clean_text(key) if isinstance(key, str) else key: clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each) for each in value]
    return value


def _clean_text(text: str) -> str:
    # A name with a space in it ends a path within a sentence, but not one that stands alone.
    text = _FILE_URI.sub("", text)
    if _WHOLE_PATH.fullmatch(text):
        return f"…/{PurePath(text).name}"
    text = _QUERY.sub(r"\1", _CREDENTIALS.sub("", text))
    return _WINDOWS.sub("…/", _POSIX.sub("…/", text))


def store_name(uri: str) -> str:
    """What a page calls the store: the URI without credentials, or a local folder's own name."""
    return str(_clean_text(uri)) if "://" in uri else PurePath(uri).name


_UNSAFE = {char: f"\\u{ord(char):04x}" for char in "<>&'\u2028\u2029"}


def script_json(value: Any) -> str:
    """JSON that is also JavaScript and cannot end the script element that it stands in; no NaN, no infinity."""
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return "".join(_UNSAFE.get(char, char) for char in text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
