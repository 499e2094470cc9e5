import json
import shutil
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from huggingface_hub import close_session, constants

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.envelopes import THINK
from rdpt_ray.scoring.identity import ModelIdentity, identify

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def key(model, revision=None, **changes):
    asked = {
        "dtype": "float32",
        "engine": "transformers/1",
        "chat_template": None,
        "chat_template_kwargs": {},
    }
    return identify(str(model), revision, **(asked | changes)).key


@pytest.fixture
def folder(model_folder):
    return model_folder()


def edit(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def touch_weights(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def grow_tokenizer(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text() + "\n")


CHANGES = {
    "one bit of the weights": touch_weights,
    "the config": lambda folder: edit(folder / "config.json", rms_norm_eps=1e-5),
    "the tokenizer": grow_tokenizer,
    "the tokenizer's config": lambda folder: edit(folder / "tokenizer_config.json", x=1),
    "the chat template": lambda folder: (folder / "chat_template.jinja").write_text("{{ 1 }}"),
    "a SentencePiece model": lambda folder: (folder / "tokenizer.model").write_bytes(b"x"),
    "merges": lambda folder: (folder / "merges.txt").write_text("a b"),
    "a file's name": lambda folder: (folder / "config.json").rename(folder / "configs.json"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_score_changes_the_key(folder, change):
    assert (folder / "chat_template.jinja").exists(), "transformers keeps the template by itself"
    before = key(folder)
    CHANGES[change](folder)
    assert key(folder) != before


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "bfloat16"},
        {"engine": "transformers/2"},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template_kwargs": {"enable_thinking": True}},
        {"chat_template_kwargs": {"enable_thinking": "False"}},
        {"envelope": THINK},
        {"envelope": replace(THINK, answer_open="")},
    ],
)
def test_what_is_asked_of_the_model_changes_the_key(folder, changes):
    others = [{}, {"dtype": "float16"}, {"chat_template_kwargs": {"effort": "high"}}]
    assert key(folder, **changes) not in {key(folder, **other) for other in others}


def test_an_envelopes_name_is_not_part_of_the_key(folder):
    assert key(folder, envelope=replace(THINK, name="config")) == key(folder, envelope=THINK)


def test_models_without_an_envelope_keep_the_keys_they_had():
    """Before there were envelopes, the field said "none"; the scores in stores lie under such keys."""
    pinned = ModelIdentity(
        "org/Model", "org/Model", COMMIT, False, "float32", "transformers/2", {}, None
    )
    assert pinned.key == "Model-7aba1ed5ff2109c5"
    assert asdict(pinned)["envelope"]["name"] == "none"
    assert asdict(replace(pinned, envelope=THINK))["envelope"]["think_open"] == "<think>\n"


def test_a_template_given_by_file_counts_by_its_text(folder, tmp_path):
    paths = [tmp_path / name for name in ("a.jinja", "b.jinja", "c.jinja")]
    for path, text in zip(paths, ("{{ 1 }}", "{{ 1 }}", "{{ 2 }}"), strict=True):
        path.write_text(text)
    one, same, other = (key(folder, chat_template=str(path)) for path in paths)
    assert one == same
    assert len({one, other, key(folder)}) == 3


def test_where_the_folder_lies_and_what_else_it_holds_changes_nothing(folder, tmp_path):
    before = key(folder)
    (folder / "README.md").write_text("# A model")
    (folder / "training_args.bin").write_bytes(b"x")
    (folder / "checkpoint-7").mkdir()
    (folder / "checkpoint-7" / "model.safetensors").write_bytes(b"x")
    assert key(folder) == before
    assert key(f"{folder}/") == before
    elsewhere = tmp_path / "far" / "away" / folder.name
    shutil.copytree(folder, elsewhere)
    assert key(elsewhere) == before


def test_the_place_is_known_but_not_part_of_the_key(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    asked = {"dtype": "float32", "engine": "e", "chat_template": None, "chat_template_kwargs": {}}
    relative = identify(folder.name, None, **asked)
    absolute = identify(str(folder), None, **asked)
    assert relative.location == absolute.location == str(folder.resolve())
    assert relative.key == absolute.key
    assert relative.is_local
    assert relative.revision is None


def test_the_order_of_template_arguments_is_no_difference(folder):
    one = key(folder, chat_template_kwargs={"a": 1, "b": [1, {"c": None}]})
    assert key(folder, chat_template_kwargs={"b": [1, {"c": None}], "a": 1}) == one


def test_the_key_can_be_read_and_is_a_folder_name(folder):
    name, _, digest = key(folder).rpartition("-")
    assert name == folder.name
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    assert key("org/Some_Model.v2", COMMIT).startswith("Some-Model-v2-")
    assert len(key("org/" + "m" * 90, COMMIT)) == 40 + 1 + 16


def test_a_pinned_hub_model_needs_no_network():
    """Any request would raise: the suite runs with HF_HUB_OFFLINE=1."""
    asked = {"dtype": "float32", "engine": "e", "chat_template": None, "chat_template_kwargs": {}}
    pinned = identify("org/model", COMMIT, **asked)
    assert (pinned.weights, pinned.revision, pinned.location) == (COMMIT, COMMIT, "org/model")
    assert not pinned.is_local
    others = [
        key("org/model", COMMIT[::-1]),
        key("org/other", COMMIT),
        key("gro/model", COMMIT),
        replace(pinned, is_local=True).key,
    ]
    assert len({pinned.key, *others}) == 5


@pytest.fixture
def at_endpoint(monkeypatch):
    """Lets the Hub's client out, to the address given."""

    def go(endpoint):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        close_session()  # it may hold a client that refuses to go online

    yield go
    close_session()


@pytest.fixture
def hub(at_endpoint):
    """A server that knows one model's main commit, in the Hub's place."""

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path.startswith("/api/models/org/model")
            body = json.dumps({"id": "org/model", "sha": COMMIT} if known else {}).encode()
            self.send_response(200 if known else 404)
            if not known:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever)
    thread.start()
    at_endpoint(f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("revision", [None, "main"])
def test_a_hub_model_is_pinned_to_what_the_hub_says_now(revision):
    asked = {"dtype": "float32", "engine": "e", "chat_template": None, "chat_template_kwargs": {}}
    found = identify("org/model", revision, **asked)
    assert found == identify("org/model", COMMIT, **asked)
    with pytest.raises(ModelError, match=r"org/other: no such folder.*RepositoryNotFoundError"):
        identify("org/other", revision, **asked)


def test_a_hub_that_does_not_answer_is_a_model_error(at_endpoint):
    at_endpoint("http://127.0.0.1:1")
    with pytest.raises(ModelError, match=r"the Hub cannot resolve it.*ConnectError.*pin"):
        key("org/model")


@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT[:39], COMMIT.upper()])
def test_an_unpinned_hub_model_without_network(revision):
    with pytest.raises(ModelError, match=r"org/model: no such folder.*pin a 40-digit revision"):
        key("org/model", revision)


@pytest.mark.parametrize("revision", [None, COMMIT])
@pytest.mark.parametrize("model", ["/no/such", "./model", "~/model", "a/b/c", "org/mo del"])
def test_what_is_neither_a_folder_nor_a_hub_id(model, revision, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no such folder, and not a Hub id"):
        key(model, revision)


def test_weights_that_could_run_code_are_refused(folder):
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected \*\.safetensors.*pytorch_model\.bin.*run code"):
        key(folder)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="found nothing"):
        key(tmp_path)
