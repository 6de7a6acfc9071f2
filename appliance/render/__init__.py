"""Values in, text out: what Traefik, supervisord and the operator's DNS provider are given. Deterministic."""
