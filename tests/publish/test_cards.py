from dataclasses import replace

import pytest

from rdpt_ray.method.summary import Example, Summary
from rdpt_ray.publish.cards import Clipped, budget_for, make_card

WIDE = budget_for(1)


@pytest.fixture
def example(add):
    """The example that `Summary.add_trace` keeps of one trace."""

    def make(letters, **kwargs) -> Example:
        summary = Summary()
        add(summary, "trace", letters, **kwargs)
        return summary.finished().most_teacher[0]

    return make


def test_a_card_tells_the_class_and_every_probability(example):
    card = make_card(example("TSU"), WIDE)
    assert [(sentence.name, sentence.title) for sentence in card.sentences] == [
        ("TEACHER", "Teacher. Probability: teacher 0.90, student 0.10"),
        ("STUDENT", "Student. Probability: teacher 0.10, student 0.90"),
        ("UNSCORED", "Unscored. Probability: teacher none, student 0.50"),
    ]
    assert (card.num_teacher, card.num_sentences, card.share) == (1, 3, 1 / 3)
    assert card.prompt == Clipped("What is 2 + 2?", 0)
    assert card.answer == Clipped("4", 0)


def test_a_four_way_card_has_three_probabilities(example):
    card = make_card(example("B"), WIDE)
    assert card.sentences[0].title == (
        "Boosted. Probability: teacher 0.50, student 0.50, distilled 0.90"
    )


def test_white_space_around_a_sentence_is_not_coloured(example):
    texts = ["\n\n", "One.  ", "\tTwo.\n", "Three."]
    card = make_card(example("CCCC", texts=texts), WIDE)
    assert [(sentence.before, sentence.text, sentence.after) for sentence in card.sentences] == [
        ("", "\n\n", ""),
        ("", "One.", "  "),
        ("\t", "Two.", "\n"),
        ("", "Three.", ""),
    ]


def test_a_sentence_of_a_megabyte_is_cut_and_counted(example):
    card = make_card(example("TC", texts=["x" * 1_000_000, "Short."]), WIDE)
    assert len(card.sentences[0].text) == 2_000
    assert card.sentences[0].left_out == 998_000
    assert card.sentences[1].text == "Short."


def test_a_mark_that_does_not_fit_any_more_is_counted(example):
    budget = replace(WIDE, response_chars=12)
    card = make_card(example("CC", texts=["\0\0", "End."]), budget)
    assert [(sentence.text, sentence.left_out) for sentence in card.sentences] == [
        ("<U+0000>", 1),
        ("End.", 0),
    ]
    budget = replace(WIDE, response_chars=5)
    card = make_card(example("CC", texts=["\0\0", "End."]), budget)
    assert [(sentence.text, sentence.left_out) for sentence in card.sentences] == [
        ("", 2),
        ("End.", 0),
    ]


def test_sentences_beyond_the_budget_are_counted(example):
    card = make_card(example("C" * 500, texts=["Word. "] * 500), WIDE)
    assert len(card.sentences) == 400
    assert (card.sentences_left_out, card.chars_left_out) == (100, 600)


def test_characters_beyond_the_budget_are_counted(example):
    budget = budget_for(200)
    assert budget.response_chars == 1_500
    card = make_card(example("CCC", texts=["a" * 1_000, "b" * 1_000, "c" * 1_000]), budget)
    assert [(len(sentence.text), sentence.left_out) for sentence in card.sentences] == [
        (1_000, 0),
        (500, 500),
    ]
    assert (card.sentences_left_out, card.chars_left_out) == (1, 1_000)


@pytest.mark.parametrize("num_cards", [0, 1, 20, 33, 200])
def test_all_cards_together_keep_to_the_page(num_cards):
    budget = budget_for(num_cards)
    chars = budget.response_chars + budget.prompt_chars + budget.answer_chars
    assert num_cards * (5 * chars + 300 * budget.sentences) <= 4_600_000
