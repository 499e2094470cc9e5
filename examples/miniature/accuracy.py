"""How many held-out problems a model solves."""

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from sample import sample
from task import distinct_problems, given_answer


def accuracy(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    temperature: float,
    num_problems: int = 1000,
    seed: int = 0,
) -> float:
    """Share of new problems whose boxed answer is right, in 0..1."""
    asked = distinct_problems("test", seed, num_problems)
    given = sample(
        model,
        tokenizer,
        [problem.question for problem in asked],
        temperature=temperature,
        seed=seed,
    )
    right = [
        given_answer(s.text) == problem.answer for s, problem in zip(given, asked, strict=True)
    ]
    return sum(right) / len(right)
