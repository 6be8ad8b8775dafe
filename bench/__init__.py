"""Measurements, as ratios in one run beside a peer or a physical limit; each writes a page under `docs/bench/`."""
