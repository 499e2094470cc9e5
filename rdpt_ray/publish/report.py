"""The provenance report: one HTML page that needs nothing but itself.

No request: a content security policy admits the one style sheet by its hash, the script of the trace
viewer by its own where there is one, and nothing else. What a dataset holds reaches the page through
`untrusted` and the template's autoescaping, or as JSON for the viewer. The same summary, facts and traces
always give the same bytes.
"""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rdpt_ray.method.summary import Summary
from rdpt_ray.publish import figures, figures_answers, findings, words
from rdpt_ray.publish import findings_answers as answers
from rdpt_ray.publish import findings_beta as betas
from rdpt_ray.publish.cards import budget_for, make_card
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.findings_cost import cost_rows, duration
from rdpt_ray.publish.findings_example import example_prompt
from rdpt_ray.publish.findings_policies import policies
from rdpt_ray.publish.palette import MEANINGS, css_variables
from rdpt_ray.publish.public_names import public_name
from rdpt_ray.publish.untrusted import shorten, visible
from rdpt_ray.publish.viewer import make_viewer
from rdpt_ray.publish.viewer_prompts import ViewerTraces

__all__ = ["RunFacts", "render_report"]

CARDS_BESIDE_VIEWER = 0.15
"""What the cards may take of their usual size where there is a viewer, which needs the room."""

STYLES = ("report.css", "viewer.css")

MAX_INPUTS = 20
"""Inputs listed one by one."""


def render_report(summary: Summary, facts: RunFacts, traces: ViewerTraces | None = None) -> str:
    """The report of one run as a self-contained HTML page of less than 5 MB.

    Args:
        summary: What the run found.
        facts: Which run it was.
        traces: From `viewer_traces.sample_traces`; None or none at all: the page has no viewer and no script.
    """
    summary = summary.finished()
    css = style_sheet()
    names = findings.class_names(summary, facts.kind)
    outcomes = findings.outcomes(summary, selects=facts.policy is not None)
    positions = findings.positions(summary, names)
    shares = findings.class_shares(summary, facts.kind)
    viewer = make_viewer(traces, summary, facts) if traces and traces.prompts else None
    num_cards = len(summary.most_teacher) + len(summary.least_teacher)
    budget = budget_for(num_cards, share=1.0 if viewer is None else CARDS_BESIDE_VIEWER)
    analyses = {**_beta(summary, facts), **_policies(summary, facts), **_answers(summary, facts)}
    return (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            css=Markup(css),
            css_hash=style_hash(css),
            facts=facts,
            viewer=viewer,
            selects=facts.policy is not None,
            selection=words.selection_words(facts),
            in_short=words.in_short(summary, facts),
            contents=_contents(
                analyses, selects=facts.policy is not None, with_viewer=bool(viewer)
            ),
            example=example_prompt(traces, facts) if viewer else None,
            costs=cost_rows(facts),
            limits=words.limits(facts),
            reasons_explained=words.explained(
                reason.name for outcome in outcomes for reason in outcome.reasons
            ),
            difference=words.difference_words(facts.divergence),
            unit=words.unit_of(facts.divergence),
            any_pruned=any(model.pruned for model in facts.models),
            summary=summary,
            num_scored=findings.num_scored(summary),
            teacher_per_trace=findings.teacher_per_trace(summary),
            sentences_per_trace=findings.sentences_per_trace(summary),
            outcomes=outcomes,
            flow=figures.flow(outcomes),
            shares=shares,
            bar_all=figures.share_bar(
                [(share.name, share.num_all) for share in shares], label="Classes of all sentences"
            ),
            bar_selected=figures.share_bar(
                [(share.name, share.num_selected) for share in shares],
                label="Classes of the sentences of selected traces",
            ),
            meanings=MEANINGS,
            names=names,
            positions=positions,
            longest=max(map(len, summary.positions.values()), default=0),
            by_position=figures.by_position(positions, names) if positions else None,
            num_points=len(summary.points),
            points_sampled=len(summary.points) < findings.num_scored(summary),
            correlations=findings.length_correlations(summary.points),
            by_length=(
                figures.teacher_by_length(summary.points, selects=facts.policy is not None)
                if summary.points
                else None
            ),
            most=[make_card(example, budget) for example in summary.most_teacher],
            least=[make_card(example, budget) for example in summary.least_teacher],
            flips=None if facts.precision is None else findings.flip_rate(facts.precision),
            inputs=facts.inputs[:MAX_INPUTS],
            more_inputs=facts.inputs[MAX_INPUTS:],
            **analyses,
        )
    )


