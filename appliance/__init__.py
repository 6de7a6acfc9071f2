"""The Gateway Appliance: one host with a public address becomes a TLS gateway. See docs/architecture.md."""
