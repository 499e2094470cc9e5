"""Ways to decide whether an answer is the reference answer, by name, and what pins each of them down."""

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from rdpt_ray.errors import ConfigError
from rdpt_ray.method.answer_choices import choice_match
from rdpt_ray.method.answer_exact import exact_match
from rdpt_ray.method.answer_numbers import numeric_match
from rdpt_ray.method.extensions import extension, extension_names, unknown_name

Verifier = Callable[[str, str], bool | None]
"""(reference answer, text that holds the answer) -> whether it is right; None: cannot tell."""

MATCHES: dict[str, Verifier] = {
    "exact": exact_match,
    "numeric": numeric_match,
    "choice": choice_match,
}
"""Verifiers that can run anywhere: pure, and linear in the text."""

MATH = "math"

VERSION = 1
"""Raised whenever a verdict of ours may change: which text is the answer, or what equals what."""

_LIBRARIES = ("math-verify", "latex2sympy2_extended", "sympy")


def verifier_identity(method: str) -> str:
    """What decides a verifier's verdicts, in words: its name and every version.

    Args:
        method: math, one of `MATCHES`, or the entry point of an extension (`rdpt_ray.verifiers`).

    Raises:
        ConfigError: if there is no such verifier, or it is not installed.
    """
    if method in MATCHES:
        return f"{method}/{VERSION}"
    if method == MATH:
        return f"{method}/{VERSION} {' '.join(f'{name}=={_version(name)}' for name in _LIBRARIES)}"
    if method not in extension_names("rdpt_ray.verifiers"):
        known = [MATH, *MATCHES, *extension_names("rdpt_ray.verifiers")]
        raise ConfigError(f"no verifier is called {method!r}: {unknown_name(method, known)}")
    return f"{method}/{VERSION} {extension('rdpt_ray.verifiers', method)[1]}"


def verifier_id(method: str) -> str:
    """A short name for a verifier, as a folder: its method and a hash of its identity."""
    digest = hashlib.sha256(verifier_identity(method).encode()).hexdigest()
    return f"{method}-{digest[:12]}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise ConfigError(
            f"the method math needs {name}: pip install 'rdpt_ray[math]', here and on every worker"
        ) from error
