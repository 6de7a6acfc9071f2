"""What must work without the control plane: starting the appliance, starting Traefik, and ending what cannot go on.

Each part runs in a process of its own and imports no more than it needs; nothing here imports the control plane.
"""
