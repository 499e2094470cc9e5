"""The model card: README.md of a distilled model, and the curve of its loss.

The head is written by the Hub's own `ModelCardData`; the body by `markdown`, which escapes. No clock and no
timing is in it: the same training gives the same card.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import ModelCardData

from rdpt_ray import __version__
from rdpt_ray.publish import words
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.figure_files import standalone
from rdpt_ray.publish.licenses import HUB_LICENSES, UNKNOWN, license_ids, license_rows
from rdpt_ray.publish.markdown import Markdown, render
from rdpt_ray.publish.public_names import public_name
from rdpt_ray.publish.release import README
from rdpt_ray.publish.svg import LEFT, RIGHT, WIDTH, coord, grid, text, ticks
from rdpt_ray.publish.untrusted import shorten, visible

LOSS = "loss.svg"
TAGS = ["rdpt_ray", "reasoning", "distillation", "trl", "sft"]

POINTS_SHOWN = 10
"""Rows of the card's table of the loss."""

_DATASET = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?=[@/]|$)")
_TOP, _BOTTOM = 12, 188


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a card says of a distilled model."""

    student: str
    """As configured: a local folder or a Hub id."""
    revision: str | None
    """Commit of a Hub model."""
    run: str
    """The run that selected the traces."""
    data: str
    """The folder that they were read from."""
    manifest_sha256: str
    manifest: Mapping[str, Any]
    """Of the run."""
    settings: Mapping[str, Any]
    examples: int
    left_out: Mapping[str, int]
    licenses: Counter[str | None]
    tokens: int
    steps: int
    losses: Sequence[tuple[int, float]]
    """Step, and the mean loss since the point before."""
    versions: Mapping[str, str]


def card_files(facts: ModelFacts, to: str) -> dict[str, bytes]:
    """Name -> content of the card and of its figure.

    Args:
        facts: Of the training.
        to: The model's folder, whose last name is the card's title.
    """
    files = {README: model_card(facts, to).encode()}
    if len(facts.losses) > 1:
        files[LOSS] = loss_figure(facts.losses).encode()
    return files


def model_card(facts: ModelFacts, to: str) -> str:
    """README.md."""
    selected = RunFacts.from_dict(facts.manifest["facts"])
    title = visible(re.split(r"[\\/]", to.rstrip("\\/"))[-1])
    body = render(
        "model_card.md.jinja",
        {
            "title": title,
            "facts": facts,
            "selected": selected,
            "selection": words.selection_words(selected) if selected.policy else None,
            "summary": facts.manifest["summary"],
            "settings": [
                (key, Markdown(_value(value))) for key, value in _settings(facts.settings)
            ],
            "licenses": license_rows(facts.licenses),
            "losses": _spread(facts.losses),
            "has_figure": len(facts.losses) > 1,
            "figure": LOSS,
            "version": __version__,
        },
    )
    return f"---\n{_head(facts, title).to_yaml(line_break=chr(10))}\n---\n\n{body}"


def _head(facts: ModelFacts, title: str) -> ModelCardData:
    licenses = [each for each in license_ids(facts.licenses) if each in HUB_LICENSES]
    inputs = [facts.data, *(each["uri"] for each in facts.manifest["facts"]["inputs"])]
    datasets = sorted({found[1] for uri in inputs if (found := _DATASET.match(uri))})
    return ModelCardData(
        model_name=shorten(title, 200),
        base_model=shorten(public_name(facts.student), 200),
        datasets=datasets or None,
        license=licenses[0] if len(licenses) == 1 else UNKNOWN,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=TAGS,
    )


def _settings(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted((key, value) for key, value in settings.items() if value not in (None, {}))


def _value(value: Any) -> str:
    from rdpt_ray.publish.markdown import code

    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {each}" for key, each in value.items())
    return code(str(value))


def _spread(losses: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """A few points, evenly over all, the last among them."""
    step = -(-len(losses) // POINTS_SHOWN)
    return [*losses[::-1][::step]][::-1] if losses else []


def loss_figure(losses: Sequence[tuple[int, float]]) -> str:
    """The loss over the steps, as an SVG that stands alone.

    Args:
        losses: Step and loss in nats per token, at least two.
    """
    last = losses[-1][0]
    high = max(loss for _, loss in losses) or 1.0

    def across(step: float) -> float:
        return LEFT + (RIGHT - LEFT) * step / last

    def down(loss: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * loss / high

    marks = [high * part / 4 for part in range(5)]
    drawn = grid(*(down(mark) for mark in marks))
    drawn += "".join(text(LEFT - 6, down(mark) + 4, f"{mark:.2f}", anchor="end") for mark in marks)
    drawn += "".join(text(across(step), _BOTTOM + 16, f"{step:,}") for step in ticks(last))
    drawn += text((LEFT + RIGHT) / 2, _BOTTOM + 32, "step")
    points = " ".join(f"{coord(across(step))},{coord(down(loss))}" for step, loss in losses)
    drawn += (
        f'<polyline points="{points}" fill="none" stroke="var(--selected)" stroke-width="1.8"/>'
    )
    return standalone(drawn, _BOTTOM + 40, f"Loss over the steps, {WIDTH} wide")
