"""`rdpt sample` for `ray job submit -- python jobs/sample.py --config URI [key.sub=value ...]`."""

from rdpt_ray.cli_experiment import sample
from rdpt_ray.cli_options import run_job

if __name__ == "__main__":
    run_job(sample, __file__)
