"""What a submitted job shows to everyone who may list jobs; nothing of it may be secret."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from posixpath import isabs
from typing import Any

from rdpt_ray.errors import ConfigError
from rdpt_ray.publish.sensitive import secrets_in

_NAMES_SECRET = re.compile(
    r"(?:.*_)?(?:TOKEN|SECRET|PASSWORD|PASSPHRASE|(?:API|ACCESS|ACCOUNT|STORAGE|PRIVATE|SECRET)_?KEY)"
)
"""What secrets are called; not HF_TOKEN_PATH, nor AWS_ACCESS_KEY_ID."""


def refuse_shown_secrets(job_config: str, arguments: Sequence[str]) -> None:
    """Whether this job's submission holds a secret: command, `runtime_env` and metadata are shown and logged.

    Args:
        job_config: What Ray tells the driver, as JSON.
        arguments: The command's.

    Raises:
        ConfigError: naming the places, not what is there.
    """
    told = json.loads(job_config)
    shown = {
        "runtime_env": told.get("runtime_env"),
        "metadata": told.get("metadata"),
        "the entrypoint": shlex.join(arguments),
    }
    found = list(dict.fromkeys(place for name in shown for place in _secrets(name, shown[name])))
    if found:
        raise ConfigError(
            f"{', '.join(found)}: looks like a secret, and whoever may list jobs can read it, also in Ray's"
            " logs; make it void, and give another one to the nodes themselves, by a Secret or a file"
            " (cluster/README.md)"
        )


def refuse_lost_store(job_config: str, store: str) -> None:
    """Whether this job's store would lie in Ray's copy of a `working_dir`.

    Every node has a copy of its own, and Ray deletes them.

    Args:
        job_config: What Ray tells the driver, as JSON.
        store: Of the job's config.

    Raises:
        ConfigError: if it would.
    """
    runtime_env = json.loads(job_config).get("runtime_env") or {}
    if runtime_env.get("working_dir") and "://" not in store and not isabs(store):
        raise ConfigError(
            f"store: {store} would lie in Ray's copy of the working_dir, of which every node has its own, and"
            " which Ray deletes; name a place that all nodes see: store=s3://BUCKET/STORE or store=/shared/X"
        )


def _secrets(name: str, value: Any) -> Iterator[str]:
    """Where secrets are in a value, by their keys' names or their own form."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if _NAMES_SECRET.fullmatch(str(key).upper()) and isinstance(inner, str) and inner:
                yield f"{name}.{key}"
            else:
                yield from _secrets(f"{name}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(name, inner)
    elif isinstance(value, str) and next(secrets_in(value), None):
        yield name
