import json
from dataclasses import replace

from rdpt_ray.method.correctness import count_correctness
from rdpt_ray.publish.facts import RunFacts
from rdpt_ray.publish.findings_answers import answer_facts


def test_facts_survive_a_round_trip_through_json(facts):
    assert RunFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


def test_what_goes_with_right_answers_survives_it_too(facts, sixteen):
    facts = replace(facts, answers=answer_facts(count_correctness(sixteen), "curate"))
    assert facts.answers.classes[0].difference == 0.5
    assert RunFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
    older = {name: value for name, value in facts.to_dict().items() if name != "answers"}
    assert RunFacts.from_dict(older).answers is None
