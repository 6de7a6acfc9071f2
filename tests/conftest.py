"""How thoroughly generated cases are tried: quickly with every change, longer on demand.

`pytest --hypothesis-profile=thorough` tries a hundred times as many.
"""

from hypothesis import settings

settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=5000, deadline=None)
settings.load_profile("quick")
