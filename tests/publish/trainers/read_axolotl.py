"""What Axolotl makes of a published folder: the text of each row's tokens, and of those that carry loss.

Run by test_trainers.py: read_axolotl.py FOLDER CONFIG MODEL, with one JSON array on the last line.
"""

import json
import logging
import sys

from axolotl.prompt_strategies.chat_template import load
from axolotl.utils.data.shared import load_dataset_with_config
from axolotl.utils.dict import DictDefault
from transformers import AutoTokenizer

folder, config, model = sys.argv[1:]
logging.disable(logging.WARNING)
tokenizer = AutoTokenizer.from_pretrained(model)
told = DictDefault(
    path=folder,
    name=config,
    split="train",
    type="chat_template",
    message_field_training_detail="training_detail",
)
strategy = load(tokenizer, DictDefault(sequence_len=4096, train_on_inputs=False), told)
rows = []
for row in load_dataset_with_config(told, use_auth_token=False):
    made = strategy.tokenize_prompt(row)
    trained = [each for each in made["labels"] if each != -100]
    rows.append(
        {
            "trace_id": row["trace_id"],
            "all": tokenizer.decode(made["input_ids"]),
            "trained": tokenizer.decode(trained),
        }
    )
sys.stdout.write(json.dumps(rows))
