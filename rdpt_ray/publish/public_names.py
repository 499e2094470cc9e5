"""What of a run's manifest is for everybody: no folders, hosts, logins or samples of unpublished text."""

import re
from collections.abc import Mapping
from typing import Any

from rdpt_ray.storage.files import public_uri

_LOCAL = re.compile(r"^(file://|/|~|\.\.?/|[A-Za-z]:[\\/])")

_PLACE = re.compile(r"(\w+://|/|~/|\.\.?/|[A-Za-z]:[\\/])[^\n]*")
"""What is a path or an address, whatever the key it stands under."""

_PRIVATE = {
    *(
        "sessions",
        "platform",
        "files",
    ),  # who ran it where; checksums of files that stay in the store
    *("store", "location", "endpoint", "recorded", "pool", "vllm", "publish", "drain_s"),
    *("points", "most_teacher", "least_teacher"),  # traces, whether they are published or not
}
"""Keys that are left out, wherever they stand."""


def public_name(uri: str) -> str:
    """A path for people elsewhere: of a place on this machine its last name, else without a login."""
    if not _LOCAL.match(uri):
        return public_uri(uri)
    return re.split(r"[\\/]", uri.rstrip("\\/"))[-1] or uri


def public_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A run's manifest as it is published: what decided the result, and what that was."""
    return {key: _public(key, value) for key, value in manifest.items() if key not in _PRIVATE}


def _public(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return public_manifest(value)
    if isinstance(value, list):
        return [_public(key, each) for each in value]
    if isinstance(value, str) and _PLACE.fullmatch(value):
        return public_name(value)
    return value
