"""The miniature teacher, loaded once."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.loading import load_sampler, sampler_identity
from rdpt_ray.sampling.sampler import Request

MINIATURE = Path(__file__).resolve().parents[2] / "examples" / "miniature"


def sampling(**changes):
    return SamplingConfig(**({"prompts": {"path": "p"}, "to": "t", "max_tokens": 160} | changes))


def sampler_of(role, **changes):
    model = ModelConfig(model=str(MINIATURE / role))
    return load_sampler(
        model,
        sampler_identity(model, "transformers"),
        engine="transformers",
        sampling=sampling(**changes),
        num_threads=1,
    )


def requests(num_prompts, num_candidates):
    """Requests for different prompts of the demo."""
    rows = pq.read_table(MINIATURE / "traces.parquet", columns=["prompt"]).to_pylist()
    prompts = list(dict.fromkeys(row["prompt"] for row in rows if row["prompt"]))[:num_prompts]
    return [
        Request(f"{place}-{number}", f"{place}", number, [{"role": "user", "content": prompt}])
        for place, prompt in enumerate(prompts)
        for number in range(num_candidates)
    ]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Sums come out equal to the bit only where the threads are pinned, as an actor pins them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def teacher():
    """At temperature 1."""
    return sampler_of("teacher")


@pytest.fixture(scope="session")
def teacher_model():
    """The same model, as transformers has it."""
    return AutoModelForCausalLM.from_pretrained(MINIATURE / "teacher").eval()
