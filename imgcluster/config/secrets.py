"""Find secrets in a config by option name or by place in a URL, in order to refuse them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

IN_THE_ENVIRONMENT = "set it in the environment, as FSSPEC_S3_SECRET, FSSPEC_SFTP_PASSWORD, ..."
SECRET = re.compile(
    r"pass|secret|credential|connection[_-]?string|(access|account|private|api|client)[_-]?key|key$"
    r"|authoriz|(^|[_-])auth$|signature(?![_-]?version)|cookie|token|pwd|(^|[_-])pw$|(^|[_-])sas$",
    re.IGNORECASE,
)
# A text that is one, whatever its name: what a header `Authorization` has, a login without its URL.
SECRET_TEXT = re.compile(r"(bearer|basic|token)\s+\S|[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
NO_TOKENS = ("anon", "cloud", "google_default", "browser", "cache")  # what gcsfs takes in the place of a token


def secret_in_url(text: str) -> str | None:
    """Say what secret a URL in a text has, without it; None where it has none that is known by its place."""
    if re.search(r"://[^/?#@:]*:[^/?#@]+@", text):
        return "a URL with a password in it"
    if re.search(r"://.*[?&][^=&]*(sig|token|secret|key|password|credential|auth)[^=&]*=", text, re.IGNORECASE):
        return "a URL with a signature or a key behind its ?"
    return None


def secret_in_options(options: Mapping[Any, Any]) -> tuple[str, str] | None:
    """Return the place of a secret in options of a file system, and what it is; nothing of its value."""
    for name, value in options.items():
        if isinstance(value, Mapping) and (inner := secret_in_options(value)):
            return f"{name}.{inner[0]}", inner[1]
        if SECRET.search(str(name)) and value not in (None, *NO_TOKENS):
            return str(name), "a secret"
        if what := _secret_value(value):
            return str(name), what
    return None


def _secret_value(value: Any) -> str | None:
    """Say what secret a value has that is no mapping: a text, or a list, as of the names and values of headers."""
    if isinstance(value, list | tuple):
        pair = len(value) == 2 and isinstance(value[0], str) and SECRET.search(value[0])
        return "a secret" if pair else next(filter(None, map(_secret_item, value)), None)
    if not isinstance(value, str):
        return None
    return "a secret" if SECRET_TEXT.match(value) else secret_in_url(value)


def _secret_item(item: Any) -> str | None:
    if isinstance(item, Mapping):
        named = any(isinstance(value, str) and SECRET.search(value) for value in item.values())
        return "a secret" if named else (secret_in_options(item) or ("", None))[1]
    if isinstance(item, str) and SECRET.search(item.partition(":")[0]) and ":" in item:  # as a header is written
        return "a secret"
    return _secret_value(item)
