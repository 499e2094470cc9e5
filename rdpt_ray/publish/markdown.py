"""A run in Markdown: for the card of its dataset, and for `rdpt report --markdown`.

Everything that a template puts in is escaped, unless it is `Markdown` already: text from data or config can
be no link, image, heading, table cell or HTML. No clock and no timing is in it: the same run gives the same
text, whatever it cost.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rdpt_ray.method.comparison_figures import LengthFigures, length_figures, overlap_share
from rdpt_ray.method.summary import UNSCORED, Summary
from rdpt_ray.publish import findings, findings_beta, words
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.findings_answers import verdict, verified
from rdpt_ray.publish.palette import MEANINGS
from rdpt_ray.publish.public_names import public_name
from rdpt_ray.publish.report import decimal, percent, points, share
from rdpt_ray.publish.untrusted import shorten

MAX_INPUTS = 20
"""Inputs listed one by one."""

_MARKUP = re.compile(r"[\\`*_\[\]|~#!$^{}]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_ENTITY = re.compile("[&<>@]")
_LINKS = re.compile(r"(?i)\b(www)\.|(?<=\w):(?=//)")
_FIRST = re.compile(r"^(?:(\d{1,9})(?=[.)](?:\s|$))|(?=[-+=:]))")
"""What would begin a list, a rule, a heading or the cells of a table."""


class Markdown(str):
    """Text that is Markdown already: not escaped when a template puts it in."""

    __slots__ = ()


def escape(text: str) -> Markdown:
    """Text as it is to be read, on one line: nothing in it is markup, and nothing hides."""
    line = shorten(text, len(text) * 9 + 2)
    line = _MARKUP.sub(lambda found: f"\\{found[0]}", line)
    line = _ENTITY.sub(lambda found: _ENTITIES[found[0]], line)
    line = _LINKS.sub(lambda found: f"{found[1]}\\." if found[1] else "\\:", line)
    return Markdown(_FIRST.sub(lambda found: f"{found[1] or ''}\\", line))


def code(text: str) -> Markdown:
    """Text set as code, on one line; as plain text if it holds what could end that or be markup."""
    line = shorten(text, len(text) * 9 + 2)
    return escape(text) if not line or set("`|<>&") & set(line) else Markdown(f"`{line}`")


def label(text: str, limit: int = 120) -> Markdown:
    """Escaped text of at most about `limit` characters."""
    return escape(shorten(text, limit))


def run_markdown(manifest: Mapping[str, Any], *, figures: Sequence[str] = ()) -> str:
    """What a run found, as sections of Markdown.

    Args:
        manifest: Of a finished run.
        figures: Paths of `figure_files` that lie beside the text.
    """
    return render("run.md.jinja", run_context(manifest, figures))


def run_context(manifest: Mapping[str, Any], figures: Sequence[str] = ()) -> dict[str, Any]:
    """What `run.md.jinja` shows."""
    facts = RunFacts.from_dict(manifest["facts"])
    summary = Summary.from_dict(manifest["summary"]).finished()
    selects = facts.policy is not None
    outcomes = findings.outcomes(summary, selects=selects)
    sensitivity = summary.sensitivity
    rows = [] if sensitivity is None else findings_beta.beta_rows(sensitivity, facts.kind)
    return {
        "facts": facts,
        "summary": summary,
        "figures": set(figures),
        "selects": selects,
        "selection": words.selection_words(facts),
        "limits": words.limits(facts),
        "outcomes": outcomes,
        "explained": words.explained(
            reason.name for outcome in outcomes for reason in outcome.reasons
        ),
        "shares": [
            each
            for each in findings.class_shares(summary, facts.kind)
            if each.num_all or each.name != UNSCORED
        ],
        "meanings": MEANINGS,
        "num_scored": findings.num_scored(summary),
        "teacher_per_trace": findings.teacher_per_trace(summary),
        "sentences_per_trace": findings.sentences_per_trace(summary),
        "correlations": findings.length_correlations(summary.points),
        "length": _length(summary),
        "same_as_longest": _same_as_longest(summary, facts),
        "beta_own": findings_beta.own_row(rows),
        "beta_neighbours": findings_beta.neighbours(rows),
        "sensitivity": sensitivity,
        "flips": None if facts.precision is None else findings.flip_rate(facts.precision),
        "verified": verified(facts.verification),
        "difference": words.difference_words(facts.divergence),
        "unit": words.unit_of(facts.divergence),
        "filters": _filters(manifest),
        "models": manifest["models"],
        "splitter": manifest.get("splitter"),
        "inputs": facts.inputs[:MAX_INPUTS],
        "more_inputs": facts.inputs[MAX_INPUTS:],
    }


def _length(summary: Summary) -> LengthFigures | None:
    found = summary.comparison
    return length_figures(found) if found is not None and found.prompts else None


def _same_as_longest(summary: Summary, facts: RunFacts) -> float | None:
    """Share of the prompts where the longest response is the one that the run's policy picks."""
    found = summary.comparison
    if found is None or facts.policy == "longest":
        return None
    if not {"longest", facts.policy} <= set(found.measured):
        return None
    return overlap_share(found, str(facts.policy), "longest")


def _filters(manifest: Mapping[str, Any]) -> list[str]:
    """The filters that the config sets, in its own words."""
    selection = manifest.get("config", {}).get("selection") or {}
    return [
        f"{name}: {value if not isinstance(value, dict) else 'on'}"
        for name, value in (selection.get("filters") or {}).items()
        if value is not None
    ]


def render(template: str, context: Mapping[str, Any]) -> str:
    """A template's text, every value escaped."""
    return _environment().get_template(template).render(**context)


def _ours(words_of: Callable[..., str]) -> Callable[..., Markdown]:
    """A filter whose words are its own: numbers, and nothing of a text."""
    return lambda *values, **named: Markdown(words_of(*values, **named))


def _shown(value: Any) -> Any:
    """What a template puts in: text is escaped, numbers are as they are."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markdown) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rdpt_ray.publish"),
        autoescape=False,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        code=code,
        counted=_ours(words.counted),
        decimal=_ours(decimal),
        label=label,
        number=_ours("{:,}".format),
        percent=_ours(percent),
        plain=_ours("{:g}".format),
        points=_ours(points),
        public_name=public_name,
        share=_ours(share),
        verdict=_ours(verdict),
    )
    environment.globals.update(role_words=words.role_words)
    return environment
