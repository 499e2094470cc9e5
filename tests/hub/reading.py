"""What a Hub tells of its datasets, and their files."""

import json
import re
from urllib.parse import quote, unquote

from tests.hub.wire import Answer, Refused, as_json


def whoami(request):
    account = request.account
    if account is None:
        raise Refused(401, "Invalid username or password.")
    role = "write" if account.writes else "read"
    orgs = [{"name": name} for name in account.orgs]
    token = {"displayName": "test", "role": role}
    return as_json(
        {"type": "user", "name": account.name, "orgs": orgs, "auth": {"accessToken": token}}
    )


def repository(request, name, revision="main"):
    dataset = request.dataset(name)
    commit = request.commit_of(dataset, revision)
    return as_json(
        {
            "id": unquote(name),
            "sha": commit.sha,
            "private": dataset.private,
            "gated": "auto" if dataset.gated else False,
            "disabled": False,
            "lastModified": commit.date,
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            "tags": [],
        }
    )


def tree(request, name, revision, folder=""):
    dataset = request.dataset(name)
    commit = request.commit_of(dataset, revision)
    folder = unquote(folder or "").strip("/")
    prefix = f"{folder}/" if folder else ""
    inside = {path: blob for path, blob in sorted(commit.files.items()) if path.startswith(prefix)}
    if folder and not inside:
        raise Refused(404, f"{folder} does not exist on {unquote(revision)}", "EntryNotFound")
    recursive = request.asked("recursive").lower() == "true"
    entries, folders = [], set()
    for path, blob in inside.items():
        parts = path[len(prefix) :].split("/")
        folders |= {prefix + "/".join(parts[:depth]) for depth in range(1, len(parts))}
        if recursive or len(parts) == 1:
            entries.append(_entry(path, blob, commit))
    shown = [each for each in sorted(folders) if recursive or "/" not in each[len(prefix) :]]
    directories = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": p} for p in shown]
    return _page(request, directories + entries)


def paths_info(request, name, revision):
    dataset = request.dataset(name)
    commit = request.commit_of(dataset, revision)
    wanted = request.form().get("paths", [])
    if len(wanted) > 1000:
        raise Refused(413, "too many parameters")
    files = [_entry(path, commit.files[path], commit) for path in wanted if path in commit.files]
    folders = [
        {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
        for path in wanted
        if any(each.startswith(f"{path}/") for each in commit.files)
    ]
    return as_json(files + folders)


def refs(request, name):
    dataset = request.dataset(name)
    found = {
        "branches": [
            _ref(each, f"refs/heads/{each}", sha) for each, sha in dataset.branches.items()
        ],
        "tags": [_ref(each, f"refs/tags/{each}", sha) for each, sha in dataset.tags.items()],
        "converts": [],
    }
    if request.asked("include_prs"):
        found["pullRequests"] = [
            _ref(f"pr/{pull.number}", f"refs/pr/{pull.number}", pull.head)
            for pull in dataset.pulls.values()
        ]
    return as_json(found)


def commits(request, name, revision):
    dataset = request.dataset(name)
    sha = request.commit_of(dataset, revision).sha
    return _page(
        request,
        [
            {
                "id": commit.sha,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.author}],
            }
            for commit in dataset.history(sha)
        ],
    )


def discussions(request, name):
    dataset = request.dataset(name)
    status = request.asked("status", "all")
    found = [
        {
            "title": pull.title,
            "num": pull.number,
            "author": {"name": pull.author},
            "createdAt": dataset.commits[pull.head].date,
            "status": pull.status,
            "repo": {"name": unquote(name), "type": "dataset"},
            "isPullRequest": True,
        }
        for pull in reversed(dataset.pulls.values())
        if status in ("all", pull.status)
    ]
    start = int(request.asked("p", "0")) * request.hub.page
    shown = found[start : start + request.hub.page]
    return as_json({"count": len(found), "start": start, "discussions": shown})


def resolve(request, name, revision, path):
    dataset = request.dataset(name, files=True)
    commit = request.commit_of(dataset, revision)
    blob = commit.files.get(unquote(path))
    if blob is None or blob.content is None:
        raise Refused(404, f"{unquote(path)} does not exist on {commit.sha}", "EntryNotFound")
    status, content, headers = 200, blob.content, {}
    if wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", "")):
        start, end = _range(wanted[1], wanted[2], blob.size)
        if start >= end:
            raise Refused(416, "no such range", headers={"Content-Range": f"bytes */{blob.size}"})
        status, content = 206, content[start:end]
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{blob.size}"}
    headers |= {"X-Repo-Commit": commit.sha, "ETag": f'"{blob.named()}"', "Accept-Ranges": "bytes"}
    if blob.sha256:
        headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
    return Answer(status, content, headers, is_content=True)


def _range(first, last, size):
    if not first:  # the last bytes
        return max(size - int(last or 0), 0), size
    return int(first), min(int(last) + 1, size) if last else size


def _ref(name, ref, sha):
    return {"name": name, "ref": ref, "targetCommit": sha}


def _entry(path, blob, commit):
    entry = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.sha256:
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 130}
    entry["lastCommit"] = {"id": commit.sha, "title": commit.title, "date": commit.date}
    return entry


def _page(request, items):
    """The part of a list that the request asks for, with the address of the next."""
    start, size = int(request.asked("cursor", "0")), request.hub.page
    headers = {}
    if start + size < len(items):
        kept = "&".join(
            each
            for each in request.target.partition("?")[2].split("&")
            if each and not each.startswith("cursor=")
        )
        following = f"{request.hub.url}{request.path}?{kept}&cursor={quote(str(start + size))}"
        headers["Link"] = f'<{following}>; rel="next"'
    body = json.dumps(items[start : start + size]).encode()
    return Answer(200, body, {"Content-Type": "application/json", **headers})
