"""This driver's session: it says that it lives, keeps the account, and leaves in good order when asked to.

A spot machine that is taken away sends SIGTERM first; so do Kubernetes, Slurm and `ray job stop`. While a
model scores, the driver then lets its actors finish and commit the parts in hand, begins no other, and
ends; everywhere else there is nothing to wait for. Ctrl-C does the same, twice ends at once.
"""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from types import FrameType
from typing import Any

from ray.exceptions import RayError
from rich.console import Console

from rdpt_ray.errors import Interrupted, RdptError, StoreError
from rdpt_ray.pipeline import metrics
from rdpt_ray.pipeline.cluster import error_within
from rdpt_ray.pipeline.interrupts import AGAIN, heard
from rdpt_ray.pipeline.logs import about
from rdpt_ray.pipeline.part_report import ScoredPart
from rdpt_ray.pipeline.progress import Advance, Pace, stage
from rdpt_ray.pipeline.submitted import submission_id
from rdpt_ray.plan_config import PlanConfig
from rdpt_ray.storage.costs import cost_of
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.run_contents import COSTS
from rdpt_ray.storage.sessions import BEAT_S, Session, new_session, session_name, write_session

SHOW_S = 1.0
"""Gauges are set so often at most: parts may be small."""

MAX_ERROR = 1000
"""Characters of an error that a record holds."""


