"""`rdpt publish` for `ray job submit -- python jobs/publish.py --run STORE/runs/RUN --to URI`."""

from rdpt_ray.cli import publish
from rdpt_ray.cli_options import run_job

if __name__ == "__main__":
    run_job(publish, __file__)
