"""The dashboard is one that Grafana knows, and asks for what the code really exports."""

import itertools
import json
import re

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from rdpt_ray.pipeline.metrics import TAGS, exported
from tests.cluster.conftest import CLUSTER

DASHBOARD = json.loads((CLUSTER / "grafana" / "rdpt.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{panel['title']}, {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]


def parsed(expression):
    """The tree of an expression, with its variables filled in as Grafana does."""
    return promql_parser.parse(expression.replace("$run", ".*"))


def selectors(node):
    """Every series that an expression asks for."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vs", "vector_selector", "args"):
        inner = getattr(node, name, None)
        for each in inner if isinstance(inner, list) else [inner]:
            if each is not None:
                yield from selectors(each)


def unknown(given, read, where=""):
    """What Grafana's types did not take over from what they were given."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(read, dict) or key not in read:
                yield f"{where}.{key}"
            else:
                yield from unknown(value, read[key], f"{where}.{key}")
    elif isinstance(given, list):
        if not isinstance(read, list) or len(read) != len(given):
            yield where
        else:
            for place, pair in enumerate(zip(given, read, strict=True)):
                yield from unknown(*pair, f"{where}[{place}]")
    elif given != read:
        yield f"{where}: {given} became {read}"


def test_grafana_knows_every_key_and_value():
    register_default_plugins()
    read = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    assert list(unknown(DASHBOARD, read)) == []


def test_what_grafana_does_not_know_would_be_found():
    register_default_plugins()
    wrong = {**DASHBOARD, "panels": [{**DASHBOARD["panels"][1], "tittle": "x"}]}
    read = json.loads(json.dumps(Dashboard.from_json(wrong), cls=JSONEncoder))
    assert list(unknown(wrong, read)) == [".panels[0].tittle"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_series_that_are_exported(expression):
    found = list(selectors(parsed(expression)))
    assert {each.name for each in found} == set(re.findall(r"\bray_\w+", expression))
    for each in found:
        of_ray = each.name.removeprefix("ray_") in METRICS_GAUGES
        assert each.name in exported() or of_ray, each.name
        labels = {matcher.name for matcher in each.matchers.matchers}
        assert labels - {"role"} == (set() if of_ray else {"run"})


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_groups_by_tags_that_are_there(expression):
    grouped = {
        name for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(", ")
    }
    if "ray_node_" not in expression:
        assert grouped <= {*TAGS, "le"}
        return
    (name,) = re.findall(r"ray_(node_\w+)", expression)
    assert grouped <= set(METRICS_GAUGES[name].view.columns)


def test_every_metric_is_on_the_dashboard():
    asked = {
        each.name
        for panel in PANELS
        for target in panel["targets"]
        for each in selectors(parsed(target["expr"]))
    }
    assert exported() - asked == set()
    (run,) = (each for each in DASHBOARD["templating"]["list"] if each["name"] == "run")
    assert set(re.findall(r"ray_\w+", run["query"])) <= exported()


def test_legends_name_tags_and_panels_have_places_of_their_own():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert all(name in target["expr"] for name in named)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or below
