"""Where models come from and how they get here: one module per outside system."""
