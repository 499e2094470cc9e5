"""The pieces of `benchmarks/gpu.py`, one idea a file."""
