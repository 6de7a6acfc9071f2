"""The original arrangement: the baseline."""
