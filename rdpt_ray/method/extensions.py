"""Policies, splitters and verifiers from other distributions, found by their entry points."""

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from rdpt_ray.errors import ConfigError

Group = Literal["rdpt_ray.policies", "rdpt_ray.splitters", "rdpt_ray.verifiers"]
"""The groups in which a distribution can declare something; docs/method.md has an example."""


def extension_names(group: Group) -> list[str]:
    """The names that installed distributions declare in a group, sorted."""
    return sorted(entry_points(group=group).names)


def extension(group: Group, name: str) -> tuple[Any, str]:
    """Load what a distribution declares under a name.

    Args:
        group: One of `Group`.
        name: The entry point's name.

    Returns:
        The object, and "distribution==version": it belongs into every key and manifest it has a part in.

    Raises:
        ConfigError: if no distribution declares the name, two do, or it cannot be loaded.
    """
    found = {_origin(point): point for point in entry_points(group=group, name=name)}
    if not found:
        raise ConfigError(
            f"no installed distribution declares {name!r} in the entry point group {group}: "
            + unknown_name(name, extension_names(group))
        )
    if len(found) > 1:
        raise ConfigError(
            f"{' and '.join(sorted(found))} both declare {name!r} in the entry point group {group}: "
            "uninstall one of them"
        )
    ((origin, point),) = found.items()
    try:
        return point.load(), origin
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(
            f"{origin} declares {name!r} in the entry point group {group} as {point.value}, "
            f"which cannot be loaded ({error}): repair or reinstall it"
        ) from error


def unknown_name(name: str, known: list[str]) -> str:
    """The second half of an error about an unknown name: what is known, and what was perhaps meant."""
    nearest = get_close_matches(name, known, n=1)
    meant = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{meant}known: {', '.join(sorted(known)) or 'none'}"


def _origin(point: EntryPoint) -> str:
    distribution = point.dist
    return f"{distribution.name}=={distribution.version}" if distribution else "unknown"
