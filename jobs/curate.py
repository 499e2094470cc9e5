"""`ray job submit -- python jobs/curate.py --config URI [key.sub=value ...]`: `rdpt curate` on a cluster."""

from rdpt_ray.cli import job_app, run_app

if __name__ == "__main__":
    run_app(job_app("curate"))
