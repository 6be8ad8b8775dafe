"""What many tests need: a real Postgres for the run, a fresh database for a test, and a guard that ends it all."""
