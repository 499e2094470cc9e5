"""Small real stores: what a job leaves, written by the bodies of its stages, without Ray or a model."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rdpt_ray.config import ThresholdsConfig
from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.summary import TOTALS, merge
from rdpt_ray.pipeline.ingest import BUCKETED, Destination, IngestedBucket, read_rows, write_bucket
from rdpt_ray.pipeline.lineage import files_of
from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.pipeline.select import Selection, select_bucket
from rdpt_ray.pipeline.verify import Verification, verify_bucket
from rdpt_ray.scoring.traces import SentenceScores
from rdpt_ray.selection_config import SelectionConfig, VerifyConfig
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.model_records import write_model_record
from rdpt_ray.storage.parts import bucket_folder
from rdpt_ray.storage.runs import write_json
from rdpt_ray.storage.scores import score_name, write_scores
from rdpt_ray.storage.sessions import new_session, session_name
from rdpt_ray.storage.token_scores import StoredTokens, token_name, tokens_table

NUM_BUCKETS = 2
STUDENT, TEACHER = "student-aaaaaaaaaaaaaaaa", "teacher-bbbbbbbbbbbbbbbb"
GONE = "nowhere/1@2"
"""A process that nobody can look up."""


@dataclass
class SmallRun:
    """A run, and how to carry it on."""

    root: object
    number: int
    models: dict = field(default_factory=lambda: {"student": STUDENT, "teacher": TEACHER})
    unit: str = "sentence"
    prune: bool = False
    dataset: str = "demo"
    buckets: list = field(default_factory=list)

    @property
    def id(self):
        return f"{self.dataset}-{self.number:012x}"

    @property
    def folder(self):
        return f"runs/{self.id}"

    @property
    def parts(self):
        """(bucket, part-key) of all its parts."""
        return [(bucket.bucket, key) for bucket in self.buckets for key in bucket.parts]

    def ingest(self, folder, prompts):
        """Two candidates of each of these prompts, and one bad row."""
        path = folder / f"{self.dataset}-{self.number}.jsonl"
        lines = [json.dumps(row) for prompt in prompts for row in candidates(prompt)]
        path.write_text("\n".join([*lines, "{"]), encoding="utf-8")
        config = InputConfig(path=str(path))
        read = read_rows(
            {"index": [0]},
            files=list_inputs(config),
            configs=[config],
            num_buckets=NUM_BUCKETS,
            unit=self.unit,
        )
        rows = pa.concat_tables([table.cast(BUCKETED) for table in read])
        write_json(self.root, f"traces/{self.dataset}/dataset.json", {"num_buckets": NUM_BUCKETS})
        to = Destination(self.root, self.dataset, self.folder, NUM_BUCKETS, self.unit)
        for bucket in sorted(set(rows.column("bucket").to_pylist())):
            (record,) = write_bucket(rows.filter(pc.field("bucket") == bucket), to=to).to_pylist()
            parts = dict(zip(record.pop("part_keys"), record.pop("part_traces"), strict=True))
            self.buckets.append(IngestedBucket(**record, parts=parts))
        write_json(
            self.root, f"{self.folder}/ingested.json", [asdict(each) for each in self.buckets]
        )
        return self

    def score(self, *, keep_tokens=True):
        for role, model_key in self.models.items():
            write_model_record(
                self.root,
                model_key,
                {"model": role, "weights": model_key, "signals": ["rank"] * (role == "student")},
            )
            for bucket, key in self.parts:
                names = [score_name(model_key, key)]
                if keep_tokens and role == "student":
                    names.append(token_name(model_key, self.dataset, bucket, key))
                if not all(map(self.root.exists, names)):
                    self.score_part(role, model_key, bucket, key, keep_tokens=keep_tokens)
        return self

    def score_part(self, role, model_key, bucket, key, *, keep_tokens):
        table = self.root.read_table(f"{bucket_folder(self.dataset, bucket)}/{key}.parquet")
        traces = table.to_pylist()
        ids = [trace["trace_id"] for trace in traces]
        read = traces[::2] if self.prune and role == "teacher" else traces
        rows = [scores_row(each["trace_id"], drawn(each, role == "student")) for each in read]
        write_scores(self.root, model_key, key, ids, rows)
        if keep_tokens and role == "student":
            self.root.write_table(
                token_name(model_key, self.dataset, bucket, key),
                tokens_table({trace["trace_id"]: drawn_tokens(trace) for trace in traces}),
            )

    def verify(self):
        job = Verification(self.root, self.dataset, self.folder, VerifyConfig(method="numeric"))
        for bucket in self.buckets:
            list(verify_bucket(bucket.bucket, list(bucket.parts), job))
        return self

    def start(self, *, ended="finished", process=GONE, session="0001"):
        """Leave the record of a driver."""
        record = new_session(session, self.id)
        record.process, record.ended, record.beat = process, ended, 7
        record.counts = {
            role: {"parts": len(self.parts), "traces": 4, "tokens": 80, "seconds": 1.5}
            for role in self.models
        }
        write_json(self.root, session_name(self.id, session), asdict(record))
        return self

    def finish(self, **more):
        """Select, and write the manifest."""
        job = Selection(
            store=self.root,
            dataset=self.dataset,
            run=self.folder,
            model_keys=self.models,
            thresholds=ThresholdsConfig(),
            selection=SelectionConfig(prune=self.prune),
            num_examples=2,
            verify=VerifyConfig(method="numeric"),
        )
        summary = merge((select_bucket(bucket, job) for bucket in self.buckets), num_examples=2)
        manifest = {
            "schema": 2,
            "config": {"name": self.dataset},
            "facts": {"kind": "curate", "prune": self.prune},
            "models": {role: {"key": key, "model": role} for role, key in self.models.items()},
            "counts": {name: getattr(summary, name) for name in TOTALS},
            "summary": summary.to_dict(),
            "files": files_of(self.root, self.folder),
            "finished_at": "2026-11-26T22:34:24+00:00",
            **more,
        }
        self.root.write_bytes(f"{self.folder}/report/index.html", b"<html></html>")
        write_json(self.root, f"{self.folder}/manifest.json", manifest)
        return self


def small_run(root, folder, number=1, prompts=range(8), **how):
    """A finished run with everything that a store can have of it."""
    run = SmallRun(root, number, **how).start()
    return run.ingest(folder, prompts).score().verify().finish()


def candidates(prompt):
    """Input rows."""
    for step in ("Add them up.", "Double it. Then look again."):
        yield {
            "prompt": f"What is {prompt} + {prompt}?",
            "response": f"<think>\n{step} It is easy.\n</think>\n\nThe answer is {2 * prompt}.",
            "reference_answer": str(2 * prompt),
        }


def drawn(trace, ranks):
    """Scores that a model could give; the last sentence has no token."""
    count = len(trace["sentences"])
    generator = np.random.default_rng(int(trace["trace_id"][:8], 16))
    tokens = np.append(generator.integers(1, 9, count - 1), 0).astype(np.int32)
    first = -generator.random(count)
    sums = np.where(tokens > 0, first * np.maximum(tokens, 1), np.nan)
    return SentenceScores(
        sums.astype(np.float32),
        tokens,
        np.where(tokens > 0, first, np.nan).astype(np.float32),
        5,
        sum_rank=np.where(tokens > 0, tokens * 2.0, np.nan).astype(np.float32) if ranks else None,
    )


def drawn_tokens(trace):
    edges = np.arange(0, len(trace["response"]), 5)
    spans = np.stack([edges, np.minimum(edges + 5, len(trace["response"]))], axis=1)
    logprobs = np.full(len(spans), -0.5, np.float32)
    return StoredTokens(spans, logprobs, np.ones(len(spans), np.int32), None, 5)
