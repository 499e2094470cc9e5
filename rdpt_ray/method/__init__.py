"""The paper (arXiv 2512.20908) as pure functions: sentences, alignment, provenance, selection, summary.

Nothing here does I/O, reads a clock or draws a global random number; numpy and the sentence library are
the only imports outside the standard library.
"""
