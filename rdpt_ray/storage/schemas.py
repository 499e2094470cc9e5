"""Every table of the store, column by column in the order they are written (docs/data.md)."""

import pyarrow as pa

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SENTENCES = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))
CLASSES = pa.list_(pa.dictionary(pa.int32(), pa.string()))

LOCATION = [
    pa.field("file", pa.string()),
    pa.field("row", pa.int64()),
    pa.field("item", pa.int32()),
]
"""Where a trace came from: the input file as given, its 0-based row (JSONL: line), and which of the row's
candidates it is, from 0; row and item are null where a fault is the whole file's."""

CONTENT = [
    pa.field("trace_id", pa.string()),
    pa.field("prompt_id", pa.string()),
    pa.field("messages", MESSAGES),
    pa.field("response", pa.string()),
    pa.field("answer_start", pa.int32()),
    pa.field("sentences", SENTENCES),
]
"""What models read: decided by the text alone, and so what the part-key hashes."""

FACTS = [
    pa.field("candidate", pa.int32()),
    pa.field("complete", pa.bool_()),
    pa.field("reference_answer", pa.string()),
    pa.field("correct", pa.bool_()),
    pa.field("teacher_name", pa.string()),
    pa.field("source", pa.string()),
    pa.field("license", pa.string()),
    pa.field("metadata", pa.string()),
]
"""What the input says about a trace; no model reads it. `metadata` is JSON in a string."""

FAULT = [
    pa.field("reason", pa.string()),
    pa.field("column", pa.string()),
    pa.field("detail", pa.string()),
]
"""Why a row is quarantined: a short code, the column at fault, and a sentence; all null for a good row."""

INGESTED = pa.schema([*LOCATION, *CONTENT, *FACTS, *FAULT])
"""What a reader yields for every candidate of every input row: a canonical trace, or a fault."""

TRACES = pa.schema([*CONTENT, *FACTS])
"""A part of the store."""

ROWS = pa.schema([*LOCATION, pa.field("trace_id", pa.string()), *FACTS, *FAULT])
"""A run's ledger: one row per candidate of an input row, a trace or a fault."""

SCORES = pa.schema(
    [
        pa.field("trace_id", pa.string()),
        pa.field("sum_logprob", pa.list_(pa.float32())),
        pa.field("num_tokens", pa.list_(pa.int32())),
        pa.field("first_logprob", pa.list_(pa.float32())),
        pa.field("sum_rank", pa.list_(pa.float32())),
        pa.field("sum_brier", pa.list_(pa.float32())),
        pa.field("num_prompt_tokens", pa.int32()),
        pa.field("error", pa.string()),
    ]
)
"""One model's scores of one part, one row per trace in the part's order. `sum_rank` and `sum_brier` are
null where the signal was not asked for."""

TOKENS = pa.schema(
    [
        pa.field("trace_id", pa.string()),
        pa.field("starts", pa.list_(pa.int32())),
        pa.field("ends", pa.list_(pa.int32())),
        pa.field("logprobs", pa.list_(pa.float32())),
        pa.field("ranks", pa.list_(pa.int32())),
        pa.field("briers", pa.list_(pa.float32())),
        pa.field("num_prompt_tokens", pa.int32()),
        pa.field("error", pa.string()),
    ]
)
"""One model's scores token by token: half-open character spans in the response, and nats. Every list is
null beside an error; `ranks` and `briers` also where the signal was not asked for."""

RECORDS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("token_ids", pa.list_(pa.int32())),
        pa.field("logprobs", pa.list_(pa.float32())),
        pa.field("error", pa.string()),
    ]
)
"""Log-probabilities recorded when a response was sampled. Both lists are null beside an error."""

QUARANTINE = pa.schema(
    [
        *LOCATION,
        pa.field("trace_id", pa.string()),
        pa.field("stage", pa.string()),
        *FAULT,
    ]
)

PROVENANCE = pa.schema(
    [
        pa.field("trace_id", pa.string()),
        pa.field("prompt_id", pa.string()),
        pa.field("candidate", pa.int32()),
        pa.field("sentences", SENTENCES),
        pa.field("provenance", CLASSES),
        pa.field("teacher_prob", pa.list_(pa.float32())),
        pa.field("student_prob", pa.list_(pa.float32())),
        pa.field("distilled_prob", pa.list_(pa.float32())),
    ]
)

SELECTION = [
    pa.field("num_sentences", pa.int32()),
    pa.field("num_teacher", pa.int32()),
    pa.field("selection_score", pa.float64()),
    pa.field("rank", pa.int32()),
    pa.field("selected", pa.bool_()),
    pa.field("drop_reason", pa.string()),
]

SELECTED = pa.schema([*LOCATION, *CONTENT, *FACTS, *SELECTION])
"""Selected and rejected traces have the same columns, so they can be read as one table."""
