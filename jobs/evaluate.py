"""`rdpt evaluate` for `ray job submit -- python jobs/evaluate.py --config URI [key.sub=value ...]`."""

from rdpt_ray.cli_experiment import evaluate
from rdpt_ray.cli_options import run_job

if __name__ == "__main__":
    run_job(evaluate, __file__)
