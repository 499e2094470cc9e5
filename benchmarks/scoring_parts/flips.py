"""How many sentences change their class when both models run in bfloat16: trained models, real traces."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.divergence import DIVERGENCES
from rdpt_ray.method.provenance import classify_codes, sentence_prob
from rdpt_ray.method.sentences import split_sentences
from rdpt_ray.scoring.encoding import load_encoder
from rdpt_ray.scoring.scorer import ModelScorer
from rdpt_ray.scoring.traces import Trace
from rdpt_ray.scoring.transformers_engine import TransformersEngine
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import list_inputs
from scoring_parts import Figures

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"
ROLES = ("teacher", "student")


def flips(quick: bool) -> Figures:
    """Share of sentences whose three-way class under bfloat16 is not the one under float32.

    Args:
        quick: Fewer traces.
    """
    traces = _traces(40 if quick else 400)
    reference, rounded = (
        {role: _probabilities(role, dtype, traces) for role in ROLES}
        for dtype in (torch.float32, torch.bfloat16)
    )
    paper = DIVERGENCES["prob_difference"]
    classes = [
        classify_codes(probs["teacher"], probs["student"], alpha=paper.alpha, beta=paper.beta)
        for probs in (reference, rounded)
    ]
    off = np.abs(np.concatenate([rounded[role] - reference[role] for role in ROLES]))
    return {
        "bf16_flip_rate": float(np.mean(classes[0] != classes[1])),
        "bf16_flip_sentences": len(classes[0]),
        "bf16_max_abs_err_sentence_prob": float(np.nanmax(off)),
    }


def _traces(count: int) -> list[Trace]:
    source = InputConfig(path=str(MINIATURE / "traces.parquet"), limit=count)
    rows = [
        row
        for file in list_inputs(source)
        for table in read_file(file, source, split=split_sentences)
        for row in table.to_pylist()
        if row["reason"] is None
    ]
    return [
        Trace(
            row["messages"],
            row["response"],
            [(span["start"], span["end"]) for span in row["sentences"]],
        )
        for row in rows
    ]


def _probabilities(role: str, dtype: torch.dtype, traces: list[Trace]) -> NDArray[np.float64]:
    """Every sentence's probability under one of the miniature models."""
    folder = str(MINIATURE / role)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    scorer = ModelScorer(load_encoder(folder, None, None, {}), TransformersEngine(model), 8192)
    scores = scorer.score(traces)
    sums = np.concatenate([score.sum_logprob for score in scores])
    return sentence_prob(sums, np.concatenate([score.num_tokens for score in scores]))
