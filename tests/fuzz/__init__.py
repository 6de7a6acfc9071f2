"""Coverage-guided fuzzing, not part of `make test`; what it found is kept in `corpus` and tried in the unit tests."""
