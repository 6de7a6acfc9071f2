"""The control plane (`gateway serve`), put together: the only place that knows adapters and use cases at once."""

from appliance.daemon.serving import serve

__all__ = ["serve"]
