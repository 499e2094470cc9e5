"""What a job exports, and that Prometheus would find it at the node's port with the right values."""

import re
import threading
import time
import urllib.request
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rdpt_ray.pipeline import metrics
from rdpt_ray.pipeline.metrics import COUNTERS, GAUGES, PART_SECONDS, TAGS, exported
from rdpt_ray.storage.costs import cost_of
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.sessions import sessions_of
from tests.pipeline.conftest import BAD_ROWS, REPOSITORY, config_tree, miniature_rows, run

LONG = {
    "prompt": "Count.",
    "response": f"<think>\n{'1 2 3. ' * 9000}\n</think>\n\n6",
}
"""More than the models can read."""


def test_names_say_their_unit_and_are_told_once():
    names = [*COUNTERS, *GAUGES, *PART_SECONDS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("rdpt_") and not name.endswith("_total") for name in names)
    assert all(text.endswith(".") for each in (COUNTERS, GAUGES) for text in each.values())
    assert "ray_rdpt_tokens_total" in exported()
    assert "ray_rdpt_part_seconds_bucket" in exported()
    assert "ray_rdpt_queue" in exported()


def test_the_page_lists_every_metric():
    page = (REPOSITORY / "docs" / "watching.md").read_text()
    listed = set(re.findall(r"^\| `(ray_rdpt_\w+)` \| (counter|gauge|histogram) \|", page, re.M))
    assert listed == {
        *((f"ray_{name}_total", "counter") for name in COUNTERS),
        *((f"ray_{name}", "gauge") for name in GAUGES),
        *((f"ray_{name}", "histogram") for name in PART_SECONDS),
    }


def test_without_ray_nothing_is_counted():
    metrics.count({"rdpt_tokens": 5}, "run")
    metrics.show({"rdpt_queue": 5}, "run")


class Scraper:
    """Reads a node's metrics every second, and keeps the last value of every series of ours.

    Once `run` is known, only its series are told: the Ray of the tests has counted for others before.
    """

    def __init__(self, node):
        self._url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._scrape)
        self.series = {}
        self.kinds = {}
        self.run = None

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _scrape(self):
        while not self._stop.wait(1):
            with urllib.request.urlopen(self._url, timeout=30) as answer:
                text = answer.read().decode()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name.startswith("ray_rdpt_"):
                        self.kinds[sample.name] = family.type
                        self.series[sample.name, tuple(sorted(sample.labels.items()))] = sample

    def told(self):
        """Name -> the samples of the run."""
        found = defaultdict(list)
        for (name, _), sample in dict(self.series).items():
            if sample.labels.get("run") == self.run:
                found[name].append(sample)
        return found

    def names(self):
        return set(self.told())

    def totals(self, name):
        """(role, stage) -> the sum over all processes."""
        found = defaultdict(float)
        for sample in self.told()[name]:
            found[sample.labels["role"], sample.labels["stage"]] += sample.value
        return dict(found)


@pytest.mark.ray
@pytest.mark.slow
def test_every_metric_is_found_at_the_nodes_port(ray_cluster, tmp_path):
    """By HTTP, as Prometheus reads it, while the job runs and just after."""
    tree = config_tree(tmp_path, rows=[*miniature_rows(0, 120), LONG, *BAD_ROWS], name="watched")
    tree["plan"] = {"price_per_hour": {"CPU": 3600.0}, "currency": "EUR"}
    (node,) = ray_cluster.nodes()
    with Scraper(node) as scraper:
        done = run(tree)
        scraper.run = done.uri.rsplit("/", 1)[-1]
        deadline = time.monotonic() + 60
        while exported() - scraper.names() and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(12)  # what was counted last is exported within ten seconds
    assert exported() - scraper.names() == set()
    for name, kind in scraper.kinds.items():
        counter = name.endswith("_total")
        histogram = name.startswith("ray_rdpt_part_seconds")
        assert kind == ("counter" if counter else "histogram" if histogram else "gauge"), name

    (session,) = sessions_of(open_root(tree["store"]), scraper.run)
    scored = {(role, "score"): counts for role, counts in session.counts.items()}
    assert scored.keys() == {("student", "score"), ("teacher", "score")}
    for name, counted in (
        ("tokens", "tokens"),
        ("parts", "parts"),
        ("traces", "traces"),
        ("trace_errors", "errors"),
        ("actor_seconds", "actor_s"),
        ("busy_seconds", "busy_s"),
    ):
        expected = {key: pytest.approx(counts[counted]) for key, counts in scored.items()}
        assert scraper.totals(f"ray_rdpt_{name}_total") == expected, name
    num_parts = {key: counts["parts"] for key, counts in scored.items()}
    assert scraper.totals("ray_rdpt_part_seconds_count") == num_parts
    for counts in session.counts.values():
        assert 0 < counts["busy_s"] < counts["actor_s"]
        assert counts["spent_s"] == {"CPU": pytest.approx(counts["actor_s"])}

    assert scraper.totals("ray_rdpt_queue")["teacher", "score"] == 0
    assert scraper.totals("ray_rdpt_done")["teacher", "score"] == done.facts.models[1].scored
    errors = sum(counts["errors"] for counts in session.counts.values())
    ingested = len(BAD_ROWS)
    assert scraper.totals("ray_rdpt_quarantined") == {("", ""): ingested + errors}
    costs = scraper.totals("ray_rdpt_cost")
    assert costs["teacher", ""] == pytest.approx(cost_of(session.counts["teacher"], session.prices))
    shares = scraper.totals("ray_rdpt_busy_share")
    assert all(0 < share < 1 for share in shares.values())
    own = {"ray_io_cluster", "Component", "NodeAddress", "SessionName", "Version", "WorkerId", "le"}
    labels = {key for _, told in scraper.series for key, _ in told if not key.startswith("otel_")}
    assert labels <= {*own, *TAGS}


@pytest.mark.ray
def test_a_part_costs_microseconds(ray_cluster):
    """Seven counts per part, and a part takes minutes."""
    values = dict.fromkeys([*COUNTERS, *PART_SECONDS], 1.0)
    metrics.count(values, "timed", "nobody", "score")
    begun = time.perf_counter()
    for _ in range(500):
        metrics.count(values, "timed", "nobody", "score")
    assert (time.perf_counter() - begun) / 500 < 0.002
