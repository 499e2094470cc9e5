"""What a model-key stands for.

    STORE/models/<model-key>.json

A key is a hash; this record says of what, so that a store can be read without the configs that filled it,
and a job can say which change of a config makes a model read everything again.
"""

from collections.abc import Mapping
from typing import Any

from rdpt_ray.storage.files import Root
from rdpt_ray.storage.runs import read_json, write_json

_ELSEWHERE = {"key", "location"}
"""What does not decide scores: the key itself, and where a folder lies on this machine."""


def record_name(model_key: str) -> str:
    """Where the record of a key lies."""
    return f"models/{model_key}.json"


def write_model_record(root: Root, model_key: str, facts: Mapping[str, Any]) -> None:
    """Say what a key stands for, if the store does not know it yet.

    Args:
        root: The store.
        model_key: The key.
        facts: Everything that the key is made of; plain values.
    """
    name = record_name(model_key)
    if not root.exists(name):
        write_json(root, name, {**facts, "key": model_key})


def read_model_records(root: Root) -> dict[str, dict[str, Any]]:
    """Model-key -> what it stands for, of all keys that the store can tell.

    Raises:
        StoreError: naming the file, if one is damaged.
    """
    records = [read_json(root, name) for name in root.names("models")]
    return {record["key"]: record for record in records}


def kin(records: Mapping[str, Mapping[str, Any]], model_key: str) -> dict[str, list[str]]:
    """Other keys of the same model -> in what they differ.

    The same model is one of the same name, or of the same weights.

    Args:
        records: From `read_model_records`.
        model_key: One of its keys.
    """
    own = records[model_key]
    found: dict[str, list[str]] = {}
    for key, other in records.items():
        same = other["model"] == own["model"] or other["weights"] == own["weights"]
        if key != model_key and same:
            names = sorted((own.keys() | other.keys()) - _ELSEWHERE)
            found[key] = [name for name in names if own.get(name) != other.get(name)]
    return found
