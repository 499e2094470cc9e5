"""`rdpt curate` for `ray job submit -- python jobs/curate.py --config URI [key.sub=value ...]`."""

from rdpt_ray.cli import curate
from rdpt_ray.cli_options import run_job

if __name__ == "__main__":
    run_job(curate, __file__)
