"""A model and text in, log-probabilities out. Torch and transformers live here; Ray does not.

From text to scores:
    encoding.py, offsets.py, templates.py   messages and response -> token ids with character offsets
    batching.py      which traces share a forward pass, under a token budget
    scorer.py        text in, token and sentence scores out: encoding + batching + an engine
    traces.py        what a trace and its scores are, and tokens added up to sentences; without torch
    loading.py       from a configured model to its scorer: one branch per engine
    identity.py      the key under which a model's scores are kept

Engines (docs/engines.md):
    engine.py        what an engine is: token ids in, one float per response token out
    transformers_engine.py   the reference
    vllm_engine.py   vLLM in the actor
    openai_engine.py, endpoint.py, dialects.py   a server, and how it is asked
    recorded.py, recorded_text.py   what was recorded while sampling, checked against the text

Inside the reference engine:
    weights.py       from disk to a model
    packing.py, probe.py   which paths the model allows: by its config, and as measured
    attention.py, causal.py   attention without a mask: a packed row, one trace after what was read before
    head.py, signals.py   the vocabulary in tiles; ranks and Brier scores on the way
    faster.py        layers replaced by faster twins, each compared with what it replaces
    prepacked.py, allocator.py   CPU: weights in the layout that is multiplied fastest, pages kept
    fused.py, fused_kernels.py, long_attention.py   GPU: steps in one kernel each; long traces by cuDNN

Shape suffixes in this room: B batch, T tokens of one packed pass, H heads, D head width, E hidden width,
V vocabulary, R response tokens (the ones that are scored), L queries and K keys of one trace, C a tile.
"""
