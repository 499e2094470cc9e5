"""A model and text in, log-probabilities out. Torch and transformers live here; Ray does not.

    encoding.py      messages and response -> token ids with the response's character offsets
    offsets.py       repairs those offsets where a tokenizer blurs them
    templates.py     chat templates: read, checked, and told one date
    batching.py      which traces share a forward pass, under a token budget
    engine.py        the protocol of an engine: token ids in, one float per response token out
    transformers_engine.py  the reference engine
    packing.py       what a model's config says against packing
    attention.py, head.py   its two kernels: attention without a mask, the vocabulary in tiles
    scorer.py        text in, sentence scores out: encoding + batching + an engine + alignment
    identity.py      the key under which a model's scores are kept

Shape suffixes in this room: B batch, T tokens of one packed pass, H heads, D head width, E hidden width,
V vocabulary, R response tokens (the ones that are scored).
"""
