"""Start Ray on a laptop, attach to it on a cluster."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import RayError

from rdpt_ray import errors

OURS = re.compile(r"rdpt_ray\.errors\.(\w+): (.+?)\s*(?=\n\n|\n\S*ray::|\Z)", re.DOTALL)
"""Ray hands over a worker's exception as the text of its traceback (seen with 2.60)."""


@contextmanager
def connected() -> Iterator[None]:
    """A Ray to work with for the length of a `with` block.

    Attaches where there is one: this process already has it, or RAY_ADDRESS names it (as `ray job submit`
    sets for the driver). Otherwise starts one on this machine, without a dashboard, and stops it at the end.
    """
    if ray.is_initialized():
        _quiet()
        with unwrapped():
            yield
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING, log_to_driver=False)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray prints an error line for every actor pool that can restart its actors (ray#53727); on a
        # laptop that is noise in the middle of the progress bars. Workers' own logs are not affected.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        ray.init(
            address="local",
            include_dashboard=False,
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    _quiet()
    try:
        with unwrapped():
            yield
    finally:
        ray.shutdown()


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise an error that a worker made for users as itself, not as a page of Ray's frames."""
    try:
        yield
    except RayError as error:
        if ours := error_within(error):
            raise ours from error
        raise


def error_within(error: RayError) -> errors.RdptError | None:
    """The error of ours that a worker raised, out of the text that Ray makes of it; None if there is none."""
    if not (found := OURS.findall(str(error))):
        return None
    name, message = found[-1]
    return getattr(errors, name)(message)


def _quiet() -> None:
    """Our own progress replaces Ray Data's bars and per-execution log lines."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
