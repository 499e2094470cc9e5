from collections import Counter
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from rdpt_ray.publish.viewer_sample import Draw, PromptFacts


def prompt(number, *, num_shown=1, **more):
    return PromptFacts(f"p{number:05}", "bucket=0000.parquet", num_shown, **more)


def shown(prompts, max_traces, seed=0):
    draw = Draw(max_traces, seed)
    for each in prompts:
        draw.add(each)
    return draw.shown()


def test_a_small_run_is_shown_whole():
    prompts = [prompt(number, num_shown=4, lead=1.0) for number in range(25)]
    assert shown(prompts, 100).keys() == {each.prompt_id for each in prompts}


def test_the_random_half_are_the_prompts_with_the_smallest_hashes():
    prompts = [prompt(number) for number in range(1000)]
    found = shown(prompts, 50)

    def draw(each):
        return sha256(f"0:{each.prompt_id}".encode()).hexdigest()

    assert list(found) == [each.prompt_id for each in sorted(prompts, key=draw)[:50]]
    assert shown(prompts, 50, seed=1).keys() != found.keys()


def test_what_is_rare_is_shown_beside_the_random_sample():
    prompts = [prompt(number) for number in range(5000)]
    prompts[7] = prompt(7, lead=9.0)
    prompts[8] = prompt(8, lead=0.0)
    prompts[9] = prompt(9, selected_wrong=True, reasons=frozenset({"outranked"}))
    prompts[10] = prompt(10, reasons=frozenset({"pruned", "filter: complete"}))
    found = shown(prompts, 100)
    assert found["p00007"][0] == "lead"
    assert found["p00008"][0] == "tie"
    assert found["p00009"][0] == "wrong"
    assert found["p00010"][0] in ("dropped: pruned", "dropped: filter: complete")
    assert len(found) == 100


def test_the_largest_leads_come_first_and_half_stays_random():
    prompts = [prompt(number, lead=1.0 + number) for number in range(4000)]
    found = shown(prompts, 40)
    strata = Counter(stratum for stratum, _ in found.values())
    assert strata["lead"] == 8
    assert strata["random"] == 32
    leads = [facts.lead for stratum, facts in found.values() if stratum == "lead"]
    assert leads == [4000.0 - place for place in range(8)]


@given(
    sizes=st.lists(st.integers(1, 64), max_size=200),
    max_traces=st.integers(1, 300),
    order=st.randoms(use_true_random=False),
)
def test_prompts_are_whole_few_enough_and_the_same_in_any_order(sizes, max_traces, order):
    prompts = [
        prompt(
            number,
            num_shown=size,
            lead=None if size == 1 else float(size % 5),
            selected_wrong=size % 7 == 0,
            reasons=frozenset({"pruned"} if size % 11 == 0 else ()),
        )
        for number, size in enumerate(sizes)
    ]
    found = shown(prompts, max_traces)
    assert sum(facts.num_shown for _, facts in found.values()) <= max_traces
    if sum(sizes) <= max_traces:
        assert len(found) == len(prompts)
    order.shuffle(prompts)
    assert shown(prompts, max_traces) == found
