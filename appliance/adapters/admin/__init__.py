"""The admin API: HTTP on the unix socket `run/admin.sock` and, where tokens are set up, on TCP; FastAPI and uvicorn.

application   the rooms below, put together
routes/       one room a subject; a handler delegates in one line, no rule lives here
callers       who is calling: a user of this host, or the bearer of a token
guard         in front of every route: may the caller do this, how large is the body, who changed what
problems      errors as RFC 9457 documents that say what to do
answers       the shapes of all answers, for the OpenAPI document
streams       server-sent events
pages         the dashboard's files (in page/), and how browsers are kept to them
browsers      what browsers may do over the unix socket
connections   HTTP connections that cannot be held open for nothing
server        a listening socket and the thread that serves it
left_out      what of the libraries is not loaded
"""

from appliance.adapters.admin.left_out import leave_out

leave_out()

from appliance.adapters.admin.assembly import application  # noqa: E402
from appliance.adapters.admin.callers import Tokens  # noqa: E402
from appliance.adapters.admin.server import AdminApi, tcp, unix  # noqa: E402

__all__ = ["AdminApi", "Tokens", "application", "tcp", "unix"]
