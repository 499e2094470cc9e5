"""Data at rest: schemas, readers, the durable store and manifests; pyarrow and fsspec, no Ray, no models."""
