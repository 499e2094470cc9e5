"""Listing inputs and comparing their columns with the config."""

import os
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdpt_ray.errors import ConfigError, InputError
from rdpt_ray.input_config import InputConfig
from rdpt_ray.storage.inputs import check_columns, list_inputs
from rdpt_ray.storage.sources import open_input


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.jsonl",
        "a.parquet",
        "deep/er/c.jsonl.zst",
        "deep/d.NDJSON.gz",
        "dataset_infos.json",
        "README.md",
        "data.csv",
        ".hidden.jsonl",
        "_SUCCESS",
        "_part.jsonl",
        ".cache/e.jsonl",
        "_temporary/0/f.parquet",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def names(config, root):
    return [os.path.relpath(file.uri, root) for file in list_inputs(config)]


def test_a_folder_is_listed_below_hidden_names_left_out(folder):
    files = list_inputs(InputConfig(path=str(folder)))
    assert [os.path.relpath(file.uri, folder) for file in files] == [
        "a.parquet",
        "b.jsonl",
        "deep/d.NDJSON.gz",
        "deep/er/c.jsonl.zst",
    ]
    assert [file.index for file in files] == [0, 1, 2, 3]
    assert [(file.format, file.compression) for file in files] == [
        ("parquet", None),
        ("jsonl", None),
        ("jsonl", "gzip"),
        ("jsonl", "zstd"),
    ]


@pytest.mark.parametrize(
    ("path", "format", "expected"),
    [
        ("b.jsonl", "auto", ["b.jsonl"]),
        ("*.jsonl", "auto", ["_part.jsonl", "b.jsonl"]),
        ("**/*.zst", "auto", ["deep/er/c.jsonl.zst"]),
        ("*", "auto", ["_part.jsonl", "a.parquet", "b.jsonl", "dataset_infos.json"]),
        ("*.md", "jsonl", ["README.md"]),
        (".", "parquet", ["a.parquet"]),
        ("deep/", "jsonl", ["deep/d.NDJSON.gz", "deep/er/c.jsonl.zst"]),
        ("dataset_infos.json", "auto", ["dataset_infos.json"]),
        (".cache", "auto", [".cache/e.jsonl"]),
        (["deep", "b.jsonl", "*.jsonl"], "auto", None),
    ],
)
def test_paths(folder, path, format, expected):
    paths = [f"{folder}/{part}" for part in ([path] if isinstance(path, str) else path)]
    found = names(InputConfig(path=paths, format=format), folder)
    assert sorted(set(found)) == found
    if expected is None:
        expected = ["_part.jsonl", "b.jsonl", "deep/d.NDJSON.gz", "deep/er/c.jsonl.zst"]
    assert found == expected


def test_order_does_not_depend_on_how_the_paths_are_given(folder):
    paths = [f"{folder}/b.jsonl", f"{folder}/deep", f"{folder}/a.parquet", f"{folder}/b.jsonl"]
    assert names(InputConfig(path=paths), folder) == names(InputConfig(path=paths[::-1]), folder)


def test_a_name_with_glob_characters_is_taken_literally_if_it_exists(tmp_path):
    (tmp_path / "a[1].jsonl").write_bytes(b"x")
    (tmp_path / "a1.jsonl").write_bytes(b"y")
    config = InputConfig(path=str(tmp_path / "a[1].jsonl"))
    assert names(config, tmp_path) == ["a[1].jsonl"]


def test_relative_paths_are_shown_relative_and_opened_absolute(folder, monkeypatch):
    monkeypatch.chdir(folder / "deep")
    for path in ("../b.jsonl", "../*.jsonl", ".."):
        file = next(f for f in list_inputs(InputConfig(path=path)) if "b.jsonl" in f.uri)
        assert file.uri == "../b.jsonl"
        assert os.path.samefile(file.path, folder / "b.jsonl")
        assert os.path.isabs(file.path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.jsonl", "does not exist"),
        ("no/such/folder", "does not exist"),
        ("*.tar", "matches no .parquet or .jsonl file"),
        ("empty", "matches no .parquet or .jsonl file .files there: notes.txt"),
        ("data.csv", "set input.format"),
        (["b.jsonl", "nothing.jsonl"], r"nothing\.jsonl does not exist"),
        ([], "input.path is empty"),
        ([""], "input.path is empty"),
    ],
)
def test_paths_that_match_nothing_are_errors(folder, path, message):
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_bytes(b"x")
    paths = [part and f"{folder}/{part}" for part in ([path] if isinstance(path, str) else path)]
    with pytest.raises(InputError, match=message):
        list_inputs(InputConfig(path=paths))


@pytest.mark.parametrize("path", ["nosuch://bucket/key", "/dev/null"])
def test_what_is_no_file_system_or_no_file_is_an_error(path):
    with pytest.raises(InputError, match=path):
        list_inputs(InputConfig(path=path))


def test_fingerprint_follows_the_content(tmp_path):
    path = tmp_path / "a.jsonl"

    def fingerprint():
        return list_inputs(InputConfig(path=str(path)))[0].fingerprint

    path.write_bytes(b"abc")
    first = fingerprint()
    os.utime(path, (1, 1))
    assert fingerprint() == first
    path.write_bytes(b"abd")
    assert fingerprint() != first
    path.write_bytes(b"abc")
    assert (
        fingerprint()
        == first
        == f"3-sha256:{'ba7816bf8f01cfea414140de5dae2223b00361a396'}" + ("177a9cb410ff61f20015ad")
    )


