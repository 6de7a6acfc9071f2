"""The use cases, and the Protocols through which they speak to the outside."""
