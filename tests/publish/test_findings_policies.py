from dataclasses import replace

from rdpt_ray.method.comparison import compare
from rdpt_ray.publish.findings_policies import MAX_POLICIES, policies

NAMES = ["teacher_count", "longest", "shortest", "fewest"]


def test_the_runs_own_policy_comes_first_and_is_marked(five):
    found = policies(compare(five, names=NAMES), "longest")
    assert [(row.figures.name, row.own) for row in found.rows] == [
        ("longest", True),
        ("fewest", False),
        ("shortest", False),
        ("teacher_count", False),
    ]
    assert found.pool.picks == 4
    assert found.graded
    assert found.matched


def test_the_matrix_is_symmetric_with_an_empty_diagonal(five):
    found = policies(compare(five, names=NAMES), None)
    assert found.matrix_names == ("fewest", "longest", "shortest", "teacher_count")
    # One prompt: fewest picks d, longest c, shortest b, teacher_count a; nobody agrees.
    for index, (name, cells) in enumerate(found.matrix):
        assert name == found.matrix_names[index]
        assert cells[index] == ("", 10)
        assert [text for text, _ in cells] == [
            "" if other == index else "0" for other in range(len(cells))
        ]


def test_agreement_is_a_share_and_a_heat(five):
    comparison = compare(five, names=["longest", "shortest"])
    comparison = replace(comparison, overlaps={"longest": {"shortest": (8, 5)}})
    (_, cells), _ = policies(comparison, "longest").matrix
    assert cells[1] == ("62", 6)
    comparison = replace(comparison, overlaps={"longest": {"shortest": (0, 0)}})
    (_, cells), _ = policies(comparison, "longest").matrix
    assert cells[1] == ("\u2013", 0)


def test_policies_that_were_not_asked_say_why(five):
    left_out = dict(policies(compare(five), "teacher_count").left_out)
    assert left_out.keys() == {"aslec", "ifd", "lark", "rsr"}
    assert "add rank to models.student.signals" in left_out["rsr"]


def test_the_matrix_does_not_grow_without_end(five):
    comparison = compare(five, names=["longest"])
    names = [f"ours-{number:03}" for number in range(MAX_POLICIES + 6)]
    comparison = replace(
        comparison,
        policies=dict.fromkeys(names, comparison.policies["longest"]),
        overlaps={
            name: dict.fromkeys(names[index + 1 :], (1, 1)) for index, name in enumerate(names)
        },
    )
    found = policies(comparison, None)
    assert len(found.rows) == MAX_POLICIES + 6
    assert len(found.matrix) == MAX_POLICIES
    assert {len(cells) for _, cells in found.matrix} == {MAX_POLICIES}
