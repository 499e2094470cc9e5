"""A model and prompts in, responses and the log-probabilities of their tokens out."""
