"""`ray job submit -- python jobs/trace.py --config URI [key.sub=value ...]`: `rdpt trace` on a cluster."""

from rdpt_ray.cli import job_app, run_app

if __name__ == "__main__":
    run_app(job_app("trace"))
