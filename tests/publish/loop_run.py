"""A loop small enough to be counted by hand: three policies, three seeds each, ten prompts."""

from rdpt_ray.method.accuracy import accuracy
from rdpt_ray.publish.loop_facts import LengthControl, LoopFacts, PolicyFacts, SeedFacts

RIGHT = {"teacher_count": (8, 7, 9), "random": (6, 6, 6), "fewest": (4, 9, 2)}
"""Right answers of each seed's student, of ten."""


def answered(right, of=10, unknown=0):
    wrong = of - right - unknown
    return accuracy([[True]] * right + [[False]] * wrong + [[None]] * unknown)


def policy(name, right, **more):
    seeds = tuple(
        SeedFacts(
            seed=number,
            accuracy=answered(each),
            classes={"TEACHER": 6 + number, "SHARED": 3, "STUDENT": 1 - number % 2},
            differences={"TEACHER": 0.1 * (number + 1)},
        )
        for number, each in enumerate(right)
    )
    given = {"traces": 100, "tokens": 5000, "sentences": 8.0, "teacher": 4.5}
    return PolicyFacts(policy=name, seeds=seeds, **{**given, **more})


def loop(**more):
    policies = [policy(name, right) for name, right in RIGHT.items()]
    policies[0] = policy(
        "teacher_count",
        RIGHT["teacher_count"],
        teacher=5.25,
        control=LengthControl(1.02, 40, 0.75, -0.05),
    )
    given = {
        "name": "miniature",
        "created_at": "2026-01-02 03:04:05 UTC",
        "policies": tuple(policies),
        "student": answered(2),
        "teacher": answered(10),
        "length_r": 0.8,
        "settings": {"epochs": 6, "budget_tokens": 5000, "student": "examples/student"},
        "remarks": ("The task's construction helps.",),
    }
    return LoopFacts(**{**given, **more})
