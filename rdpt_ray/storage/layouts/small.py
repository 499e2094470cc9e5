"""Small curated sets: s1K, whose two teachers are columns, and LIMO, whose traces carry no markup."""

from rdpt_ray.storage.column_types import text, text_or_number
from rdpt_ray.storage.layouts.layout import Layout, Values

_GRADES = {"yes": True, "true": True, "no": False, "false": False}


def _graded(values: Values) -> Values:
    """A grade in words, or as a bool."""
    grade = values.get("correct")
    if isinstance(grade, str):
        values["correct"] = _GRADES.get(grade.strip().lower())
    return values


def _teacher(name: str) -> dict[str, str]:
    return {
        "reasoning": f"{name}_thinking_trajectory",
        "answer": f"{name}_attempt",
        "correct": f"{name}_grade",
        "metadata.grade_reason": f"{name}_grade_reason",
    }


S1K = Layout(
    name="s1k-1.1",
    dataset="simplescaling/s1K-1.1",
    needs={"question": text, "deepseek_thinking_trajectory": text, "deepseek_attempt": text},
    also=("gemini_thinking_trajectory", "gemini_attempt", "solution", "cot_type", "source_type"),
    columns={
        "prompt": "question",
        "reference_answer": "solution",
        "source": "source_type",
        "metadata.cot_type": "cot_type",
        "metadata.metadata": "metadata",
    },
    variants=(_teacher("gemini"), _teacher("deepseek")),
    constants=({"teacher_name": "Gemini"}, {"teacher_name": "DeepSeek-R1"}),
    finish=_graded,
    note="two candidates per row, item 0 Gemini's and item 1 DeepSeek's; the teachers are read off the"
    " names of the columns; correct: the grade (Yes, No) of each",
)

LIMO = Layout(
    name="limo",
    dataset="GAIR/LIMO and LIMO-v2",
    needs={"question": text, "solution": text, "answer": text_or_number},
    columns={"prompt": "question", "response": "solution", "reference_answer": "answer"},
    note="a solution without markup is one trace whose reasoning and answer are not told apart",
)
