"""What changes a Hub: new datasets, uploads, commits, branches, tags and pull requests."""

import base64
import hashlib
import json
from fnmatch import fnmatch
from urllib.parse import unquote

import yaml

from tests.hub.repositories import (
    GIT_ATTRIBUTES,
    LARGE,
    Dataset,
    Pull,
    is_large,
    large_blob,
    small_blob,
)
from tests.hub.wire import Answer, Refused, as_json

SIGNATURE = "X-Amz-Signature=signed-never-shown"
"""Of the addresses that large files are put to: whoever has one may write."""


def create(request):
    asked = request.json()
    if request.account is None:
        raise Refused(401, "Invalid username or password.")
    name = f"{asked.get('organization') or request.account.name}/{asked['name']}"
    request.check_writes(name)
    url = f"{request.hub.url}/datasets/{name}"
    if name in request.hub.datasets:
        raise Refused(409, "You already created this dataset repo", url=url)
    request.hub.datasets[name] = new_dataset(private=asked.get("visibility") == "private")
    return as_json({"url": url, "name": name})


def new_dataset(**kwargs):
    """A dataset as it is created: with one commit, of what is a large file in it."""
    dataset = Dataset(**kwargs)
    attributes = "".join(f"{each} filter=lfs diff=lfs merge=lfs -text\n" for each in LARGE)
    dataset.commit({GIT_ATTRIBUTES: attributes.encode()}, title="initial commit")
    return dataset


def validate_yaml(request):
    content = request.json()["content"]
    errors = []
    if content.startswith("---\n"):
        try:
            yaml.safe_load(content[4:].partition("\n---")[0])
        except yaml.YAMLError as error:
            errors = [{"message": f"bad YAML: {error}"}]
    warnings = (
        [] if content.startswith("---\n") else [{"message": "empty or missing yaml metadata"}]
    )
    told = json.dumps({"errors": errors, "warnings": warnings}).encode()
    return Answer(400 if errors else 200, told, {"Content-Type": "application/json"})


def preupload(request, name, revision):
    dataset = _dataset(request, name)
    commit = request.commit_of(dataset, revision)
    asked = request.json()
    ignored = _ignored(commit, asked.get("gitIgnore"))
    files = []
    for each in asked["files"]:
        path, there = each["path"], commit.files.get(each["path"])
        told = {
            "path": path,
            "uploadMode": "lfs" if is_large(path, each["size"]) else "regular",
            "shouldIgnore": any(fnmatch(path, pattern) for pattern in ignored),
        }
        files.append(told | ({"oid": there.named()} if there else {}))
    return as_json({"files": files, "commitOid": commit.sha})


def _ignored(commit, given):
    if given is None and ".gitignore" in commit.files:
        given = commit.files[".gitignore"].content.decode()
    return (given or "").split()


