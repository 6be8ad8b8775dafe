"""Technical primitives, flat and without a business word: every layer above stands on these."""
