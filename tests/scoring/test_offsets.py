import numpy as np
import pytest

from rdpt_ray.scoring.offsets import repair


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        # "So", " ", "42": the blank was trimmed to the place where the number starts.
        ("So 42", [(0, 2), (3, 3), (3, 5)], [(0, 2), (2, 3), (3, 5)]),
        ("So  ", [(0, 2), (3, 3), (4, 4)], [(0, 2), (2, 3), (3, 4)]),
        # An empty span behind ink is a blank that the tokenizer itself put there.
        ("So42", [(0, 2), (2, 2), (2, 4)], [(0, 2), (2, 2), (2, 4)]),
        (" x", [(0, 0), (0, 2)], [(0, 0), (0, 2)]),
        # Six bytes of two characters, all given the run's span.
        ("a\u7b54\u3002", [(0, 1)] + [(1, 3)] * 6, [(0, 1)] + [(1, 2)] * 3 + [(2, 3)] * 3),
        ("\n\n", [(0, 2)] * 2, [(0, 1), (1, 2)]),
        ("\u0416\n", [(0, 2)] * 3, [(0, 1), (0, 1), (1, 2)]),
        # Bytes of one character share its span already; a number that does not fit is left alone.
        ("\u7b54", [(0, 1)] * 3, [(0, 1)] * 3),
        ("\u7b54\u3002", [(0, 2)] * 4, [(0, 2)] * 4),
        ("ab", [(0, 2)], [(0, 2)]),
        ("", [], []),
    ],
)
def test_spans_cover_what_their_tokens_cover(text, spans, expected):
    given = np.array(spans, np.int64).reshape(-1, 2)
    before = given.copy()
    assert repair(text, given).tolist() == np.array(expected).reshape(-1, 2).tolist()
    assert (given == before).all()
