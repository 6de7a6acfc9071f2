"""The command line: `gateway VERB`.

A client of the admin API, plus the verbs that start something. It starts in a fraction of what the control plane
takes, so each verb imports what it needs when it runs.
"""

import sys
from collections.abc import Sequence

from appliance.cli.arguments import parser
from appliance.model.errors import GatewayError, InvalidInput

EXIT_FAILED = 1
EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit codes stand in docs/operations.md ("Exit codes")."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.verb(options)
    except InvalidInput as error:
        return _failed(error, EXIT_USAGE)
    except GatewayError as error:
        return _failed(error, EXIT_FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    return code


def _failed(error: GatewayError, code: int) -> int:
    for line in str(error).splitlines():
        print(f"gateway: {line}", file=sys.stderr)
    return code
