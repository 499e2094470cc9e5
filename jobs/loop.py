"""`rdpt loop` for `ray job submit -- python jobs/loop.py --config URI [key.sub=value ...]`."""

from rdpt_ray.cli_experiment import loop
from rdpt_ray.cli_options import run_job

if __name__ == "__main__":
    run_job(loop, __file__)
