"""What a run shows and publishes: the report, the table at the end of a run."""
