"""`python -m tests.fuzz.dns_wire CORPUS... [libFuzzer options]`: coverage-guided fuzzing of the wire, by atheris.

`make fuzz` runs it for ten minutes. A message that breaks a promise is written to `tests/fuzz-corpus` as `crash-*`
(that is `-artifact_prefix`): once mended, it belongs into `corpus`.
"""

import importlib
import sys
from typing import Any

atheris: Any = importlib.import_module("atheris")  # an optional tool without annotations
with atheris.instrument_imports(include=["appliance.adapters.dns", "appliance.model", "dnslib"]):
    from tests.fuzz import dns_promises

if __name__ == "__main__":
    atheris.Setup(sys.argv, dns_promises.check)
    atheris.Fuzz()
