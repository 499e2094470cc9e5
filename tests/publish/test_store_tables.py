"""A store on a terminal: 80 columns, whatever it holds, and nothing in it is obeyed."""

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from rdpt_ray.publish.run_record import flattened, print_run
from rdpt_ray.publish.store_tables import (
    MAX_FILES,
    cost_words,
    print_audit,
    print_contents,
    print_sweep,
    size,
)
from rdpt_ray.storage.audit import Audit
from rdpt_ray.storage.contents import Contents, DatasetContents, ModelContents
from rdpt_ray.storage.damage import Damage
from rdpt_ray.storage.run_contents import RunContents
from rdpt_ray.storage.run_records import RunRecord
from rdpt_ray.storage.sweep import ATTEMPTS, TEMPORARY, UNUSED, Removal, Sweep

HOSTILE = "\x1b[2J\x1b]0;title\x07[red]markup[/red] \u202egnp.exe\u202c \u200b\ud800 " + "w" * 200
TEXTS = st.text(st.characters(codec=None), max_size=120) | st.just(HOSTILE)


def printed(show, *args, width=80):
    out = io.StringIO()
    show(Console(file=out, width=width, force_terminal=False), *args)
    return out.getvalue()


def check(text):
    """Every line fits, and holds nothing that a terminal acts on."""
    for line in text.split("\n"):
        assert cell_len(line) <= 80, line
        assert line == "" or line.isprintable(), ascii(line)


def contents(text="demo"):
    cost = {"traces": 1234.0, "tokens": 5_000_000.0, "seconds": 12.5, "read_again": 3}
    return Contents(
        store=f"s3://bucket/{text}",
        files=12345,
        bytes=5_200_000_000,
        datasets=[DatasetContents(text, 8, 7, 14, 1234, 99_000, {text: 7, "line-1": 7})],
        models=[
            ModelContents(
                text, {"model": text, "dtype": "float32"}, 14, 118, 2, 20, {text: 3}, 1000, cost
            ),
            ModelContents("empty"),
        ],
        rooms={text: {"files": 1, "bytes": 1}},
        runs=[
            RunContents(text, "finished", 2, text, text, 60, 15, 44, 1, {text: cost}),
            RunContents("other", "unfinished"),
        ],
        unreadable=[text],
    )


def test_a_store_is_shown_with_its_numbers():
    text = printed(print_contents, contents())
    check(text)
    for words in (
        "12,345 files, 5.2 GB",
        "1,234 traces in 14 parts, 99.0 KB; 7 of 8 buckets",
        "118 traces in 14 whole parts, 1.0 KB; 20 rows of 2 parts begun",
        "1,234 traces, 5,000,000 tokens, 12 s of actors, 3 traces read again",
        "60 read = 15 selected + 44 rejected + 1 quarantined",
        "other  unfinished",
    ):
        assert words in " ".join(text.split()).replace("  ", " ") or words in text


@given(TEXTS)
@example("\u08ca" * 100)
def test_whatever_is_in_a_store_is_shown_and_not_obeyed(text):
    damage = Damage(text, text, text, text)
    removals = [Removal(text, text, 5, True)]
    run = RunRecord("demo-1", sessions={"f": {"host": text, "started_at": text, "ended": text}})
    run.manifest = {"config": {text: text}, "facts": {}, "models": {}, "inputs": [{"uri": text}]}
    for shown in (
        printed(print_contents, contents(text)),
        printed(print_audit, Audit(1, [damage], [text]), [text]),
        printed(print_sweep, Sweep(removals, removals, frozenset([text])), None),
        printed(print_run, run),
    ):
        check(shown)


def test_markup_is_shown_as_it_is():
    assert "[red]markup[/red]" in printed(print_audit, Audit(1, [], ["[red]markup[/red]"]))


# Audit


def test_every_damaged_file_is_shown_with_what_to_do():
    damage = [Damage(f"scores/m/{n}", "this", f"that {n}", "set it aside") for n in range(30)]
    text = printed(print_audit, Audit(100, damage, ["a note"]), ["damaged/x"])
    check(text)
    assert text.count("what to do") == MAX_FILES
    assert "and 10 more; --json has all" in text
    assert text.rstrip().endswith("100 files checked, 30 damaged")
    assert "a note" in text
    assert "damaged/x" in text


def test_a_sound_store_is_told_in_a_line():
    assert printed(print_audit, Audit(1, [])).strip() == "1 file checked, 0 damaged"


