"""What a run is made of and what it leaves behind: its id's facts, and its manifest.

Lineage says who, when and from what; where a sentence comes from is provenance, and not here.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from rdpt_ray import __version__
from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.method.extensions import extension
from rdpt_ray.method.selection import POLICIES
from rdpt_ray.method.sentences import splitter_id
from rdpt_ray.method.summary import TOTALS, Summary
from rdpt_ray.method.verifiers import verifier_identity
from rdpt_ray.pipeline.account import numerics_of
from rdpt_ray.pipeline.part_tasks import over_tasks
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.storage.evaluation_sets import list_evaluation_sets
from rdpt_ray.storage.files import Root, public_uri
from rdpt_ray.storage.hub import HubFacts
from rdpt_ray.storage.sessions import Session
from rdpt_ray.storage.sources import InputFile

if TYPE_CHECKING:
    from rdpt_ray.pipeline.job import Job

Kind = Literal["curate", "trace"]
Identities = dict[Role, ModelIdentity]

TABLES = ("selected", "rejected", "quarantine", "provenance")
"""A run's tables; their bytes repeat with the run."""

HERE = 32
"""So few files are read sooner than tasks are started."""

LIBRARIES = ("ray", "torch", "transformers", "tokenizers", "pyarrow", "nupunkt", "numpy")


def what_decides(
    config: CurateConfig,
    kind: Kind,
    files: Sequence[InputFile],
    identities: Identities,
    hub: Mapping[str, HubFacts],
) -> dict[str, Any]:
    """Everything that decides the run's tables; pools and how a path was written are not among it."""
    return {
        "kind": kind,
        "input": config.input.model_dump(mode="json", exclude={"path"}),
        "files": [[file.uri, file.fingerprint] for file in files],
        "models": {role: identity.key for role, identity in identities.items()},
        "thresholds": config.thresholds.model_dump(mode="json"),
        "selection": config.selection.model_dump(mode="json") if kind == "curate" else None,
        "report": config.report.model_dump(mode="json"),
        "splitter": splitter_id(config.split.unit),
        "extensions": _extensions(config),
        "cards": [hub.get(file.uri) for file in files] if hub else None,
        "evaluation_sets": _evaluation_sets(config) if kind == "curate" else None,
        "verify": None
        if config.verify is None
        else [
            verifier_identity(config.verify.method),
            config.verify.overwrite,
            config.verify.time_limit_s,
        ],
        "rdpt_ray": __version__,
    }


def _evaluation_sets(config: CurateConfig) -> dict[str, list[str]] | None:
    """What the evaluation sets hold now, by name: a set that has changed finds other traces."""
    contamination = config.selection.filters.contamination
    if contamination is None:
        return None
    found = list_evaluation_sets(contamination.sets)
    return {name: [file.fingerprint for file in files] for name, files in found.items()}


def _extensions(config: CurateConfig) -> dict[str, str]:
    """Policies of other distributions, and which distribution's; a splitter's is in its own id."""
    name = config.selection.policy
    return {} if name in POLICIES else {name: extension("rdpt_ray.policies", name)[1]}


def manifest(
    job: "Job", facts: RunFacts, summary: Summary, sessions: Sequence[Session]
) -> dict[str, Any]:
    """Who, when, from what, by what: enough to make the run again.

    Args:
        job: The job.
        facts: What the report says.
        summary: What came of it.
        sessions: All sessions of the run, this one last.
    """
    config = job.config
    return {
        **lineage_of(job.store, job.folder, config, job.files, job.identities, sessions, job.hub),
        "facts": facts.to_dict(),
        "splitter": splitter_id(config.split.unit),
        "verifier": None if config.verify is None else verifier_identity(config.verify.method),
        "extensions": _extensions(config),
        "counts": {name: getattr(summary, name) for name in TOTALS},
        "summary": summary.to_dict(),
    }


def lineage_of(
    store: Root,
    folder: str,
    config: CurateConfig,
    files: Sequence[InputFile],
    identities: Identities,
    sessions: Sequence[Session],
    hub: Mapping[str, HubFacts],
) -> dict[str, Any]:
    """What the manifest of every kind of run says."""
    return {
        "schema": 2,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sessions": [asdict(session) for session in sessions],
        "numerics": {
            role: [json.loads(kind) for kind in kinds]
            for role, kinds in numerics_of(sessions).items()
        },
        "files": files_of(store, folder),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": public_values(config.model_dump(mode="json")),
        "inputs": [
            {
                "uri": file.uri,
                "size": file.size,
                "fingerprint": file.fingerprint,
                "revision": file.revision,
                "card": hub.get(file.uri),
            }
            for file in files
        ],
        "models": {
            role: {**asdict(identity), "key": identity.key} for role, identity in identities.items()
        },
    }


def files_of(store: Root, folder: str) -> dict[str, dict[str, Any]]:
    """Name in the run's folder -> checksum and size of each of its tables; of many they are made in tasks."""
    names = [name for table in TABLES for name in store.names(f"{folder}/{table}")]
    if len(names) <= HERE:
        told = [checksum(store, name) for name in names]
    else:
        rows = [{"name": name} for name in names]
        told = list(over_tasks(rows, partial(checksums, store=store)))
    return {
        each["name"].removeprefix(f"{folder}/"): {"sha256": each["sha256"], "bytes": each["bytes"]}
        for each in told
    }


def checksums(batch: pa.Table, *, store: Root) -> pa.Table:
    """Body of the tasks: files by name to their checksums and sizes."""
    return pa.Table.from_pylist([checksum(store, name) for name in batch["name"].to_pylist()])


def checksum(store: Root, name: str) -> dict[str, Any]:
    """A file's name, checksum and size."""
    content = store.read_bytes(name)
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def commit() -> str | None:
    """The commit of this code, where it is known: a checkout, or an installation from a repository.

    With "+" behind it, if files differ from it.
    """
    installed = distribution("rdpt_ray").read_text("direct_url.json")
    told = json.loads(installed or "{}").get("vcs_info", {}).get("commit_id")
    if told:
        return str(told)
    here = Path(__file__).parent
    try:
        head, changed = (
            subprocess.run(
                ["git", "-C", str(here), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return None
    return f"{head}+" if changed else head


def public_values(value: Any) -> Any:
    """A config's values with logins and signatures taken out of every URI."""
    if isinstance(value, dict):
        return {key: public_values(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [public_values(inner) for inner in value]
    return public_uri(value) if isinstance(value, str) else value


def versions() -> dict[str, str]:
    """Of what the result depends on."""
    return {"rdpt_ray": __version__, **{name: version(name) for name in LIBRARIES}}
