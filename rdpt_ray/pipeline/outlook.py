"""What a job is about to read, told before a model is touched: what is new, and why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rdpt_ray.config import Role
from rdpt_ray.pipeline.job import Job
from rdpt_ray.pipeline.score import Part
from rdpt_ray.storage.model_records import kin, read_model_records, write_model_record
from rdpt_ray.storage.scores import partial_parts, scored_parts


@dataclass(frozen=True, slots=True)
class Outlook:
    """One model's work on a run."""

    role: Role
    model: str
    key: str
    num_parts: int
    num_traces: int
    parts_to_read: int
    """Parts that are not scored whole; with pruning or several teachers, some of them need nothing more."""
    traces_to_read: int
    """Traces in these parts: at most so many are read."""
    parts_begun: int
    """How many of these parts have some scores."""
    kin: dict[str, list[str]]
    """Other keys of the same model in the store -> in what they differ."""

    @property
    def text(self) -> str:
        """In a line, and one more for every other key."""
        if not self.parts_to_read:
            told = f"{self.role}: all {self.num_traces:,} traces are scored"
        else:
            told = f"{self.role}: {self.traces_to_read:,} of {self.num_traces:,} traces to read"
            told += f", {self.parts_to_read:,} of {self.num_parts:,} parts"
            told += f" ({self.parts_begun:,} of them begun)" if self.parts_begun else ""
        others = [
            f"  not the same scores as {key} in this store: another {', '.join(names)}"
            for key, names in sorted(self.kin.items())
        ]
        return "\n".join([told, *(others if self.parts_to_read else [])])


def leave_word(job: Job) -> None:
    """Say in the store what the keys of a job's models stand for.

    Raises:
        StoreError: if it cannot be written.
    """
    for identity in job.identities.values():
        write_model_record(job.store, identity.key, asdict(identity))


def outlook(job: Job, parts: Sequence[Part]) -> list[Outlook]:
    """What every model of a job has to read.

    Args:
        job: The job.
        parts: Its parts.

    Raises:
        StoreError: if the store cannot be listed, or a record in it is damaged.
    """
    records = read_model_records(job.store)
    records |= {identity.key: asdict(identity) for identity in job.identities.values()}
    found: list[Outlook] = []
    for role, identity in job.identities.items():
        done = scored_parts(job.store, identity.key, len(parts))
        begun = partial_parts(job.store, identity.key, len(parts))
        left = [part for part in parts if part.key not in done]
        found.append(
            Outlook(
                role=role,
                model=identity.model,
                key=identity.key,
                num_parts=len(parts),
                num_traces=sum(part.num_traces for part in parts),
                parts_to_read=len(left),
                traces_to_read=sum(part.num_traces for part in left),
                parts_begun=sum(part.key in begun for part in left),
                kin=kin(records, identity.key),
            )
        )
    return found
