"""What a run is made of and what it leaves behind: its id's facts, and its manifest.

Lineage says who, when and from what; where a sentence comes from is provenance, and not here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from rdpt_ray import __version__
from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.method.extensions import extension
from rdpt_ray.method.selection import POLICIES
from rdpt_ray.method.sentences import splitter_id
from rdpt_ray.method.summary import TOTALS, Summary
from rdpt_ray.method.verifiers import verifier_identity
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.scoring.identity import ModelIdentity
from rdpt_ray.storage.evaluation_sets import list_evaluation_sets
from rdpt_ray.storage.files import public_uri
from rdpt_ray.storage.hub import HubFacts
from rdpt_ray.storage.sources import InputFile

if TYPE_CHECKING:
    from rdpt_ray.pipeline.job import Job

Kind = Literal["curate", "trace"]
Identities = dict[Role, ModelIdentity]

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


def manifest(job: "Job", facts: RunFacts, summary: Summary) -> dict[str, Any]:
    """Who, when, from what, by what: enough to make the run again."""
    config = job.config
    return {
        "schema": 1,
        "facts": facts.to_dict(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": _public(config.model_dump(mode="json")),
        "inputs": [
            {
                "uri": file.uri,
                "size": file.size,
                "fingerprint": file.fingerprint,
                "revision": file.revision,
                "card": job.hub.get(file.uri),
            }
            for file in job.files
        ],
        "models": {
            role: {**asdict(identity), "key": identity.key}
            for role, identity in job.identities.items()
        },
        "splitter": splitter_id(config.split.unit),
        "verifier": None if config.verify is None else verifier_identity(config.verify.method),
        "extensions": _extensions(config),
        "counts": {name: getattr(summary, name) for name in TOTALS},
        "summary": summary.to_dict(),
    }


def _public(value: Any) -> Any:
    """A config's values with logins and signatures taken out of every URI."""
    if isinstance(value, dict):
        return {key: _public(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_public(inner) for inner in value]
    return public_uri(value) if isinstance(value, str) else value


def versions() -> dict[str, str]:
    """Of what the result depends on."""
    return {"rdpt_ray": __version__, **{name: version(name) for name in LIBRARIES}}