def _contents(
    analyses: dict[str, Any], *, selects: bool, with_viewer: bool
) -> list[tuple[str, str, str]]:
    """The sections that are there: id, title, and the question that each answers."""
    there = {
        "traces": with_viewer,
        "beta": bool(analyses["beta_rows"]),
        "policies": analyses["policies"] is not None,
        "answers": analyses["answers"] is not None or analyses["verified"] is not None,
    }
    sections = [
        ("outcome", "Counts", "What came in, and what became of it?"),
        ("classes", "Classes", "Where do the sentences come from?"),
        ("how", "Method", "How was it decided, step by step?"),
        (
            "traces",
            "Traces",
            "What do they look like? Why did one win?" if selects else "What do they look like?",
        ),
        ("position", "Position", "Where in a response does a class stand?"),
        ("length", "Length", "Is it only that longer ones have more?"),
        ("beta", "Threshold", "Would another number change much?"),
        ("policies", "Other policies", "What would others have selected?"),
        ("answers", "Right and wrong", "Do right answers differ?"),
        ("cost", "Cost", "How long did it take, how fast was it?"),
        ("extremes", "Extremes", "Which traces are most, least teacher-like?"),
        ("run", "Models and lineage", "What was it made from?"),
    ]
    return [section for section in sections if there.get(section[0], True)]


def _beta(summary: Summary, facts: RunFacts) -> dict[str, Any]:
    found = summary.sensitivity
    rows = [] if found is None else betas.beta_rows(found, facts.kind)
    if not any(row.sentences for row in rows):
        rows = []
    return {
        "sensitivity": found,
        "picks_shown": found is not None and facts.policy is not None and found.prompts > 0,
        "beta_names": [name for name, _ in rows[0].counts] if rows else [],
        "beta_own": betas.own_row(rows),
        "beta_neighbours": betas.neighbours(rows),
        "beta_rows": [
            (row, figures.share_bar(row.counts, label=f"Classes at beta {row.beta}"))
            for row in rows
        ],
    }


def _policies(summary: Summary, facts: RunFacts) -> dict[str, Any]:
    found = summary.comparison
    shown = found is not None and found.prompts > 0 and facts.policy is not None
    return {
        "comparison": found,
        "policies": policies(found, facts.policy) if found is not None and shown else None,
    }


def _answers(summary: Summary, facts: RunFacts) -> dict[str, Any]:
    found = answers.answers(summary.correctness, facts.kind)
    drawn = () if found is None else found.contrasts
    top = figures_answers.axis_top(drawn)
    return {
        "answers": found,
        "verified": answers.verified(facts.verification),
        "curves": [
            (each, answers.verdict(each), figures_answers.curves(each, top)) for each in drawn
        ],
        "associations": [
            (each, answers.verdict(each)) for each in (found.associations if found else ())
        ],
    }


def style_sheet(names: Sequence[str] = STYLES) -> str:
    """A page's style sheet: the colours of both themes, then the rules that use them.

    Args:
        names: Of files among the templates.
    """
    folder = files("rdpt_ray.publish") / "templates"
    rules = "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
    return (
        f":root{{{css_variables('light')}}}\n"
        f"@media (prefers-color-scheme: dark){{:root{{{css_variables('dark')}}}}}\n{rules}"
    )


def style_hash(css: str) -> str:
    """What the content security policy of a page admits its style sheet by."""
    return b64encode(sha256(css.encode()).digest()).decode()


def percent(part: float, whole: float) -> str:
    """A share with one decimal, or an en dash where there is no whole."""
    return f"{100 * part / whole:.1f}%" if whole else "\u2013"


def share(value: float | None) -> str:
    """A share as a percentage, or an en dash for None."""
    return "\u2013" if value is None else f"{100 * value:.1f}%"


def decimal(value: float | None, places: int = 2) -> str:
    """A number with fixed decimals, or an en dash for None."""
    return "\u2013" if value is None else f"{value:,.{places}f}"


def points(value: float | None) -> str:
    """A difference of shares in percentage points with its sign, or an en dash for None."""
    return "\u2013" if value is None else f"{100 * value:+.1f}"


@cache
def page_environment() -> Environment:
    """Templates whose every value is escaped, with the filters that all pages share."""
    environment = Environment(
        loader=PackageLoader("rdpt_ray.publish"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        counted=words.counted,
        duration=duration,
        decimal=decimal,
        label=shorten,
        percent=percent,
        points=points,
        public_name=public_name,
        share=share,
        visible=visible,
    )
    environment.globals.update(strip=figures.strip, role_words=words.role_words)
    return environment
