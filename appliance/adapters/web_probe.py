"""One request to port 80, to the host that a certificate authority would validate (http.client)."""

import http.client

from appliance.model.web import Outcome, Reply

_PATIENCE_SECONDS = 2.0


class WebProbe:
    """Any HTTP answer says that the way for a challenge is open.

    It asks beside the challenges' own path: Traefik reports an error for each of those that nobody presented.
    """

    def ask(self, address: str, host: str, port: int = 80) -> Reply:
        """What `address` says to a request for `host`. Never raises."""
        connection = http.client.HTTPConnection(address, port, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("HEAD", "/.well-known/", headers={"Host": host, "User-Agent": "gateway-appliance"})
            status = connection.getresponse().status
        except (ConnectionRefusedError, ConnectionResetError) as error:
            return Reply(Outcome.REFUSED, detail=error.strerror or "")
        except TimeoutError:
            return Reply(Outcome.SILENT)
        except OSError as error:
            return Reply(Outcome.UNREACHABLE, detail=error.strerror or "")
        except http.client.HTTPException as error:
            return Reply(Outcome.RUBBISH, detail=type(error).__name__)
        finally:
            connection.close()
        return Reply(Outcome.ANSWERED, status, f"HTTP {status}")