def test_memory_file_system():
    memory = fsspec.filesystem("memory")
    for name in ("a.jsonl", "sub/b.parquet", "sub/_c.parquet"):
        memory.pipe(f"/listing/{name}", b"x")
    for path in ("memory://listing", "memory://listing/", "memory://listing/**"):
        files = list_inputs(InputConfig(path=path))
        uris = {file.uri for file in files}
        assert {"memory:///listing/a.jsonl", "memory:///listing/sub/b.parquet"} <= uris
        assert ("memory:///listing/sub/_c.parquet" in uris) is path.endswith("*")
    with pytest.raises(InputError, match="memory://listing/none does not exist"):
        list_inputs(InputConfig(path="memory://listing/none"))


def test_a_file_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/1.jsonl", "{}")
    [file] = list_inputs(InputConfig(path=f"zip://x/*.jsonl::{tmp_path}/a.zip"))
    assert file.uri == f"zip://x/1.jsonl::{tmp_path}/a.zip"
    assert file.size == 2


@pytest.fixture
def web(tmp_path):
    """The address of a web server for `tmp_path`."""
    handler = partial(QuietHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


def test_a_signed_address_is_read_and_its_signature_not_shown(web, tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(b"x")
    [file] = list_inputs(InputConfig(path=f"{web}/a.jsonl.gz?X-Signature=SECRET"))
    assert (file.uri, file.compression) == (f"{web}/a.jsonl.gz", "gzip")
    assert "SECRET" not in repr(file)
    with open_input(file) as source:
        assert source.read() == b"x"
    (tmp_path / "a.jsonl.gz").unlink()
    with pytest.raises(InputError, match=f"{web}/a.jsonl.gz: cannot be opened") as caught:
        open_input(file).__enter__()
    assert "SECRET" not in str(caught.value)
    with pytest.raises(InputError, match=f"{web}/b.jsonl ") as caught:
        list_inputs(InputConfig(path=f"{web}/b.jsonl?X-Signature=SECRET"))
    assert "SECRET" not in str(caught.value)


def test_a_password_is_not_shown_in_an_error():
    with pytest.raises(InputError, match=r"nosuch://host/a\.jsonl cannot be listed") as caught:
        list_inputs(InputConfig(path="nosuch://user:SECRET@host/a.jsonl"))
    assert "SECRET" not in str(caught.value)


def write(path, **columns):
    pq.write_table(pa.table(columns), path)


def check(folder, **options):
    config = InputConfig(path=str(folder), **options)
    check_columns(list_inputs(config), config)


def test_one_good_file_is_enough(tmp_path):
    write(tmp_path / "a.parquet", prompt=["q"], output=["r"])
    write(tmp_path / "c.parquet", prompt=["q"], response=["r"])
    (tmp_path / "b.parquet").write_bytes(b"<html>")
    check(tmp_path)


def test_no_good_file_is_an_error_that_says_what_to_do(tmp_path):
    write(tmp_path / "a.parquet", question=["q"], output=["r"])
    write(tmp_path / "b.parquet", question=["q"], output=["r"])
    (tmp_path / "c.parquet").write_bytes(b"<html>")
    with pytest.raises(InputError) as caught:
        check(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/a.parquet: column 'prompt'")
    assert "columns there: question, output" in message
    assert "input.columns: {prompt: question}" in message
    assert "(and 1 more files)" in message
    assert "nearest is limo, which lacks a fitting solution and answer" not in message
    assert "known layouts: rdpt, rdpt-published, openthoughts3," in message
    with pytest.raises(InputError, match=r"a\.parquet: .*\{response: output\}"):
        check(tmp_path, columns={"prompt": "question"})
    check(tmp_path, columns={"prompt": "question", "response": "output"})


@pytest.mark.parametrize(
    ("values", "named"), [([1], "int64"), ([["r"]], "list<"), ([b"r"], "binary")]
)
def test_the_wrong_type_everywhere_is_an_error(tmp_path, values, named):
    write(tmp_path / "a.parquet", prompt=["q"], response=values)
    with pytest.raises(InputError, match=f"a.parquet: .*'response'.* expected string, got {named}"):
        check(tmp_path)


def test_a_mapped_column_that_no_file_has_is_an_error(tmp_path):
    write(tmp_path / "a.parquet", prompt=["q"], response=["r"])
    with pytest.raises(InputError, match=r"input\.columns\.source: .*'orign'"):
        check(tmp_path, columns={"source": "orign"})
    write(tmp_path / "b.parquet", prompt=["q"], response=["r"], orign=["x"])
    check(tmp_path, columns={"source": "orign"})


def test_an_unknown_canonical_name_is_a_config_error(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"{}")
    with pytest.raises(ConfigError, match="'response'"):
        check(tmp_path, columns={"respones": "output"})


def test_jsonl_has_no_schema_to_check(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}')
    check(tmp_path, columns={"source": "orign"})


def test_unreadable_files_are_left_to_quarantine(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    check(tmp_path)
