"""Who lives where in the private namespace. The numbers mean nothing outside it."""

from typing import Final

GATEWAY: Final = "10.99.0.1"
PARENT: Final = "10.99.0.2"
RESOLVER: Final = "10.99.0.3"
CA: Final = "10.99.0.4"
BACKEND: Final = "10.99.0.9"
OTHER_BACKEND: Final = "10.99.0.10"

GATEWAY_V6: Final = "fd99::1"
BACKEND_V6: Final = "fd99::9"

IPV4: Final = (GATEWAY, PARENT, RESOLVER, CA, BACKEND, OTHER_BACKEND)
IPV6: Final = (GATEWAY_V6, "fd99::2", "fd99::3", "fd99::4", BACKEND_V6, "fd99::10")

TLD: Final = "test"
"""The parent zone every test name lies under."""

DOMAIN: Final = "gw.test"
"""The gateway domain of most tests."""
