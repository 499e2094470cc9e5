"""The dataset card: README.md, its head for machines and its body for people.

The head is written by the Hub's own `DatasetCardData`, from values in which nothing hides; the body by
`markdown`, which escapes. It decides the release, so no clock and no timing is in it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pyarrow as pa
from huggingface_hub import DatasetCardData

from rdpt_ray import __version__
from rdpt_ray.publish.licenses import HUB_LICENSES, UNKNOWN, license_ids, license_rows
from rdpt_ray.publish.markdown import Markdown, render, run_context
from rdpt_ray.publish.release_rows import FORMATS
from rdpt_ray.publish.release_tables import DEFAULT, PROVENANCE, REJECTED, Tables
from rdpt_ray.publish.shards import SPLIT, Shards
from rdpt_ray.publish.untrusted import shorten, visible
from rdpt_ray.publish_config import Format, PublishConfig
from rdpt_ray.storage.runs import REPORT

TAGS = ["rdpt_ray", "reasoning", "distillation", "provenance"]

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")

_REPO = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?=[@/]|$)")

_CONFIG_WORDS = {
    PROVENANCE: "one row per trace: every sentence with its text, its class and its probability under each"
    " model",
    REJECTED: "the traces that were not selected, with the reason of each (`drop_reason`)",
}


def dataset_card(
    manifest: Mapping[str, Any],
    tables: Tables,
    sizes: Mapping[str, int],
    publish: PublishConfig,
    files: Sequence[str] = (),
) -> str:
    """README.md.

    Args:
        manifest: Of the run.
        tables: What was written of it.
        sizes: Bytes of every shard's file, by its path.
        publish: What the card is to say.
        files: Paths of the figures and of the report that lie beside it.
    """
    context = run_context(manifest, files)
    title = visible(publish.pretty_name or context["facts"].name)
    head = _head(manifest, tables, sizes, publish, title).to_yaml(line_break="\n")
    repository = _REPO.match(publish.to or "")
    body = render(
        "dataset_card.md.jinja",
        {
            **context,
            "title": title,
            "report": REPORT in files,
            "dataset": Markdown(json.dumps(repository[1] if repository else "path/to/this/folder")),
            "default_format": publish.formats[0],
            "has_rows": tables.shards[0].num_rows
            > 0,  # `datasets` reads a table without rows as a stream only
            "columns": [field.name for field in tables.shards[0].schema],
            "configs": [(shards, _words(shards.config, publish)) for shards in tables.shards],
            "licenses": license_rows(tables.licenses),
            "correct": [tables.correct[known] for known in (True, False, None)],
            "num_emails": tables.screen.num_emails,
            "version": __version__,
        },
    )
    return f"---\n{head}\n---\n\n{body}"


def _words(config: str, publish: PublishConfig) -> Markdown:
    if config in _CONFIG_WORDS:
        return Markdown(_CONFIG_WORDS[config])
    name = publish.formats[0] if config == DEFAULT else cast(Format, config)
    return Markdown(f"the selected traces, for {FORMATS[name].reads}")


def _head(
    manifest: Mapping[str, Any],
    tables: Tables,
    sizes: Mapping[str, int],
    publish: PublishConfig,
    title: str,
) -> DatasetCardData:
    named = license_ids(tables.licenses) if publish.license is None else [publish.license]
    known = [each for each in named if each in HUB_LICENSES]
    head: dict[str, Any] = {
        "pretty_name": shorten(title, 200),
        "license": known[0] if len(known) == 1 else known or ("other" if named else UNKNOWN),
        "language": [visible(each) for each in publish.language],
        "task_categories": ["text-generation"],
        "tags": list(dict.fromkeys([*TAGS, *(shorten(tag, 100) for tag in publish.tags)])),
        "size_categories": [size_category(tables.shards[0].num_rows)],
        "source_datasets": _sources(manifest) or None,
        "configs": [_config(shards) for shards in tables.shards],
        "dataset_info": [_info(shards, sizes) for shards in tables.shards],
    }
    if named and not known:
        head["license_name"] = shorten(named[0], 100)
    return DatasetCardData(**head)


def _sources(manifest: Mapping[str, Any]) -> list[str]:
    """The datasets on the Hub that the traces come from."""
    uris = [each["uri"] for each in manifest["facts"]["inputs"]]
    uris += [each["uri"] for each in manifest.get("inputs") or ()]
    return sorted({found[1] for uri in uris if (found := _REPO.match(uri))})


def _config(shards: Shards) -> dict[str, Any]:
    config = {
        "config_name": shards.config,
        "data_files": [{"split": SPLIT, "path": shards.pattern}],
    }
    return config | {"default": True} if shards.config == DEFAULT else config


def _info(shards: Shards, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "config_name": shards.config,
        "features": features(shards.schema),
        "splits": [{"name": SPLIT, "num_bytes": shards.num_bytes, "num_examples": shards.num_rows}],
        "download_size": sum(sizes[path] for path in shards.paths),
        "dataset_size": shards.num_bytes,
    }


def features(fields: Iterable[pa.Field]) -> list[dict[str, Any]]:
    """Columns as `datasets` writes them into a card."""
    return [{"name": field.name, **_feature(field.type)} for field in fields]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if isinstance(kind, pa.ListType):
        inner = _feature(kind.value_type)
        return {"list": inner.get("struct", inner.get("dtype", inner))}
    if isinstance(kind, pa.StructType):
        return {"struct": features(kind.field(at) for at in range(kind.num_fields))}
    names = {"double": "float64", "float": "float32"}
    return {"dtype": names.get(str(kind), str(kind))}


def size_category(num_rows: int) -> str:
    """The Hub's name for how many rows there are, as in n<1K and 1K<n<10K."""
    limit, below = 1000, None
    for size in _SIZES:
        if num_rows < limit:
            return f"{below}<n<{size}" if below else f"n<{size}"
        limit, below = limit * 10, size
    return f"n>{_SIZES[-1]}"
