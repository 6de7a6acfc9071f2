"""`python -m appliance` is `gateway`."""

import sys

from appliance.cli import main

sys.exit(main())
