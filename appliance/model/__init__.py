"""Values and rules. Nothing here reads a file, opens a socket, asks the time or starts a thread."""
