"""`rdpt distill` for `ray job submit -- python jobs/distill.py --config URI [key.sub=value ...]`."""

from rdpt_ray.cli_experiment import distill
from rdpt_ray.cli_options import run_job

if __name__ == "__main__":
    run_job(distill, __file__)
