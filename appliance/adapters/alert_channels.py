"""Ways to reach the operator: a webhook and a command. Keep `control.ports_alerts.AlertChannel`."""

import hashlib
import hmac
import http.client
import json
import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request

from appliance.model.alerts import Alert
from appliance.model.errors import Unavailable

_PATIENCE_SECONDS = 10.0
_COMMAND_SECONDS = 30.0
_PASSED_ON = ("PATH", "HOME", "LANG")


class Webhook:
    """POSTs each alert as JSON. With a secret the request is signed.

    `X-Gateway-Timestamp` holds Unix seconds, and `X-Gateway-Signature` is `sha256=` and the hexadecimal HMAC-SHA-256 of
    `<timestamp>.<body>` with the secret: a receiver that checks both takes nobody else's word, and none twice.
    """

    def __init__(self, url: str, secret: str | None) -> None:
        self._url = url
        self._secret = secret

    def send(self, alert: Alert) -> None:
        """Deliver it. Raises Unavailable unless the answer is a 2xx."""
        body = json.dumps(alert.document()).encode()
        request = urllib.request.Request(self._url, body, self._headers(body), method="POST")  # noqa: S310  checked by the settings
        try:
            with _NO_REDIRECTS.open(request, timeout=_PATIENCE_SECONDS) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            raise Unavailable(f"the webhook answers HTTP {error.code}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unavailable(f"the webhook cannot be reached: {error}") from error

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "gateway-appliance"}
        if self._secret is None:
            return headers
        moment = str(int(time.time()))
        return headers | {"X-Gateway-Timestamp": moment, "X-Gateway-Signature": signature(self._secret, moment, body)}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is signed for one receiver is not carried to another."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing: the redirection is the answer, and no 2xx."""


_NO_REDIRECTS = urllib.request.build_opener(_NoRedirects)


class Command:
    """Runs a program for each alert, with its JSON on standard input. No shell is involved."""

    def __init__(self, command: str) -> None:
        self._arguments = shlex.split(command)  # checked by the settings

    def send(self, alert: Alert) -> None:
        """Run it to its end. Raises Unavailable unless it exits 0 within 30 s."""
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        try:
            ended = subprocess.run(
                self._arguments,
                input=json.dumps(alert.document()).encode(),
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"the alert command did not end within {_COMMAND_SECONDS:g} s") from error
        except OSError as error:
            raise Unavailable(f"the alert command cannot be run: {error.strerror}") from error
        if ended.returncode != 0:
            raise Unavailable(f"the alert command ended with exit code {ended.returncode}")


def signature(secret: str, moment: str, body: bytes) -> str:
    """The value of `X-Gateway-Signature`."""
    return "sha256=" + hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
