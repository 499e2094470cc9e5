import json

from rdpt_ray.publish.facts import RunFacts


def test_facts_survive_a_round_trip_through_json(facts):
    assert RunFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
