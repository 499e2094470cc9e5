"""Whether this process is the driver of a job that was submitted to Ray, and which."""

import json
import os

SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Where Ray tells a driver that was submitted its runtime_env and metadata, as JSON."""


def submission_id() -> str | None:
    """The id of the submitted job; None where nobody submitted one."""
    told = json.loads(os.environ.get(SUBMITTED) or "{}")
    found = (told.get("metadata") or {}).get("job_submission_id")
    return None if found is None else str(found)