class AtWork:
    """A session while its driver runs."""

    def __init__(self, store: Root, record: Session, console: Console, drain_s: float) -> None:
        """Take the record; see `at_work`."""
        self.record, self.console = record, console
        self.begun = time.monotonic()
        self._store, self._drain_s = store, drain_s
        self._wake, self._stop = threading.Event(), threading.Event()
        self._lock = threading.Lock()  # a dict that grows while it is written is an error
        self._can_wait = False
        self._stopped: str | None = None
        self._why = f"parts in hand took too long and are not committed; {AGAIN}"
        self._pace, self._tokens = Pace(0), Pace(0)
        self._stage, self._role, self._shown = "", "", 0.0
        self.num_set_aside = 0
        """Rows that ingestion could not use."""
        self._beats = threading.Thread(target=self._beat, daemon=True, name="session")

    @property
    def file(self) -> str:
        """Where the record lies in the store."""
        return session_name(self.record.run, self.record.session)

    @contextmanager
    def stage(self, title: str, total: int, *, role: str = "") -> Iterator[Advance]:
        """Show a stage, write down how far it is and how long it took.

        Args:
            title: What it does.
            total: Items in all.
            role: Whose stage it is, where it is a model's; the title ends with it.
        """
        self._heed()
        with self._lock:
            self._pace, self._tokens = Pace(total), Pace(0)
            self._stage, self._role = title.removesuffix(role).rstrip(), role
            self.record.progress = {"stage": title, "done": 0, "total": total}
            if role:
                self.record.progress["role"] = role
        self._show()
        with (
            about(stage=self._stage, **({"role": role} if role else {})),
            self.timed(title),
            stage(self.console, title, total) as advance,
        ):

            def counted(count: int, remark: str) -> None:
                self._heed()
                with self._lock:
                    self.record.progress["done"] += count
                    self._pace.advance(count)
                if time.monotonic() - self._shown >= SHOW_S:
                    self._show()
                advance(count, remark)

            yield counted
        self._show()

    def done_with(self, role: str) -> None:
        """A model has read, or written, all that this run asks of it."""
        with self._lock:
            self.record.models.setdefault(role, {})["done"] = True

    @contextmanager
    def timed(self, title: str) -> Iterator[None]:
        """Write down how long a stage took, also one that was stopped."""
        begun = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                timings = self.record.timings
                timings[title] = round(timings.get(title, 0.0) + time.monotonic() - begun, 3)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """A stretch of work whose actors can be waited for.

        Raises:
            Interrupted: at its end, if the session is to leave.
        """
        self._can_wait = True
        try:
            yield
        finally:
            self._can_wait = False
        if self.record.leaving:
            raise Interrupted(f"stopped as asked, all parts in hand are committed; {AGAIN}")

    def count(self, role: str, model_key: str, scored: ScoredPart) -> None:
        """Enter a part in the account of a role, and say which model has it."""
        with self._lock:
            account = self.record.counts.setdefault(role, dict.fromkeys(COSTS, 0))
            account["model_key"] = model_key
            account["parts"] += 1
            account["traces"] += scored.num_scored
            account["errors"] += scored.num_errors
            account["tokens"] += scored.num_tokens
            account["seconds"] += scored.seconds
            account["read_again"] += scored.num_again
            account["actor_s"] += scored.actor_s
            account["busy_s"] += scored.busy_s
            spent = account.setdefault("spent_s", {})
            spent[scored.on] = spent.get(scored.on, 0.0) + scored.actor_s * scored.num_on
            self._tokens.advance(scored.num_tokens)
            seen = account.setdefault("numerics", [])
            if scored.numerics not in seen:
                seen.append(scored.numerics)

    def begin(self) -> None:
        """Write the record, and go on writing it."""
        self._write()
        self._beats.start()

    def end(self) -> None:
        """Write the record for the last time."""
        self._stop.set()
        self._wake.set()
        if self._beats.ident is not None:
            self._beats.join()
        elif self.record.ended == "failed":
            return  # its first record could not be written, which is told already
        self._write()

    def asked_to_leave(self, number: int, _: FrameType | None) -> None:
        """A signal came."""
        if not self._can_wait or self.record.leaving:
            self._stopped = f"stopped by {signal.Signals(number).name}; {AGAIN}"
            raise Interrupted(self._stopped)
        self.record.leaving = True
        self._wake.set()
        signal.setitimer(signal.ITIMER_REAL, self._drain_s)
        self.console.print(
            f"{signal.Signals(number).name}: finishing the parts in hand, at most {self._drain_s:.0f} s;"
            " once more stops at once",
            highlight=False,
            markup=False,
        )

    def stall(self, why: str) -> None:
        """End the job from another thread."""
        self._why = f"{why}; {AGAIN}"
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGALRM)

    def alarmed(self, _: int, __: FrameType | None) -> None:
        """There is nothing more to wait for."""
        self._stopped = f"stopped: {self._why}"
        raise Interrupted(self._stopped)

    def _heed(self) -> None:
        """Stop where a handler's exception was lost: it can be raised inside an `except` of a library's."""
        if self._stopped is not None:
            raise Interrupted(self._stopped)

    def _beat(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(BEAT_S)
            self._wake.clear()
            self._show()
            try:
                self._write()
            except StoreError:
                continue  # a store that stays away is met by the work itself, which tells it better

    def _write(self) -> None:
        with self._lock:
            self.record.beat += 1
            now = deepcopy(self.record)
            now.progress |= self._speed() if now.progress else {}
        write_session(self._store, now)

    def _speed(self) -> dict[str, float | None]:
        """Of the stage, for whoever reads the record: `running_s`, `per_s`, `eta_s`, `tokens_per_s`."""
        return {**self._pace.told(), "tokens_per_s": self._tokens.told()["per_s"]}

    def _show(self) -> None:
        """Say to Prometheus how far the stage is; Ray drops what was not said again for 20 s."""
        with self._lock:
            self._shown = time.monotonic()
            run, role, stage, pace = self.record.run, self._role, self._stage, self._pace
            speed = self._tokens.per_s if role else None
            costs = {
                each: _cost(counts, self.record) for each, counts in self.record.counts.items()
            }
            errors = sum(counts["errors"] for counts in self.record.counts.values())
        if stage:
            values = {
                "rdpt_done": pace.done,
                "rdpt_queue": pace.total - pace.done,
                "rdpt_eta_seconds": pace.eta_s,
                "rdpt_tokens_per_second": speed,
            }
            metrics.show(values, run, role, stage)
        for each, values in costs.items():
            metrics.show(values, run, each)
        metrics.show({"rdpt_quarantined": self.num_set_aside + errors}, run)


def _cost(counts: Mapping[str, Any], record: Session) -> dict[str, float | None]:
    """Of a role so far: what it cost, and how busy its models were."""
    share = counts["busy_s"] / counts["actor_s"] if counts["actor_s"] else None
    return {"rdpt_cost": cost_of(counts, record.prices), "rdpt_busy_share": share}


@contextmanager
def at_work(
    store: Root,
    run: str,
    name: str,
    console: Console,
    *,
    drain_s: float,
    models: Mapping[str, dict[str, Any]] | None = None,
    plan: PlanConfig | None = None,
) -> Iterator[AtWork]:
    """Be a session of a run for the length of a `with` block.

    Args:
        store: The store.
        run: The run's id.
        name: The session's name; nobody else's.
        console: Where progress is shown.
        drain_s: How long to wait for parts in hand when asked to leave, in seconds.
        models: What is told of them (`Session.models`).
        plan: What has a price.

    Raises:
        Interrupted: in the block, when the process is asked to end.
    """
    record = new_session(name, run)
    record.job = submission_id()
    record.models = dict(models or {})
    if plan is not None and plan.price_per_hour:
        record.prices = {"currency": plan.currency, "per_hour": plan.price_per_hour}
    session = AtWork(store, record, console, drain_s)
    try:
        # A signal that comes as soon as the record can be seen must end the session too.
        with _signals(session), about(run=run, session=name):
            session.begin()
            yield session
        session.record.ended = "finished"
    except Interrupted:
        session.record.ended = "interrupted"
        raise
    except BaseException as error:
        session.record.ended, session.record.error = "failed", _said(error)
        raise
    finally:
        session.end()


def _said(error: BaseException) -> str:
    """An error as a record tells it: the text of one that is made for users, of any other only its kind."""
    ours = error_within(error) if isinstance(error, RayError) else error
    kind = type(ours or error).__name__
    return f"{kind}: {ours}"[:MAX_ERROR] if isinstance(ours, RdptError) else kind


@contextmanager
def _signals(session: AtWork) -> Iterator[None]:
    """Hear SIGTERM and Ctrl-C; only a process's main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    leave = dict.fromkeys((signal.SIGTERM, signal.SIGINT), session.asked_to_leave)
    with heard(leave | {signal.SIGALRM: session.alarmed}):
        yield
