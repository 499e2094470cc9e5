"""What verl makes of the shards of a published folder: its dataset for supervised fine-tuning.

Run by test_trainers.py: read_verl.py MODEL SHARD..., with one JSON array on the last line.
"""

import json
import sys

from transformers import AutoTokenizer
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

model, *shards = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model)
made = MultiTurnSFTDataset(shards, tokenizer, {"max_length": 4096, "pad_mode": "no_padding"})
rows = []
for at in range(len(made)):
    row = made[at]
    trained = row["input_ids"][row["loss_mask"].bool()]
    rows.append({"all": tokenizer.decode(row["input_ids"]), "trained": tokenizer.decode(trained)})
sys.stdout.write(json.dumps(rows))
