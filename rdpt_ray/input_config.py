"""The section of a config that says where rows are read from, and which columns hold what.

`rdpt_ray.config` puts it together with the rest of a job.
"""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rdpt_ray.model_config import Section

LAYOUTS = (
    "plain",
    "rdpt",
    "rdpt-published",
    "openthoughts3",
    "openthoughts2",
    "openthoughts-114k",
    "openthoughts-114k-metadata",
    "bespoke-stratos",
    "acereason-1.1-sft",
    "openr1-math-220k",
    "mixture-of-thoughts",
    "limo",
    "s1k-1.1",
    "llama-nemotron-post-training",
    "nemotron-post-training",
    "am-deepseek-r1-distilled",
    "multilingual-thinking",
)
"""The datasets that `input.format` can name; how each is read is in `rdpt_ray.storage.layouts`."""


class DefaultsConfig(Section):
    """Facts about the traces that a row does not state itself."""

    license: str | None = Field(default=None, min_length=1)
    source: str | None = Field(default=None, min_length=1)
    teacher_name: str | None = Field(default=None, min_length=1)


class InputConfig(Section):
    """Where the teacher traces are and which columns hold what (docs/inputs.md)."""

    path: str | list[str]
    """A file, a folder, a glob, or a list of them; local or any fsspec URI (s3://, gs://, hf://)."""
    format: Literal[("auto", "parquet", "jsonl", *LAYOUTS)] = "auto"  # pyright: ignore[reportInvalidTypeForm]
    """auto goes by the file's ending: .parquet, .jsonl, .jsonl.zst, .jsonl.gz (also .ndjson, .json), and
    recognises the dataset; parquet and jsonl say what the files are, whatever their endings; a layout's
    name says which dataset they are of."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Canonical name -> the input's column, where they differ, for example {response: output}; given,
    nothing is recognised."""
    defaults: DefaultsConfig = DefaultsConfig()
    limit: int | None = Field(default=None, ge=1)
    """Read only the first rows of each file; for trying things out."""

    @model_validator(mode="after")
    def _one_way_to_read(self) -> Self:
        if self.columns and self.format in LAYOUTS and self.format != "plain":
            raise PydanticCustomError(
                "layout_and_columns",
                "format names a layout, which knows its columns: leave out columns, or set format: plain",
            )
        return self
