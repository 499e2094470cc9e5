"""Ray Data stages and actor pools; the only room that imports ray.

    cluster.py   start or attach Ray
    nodes.py     the nodes of a cluster, and how many actors fit them
    capacity.py  whether every pool fits the nodes, in words
    pools.py     how many actors host a model
    ingest.py    input files -> the store's parts and the run's ledger
    score.py     parts -> one model's scores, by a pool of actors
    attempts.py  a trace that kills its process is found and set aside
    gate.py      threads of one actor: two side by side, or one alone
    select.py    scores -> provenance, selected, rejected, quarantine, bucket by bucket
    lineage.py   what decides a run's id; its manifest
    curate.py    the main job: all of it, and the manifest last

A stage is a function over a Ray Dataset whose body is an ordinary function or class that tests call
without a cluster.
"""
