"""A completions server over HTTP that hosts a plain transformers model and can misbehave on request.

It speaks both dialects as the real servers do (vLLM 0.32 as it ran, SGLang by its source), so that the
engine is tested over real sockets where neither is installed.
"""

import json
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import torch


@dataclass(frozen=True)
class Status:
    """Answer with this status instead."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "as asked by the test"


@dataclass(frozen=True)
class Reset:
    """Cut the connection, without an answer."""


@dataclass(frozen=True)
class Slow:
    """Answer late."""

    seconds: float


@dataclass(frozen=True)
class Tweak:
    """Change the answer in place."""

    change: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Answer:
    """Answer this instead: bytes as they are, anything else as JSON."""

    content: Any


Fault = Status | Reset | Slow | Tweak | Answer


@dataclass
class Completions:
    """What the server does, and what it saw."""

    model: Any
    name: str = "served"
    dialects: tuple[str, ...] = ("vllm", "echo")
    strict: bool = False
    """Refuse keys that OpenAI's API does not know."""
    max_model_len: int | None = 4096
    lists_models: bool = True
    key: str | None = None
    rewrite: Callable[[list[int]], list[int]] = list
    """What becomes of the ids before the model reads them."""
    always: Fault | None = None
    faults: dict[tuple[int, ...], list[Fault]] = field(default_factory=lambda: defaultdict(list))
    """Ids -> the faults of the next requests for them."""
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    most_in_flight: int = 0
    in_flight: int = 0
    lock: Any = field(default_factory=Lock)

    def requests_for(self, ids: list[int]) -> int:
        """How often these ids were sent."""
        return sum(body["prompt"] == ids for body in self.bodies)

    @torch.inference_mode()
    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of a server that behaves."""
        ids = self.rewrite(body["prompt"])
        logits = self.model(input_ids=torch.tensor([ids])).logits[0]
        logprobs_TV = logits.float().log_softmax(-1)
        targets = torch.tensor(ids[1:])[:, None]
        found = logprobs_TV[:-1].gather(1, targets)
        ranks = 1 + (logprobs_TV[:-1] > found).sum(1)
        choice: dict[str, Any] = {"index": 0, "text": " next", "logprobs": None}
        if "vllm" in self.dialects and "prompt_logprobs" in body:
            triples = zip(ids[1:], found[:, 0].tolist(), ranks.tolist(), strict=True)
            choice["prompt_logprobs"] = [
                None,
                *(
                    {str(token): {"logprob": value, "rank": rank, "decoded_token": "x"}}
                    for token, value, rank in triples
                ),
            ]
        if "echo" in self.dialects and body.get("echo"):
            generated = float(logprobs_TV[-1].max())
            choice["logprobs"] = {"token_logprobs": [None, *found[:, 0].tolist(), generated]}
        if body.get("return_token_ids") and not self.strict:
            choice["prompt_token_ids"] = ids
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
        return {"object": "text_completion", "choices": [choice], "usage": usage}


KNOWN_KEYS = {"model", "prompt", "max_tokens", "temperature", "top_p", "seed", "echo", "logprobs"}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    completions: Completions

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path != "/v1/models" or not self.completions.lists_models:
            return self._error(404, "no such path")
        entry: dict[str, Any] = {"id": self.completions.name, "object": "model"}
        if self.completions.max_model_len is not None:
            entry["max_model_len"] = self.completions.max_model_len
        return self._send(200, {"object": "list", "data": [entry]})

    def do_POST(self) -> None:
        state = self.completions
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.bodies.append(body)
            state.headers.append(dict(self.headers))
            state.times.append(datetime.now(UTC))
            state.in_flight += 1
            state.most_in_flight = max(state.most_in_flight, state.in_flight)
            queue = state.faults.get(tuple(body["prompt"]))
            fault = state.always or (queue.pop(0) if queue else None)
        try:
            self._complete(body, fault)
        finally:
            with state.lock:
                state.in_flight -= 1

    def _complete(self, body: dict[str, Any], fault: Fault | None) -> None:
        if self._refused():
            return None
        if self.path != "/v1/completions":
            return self._error(404, "no such path")
        if body["model"] != self.completions.name:
            return self._error(404, f"The model `{body['model']}` does not exist.")
        unknown = set(body) - KNOWN_KEYS
        if self.completions.strict and unknown:
            return self._error(400, f"Unrecognized request arguments: {sorted(unknown)}")
        match fault:
            case Status(code, headers, message):
                return self._error(code, message, headers)
            case Reset():
                self.close_connection = True
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return self.connection.close()
            case Slow(seconds):
                time.sleep(seconds)
        answer = self.completions.completion(body)
        if isinstance(fault, Tweak):
            fault.change(answer)
        if isinstance(fault, Answer):
            answer = fault.content
        return self._send(200, answer)

    def _refused(self) -> bool:
        key = self.completions.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return False
        self._error(401, f"bad key: {self.headers.get('Authorization')}")
        return True

    def _error(self, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        self._send(code, {"error": {"message": message, "code": code}}, headers)

    def _send(self, code: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            self.send_response(code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up waiting

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@contextmanager
def serving(model: Any, **behaviour: Any):
    """A running server, as the `Completions` it follows."""
    completions = Completions(model, **behaviour)
    handler = type("BoundHandler", (Handler,), {"completions": completions})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    completions.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield completions
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
