"""Clients of a gateway, for programs in Python. They stand on the adapters' codecs and know nothing of a daemon."""
