"""What a process loads stays in its memory for as long as it runs, so each loads what it uses."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("program", "unused"),
    [
        ("import appliance.launch.log_relay", {"dataclasses", "logging", "ssl", "yaml", "pydantic", "supervisor"}),
        ("import appliance.launch.supervising, appliance.launch.plugged_in", {"yaml", "pydantic", "cryptography"}),
        (
            "import appliance.daemon, appliance.adapters.admin",
            {"pydantic.v1.main", "click", "multiprocessing", "supervisor", "redis", "cryptography", "argparse"},
        ),
    ],
)
def test_a_process_loads_nothing_it_has_no_use_for(program: str, unused: set[str]) -> None:
    code = f"{program}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert not unused & set(json.loads(done.stdout))
