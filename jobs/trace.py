"""`rdpt trace` for `ray job submit -- python jobs/trace.py --config URI [key.sub=value ...]`."""

from rdpt_ray.cli import trace
from rdpt_ray.cli_options import run_job

if __name__ == "__main__":
    run_job(trace, __file__)
