"""Measurements against peers; each module with a `main()` is one bench."""
