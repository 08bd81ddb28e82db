"""One request for a certificate, over gRPC: ``istio.v1.auth.IstioCertificateService/CreateCertificate``.

Source  istio/api ``security/v1alpha1/ca.proto``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import grpc
import grpc.aio

from pilotpy.agent.upstream import Unreachable, Upstream
from pilotpy_protos.istio.v1.auth import ca_pb2

_SERVICE: Final = ca_pb2.DESCRIPTOR.services_by_name["IstioCertificateService"].full_name
_PATIENCE: Final = timedelta(seconds=10)

Sign = Callable[[bytes, timedelta], Awaitable[tuple[str, ...]]]
"""From a request as PEM and the life wished for to an authority's answer. Raises Unreachable."""


def signer(authority: Upstream, name: str = "") -> Sign:
    """Asks an authority, each time over a connection of its own: files may have changed since the last.

    `name`: in whose name it is to sign, where it has others do so.
    """

    async def signed(request: bytes, life: timedelta) -> tuple[str, ...]:
        asked = ca_pb2.IstioCertificateRequest(csr=request.decode(), validity_duration=int(life.total_seconds()))
        if name:
            asked.metadata.update({"CertSigner": name})
        async with authority.dialled() as channel:
            call = channel.unary_unary(
                f"/{_SERVICE}/CreateCertificate",
                request_serializer=ca_pb2.IstioCertificateRequest.SerializeToString,
                response_deserializer=ca_pb2.IstioCertificateResponse.FromString,
            )
            try:
                answer = await call(asked, timeout=_PATIENCE.total_seconds(), metadata=authority.metadata())
            except grpc.aio.AioRpcError as failed:
                raise Unreachable(f"{failed.code().name}: {failed.details()}") from failed
        return tuple(answer.cert_chain)

    return signed
