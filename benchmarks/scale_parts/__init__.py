"""The pieces of `benchmarks/scale.py`, one idea a file."""

Figures = dict[str, float | bool | str | None]
"""What a section found, under the keys of the benchmark's last line; `why` says what is missing."""
