"""From MeshConfig to the access loggers on managers of HTTP, TCP proxies and listeners.

Source: istiod's core/accesslog.go and telemetry_logging.go; operators: Envoy's page on access logging.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from pilotpy.compile.wire import packed
from pilotpy.model.extension_provider import ExtensionProvider
from pilotpy.model.mesh_config import MESH_CONFIG, MeshConfig
from pilotpy.model.resource import Finding, Severity
from pilotpy.schema.codes import NOT_COMPILED
from pilotpy_protos.envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, ResponseFlagFilter
from pilotpy_protos.envoy.config.core.v3.base_pb2 import DataSource
from pilotpy_protos.envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from pilotpy_protos.envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from pilotpy_protos.envoy.extensions.access_loggers.stream.v3.stream_pb2 import StdoutAccessLog

# The fields of a line in the default format: JSON key, operator, and how the operator stands in the text.
_FIELDS = (
    ("start_time", "%START_TIME%", "[{}]"),
    ("method", "%REQ(:METHOD)%", '"{}'),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "{}"),
    ("protocol", "%PROTOCOL%", '{}"'),
    ("response_code", "%RESPONSE_CODE%", "{}"),
    ("response_flags", "%RESPONSE_FLAGS%", "{}"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%", "{}"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%", "{}"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%", '"{}"'),
    ("bytes_received", "%BYTES_RECEIVED%", "{}"),
    ("bytes_sent", "%BYTES_SENT%", "{}"),
    ("duration", "%DURATION%", "{}"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "{}"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%", '"{}"'),
    ("user_agent", "%REQ(USER-AGENT)%", '"{}"'),
    ("request_id", "%REQ(X-REQUEST-ID)%", '"{}"'),
    ("authority", "%REQ(:AUTHORITY)%", '"{}"'),
    ("upstream_host", "%UPSTREAM_HOST%", '"{}"'),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%", "{}"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%", "{}"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%", "{}"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%", "{}"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%", "{}"),
    ("route_name", "%ROUTE_NAME%", "{}"),
)
DEFAULT_TEXT = " ".join(text.format(operator) for _, operator, text in _FIELDS) + "\n"
DEFAULT_JSON = json.dumps({key: operator for key, operator, _ in _FIELDS}, sort_keys=True)


class FileLog(NamedTuple):
    """A file that lines are written to, and what a line looks like."""

    path: str
    text: str = DEFAULT_TEXT
    fields: str = ""  # a JSON object: then lines are JSON, and `text` is unused


class Logging(NamedTuple):
    """Where accesses are logged; a value, so that it can be compared."""

    files: tuple[FileLog, ...] = ()
    listeners: bool = True  # also log connections that no filter chain takes


def logging_of(mesh: MeshConfig, note: Callable[[Finding], None]) -> Logging:
    """The logs that MeshConfig asks for; what is wrong with them goes to `note`."""
    chosen = mesh.default_providers.access_logging
    if not chosen:
        files = [_mesh_file(mesh, mesh.access_log_file, note)] if mesh.access_log_file else []
        if mesh.enable_envoy_access_log_service:
            note(_service_unread())
    else:
        providers = {provider.name: provider for provider in mesh.extension_providers}
        found = [_provider_file(mesh, name, providers.get(name), note) for name in chosen]
        files = [file for file in found if file]
    return Logging(tuple(files), not mesh.disable_envoy_listener_log)


def access_logs(logging: Logging, *, istio: bool) -> list[AccessLog]:
    """The loggers of what a filter handles; empty if nothing is logged."""
    return [_file_logger(file, istio=istio) for file in logging.files]


def listener_logs(logging: Logging, *, istio: bool) -> list[AccessLog]:
    """The loggers of connections that no filter chain of a listener takes; may be empty."""
    if not logging.listeners:
        return []
    unrouted = AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=["NR"]))
    logs = access_logs(logging, istio=istio)
    for log in logs:
        log.filter.CopyFrom(unrouted)
    return logs


def _file_logger(file: FileLog, *, istio: bool) -> AccessLog:
    form = SubstitutionFormatString()
    if file.fields:
        form.json_format.update(json.loads(file.fields))
    else:
        form.text_format_source.CopyFrom(DataSource(inline_string=file.text))
    if file.path == "/dev/stdout" and not istio:
        # An Envoy whose standard output somebody else opened may write to it but not open it again.
        return AccessLog(name="envoy.access_loggers.stdout", typed_config=packed(StdoutAccessLog(log_format=form)))
    config = FileAccessLog(path=file.path, log_format=form)
    return AccessLog(name="envoy.access_loggers.file", typed_config=packed(config))


def _mesh_file(mesh: MeshConfig, path: str, note: Callable[[Finding], None]) -> FileLog:
    if mesh.access_log_encoding == "TEXT":
        return FileLog(path, _line(mesh.access_log_format) or DEFAULT_TEXT)
    if not mesh.access_log_format:
        return FileLog(path, fields=DEFAULT_JSON)
    try:
        fields = json.loads(mesh.access_log_format)
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        return FileLog(path, fields=json.dumps(fields, sort_keys=True))
    note(
        Finding(
            code="PP0201",
            severity=Severity.ERROR,
            message="accessLogFormat is not a JSON object: the default format is used",
            ref=MESH_CONFIG,
            field="accessLogFormat",
            hint="Write an object of names and operators, or set accessLogEncoding to TEXT",
        )
    )
    return FileLog(path, fields=DEFAULT_JSON)


def _provider_file(
    mesh: MeshConfig, name: str, provider: ExtensionProvider | None, note: Callable[[Finding], None]
) -> FileLog | None:
    if provider is None or provider.envoy_file_access_log is None:
        note(_no_file(name))
        return None
    log = provider.envoy_file_access_log
    if log.log_format is None:
        return _mesh_file(mesh, log.path, note)
    if log.log_format.labels is not None:
        return FileLog(log.path, fields=json.dumps(dict(log.log_format.labels), sort_keys=True) or DEFAULT_JSON)
    return FileLog(log.path, _line(log.log_format.text or "") or DEFAULT_TEXT)


def _line(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _service_unread() -> Finding:
    return Finding(
        code=NOT_COMPILED,
        severity=Severity.WARNING,
        message="enableEnvoyAccessLogService has no effect yet",
        ref=MESH_CONFIG,
        field="enableEnvoyAccessLogService",
        hint="Log to a file with accessLogFile",
    )


def _no_file(name: str) -> Finding:
    return Finding(
        code="PP0202",
        severity=Severity.WARNING,
        message=f"Nothing is logged to {name!r}: it is no provider of access logs in files",
        ref=MESH_CONFIG,
        field="defaultProviders.accessLogging",
        hint="Name an extension provider with envoyFileAccessLog",
    )
