"""One page over HTTP, for commands: of an Envoy's admin port, of a control plane's debug pages.

No proxy of the environment comes between: the addresses are those of machines that people name, mostly this one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

_PATIENCE: Final = timedelta(seconds=60)  # as pilot-agent's


def page(address: str, path: str, *, method: str = "GET", body: str = "", token: str = "") -> str:
    """Return what is there. ``address``: HOST:PORT, or a URL that ends there. Raises ``OSError`` with a sentence."""
    from http.client import HTTPException  # late: most commands read no page
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, Request, build_opener

    base = address if "://" in address else f"http://{address}"
    if not base.startswith(("http://", "https://")):
        raise OSError(f"{address}: neither HOST:PORT nor a URL of HTTP")
    url = f"{base.rstrip('/')}/{path.lstrip('/')}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        request = Request(url, body.encode() or None, headers, method=method)  # noqa: S310 - HTTP, as checked
        with build_opener(ProxyHandler({})).open(request, timeout=_PATIENCE.total_seconds()) as answer:
            text: str = answer.read().decode()
            return text
    except HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace").strip()
        raise OSError(f"{url}: {error.code} {error.reason}{': ' if said else ''}{said}") from None
    except URLError as error:
        refused = isinstance(error.reason, ConnectionRefusedError)
        raise OSError(f"{url}: {'nobody answers there' if refused else error.reason}") from None
    except (HTTPException, ValueError) as error:  # a port that is no number, an answer that is no text or ends early
        raise OSError(f"{url}: {error}") from None
