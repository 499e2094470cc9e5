"""A model and prompts in, responses and the log-probabilities of their tokens out.

    sampler.py       requests in, responses out: rendering, an engine, the text as the model wrote it
    loading.py       from a configured model to its sampler: one branch per engine
    engine.py        what an engine is: prompt ids in, drawn ids with their log-probabilities out
    transformers_engine.py, draw.py, streams.py, batches.py   the reference: transformers' own `generate`,
                     with one processor that draws every row from its own stream
    vllm_engine.py   vLLM in the actor
    written.py       token ids to the text of a response; where a model ends its turn

Shape suffixes in this room: B rows of a batch, V vocabulary, S steps.
"""
