"""Reasoning distillation provenance tracing on Ray: what a student learned from its teacher.

The method lives in `rdpt_ray.method`, the command `rdpt` in `rdpt_ray.cli`. Importing this package
loads nothing heavy; each room is imported by its own name.
"""

__version__ = "0.1.0"
