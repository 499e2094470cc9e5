"""A small Hugging Face Hub on loopback: one process's datasets with commits, branches and a private one.

The unmodified huggingface_hub client talks to it. Endpoints: repository at a revision, tree, paths-info,
resolve with ranges. Every request is noted with the bytes of content it was served.
"""

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit


@dataclass
class Dataset:
    """Commits (sha -> path -> content) and branches (name -> sha)."""

    token: str | None = None
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files, branch="main"):
        """Add a commit on a branch, with these files changed; returns its sha."""
        tree = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        sha = hashlib.sha1(repr((len(self.commits), sorted(tree.items()))).encode()).hexdigest()
        self.commits[sha] = tree
        self.branches[branch] = sha
        return sha


@dataclass
class Hub:
    """The server's content and what it was asked."""

    url: str = ""
    datasets: dict[str, Dataset] = field(default_factory=dict)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and bytes of file content served."""

    def served(self, part=""):
        """Bytes of content served by requests with this in their path."""
        return sum(count for _, path, count in self.requests if part in path)


@contextmanager
def running_hub():
    """A hub that answers until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        """Nothing on the terminal."""

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def do_POST(self):
        self._answer(
            json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        )

    def _answer(self, body=None):
        path = unquote(urlsplit(self.path).path)
        for pattern, act in (
            (r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", self._repository),
            (r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?", self._tree),
            (r"/api/datasets/([^/]+/[^/]+)/paths-info/([^/]+)", self._paths_info),
            (r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
        ):
            if found := re.fullmatch(pattern, path):
                dataset = self._allowed(found[1])
                if dataset is None:
                    return self._fail(401, "RepoNotFound")
                sha = dataset.branches.get(found[2] or "main", found[2])
                if sha not in dataset.commits:
                    return self._fail(404, "RevisionNotFound")
                return act(found[1], sha, dataset.commits[sha], found, body)
        return self._fail(404, "EntryNotFound")

    def _allowed(self, name):
        dataset = self.hub.datasets.get(name)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return dataset if dataset and dataset.token in (None, token) else None

    def _repository(self, name, sha, files, found, body):
        siblings = [{"rfilename": path} for path in sorted(files)]
        self._json({"id": name, "sha": sha, "private": False, "siblings": siblings, "tags": []})

    def _tree(self, name, sha, files, found, body):
        folder = (found[3] or "").strip("/")
        prefix = f"{folder}/" if folder else ""
        inside = {path: files[path] for path in sorted(files) if path.startswith(prefix)}
        if folder and not inside:
            return self._fail(404, "EntryNotFound")
        recursive = "recursive=true" in urlsplit(self.path).query.lower()
        entries, folders = [], set()
        for path, content in inside.items():
            parts = path[len(prefix) :].split("/")
            folders |= {prefix + "/".join(parts[:depth]) for depth in range(1, len(parts))}
            if recursive or len(parts) == 1:
                entries.append(_entry(path, content))
        shown = [each for each in sorted(folders) if recursive or "/" not in each[len(prefix) :]]
        self._json(
            [{"type": "directory", "oid": "0" * 40, "size": 0, "path": p} for p in shown] + entries
        )

    def _paths_info(self, name, sha, files, found, body):
        wanted = body.get("paths", [])
        self._json([_entry(path, files[path]) for path in wanted if path in files])

    def _resolve(self, name, sha, files, found, body):
        content = files.get(found[3])
        if content is None:
            return self._fail(404, "EntryNotFound")
        status, headers, whole = 200, {}, len(content)
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, whole)
            content, status = content[start:end], 206
            headers = {"Content-Range": f"bytes {start}-{end - 1}/{whole}"}
        headers |= {
            "X-Repo-Commit": sha,
            "ETag": f'"{_oid(files[found[3]])}"',
            "Accept-Ranges": "bytes",
        }
        self._send(status, content, headers, counted=True)

    def _json(self, value):
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _fail(self, status, code):
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status, content, headers, *, counted=False):
        sent = content if self.command != "HEAD" else b""
        self.hub.requests.append((self.command, self.path, len(sent) if counted else 0))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)


def _oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path, content):
    """As the Hub lists a file: a large one with the sha256 of its content."""
    entry = {"type": "file", "oid": _oid(content), "size": len(content), "path": path}
    if path.endswith(".parquet"):
        lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        entry["lfs"] = lfs
    return entry
