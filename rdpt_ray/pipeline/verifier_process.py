"""A verifier in a process of its own, which is killed and started anew when a pair takes too long.

A pair is blamed for a crash or for full memory only where it was its process's first: what an earlier pair
left behind must not decide the verdict of a later one.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rdpt_ray.errors import ConfigError

START_S = 120.0
"""How long the process may take to come up; importing sympy takes one to two seconds."""

CLOCK_FACTOR = 3.0
"""Seconds on the clock per processor second allowed: room for a busy machine, an end for what sleeps."""

TIMEOUT, MEMORY, CRASHED = "timeout", "memory", "crashed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier said."""

    correct: bool | None
    detail: str | None
    """Why it could not tell."""


class VerifierProcess:
    """Asks one child process at a time; a context manager. Not for several threads."""

    def __init__(self, kind: str, name: str, limit_s: float) -> None:
        """Nothing is started before the first pair.

        Args:
            kind: "math" or "extension".
            name: The extension's; empty for maths.
            limit_s: Processor seconds that one pair may take, and on the clock `CLOCK_FACTOR` times that.
        """
        self._command = [sys.executable, "-P", "-m", "rdpt_ray.pipeline.verifier_child"]
        self._command += [kind, name, str(limit_s)]
        self._environment = _environment(bare=kind == "math")
        self._limit_s = limit_s
        self._child: subprocess.Popen[bytes] | None = None
        self._served = 0
        self.restarts = 0
        """How often a new process was needed after the first."""

    def judge(self, reference: str, answer: str) -> Verdict:
        """Ask about one pair; no answer takes longer than the limit.

        Raises:
            ConfigError: if the process cannot be started at all.
        """
        verdict, was_first = self._once(reference, answer)
        if verdict.detail in (MEMORY, CRASHED) and not was_first:
            verdict, _ = self._once(reference, answer)
        return verdict

    def close(self) -> None:
        """Kill the process, if there is one."""
        if self._child is not None:
            self._end(self._child)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        self.close()

    def _once(self, reference: str, answer: str) -> tuple[Verdict, bool]:
        child = self._child or self._start()
        was_first = self._served == 0
        self._served += 1
        pair = json.dumps([reference, answer], ensure_ascii=False).encode(errors="replace")
        try:
            reply = _exchange(child, pair + b"\n", CLOCK_FACTOR * self._limit_s)
        except BrokenPipeError:
            reply = b""
        if reply is None:
            self._end(child)
            return Verdict(None, TIMEOUT), was_first
        if not reply:
            code = self._end(child)
            return Verdict(None, TIMEOUT if code == -signal.SIGPROF else CRASHED), was_first
        said: Any = json.loads(reply)
        if not isinstance(said, dict):
            return Verdict(said, "not comparable" if said is None else None), was_first
        if said["fault"] == MEMORY:
            self._end(child)
        return Verdict(None, said["fault"]), was_first

    def _start(self) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            bufsize=0,
        )
        if _exchange(child, b"", START_S) != b'"ready"\n':
            code = self._end(child)
            raise ConfigError(
                f"verify.method: the process that runs it did not start (exit code {code}); try"
                f" `{' '.join(self._command[2:])}` in the environment of the workers"
            )
        self.restarts += self._served > 0
        self._child, self._served = child, 0
        return child

    def _end(self, child: "subprocess.Popen[bytes]") -> int:
        """Kill it and return its exit code: its own, if it had ended before."""
        if child.poll() is None:
            try:
                child.wait(5 if _at_end(child) else 0)
            except subprocess.TimeoutExpired:
                child.kill()
        code = child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        self._child = None
        return code


def _at_end(child: "subprocess.Popen[bytes]") -> bool:
    """Whether it has closed its side, so that it is about to end by itself."""
    assert child.stdout is not None
    return bool(select.select([child.stdout], [], [], 0)[0])


def _exchange(child: "subprocess.Popen[bytes]", line: bytes, limit_s: float) -> bytes | None:
    """Send a line and wait for one.

    The child reads a line whole before it works on it, and a line is shorter than a pipe is deep, so that
    sending it never waits for the work.

    Returns:
        The line; empty or cut short if the child ended; None if it took too long.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    if line:
        child.stdin.write(line)
    deadline = time.monotonic() + limit_s
    poll = select.poll()
    poll.register(child.stdout, select.POLLIN)
    reply = b""
    while not reply.endswith(b"\n"):
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        more = os.read(child.stdout.fileno(), 4096)
        if not more:
            return b""
        reply += more
    return reply


def _environment(*, bare: bool) -> dict[str, str]:
    """Where Python finds its modules; of the job's environment nothing, or, for an extension, all."""
    given = {} if bare else dict(os.environ)
    return given | {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path),
        "PYTHONHASHSEED": "0",  # sympy orders by hash here and there
        "PYTHONDONTWRITEBYTECODE": "1",
    }
