"""The part of the config that says what to read (`rdpt_ray.config.InputConfig`)."""

from collections.abc import Mapping
from typing import Protocol


class Defaults(Protocol):
    """Facts for rows that state none."""

    @property
    def license(self) -> str | None:
        """Of the traces."""
        ...

    @property
    def source(self) -> str | None:
        """Where the prompts come from."""
        ...

    @property
    def teacher_name(self) -> str | None:
        """Who wrote the traces."""
        ...


class InputSpec(Protocol):
    """Which files, and how to read them."""

    @property
    def path(self) -> str | list[str]:
        """A file, a folder, a glob, or a list of them."""
        ...

    @property
    def format(self) -> str:
        """`auto`, a type of file (`parquet`, `jsonl`; else the ending tells), or a layout's name."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """Canonical name -> the input's column; given, nothing is recognised."""
        ...

    @property
    def defaults(self) -> Defaults:
        """Facts for rows that state none."""
        ...

    @property
    def limit(self) -> int | None:
        """Read only the first rows of each file."""
        ...
