import itertools

from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.publish.train_spans import train_spans
from rdpt_ray.storage.markup import join_canonical

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"


def spans(reasoning, answer, cuts, classes):
    """Spans of a response cut into sentences at these places, and the content that they are in."""
    response, answer_start = join_canonical(reasoning, answer)
    edges = sorted({0, len(response), *(cut % max(len(response), 1) for cut in cuts)})
    sentences = [{"start": a, "end": b} for a, b in itertools.pairwise(edges)]
    parts = (OPEN, reasoning, CLOSE, answer) if reasoning else ("", "", "", answer)
    names = (
        None if classes is None else [classes[at % len(classes)] for at in range(len(sentences))]
    )
    return train_spans(parts, answer_start, sentences, names), "".join(parts)


def texts(found, content, *, train):
    return [
        content[each["begin_offset"] : each["end_offset"] + 1]
        for each in found
        if each["train"] is train
    ]


def test_teacher_sentences_and_markup_carry_loss():
    found, content = spans(
        "Add them. So it is four.", "The sum is 4. Done.", [10, 26, 40], ["COMMON", "TEACHER"]
    )
    assert texts(found, content, train=True) == [
        OPEN,
        " So it is four.",
        CLOSE,
        " Done.",
    ]
    assert texts(found, content, train=False) == ["Add them.", "The sum is 4."]
    assert [each["provenance"] for each in found] == [
        *(None, "COMMON", "TEACHER", None),
        *("COMMON", "TEACHER"),
    ]


def test_a_blank_goes_to_the_word_behind_it_and_a_line_feed_stays():
    found, content = spans("", "One.  Two.\n\nThree.", [6, 12], ["TEACHER"])
    assert texts(found, content, train=True) == ["One.", "  Two.\n\n", "Three."]


def test_a_sentence_on_both_sides_of_the_closing_tag():
    found, content = spans("one", "two", [], ["TEACHER"])
    assert texts(found, content, train=True) == [OPEN, "one", CLOSE, "two"]


def test_a_trace_without_classes_carries_loss_on_its_markup_only():
    found, content = spans("one", "two", [5], None)
    assert texts(found, content, train=True) == [OPEN, CLOSE]


LETTERS = st.text("ab \n.", min_size=1, max_size=30).map(str.strip).filter(bool)


@given(LETTERS, LETTERS | st.just(""), st.lists(st.integers(0, 60), max_size=6))
def test_spans_tile_the_content(reasoning, answer, cuts):
    found, content = spans(reasoning, answer, cuts, ["TEACHER", None, "STUDENT"])
    edges = [(each["begin_offset"], each["end_offset"] + 1) for each in found]
    assert edges[0][0] == 0
    assert edges[-1][1] == len(content)
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(edges))
    assert all(start < end for start, end in edges)
