"""What a run of sampling leaves behind: by which model, from what and how, what it came to and cost."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.pipeline.account import numerics_of
from rdpt_ray.pipeline.lineage import commit, files_of, public_values, versions
from rdpt_ray.pipeline.sample_parts import SamplingTask
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.storage.files import public_uri
from rdpt_ray.storage.sessions import Session, sessions_of
from rdpt_ray.storage.sources import InputFile


def sample_manifest(
    *,
    config: CurateConfig,
    ask: SamplingConfig,
    role: Role,
    files: Sequence[InputFile],
    task: SamplingTask,
    session: Session,
    counts: Mapping[str, int],
) -> dict[str, Any]:
    """The manifest; nothing of it is secret.

    Args:
        config: The job's.
        ask: Its section that was sampled by.
        role: Which model answered.
        files: The prompts.
        task: The model and its settings.
        session: This start, at its end.
        counts: What it came to.
    """
    others = [
        each for each in sessions_of(task.store, session.run) if each.session != session.session
    ]
    sessions = [*others, session]
    facts = {
        "run_id": session.run,
        "name": config.name,
        "kind": "sample",
        "created_at": session.started_at,
        "role": role,
        "engine": task.engine,
        "dataset": public_uri(task.to.uri),
        "sampling": {**task.settings, "key": task.key},
        "num_candidates": ask.num_candidates,
        "versions": versions(),
    }
    return {
        "schema": 2,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sessions": [asdict(each) for each in sessions],
        "numerics": {
            role: [json.loads(kind) for kind in kinds]
            for role, kinds in numerics_of(sessions).items()
        },
        "files": files_of(task.store, task.run),
        "facts": facts,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": public_values(config.model_dump(mode="json")),
        "sample": public_values(ask.model_dump(mode="json")),
        "inputs": [
            {
                "uri": file.uri,
                "size": file.size,
                "fingerprint": file.fingerprint,
                "revision": file.revision,
            }
            for file in files
        ],
        "models": {role: {**asdict(task.identity), "key": task.identity.key}},
        "counts": dict(counts),
        "summary": dict(counts),
    }