def lfs_batch(request, name):
    dataset = _dataset(request, name)
    hub, objects = request.hub, []
    for each in request.json()["objects"]:
        oid, size = each["oid"], each["size"]
        told = {"oid": oid, "size": size}
        if oid not in dataset.objects:
            base = f"{hub.url}/lfs/{unquote(name)}/{oid}"
            upload = {"href": f"{base}?{SIGNATURE}"}
            if size > hub.part_bytes:
                count = -(-size // hub.part_bytes)
                upload["header"] = {"chunk_size": str(hub.part_bytes)} | {
                    f"{part:05}": f"{base}/{part}?{SIGNATURE}" for part in range(1, count + 1)
                }
            verify = {"href": f"{hub.url}/datasets/{unquote(name)}.git/info/lfs/verify"}
            told["actions"] = {"upload": upload, "verify": verify}
        objects.append(told)
    return as_json({"transfer": "basic", "objects": objects})


def lfs_put(request, name, oid, part=None):
    """A large file or a piece of one: the address is signed, no token travels with it."""
    if SIGNATURE not in request.target:
        raise Refused(403, "SignatureDoesNotMatch")
    dataset = request.hub.datasets[unquote(name)]
    if part is None:
        _keep(dataset, oid, request.body)
    else:
        dataset.parts[oid, int(part)] = request.body
    return Answer(200, headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


def lfs_complete(request, name, oid):
    dataset = request.hub.datasets[unquote(name)]
    numbers = [each["partNumber"] for each in request.json()["parts"]]
    _keep(dataset, oid, b"".join(dataset.parts[oid, number] for number in numbers))
    return as_json({})


def _keep(dataset, oid, content):
    if hashlib.sha256(content).hexdigest() != oid:
        raise Refused(400, "the content is not what its name says")
    dataset.objects[oid] = content


def lfs_verify(request, name):
    dataset = _dataset(request, name)
    asked = request.json()
    if len(dataset.objects.get(asked["oid"], b"")) != asked["size"]:
        raise Refused(404, "the object is not there")
    return as_json({})


def xet_token(request, name, revision):
    _dataset(request, name)
    if request.hub.xet is None:
        raise Refused(404, "no Xet here")
    cas, expires = f"local://{request.hub.xet}", "4102444800"
    names = ("X-Xet-Cas-Url", "X-Xet-Access-Token", "X-Xet-Token-Expiration")
    headers = dict(zip(names, (cas, "xet-never-shown", expires), strict=True))
    body = {"casUrl": cas, "accessToken": "xet-never-shown", "exp": int(expires)}
    return as_json(body, **headers)


def commit(request, name, revision):
    """All changes at once, if the branch still is where the writer saw it."""
    proposes = request.asked("create_pr") == "1"
    dataset = _dataset(request, name)
    branch = unquote(revision)
    head = request.commit_of(dataset, revision)
    number = int(branch[8:]) if branch.startswith("refs/pr/") else None
    if number is None and branch not in dataset.branches:
        raise Refused(404, f"{branch} is no branch", "RevisionNotFound")
    lines = [json.loads(line) for line in request.body.splitlines()]
    header = next(each["value"] for each in lines if each["key"] == "header")
    parent = dataset.find(header.get("parentCommit") or head.sha)
    if parent != head.sha and not proposes:
        raise Refused(412, "The expected parent commit is not the head of the branch any more")
    changed, deleted = _changes(request.hub, dataset, dataset.commits[parent], lines)
    author = request.account.name
    added = dataset.add(
        parent, changed, deleted, header["summary"], header.get("description", ""), author
    )
    url = f"{request.hub.url}/datasets/{unquote(name)}"
    told = {"commitUrl": f"{url}/commit/{added.sha}", "commitOid": added.sha, "success": True}
    if proposes:
        number = len(dataset.pulls) + 1
        dataset.pulls[number] = Pull(number, branch, added.sha, added.title, author)
        told["pullRequestUrl"] = f"{url}/discussions/{number}"
    elif number is not None:
        dataset.pulls[number].head = added.sha
    else:
        dataset.branches[branch] = added.sha
    return as_json(told)


def _changes(hub, dataset, parent, lines):
    """The files that a commit changes, and the paths that it deletes."""
    changed, deleted = {}, set()
    for line in lines:
        key, value = line["key"], line["value"]
        if key == "file":
            changed[value["path"]] = small_blob(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            content = dataset.objects.get(value["oid"])
            if content is None and hub.xet is None:
                raise Refused(400, f"{value['path']}: its content was never uploaded")
            size = value.get("size", len(content or b""))
            changed[value["path"]] = large_blob(value["oid"], size, content)
        elif key == "deletedFile":
            if value["path"] not in parent.files:
                told = f"A file with this name doesn't exist: {value['path']}"
                raise Refused(404, told, "EntryNotFound")
            deleted.add(value["path"])
        elif key == "deletedFolder":
            folder = value["path"].rstrip("/") + "/"
            deleted |= {path for path in parent.files if path.startswith(folder)}
    return changed, deleted


def branch(request, name, branch):
    dataset = request.dataset(name, write=True)
    if unquote(branch) in dataset.branches:
        raise Refused(409, f"Reference already exists: {unquote(branch)}")
    start = request.commit_of(dataset, request.json().get("startingPoint", "main"))
    dataset.branches[unquote(branch)] = start.sha
    return as_json({})


def tag(request, name, revision):
    dataset = request.dataset(name, write=True)
    commit, tag = request.commit_of(dataset, revision), request.json()["tag"]
    if tag in dataset.tags:
        raise Refused(409, f"Tag reference exists already: {tag}")
    dataset.tags[tag] = commit.sha
    return as_json({})


def _dataset(request, name):
    """The dataset that an upload is for: who may read it may propose changes to it."""
    proposes = request.asked("create_pr") == "1"
    if proposes and request.account is None:
        raise Refused(401, "Invalid username or password.")
    return request.dataset(name, write=not proposes)
