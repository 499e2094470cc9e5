"""What LLaMA-Factory makes of a published folder: its own reader, converter and supervised processor.

Run by test_trainers.py: read_llamafactory.py DATASET_INFO MODEL, with one JSON array on the last line.
DATASET_INFO is what one would put into its dataset_info.json, for a dataset called `published`.
"""

import json
import logging
import sys
import tempfile
from pathlib import Path

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments, ModelArguments
from transformers import AutoTokenizer, Seq2SeqTrainingArguments

info, model = sys.argv[1:]
logging.disable(logging.WARNING)
tokenizer = AutoTokenizer.from_pretrained(model)
place = Path(tempfile.mkdtemp())
(place / "dataset_info.json").write_text(json.dumps({"published": json.loads(info)}))
data = DataArguments(
    template="chatml",
    dataset="published",
    dataset_dir=str(place),
    cutoff_len=4096,
    overwrite_cache=True,
)
template = get_template_and_fix_tokenizer(tokenizer, data)
made = get_dataset(
    template,
    ModelArguments(model_name_or_path=model),
    data,
    Seq2SeqTrainingArguments(output_dir="/tmp/none", use_cpu=True),
    stage="sft",
    tokenizer=tokenizer,
)
rows = [
    {
        "all": tokenizer.decode(row["input_ids"]),
        "trained": tokenizer.decode([each for each in row["labels"] if each != -100]),
    }
    for row in made["train_dataset"]
]
sys.stdout.write(json.dumps(rows))
