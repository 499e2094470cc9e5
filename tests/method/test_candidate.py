"""What a candidate counts."""

import math

import numpy as np
import pytest

from rdpt_ray.method.candidate import Candidate, RoleScores
from rdpt_ray.method.provenance import CODES

TEACHER, STUDENT, COMMON = (CODES[name] for name in ("TEACHER", "STUDENT", "COMMON"))


def scores(*tokens):
    sums = [-float(count) if count else math.nan for count in tokens]
    return RoleScores(np.array(sums, np.float64), np.array(tokens, np.int64))


@pytest.mark.parametrize(
    ("codes", "num_teacher"),
    [
        ([], 0),
        ([-1, -1], 0),
        ([STUDENT, COMMON, STUDENT], 0),
        ([STUDENT, TEACHER, COMMON, TEACHER, -1, TEACHER], 3),
    ],
)
def test_num_teacher_counts_only_teacher(codes, num_teacher):
    none = scores(*[0] * len(codes))
    candidate = Candidate("a", 10, np.array(codes, np.int8), none, none)
    assert candidate.num_teacher == num_teacher
    assert candidate.num_sentences == len(codes)


def test_tokens_are_those_of_the_student():
    candidate = Candidate("a", 10, np.array([0, 0, -1], np.int8), scores(9, 9, 9), scores(2, 3, 0))
    assert candidate.num_tokens == 5
    assert candidate.teacher.num_tokens == 27
    assert (type(candidate.num_tokens), type(candidate.num_teacher)) == (int, int)
