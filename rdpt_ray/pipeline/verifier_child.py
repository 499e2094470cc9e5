"""The process that runs foreign verifiers: pairs come in on stdin, verdicts go out on stdout, line by line.

    python -m rdpt_ray.pipeline.verifier_child {math | extension NAME} SECONDS

math-verify reads untrusted text with sympy, which can take years or all memory, and evaluates Python that
it writes itself (`sympy.parse_expr`). So this process holds nothing worth having and is killed by the
kernel when a pair takes too much processor time: a limit that holds inside C code, where no handler runs.
"""

import json
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

Judge = Callable[[str, str], Any]

MEMORY_BYTES = 1 << 30
"""Address space for maths; the process takes about 0.2 GB of it before the first pair."""

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a verifier raises when it cannot do its work; anything else ends the process."""


def main(kind: str, name: str, limit_s: float) -> None:
    """Answer pairs until stdin ends.

    Args:
        kind: "math", or "extension" for a verifier of another distribution.
        name: The extension's.
        limit_s: Processor seconds that one pair may take.
    """
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a verifier prints is no reply
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    judge = _math() if kind == "math" else _extension(name)
    replies.write(b'"ready"\n')
    for line in sys.stdin.buffer:
        reference, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        reply = _reply(judge, reference, answer)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if reply is not True and kind == "math" and _nearly_full():
            reply = {"fault": "memory"}  # sympy may have met a MemoryError and gone on
        replies.write(json.dumps(reply).encode() + b"\n")
        if reply == {"fault": "memory"}:
            return


def _reply(judge: Judge, reference: str, answer: str) -> Any:
    try:
        verdict = judge(reference, answer)
    except MemoryError:
        return {"fault": "memory"}
    except FAULTS as error:
        return {"fault": f"failed: {type(error).__name__}"}
    if verdict is None or isinstance(verdict, bool):
        return verdict
    return {"fault": f"failed: returned {type(verdict).__name__}"}


def _extension(name: str) -> Judge:
    from rdpt_ray.method.extensions import extension

    return extension("rdpt_ray.verifiers", name)[0]


def _math() -> Judge:
    """math-verify, warm and locked in."""
    from math_verify import parse, verify

    def judge(reference: str, answer: str) -> bool | None:
        gold, given = _parsed(parse, reference), _parsed(parse, answer)
        if not gold or not given:
            return None
        if gold[-1] == given[-1]:  # the strings
            return True
        if len(gold) < 2 or len(given) < 2:  # one could not be parsed
            return None
        return verify(gold[0], given[0], timeout_seconds=None, raise_on_error=True)

    for pair in ((r"\boxed{1/2}", r"\boxed{\{x^2, (0, 1]\}}"), ("$x = 1$", "$1 < x$")):
        judge(*pair)  # what is imported late counts to no pair
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.addaudithook(_refuse_all_but_imports())
    return judge


def _parsed(parse: Callable[..., list[Any]], text: str) -> list[Any]:
    """The expression, if there is one, and its text last."""
    return parse(text, parsing_timeout=None, raise_on_error=True)


def _refuse_all_but_imports() -> Callable[[str, tuple[Any, ...]], None]:
    """Refuse files, processes and sockets to whatever sympy may be made to evaluate.

    A second fence, not a sandbox: nothing is known to get past the parsers.
    """
    allowed = (*sysconfig.get_paths().values(), *filter(None, sys.path), STATUS)
    refused = ("os.", "socket.", "subprocess.", "ctypes.", "pty.", "shutil.", "tempfile.")
    harmless = {"os.listdir", "os.scandir"}

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        opened = event == "open" and not str(arguments[0]).startswith(allowed)
        if opened or (event.startswith(refused) and event not in harmless):
            raise PermissionError(f"{event} is refused here")

    return refuse


STATUS = "/proc/self/status"


def _nearly_full() -> bool:
    """Whether this process has come within a tenth of its memory limit."""
    if not os.path.exists(STATUS):
        return False
    with open(STATUS, encoding="ascii", errors="replace") as status:
        peaks = [line for line in status if line.startswith("VmPeak:")]
    return bool(peaks) and int(peaks[0].split()[1]) * 1024 > 0.9 * MEMORY_BYTES


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
