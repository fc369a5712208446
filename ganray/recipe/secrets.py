"""Texts without the secrets that errors of other libraries may quote: texts end up in rows, reports and logs."""

import os
import re

MASK = "***"
_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|ACCOUNT_KEY|CONNECTION_STRING", re.IGNORECASE)
_PLACES = re.compile(r"(_PATH|_FILE|_DIR|_URL|_MODE)$", re.IGNORECASE)
"""Variables that say where a secret is, not what it is."""
_SHORTEST = 8
"""A shorter value is too likely to be a word of the message."""
_QUOTED = (
    (re.compile(r"(?<=://)[^\s/?#@:]*:[^\s@]*(?=@)"), MASK),
    (
        re.compile(
            r"(?i)([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|sig|signature|"
            r"[\w-]*token|password|secret|[\w-]*key)=)[^&\s'\"]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b((?:Bearer|Basic|AWS4-HMAC-SHA256)\s+)[^\s'\"]{8,}[^'\"\n]*"), rf"\1{MASK}"),
    (
        re.compile(r"(?i)((?:secret|session|security)[\w-]*(?:key|token)['\"]?>?\s*[:=>]\s*['\"]?)[^\s'\"<>&,]{8,}"),
        rf"\1{MASK}",
    ),
)
"""A user's part of a URI, a signed query, a header, a key or token with its name before it."""


def masked(text: str) -> str:
    """The text, secrets replaced by `***`: those of this process's environment, and what looks like one."""
    for value in _own_secrets():
        text = text.replace(value, MASK)
    for pattern, replacement in _QUOTED:
        text = pattern.sub(replacement, text)
    return text


def _own_secrets() -> list[str]:
    """Values of variables that are called secret, the longest first: one may hold another."""
    values = {
        value.strip()
        for name, value in os.environ.items()
        if _NAMES.search(name) and not _PLACES.search(name) and len(value.strip()) >= _SHORTEST
    }
    return sorted(values, key=len, reverse=True)
