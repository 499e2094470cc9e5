"""What a run of sampling leaves behind: by which model, from what and how, what it came to and cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.pipeline.lineage import lineage_of, public_values, versions
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
    identities = {role: task.identity}
    return {
        **lineage_of(task.store, task.run, config, files, identities, sessions, {}),
        "facts": facts,
        "sample": public_values(ask.model_dump(mode="json")),
        "counts": dict(counts),
        "summary": dict(counts),
    }
