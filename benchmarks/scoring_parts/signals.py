"""What measuring more than log-probabilities costs."""

from scoring_parts import Figures
from scoring_parts.ours import scorer
from scoring_parts.race import race, timed
from scoring_parts.workload import A, build_model, draw_traces


def signals(quick: bool) -> Figures:
    """What ranks and Brier scores add to a pass's CPU time, in per cent."""
    traces = draw_traces(3 if quick else 8, A.vocabulary)
    contestants = {
        "plain": timed(scorer(build_model(A))),
        "rank": timed(scorer(build_model(A), signals=("rank",))),
        "both": timed(scorer(build_model(A), signals=("rank", "brier"))),
    }
    results = race(contestants, traces, rounds=1 if quick else 3, peak=lambda: 1.0)
    plain = results["plain"].cpu
    return {
        "signals_cost_rank_percent": 100 * (results["rank"].cpu / plain - 1),
        "signals_cost_percent": 100 * (results["both"].cpu / plain - 1),
    }
