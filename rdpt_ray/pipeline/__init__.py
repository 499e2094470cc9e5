"""Ray Data stages and actor pools; the only room that imports ray.

    cluster.py   start or attach Ray
    pools.py     how many actors host a model
    ingest.py    input files -> the store's parts and the run's ledger
    score.py     parts -> one model's scores, by a pool of actors
    select.py    scores -> provenance, selected, rejected, quarantine, bucket by bucket
    lineage.py   what decides a run's id; its manifest
    curate.py    the main job: all of it, and the manifest last

A stage is a function over a Ray Dataset whose body is an ordinary function or class that tests call
without a cluster.
"""
