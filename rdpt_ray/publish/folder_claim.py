"""One publisher at a time in a folder, as far as that can be known; and what a killed one may have left.

    .publishing.json    which process is at work, and every file that it may leave

It is put there if it is not: of two who try at the same moment one succeeds, on disks and on object stores.
Who finds one looks whether that process lives. If it was on this host, that is known; of another host it is
not, and it is taken for killed. If it was not killed, it sees before its next file that the folder is not its
own any more, and stops.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from rdpt_ray.errors import PublishError, StoreError
from rdpt_ray.storage.files import Root, public_uri
from rdpt_ray.storage.leases import Lease
from rdpt_ray.storage.runs import canonical_json
from rdpt_ray.storage.sessions import is_alive, this_process

JOURNAL = ".publishing.json"
"""There only while a publisher is at work, or after it was killed."""


@dataclass(slots=True)
class Claim:
    """A folder that this publisher changes, and no other one."""

    root: Root
    paths: set[str]
    """What it may leave."""
    publisher: str = field(default_factory=lambda: uuid.uuid4().hex)
    lease: Lease | None = None
    """Of the round of a schedule that publishes."""

    def write(self, name: str, data: bytes) -> None:
        """Make a file appear, whole.

        Raises:
            PublishError: if another publisher has taken the folder over.
        """
        self.check()
        self.root.write_bytes(name, data)

    def check(self) -> None:
        """Whether the folder is still this publisher's; a PublishError or LeaseError if it is not."""
        if self.lease is not None:
            self.lease.check()
        self._check_record()

    def _check_record(self) -> None:
        if self.root.read_many([JOURNAL]).get(JOURNAL) != self._told(this_process()):
            raise PublishError(
                f"{public_uri(self.root.uri)}: another publisher has taken the folder over; publish again if"
                " it is not to stay with that one's release"
            )

    def note(self, paths: Iterable[str]) -> None:
        """Write down more files that may be left."""
        if not self.paths.issuperset(paths):
            self.check()
            self.paths |= set(paths)
            self.root.write_bytes(JOURNAL, self._told(this_process()))

    def end(self) -> None:
        """Nothing is left any more."""
        self.check()
        self.root.delete(JOURNAL)

    def _told(self, process: str | None) -> bytes:
        """The record; of no process, if this one stops before its end."""
        record = {"process": process, "publisher": self.publisher, "paths": sorted(self.paths)}
        return canonical_json(record).encode()

    def _begin(self, left: dict[str, Any] | None) -> None:
        process = (left or {}).get("process")
        if isinstance(process, str) and is_alive(process):
            raise self._other()
        told = self._told(this_process())
        if left is not None:
            self.root.write_bytes(JOURNAL, told)
        elif not self.root.create(JOURNAL, told):
            raise self._other()

    def _stop(self) -> None:
        """Leave the record to whoever publishes next, which may be this very process."""
        soon = replace(self.root, patience_s=1.0)  # whoever stops this does not want to wait
        with suppress(PublishError, StoreError):
            self._check_record()
            soon.write_bytes(JOURNAL, self._told(None))

    def _other(self) -> PublishError:
        return PublishError(
            f"{public_uri(self.root.uri)}: another publisher is at work there, as {JOURNAL} says; publish"
            " again when it is done"
        )


@contextmanager
def claimed(
    root: Root, left: dict[str, Any] | None, paths: Iterable[str], lease: Lease | None = None
) -> Iterator[Claim]:
    """Be the only publisher in a folder, until `end` or the end of the block.

    Args:
        root: The folder.
        left: The record that is there (`record_in`); None if none is.
        paths: Files that may be left if this process is killed.
        lease: Of the round of a schedule that publishes.

    Raises:
        PublishError: if another publisher is at work.
    """
    claim = Claim(root, set(paths), lease=lease)
    claim._begin(left)
    try:
        yield claim
    except BaseException:
        claim._stop()
        raise


def record_in(content: bytes) -> dict[str, Any]:
    """What a record says; nothing if it is none of ours. Anybody may have written it."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
