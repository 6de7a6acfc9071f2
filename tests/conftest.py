"""How thoroughly generated cases are tried: quickly with every change, longer on demand.

`pytest --hypothesis-profile=thorough` tries a hundred times as many.
"""

import signal

from hypothesis import settings

settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=5000, deadline=None)
settings.load_profile("quick")

# A shell lets what it starts in the background ignore Ctrl-C, and so would every program that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
