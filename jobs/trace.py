"""`rdpt trace` for `ray job submit -- python jobs/trace.py --config URI [key.sub=value ...]`."""

from rdpt_ray.cli import trace
from rdpt_ray.cli_options import job_app, run_app

if __name__ == "__main__":
    run_app(job_app(trace))
