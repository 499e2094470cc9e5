"""OpenThoughts and what shares its format: one trace per row, in conversations of {from, value}."""

from rdpt_ray.storage.column_types import conversation, text
from rdpt_ray.storage.layouts.layout import Layout

OPENTHOUGHTS3 = Layout(
    name="openthoughts3",
    dataset="open-thoughts/OpenThoughts3-1.2M",
    needs={"conversations": conversation, "domain": text, "source": text},
    also=("difficulty",),
    columns={
        "conversations": "conversations",
        "source": "source",
        "metadata.difficulty": "difficulty",
        "metadata.domain": "domain",
    },
    note="prompts repeat over rows, 16 traces each; no column names the teacher",
)

OPENTHOUGHTS2 = Layout(
    name="openthoughts2",
    dataset="open-thoughts/OpenThoughts2-1M",
    needs={"conversations": conversation, "question": text, "source": text},
    also=("id",),
    columns={"conversations": "conversations", "source": "source", "metadata.id": "id"},
)

OPENTHOUGHTS_114K = Layout(
    name="openthoughts-114k",
    dataset="open-thoughts/OpenThoughts-114k (default)",
    needs={"system": text, "conversations": conversation},
    columns={"system": "system", "conversations": "conversations"},
    note="its columns are those of Bespoke-Stratos-17k, and both are read the same way",
)

BESPOKE_STRATOS = Layout(
    name="bespoke-stratos",
    dataset="bespokelabs/Bespoke-Stratos-17k",
    needs=OPENTHOUGHTS_114K.needs,
    columns=OPENTHOUGHTS_114K.columns,
    note="its columns are those of OpenThoughts-114k, and both are read the same way",
)

OPENTHOUGHTS_114K_METADATA = Layout(
    name="openthoughts-114k-metadata",
    dataset="open-thoughts/OpenThoughts-114k (metadata)",
    needs={"problem": text, "deepseek_reasoning": text, "deepseek_solution": text},
    also=("ground_truth_solution", "domain", "source", "test_cases", "starter_code"),
    columns={
        "prompt": "problem",
        "reasoning": "deepseek_reasoning",
        "answer": "deepseek_solution",
        "reference_answer": "ground_truth_solution",
        "source": "source",
        "metadata.domain": "domain",
        "metadata.starter_code": "starter_code",
    },
    constants=({"teacher_name": "DeepSeek-R1"},),
    note="the teacher is read off the names of the columns; test_cases are not carried",
)
