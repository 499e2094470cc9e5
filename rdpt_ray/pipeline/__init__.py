"""Ray Data stages and actor pools; the only room that imports ray.

The main job, from top to bottom:
    curate.py, job.py   all of it, and the manifest last; how it begins
    stages.py           ingest or score alone
    ingest.py           input files -> the store's parts and the run's ledger
    verify.py, judge.py, verifier_process.py, verifier_child.py   is the answer right?
    screening.py, contamination.py, duplicates.py, alike.py, signatures.py   traces to drop for other texts
    roles.py            which models a run needs, in which order, and what each is asked to read
    score_role.py, score.py   parts -> one model's scores, by a pool of actors
    select.py           scores -> provenance, selected, rejected, quarantine, bucket by bucket
    lineage.py          what decides a run's id; its manifest

What scoring rests on:
    demand.py, undecided.py   what of a part a model reads: all, its own traces, or what pruning leaves
    realign.py, kept_tokens.py   stored tokens to the sentences of another splitter
    recorded.py         what was recorded while sampling
    attempts.py, gate.py   a trace that kills its process is found and set aside
    precision.py        how many classes half precision changes
    check_models.py     what can be known of a model before a GPU is touched

What selection rests on:
    eligible.py         what a run says of its traces, and which may be selected at all
    scored_bucket.py, score_rows.py, summarise.py   a bucket read back, and counted
    stored_columns.py, compare.py   a finished run's scores, and every policy on them

The cluster:
    cluster.py, nodes.py, capacity.py, pools.py, submission.py, submitted.py
    part_pool.py, part_tasks.py   actors over parts; plain tasks over many small things

Before a job (docs/planning.md):
    plan.py             what it will read, how long that takes, what it costs; plan_*.py are its pieces

From prompts to a distilled model (docs/sampling.md, docs/distilling.md):
    sample.py, distill.py, evaluate.py, loop.py   with sample_*.py, distill_*.py and loop_plan.py

Who watches (docs/watching.md):
    progress.py, session.py, interrupts.py, logs.py, metrics.py, part_report.py

A stage is a function over a Ray Dataset whose body is an ordinary function or class that tests call
without a cluster.
"""
