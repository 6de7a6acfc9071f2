"""`python -m appliance.launch ROOT [--text]`: what `gateway run` becomes once it has prepared everything.

A program of its own, so that nothing of the preparation stays in memory for months.
"""

import sys
from importlib.util import find_spec

# supervisord's libraries import them where they are, and go without where they are not: it listens on a unix socket
# only and hashes nothing. With them comes OpenSSL, a quarter of all that this process would hold.
_unused = ["ssl"]
if find_spec("_md5") and find_spec("_sha1"):  # Python has hashes of its own, as Debian's does
    _unused += ["_hashlib"]
for _name in _unused:
    sys.modules[_name] = None  # type: ignore[assignment]  # an import of it fails as where it is not installed

from appliance.launch import supervising  # noqa: E402

sys.exit(supervising.main(sys.argv[1:]))
