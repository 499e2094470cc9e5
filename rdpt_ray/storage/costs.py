"""What accelerators cost: seconds that sessions have counted, at the prices that their config gave."""

from collections.abc import Mapping
from typing import Any


def cost_of(counts: Mapping[str, Any], prices: Mapping[str, Any]) -> float | None:
    """What one role has cost in one session, in the currency of the prices.

    Args:
        counts: Of the role; its `spent_s` are seconds of each accelerator, or of CPUs.
        prices: Of the session; its `per_hour` is the price of an hour of one.

    Returns:
        None where an hour of something that was used has no price.
    """
    spent, per_hour = counts.get("spent_s"), prices.get("per_hour")
    if not isinstance(spent, Mapping) or not isinstance(per_hour, Mapping):
        return None
    if not all(name in per_hour for name in spent):
        return None
    return sum(seconds / 3600 * per_hour[name] for name, seconds in spent.items())
