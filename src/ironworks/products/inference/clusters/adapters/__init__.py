"""Places that run replicas, one module per kind of place."""
