"""The section of a config that makes its jobs the rounds of a schedule: one at a time.

`rdpt_ray.config` puts it together with the rest of a job.
"""

from pydantic import Field

from rdpt_ray.model_config import Section


class ScheduleConfig(Section):
    """Who starts while another round is at work changes nothing and ends (docs/schedules.md)."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Rounds of one name exclude each other within a store; None: the config's name."""
    lease_s: float = Field(default=60, ge=1)
    """A round that was silent for so long, in seconds, may be overtaken by the next one."""
