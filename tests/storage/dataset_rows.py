"""One row of every public dataset that is recognised, faithful to its schema, and what its traces become."""

THOUGHT = "<think>\nTwo and two.\n</think>\n\nIt is 4."
SKY = (
    "<|begin_of_thought|>\n\nTwo and two.\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\nIt is 4.\n\n<|end_of_solution|>"
)
READ = {"response": "Two and two.\n\nIt is 4.", "answer_start": 14, "complete": True}
ASK = [("user", "What is 2 + 2?")]
SYSTEM = "Think first, then answer."


def turns(answer, role="role", content="content", names=("user", "assistant")):
    pairs = zip(names, (ASK[0][1], answer), strict=True)
    return [{role: name, content: text} for name, text in pairs]


def from_value(answer, *names):
    return turns(answer, "from", "value", names)


# name -> a row as the dataset has it, and what each of its candidates becomes beyond READ and ASK.
DATASETS = {
    "openthoughts3": (
        {
            "difficulty": 7,
            "source": "ai2-adapt-dev/openmath-2-math",
            "domain": "math",
            "conversations": from_value(THOUGHT, "human", "gpt"),
        },
        [
            {
                "source": "ai2-adapt-dev/openmath-2-math",
                "metadata": {"difficulty": 7, "domain": "math"},
            }
        ],
    ),
    "openthoughts2": (
        {
            "conversations": from_value(THOUGHT, "user", "assistant"),
            "question": ASK[0][1],
            "source": "numina",
            "id": 12,
        },
        [{"source": "numina", "metadata": {"id": 12}}],
    ),
    "openthoughts-114k": (
        {"system": SYSTEM, "conversations": from_value(SKY, "user", "assistant")},
        [{"messages": [("system", SYSTEM), *ASK]}],
    ),
    "openthoughts-114k-metadata": (
        {
            "problem": ASK[0][1],
            "deepseek_reasoning": "Two and two.",
            "deepseek_solution": "It is 4.",
            "ground_truth_solution": "4",
            "domain": "math",
            "source": "numina_math",
            "test_cases": None,
            "starter_code": None,
        },
        [
            {
                "reference_answer": "4",
                "teacher_name": "DeepSeek-R1",
                "source": "numina_math",
                "metadata": {"domain": "math", "starter_code": None},
            }
        ],
    ),
    "bespoke-stratos": (
        {"system": SYSTEM, "conversations": from_value(SKY, "user", "assistant")},
        [{"messages": [("system", SYSTEM), *ASK]}],
    ),
    "acereason-1.1-sft": (
        {"category": "math", "source": "NuminaMath", "input": ASK[0][1], "output": THOUGHT},
        [{"source": "NuminaMath", "metadata": {"category": "math"}}],
    ),
    "openr1-math-220k": (
        {
            "problem": ASK[0][1],
            "solution": "Add them.",
            "answer": "4",
            "problem_type": "Algebra",
            "question_type": "math-word-problem",
            "source": "olympiads",
            "uuid": "u-1",
            "is_reasoning_complete": [True, True, False],
            "generations": [THOUGHT, "<think>\nNo.\n</think>\n\n5", "<think>\nTwo and"],
            "correctness_math_verify": [True, None],
            "correctness_llama": [False, False, None],
            "finish_reasons": ["stop", "length", "length"],
            "correctness_count": 1,
            "messages": turns(THOUGHT),
        },
        [
            {"correct": True, "metadata": {"correct_by": "correctness_math_verify"}},
            {
                "response": "No.\n\n5",
                "answer_start": 5,
                "complete": False,
                "correct": False,
                "metadata": {"correct_by": "correctness_llama"},
            },
            {"response": "Two and", "answer_start": 7, "complete": False},
        ],
    ),
    "mixture-of-thoughts": (
        {"messages": turns(THOUGHT), "num_tokens": 31, "source": "open-r1/OpenThoughts-114k"},
        [{"source": "open-r1/OpenThoughts-114k", "metadata": {"num_tokens": 31}}],
    ),
    "limo": (
        {"question": ASK[0][1], "solution": "Two and two.\n\nIt is 4.", "answer": "4"},
        [{"answer_start": 0, "reference_answer": "4"}],
    ),
    "s1k-1.1": (
        {
            "solution": "4",
            "question": ASK[0][1],
            "cot_type": "math",
            "source_type": "AI-MO/NuminaMath-CoT/aops_forum",
            "metadata": "{'url': None}",
            "gemini_thinking_trajectory": "Count.",
            "gemini_attempt": "4",
            "deepseek_thinking_trajectory": "Two and two.",
            "deepseek_attempt": "It is 4.",
            "gemini_grade": "No",
            "gemini_grade_reason": "too short",
            "deepseek_grade": "Yes",
            "deepseek_grade_reason": "fine",
        },
        [
            {
                "response": "Count.\n\n4",
                "answer_start": 8,
                "teacher_name": "Gemini",
                "correct": False,
                "metadata": {"grade_reason": "too short"},
            },
            {
                "teacher_name": "DeepSeek-R1",
                "correct": True,
                "metadata": {"grade_reason": "fine"},
            },
        ],
    ),
    "llama-nemotron-post-training": (
        {
            "input": [{"role": "user", "content": ASK[0][1]}],
            "output": THOUGHT,
            "category": "math",
            "license": "cc-by-4.0",
            "reasoning": "on",
            "generator": "DeepSeek-R1",
            "used_in_training": "Ultra",
            "version": "v1.1",
            "system_prompt": "detailed thinking on",
        },
        [
            {
                "messages": [("system", "detailed thinking on"), *ASK],
                "license": "cc-by-4.0",
                "teacher_name": "DeepSeek-R1",
                "metadata": {
                    "category": "math",
                    "reasoning": "on",
                    "version": "v1.1",
                    "used_in_training": "Ultra",
                },
            }
        ],
    ),
    "nemotron-post-training": (
        {
            "uuid": "u-2",
            "license": "cc-by-4.0",
            "generator": "DeepSeek-R1-0528",
            "version": "v1",
            "category": "stem",
            "reasoning": "on",
            "messages": turns(THOUGHT),
            "metadata": '{"conversation_id": "c"}',
        },
        [
            {
                "license": "cc-by-4.0",
                "teacher_name": "DeepSeek-R1-0528",
                "metadata": {
                    "conversation_id": "c",
                    "uuid": "u-2",
                    "category": "stem",
                    "reasoning": "on",
                    "version": "v1",
                },
            }
        ],
    ),
    "am-deepseek-r1-distilled": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": ASK[0][1],
                    "info": {
                        "source": "openhermes",
                        "reference_answer": "4",
                        "test_case": None,
                        "think_content": None,
                        "answer_content": None,
                    },
                },
                {
                    "role": "assistant",
                    "content": "<think>Two and two.</think><answer>It is 4.</answer>",
                    "info": {
                        "source": None,
                        "reference_answer": None,
                        "test_case": None,
                        "think_content": "Two and two.",
                        "answer_content": "It is 4.",
                    },
                },
            ]
        },
        [{"reference_answer": "4", "source": "openhermes"}],
    ),
    "multilingual-thinking": (
        {
            "reasoning_language": "French",
            "developer": SYSTEM,
            "user": ASK[0][1],
            "analysis": "Two and two.",
            "final": "It is 4.",
            "messages": [
                {"role": "system", "content": SYSTEM, "thinking": None},
                {"role": "user", "content": ASK[0][1], "thinking": None},
                {"role": "assistant", "content": "It is 4.", "thinking": "Two and two."},
            ],
        },
        [
            {
                "messages": [("system", SYSTEM), *ASK],
                "metadata": {"reasoning_language": "French"},
            }
        ],
    ),
    "plain": (
        {"prompt": ASK[0][1], "response": THOUGHT, "license": "mit", "correct": True},
        [{"license": "mit", "correct": True}],
    ),
    "rdpt": (
        {
            "trace_id": "t",
            "messages": [{"role": "user", "content": ASK[0][1]}],
            "response": READ["response"],
            "answer_start": 14,
            "complete": False,
            "teacher_name": "T",
            "metadata": '{"a":1}',
            "selected": True,
        },
        [{"complete": False, "teacher_name": "T", "metadata": {"a": 1}}],
    ),
    "rdpt-published": (
        {
            "messages": [
                {"role": "user", "content": ASK[0][1]},
                {
                    "role": "assistant",
                    "content": f"<think>\n{READ['response']}\n</think>\n\nIt is 4.",
                },
            ],
            "question": ASK[0][1],
            "reasoning": READ["response"][: READ["answer_start"]],
            "answer": READ["response"][READ["answer_start"] :],
            "trace_id": "t",
            "teacher_name": "T",
            "selection_score": 2.0,
            "metadata": '{"a":1}',
        },
        [{"teacher_name": "T", "metadata": {"a": 1}}],
    ),
}

SHARED = {
    "openr1-math-220k": {
        "reference_answer": "4",
        "source": "olympiads",
        "metadata": {
            "uuid": "u-1",
            "problem_type": "Algebra",
            "question_type": "math-word-problem",
        },
    },
    "s1k-1.1": {
        "reference_answer": "4",
        "source": "AI-MO/NuminaMath-CoT/aops_forum",
        "metadata": {"cot_type": "math", "metadata": "{'url': None}"},
    },
}
"""What all candidates of a row have alike."""