# Sweep

REMOVALS = [
    *(Removal(f"scores/m/{number}", UNUSED, 1000, True) for number in range(9)),
    Removal("traces/.x.tmp", TEMPORARY, 5, True),
]


def test_what_would_be_deleted_is_told_by_reason():
    text = printed(print_sweep, Sweep(REMOVALS), None)
    check(text)
    assert "would be deleted: 10 files, 9.0 KB" in text
    assert "and 6 more; --json has all" in text
    assert "nothing is deleted without --apply" in text
    assert TEMPORARY in text


def test_what_was_deleted_is_told():
    text = printed(print_sweep, Sweep(REMOVALS), REMOVALS)
    assert "\ndeleted: 10 files, 9.0 KB" in text
    assert "apply" not in text


def test_what_stays_is_told_too():
    held = [Removal("attempts/m/x.json", ATTEMPTS, 10, True)]
    sweep = Sweep(REMOVALS, held, frozenset(["runs/r/sessions/s.json"]))
    text = printed(print_sweep, sweep, REMOVALS[:4])
    check(text)
    assert "6 files stay: a job has begun to work on this store" in text
    assert "runs/r/sessions/s.json" in text
    assert "held back until no job is at work: 1 file, 10 bytes" in text


# One run


def test_a_manifest_is_shown_with_keys_that_nobody_foresaw():
    run = RunRecord("demo-0123", is_finished=True)
    run.manifest = {
        "commit": "abc",
        "facts": {"kind": "curate", "empty": None, "nothing": []},
        "models": {"teacher": {"key": "t-1"}},
        "counts": {"rows_read": 1280},
        "brand_new": {"some": [1, 2], "flag": True, "deep": [{"x": 1.5}]},
        "summary": {"secretly_long": "x"},
        "files": {"selected/a": {"bytes": 1000}, "rejected/b": {"bytes": 24}},
        "sessions": [
            {
                "session": "a",
                "started_at": "2026",
                "host": "vm",
                "ended": "finished",
                "timings": {"ingest": 1.25},
                "counts": {"teacher": {"traces": 59, "tokens": 4032, "seconds": 2}},
            },
            {"session": "b", "started_at": "2025", "host": "vm", "progress": {"stage": "select"}},
        ],
    }
    text = printed(print_run, run)
    check(text)
    told = [" ".join(line.split()) for line in text.split("\n")]
    for line in (
        "run demo-0123",
        "commit abc",
        "kind curate",
        "teacher.key t-1",
        "rows_read 1,280",
        "some 1, 2",
        "flag true",
        "deep[0].x 1.5",
        "teacher 59 traces, 4,032 tokens, 2 s of actors",
        "started 2 x",
        "2026 on vm: finished",
        "stages ingest 1.25 s",
        "2025 on vm: not ended: at work, or killed",
        "was at select: None of None",
        "checksums of 2 tables, 1,024 bytes in all",
    ):
        assert line in told
    assert "secretly" not in text
    assert "empty" not in text
    assert told.index("2025 on vm: not ended: at work, or killed") < told.index(
        "2026 on vm: finished"
    )


def test_a_run_that_is_not_finished_is_shown_as_far_as_it_came():
    run = RunRecord("demo-0123", damage=[Damage("runs/x/manifest.json", "this", "that", "do")])
    assert "not to the end" in printed(print_run, run)
    run.ingested = [{"bucket": 0, "num_rows": 60, "num_faults": 1, "parts": {"a": 59}}]
    text = printed(print_run, run)
    check(text)
    assert "60 rows, 1 part" in text
    assert "runs/x/manifest.json: expected this, found that" in text


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 KB"), (2.5e6, "2.5 MB"), (4e15, "4,000.0 TB")],
)
def test_bytes_for_people(count, told):
    assert size(count) == told


def test_cost_is_told_as_far_as_it_is_known():
    assert cost_words({}) == ""
    assert cost_words({"tokens": 1500, "read_again": 0}) == "1,500 tokens"


def test_a_value_is_flattened_to_dotted_names():
    value = {"a": {"b": 1}, "c": [1, [2]], "d": None, "e": "", "f": ["x", "y"]}
    assert list(flattened(value)) == [
        ("a.b", "1"),
        ("c[0]", "1"),
        ("c[1]", "2"),
        ("f", "x, y"),
    ]
