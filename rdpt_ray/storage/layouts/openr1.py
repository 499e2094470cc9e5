"""Open-R1's datasets: several generations per problem in lists, and the mixture made of them."""

from rdpt_ray.storage.column_types import conversation, text, text_or_number, texts
from rdpt_ray.storage.layouts.layout import Layout, Values


def _judge(values: Values) -> Values:
    """The verdict of math-verify where there is one, else the language model's; cut if either says so."""
    by_model = values.pop("correct.by_model", None)
    if values.get("correct") is not None:
        values["metadata.correct_by"] = "correctness_math_verify"
    elif by_model is not None:
        values |= {"correct": by_model, "metadata.correct_by": "correctness_llama"}
    if values.pop("complete.finish_reason", None) == "length":
        values["complete"] = False
    return values


OPENR1_MATH = Layout(
    name="openr1-math-220k",
    dataset="open-r1/OpenR1-Math-220k",
    needs={"problem": text, "generations": texts},
    also=(
        "correctness_math_verify",
        "correctness_llama",
        "is_reasoning_complete",
        "finish_reasons",
        "problem_type",
        "question_type",
        "answer",
        "uuid",
    ),
    columns={
        "prompt": "problem",
        "reference_answer": "answer",
        "source": "source",
        "metadata.uuid": "uuid",
        "metadata.problem_type": "problem_type",
        "metadata.question_type": "question_type",
    },
    lists={
        "response": "generations",
        "correct": "correctness_math_verify",
        "correct.by_model": "correctness_llama",
        "complete": "is_reasoning_complete",
        "complete.finish_reason": "finish_reasons",
    },
    finish=_judge,
    note="correct: correctness_math_verify, and correctness_llama where that is null;"
    " messages and solution are not read",
)

MIXTURE_OF_THOUGHTS = Layout(
    name="mixture-of-thoughts",
    dataset="open-r1/Mixture-of-Thoughts",
    needs={"messages": conversation, "num_tokens": text_or_number},
    also=("source",),
    columns={"messages": "messages", "source": "source", "metadata.num_tokens": "num_tokens"},
)
