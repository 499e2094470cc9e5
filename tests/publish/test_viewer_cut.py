import json
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.publish.viewer_cut import (
    MAX_SENTENCE_CHARS,
    Gap,
    common_limit,
    cut_text,
    json_text,
    num_bytes,
    shown_text,
    text_bytes,
)

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


def shown(texts, max_bytes):
    ends = [0, *accumulate(map(len, texts))]
    spans = list(pairwise(ends))
    names = ["TEACHER"] * len(texts)
    return shown_text("".join(texts), spans, names, [[0.5] * len(texts)], max_bytes)


def test_a_short_text_is_shown_whole():
    found = shown(["One. ", "Two.\n", "Three."], 1_000)
    assert [each.text for each in found.sentences] == ["One. ", "Two.\n", "Three."]
    assert [each.number for each in found.sentences] == [1, 2, 3]
    assert found.gap is None


def test_a_long_text_keeps_its_beginning_and_its_end():
    texts = [f"{number:06}." for number in range(1_000)]
    # 15 bytes a sentence: text 7, its quotes 2, a comma, a class, 4 for a number.
    found = shown(texts, 1_500)
    numbers = [each.number for each in found.sentences]
    assert numbers == [*range(1, 71), *range(971, 1001)]
    assert found.gap == Gap(after=70, sentences=900, chars=6_300)


def test_a_sentence_of_a_megabyte_leaves_room_for_the_others():
    found = shown(["x" * 1_000_000, "Short.", "End."], 60_000)
    assert [len(each.text) for each in found.sentences] == [MAX_SENTENCE_CHARS, 6, 4]
    assert found.sentences[0].left_out == 1_000_000 - MAX_SENTENCE_CHARS
    assert found.gap is None


@given(
    texts=st.lists(ANY_TEXT, max_size=60),
    first=st.integers(0, 4_000),
    second=st.integers(0, 4_000),
)
def test_cutting_once_or_twice_keeps_to_the_limit_and_counts_what_is_missing(texts, first, second):
    once = shown(texts, first)
    assert num_bytes(once) <= first
    twice = cut_text(once, second)
    assert num_bytes(twice) <= max(second, 0) or twice is once
    for found in (once, twice):
        gap = found.gap or Gap(0, 0, 0)
        assert len(found.sentences) + gap.sentences == len(texts)
        assert sum(each.num_chars for each in found.sentences) + gap.chars == sum(map(len, texts))
        numbers = [each.number for each in found.sentences]
        tail = len(texts) - len(numbers) + gap.after + 1
        assert (
            numbers == [*range(1, gap.after + 1), *range(tail, len(texts) + 1)] or not gap.sentences
        )
        for each in found.sentences:
            assert each.left_out < len(texts[each.number - 1]) or not texts[each.number - 1]


@given(
    sizes=st.lists(st.integers(0, 10_000), min_size=1, max_size=50), total=st.integers(0, 200_000)
)
def test_the_common_limit_is_the_largest_that_fits(sizes, total):
    limit = common_limit(sizes, total)
    assert sum(min(size, limit) for size in sizes) <= total
    if limit < max(sizes):
        assert sum(min(size, limit + 1) for size in sizes) > total


@given(st.text(max_size=200))
def test_json_in_the_page_ends_no_element_and_is_read_back(text):
    written = json_text({"text": text + "</script><!--&\u2028\u2029"})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written)["text"] == text + "</script><!--&\u2028\u2029"


@given(st.text(max_size=200))
def test_bytes_are_those_of_the_json(text):
    for each in (text, f'{text}<>&"\\\n\u2028'):
        assert text_bytes(each) == len(json_text(each).encode())
