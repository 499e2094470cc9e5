"""A run's folder and its manifest. The manifest is written last: where it is, the run is complete.

STORE/runs/<run-id>/{rows,provenance,selected,rejected,quarantine}/bucket=0007.parquet
STORE/runs/<run-id>/{ingested.json, report/index.html, manifest.json}
"""

import hashlib
import json
from typing import Any

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.files import Root, open_root, public_uri

MANIFEST = "manifest.json"
INGESTED = "ingested.json"
REPORT = "report/index.html"


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def run_id(name: str, facts: dict[str, Any]) -> str:
    """The run's id: its name and a hash of everything that decides its tables.

    The same input, config, models and versions always give the same id, so a rerun of a killed run
    continues it, and a rerun of a finished one finds it.
    """
    return f"{name}-{hashlib.sha256(canonical_json(facts).encode()).hexdigest()[:12]}"


def run_folder(identity: str) -> str:
    """Where a run lies in the store."""
    return f"runs/{identity}"


def write_json(root: Root, name: str, value: Any) -> None:
    """Write a value as readable JSON."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    root.write_bytes(name, f"{text}\n".encode())


def read_json(root: Root, name: str) -> Any:
    """Read back what `write_json` wrote.

    Raises:
        StoreError: naming the file, if it is missing or not valid JSON.
    """
    return parsed(root, name, root.read_bytes(name))


def parsed(root: Root, name: str, content: bytes) -> Any:
    """The value of a file that was read already.

    Raises:
        StoreError: naming the file, if it is not valid JSON.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise StoreError(f"{root.show(name)}: not valid JSON ({error})") from error


def open_run(uri: str) -> tuple[Root, str, dict[str, Any]]:
    """A finished run by its folder's URI: the store that it is in, its folder there, and its manifest.

    Raises:
        StoreError: if it is no finished run's folder, or not inside a store.
    """
    manifest = read_manifest(open_root(uri))
    store, _, name = uri.rstrip("/").rpartition("/runs/")
    if not store or "/" in name:
        raise StoreError(
            f"{public_uri(uri)}: expected the folder of a run in its store, STORE/runs/RUN"
        )
    return open_root(store), run_folder(name), manifest


def num_buckets(store: Root, folder: str) -> int:
    """Over how many buckets a run's traces lie."""
    return len(read_json(store, f"{folder}/{INGESTED}"))


def read_manifest(run: Root) -> dict[str, Any]:
    """The manifest of a finished run.

    Args:
        run: The run's own folder.

    Raises:
        StoreError: if there is none: the run never finished, or this is not a run's folder.
    """
    if not run.exists(MANIFEST):
        raise StoreError(
            f"{public_uri(run.uri)}: no {MANIFEST}, so no finished run; a run that was killed continues"
            " when its command is run again"
        )
    return read_json(run, MANIFEST)
