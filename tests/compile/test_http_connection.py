from __future__ import annotations

import msgspec
import pytest

from pilotpy.mesh.proxy_settings import own_settings
from pilotpy.model.mesh_config import DefaultProviders, ProxyPathNormalization
from pilotpy.model.mesh_proxy_config import (
    CustomTag,
    EnvoyDebugHeaders,
    HeaderTag,
    LiteralTag,
    MetadataExchangeHeaders,
    ProxyConfig,
    ProxyHeaders,
    RequestId,
    Server,
    SetCurrentClientCertDetails,
    Tracing,
    XForwardedPort,
)
from pilotpy_protos.descriptors import message_in
from pilotpy_protos.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from tests.compile.listening import listened, manager, service
from tests.mesh.world import PLAINTEXT, World

ISTIO = {"ISTIO_VERSION": "1.27.0"}


def managers(metadata=None, **settings):
    """The managers of an outbound and of an inbound HTTP port."""
    world = World(service("a", "http:80"), PLAINTEXT)
    world.settings(**settings)
    found = listened(world, "a-1.default", LABELS={"app": "a"}, **(metadata or {}))
    return manager(found["0.0.0.0_80"].filter_chains[0]), manager(found["virtualInbound"].filter_chains[3])


def names(config):
    return [each.name.removeprefix("envoy.filters.http.") for each in config.http_filters]


def test_istios_envoy_has_istios_filters_in_istios_order():
    outbound, inbound = managers(ISTIO, default_providers=DefaultProviders(metrics=("prometheus",)))
    common = ["fault", "cors", "istio.stats", "router"]
    assert names(outbound) == ["istio.metadata_exchange", "grpc_stats", "istio.alpn", *common]
    assert names(inbound) == ["istio.metadata_exchange", "grpc_stats", *common]


def test_other_envoys_get_none_of_them():
    outbound, inbound = managers(default_providers=DefaultProviders(metrics=("prometheus",)))
    assert names(outbound) == names(inbound) == ["grpc_stats", "fault", "cors", "router"]


def test_without_a_provider_of_metrics_nobody_measures():
    assert "istio.stats" not in names(managers(ISTIO)[0])


def test_routes_are_waited_for_without_limit():
    outbound, _ = managers()
    assert outbound.stat_prefix == "outbound_0.0.0.0_80;"
    assert outbound.rds.route_config_name == "80"
    assert outbound.rds.config_source.HasField("ads")
    assert outbound.rds.config_source.initial_fetch_timeout.ToTimedelta().total_seconds() == 0
    assert outbound.rds.config_source.HasField("initial_fetch_timeout")


def test_what_envoy_does_with_streams_by_default():
    for config in managers():
        assert config.HasField("stream_idle_timeout")
        assert config.stream_idle_timeout.ToTimedelta().total_seconds() == 0
        assert config.use_remote_address.value is False
        assert config.proxy_100_continue
        assert [one.upgrade_type for one in config.upgrade_configs] == ["websocket"]


ACTION = HttpConnectionManager.PathWithEscapedSlashesAction
PATHS = {
    "by default paths are normalized": ("DEFAULT", True, False, ACTION.KEEP_UNCHANGED),
    "paths may be left alone": ("NONE", False, False, ACTION.KEEP_UNCHANGED),
    "slashes may be merged": ("MERGE_SLASHES", True, True, ACTION.KEEP_UNCHANGED),
    "escaped slashes may be decoded": ("DECODE_AND_MERGE_SLASHES", True, True, ACTION.UNESCAPE_AND_FORWARD),
}


@pytest.mark.parametrize(("said", "normalized", "merged", "action"), PATHS.values(), ids=PATHS)
def test_paths(said, normalized, merged, action):
    outbound, _ = managers(path_normalization=ProxyPathNormalization(normalization=said))
    assert outbound.normalize_path.value == normalized
    assert outbound.merge_slashes == merged
    assert outbound.path_with_escaped_slashes_action == action


def with_headers(**headers):
    return {"default_config": ProxyConfig(proxy_headers=ProxyHeaders(**headers))}


def test_the_way_in_tells_the_application_who_calls_and_the_way_out_nobody():
    outbound, inbound = managers()
    forward = HttpConnectionManager.ForwardClientCertDetails
    assert (outbound.forward_client_cert_details, outbound.server_name) == (forward.SANITIZE, "")
    assert (inbound.forward_client_cert_details, inbound.server_name) == (forward.APPEND_FORWARD, "istio-envoy")
    told = inbound.set_current_client_cert_details
    assert (told.subject.value, told.uri, told.dns, told.cert, told.chain) == (True, True, True, False, False)


def test_headers_that_a_mesh_may_change():
    outbound, inbound = managers(
        **with_headers(
            forwarded_client_cert="SANITIZE_SET",
            set_current_client_cert_details=SetCurrentClientCertDetails(subject=False, cert=True),
            server=Server(value="mine"),
            request_id=RequestId(disabled=True),
            x_forwarded_port=XForwardedPort(enabled=True),
            preserve_http1_header_case=True,
        )
    )
    for config in (outbound, inbound):
        told = config.set_current_client_cert_details
        assert (told.subject.value, told.cert, config.server_name) == (False, True, "mine")
        assert config.generate_request_id.value is False
        assert config.HasField("generate_request_id")
        assert config.append_x_forwarded_port
        assert config.http_protocol_options.header_key_format.stateful_formatter.name == "preserve_case"


def test_the_server_header_may_be_left_as_the_application_sets_it():
    _, inbound = managers(**with_headers(server=Server(disabled=True)))
    assert inbound.server_header_transformation == HttpConnectionManager.ServerHeaderTransformation.PASS_THROUGH
    assert not inbound.server_name


def test_envoys_own_headers_may_be_left_out():
    outbound, _ = managers(**with_headers(envoy_debug_headers=EnvoyDebugHeaders(disabled=True)))
    assert message_in(outbound.http_filters[-1].typed_config).suppress_envoy_headers


def test_peers_outside_the_mesh_may_be_told_nothing():
    outbound, _ = managers(ISTIO, **with_headers(metadata_exchange_headers=MetadataExchangeHeaders(mode="IN_MESH")))
    config = message_in(outbound.http_filters[0].typed_config)
    assert config.value["upstream_propagation"][0]["istio_headers"]["skip_external_clusters"] is True


def test_spans_are_sampled_and_tagged():
    tracing = Tracing(
        sampling=25.0,
        max_path_tag_length=99,
        custom_tags={"b": CustomTag(header=HeaderTag(name="x-b")), "a": CustomTag(literal=LiteralTag(value="1"))},
        enable_istio_tags=False,
    )
    outbound, _ = managers(default_config=ProxyConfig(tracing=tracing))
    assert outbound.tracing.random_sampling.value == 25
    assert outbound.tracing.overall_sampling.value == outbound.tracing.client_sampling.value == 100
    assert outbound.tracing.max_path_tag_length.value == 99
    assert [(tag.tag, tag.literal.value or tag.request_header.name) for tag in outbound.tracing.custom_tags] == [
        ("a", "1"),
        ("b", "x-b"),
    ]
    assert not outbound.tracing.HasField("provider")


def test_spans_say_who_the_proxy_is_without_telling_proxies_apart():
    tags = [tag.tag for tag in managers()[0].tracing.custom_tags]
    assert tags == sorted(tags)
    assert {"istio.canonical_service", "istio.mesh_id", "istio.namespace"} < set(tags)


def test_a_mesh_may_do_without_tracing():
    assert not managers(enable_tracing=False)[0].HasField("tracing")


STARTED = {"proxyHeaders": {"server": {"value": "mine"}}, "statusPort": 15020, "fieldOfAnotherVersion": 1}


def test_a_proxy_may_be_started_with_headers_of_its_own():
    world = World(service("a", "http:80"))
    served = listened(world, PROXY_CONFIG=STARTED)["0.0.0.0_80"]
    assert manager(served.filter_chains[0]).server_name == "mine"
    assert not manager(listened(world)["0.0.0.0_80"].filter_chains[0]).server_name


def test_a_proxy_that_was_started_as_the_mesh_wants_is_like_all_others():
    world = World(service("a", "http:80"))
    world.settings(default_config=ProxyConfig(proxy_headers=ProxyHeaders(server=Server(value="mine"))))
    assert world.view("a.default", PROXY_CONFIG=STARTED).listening == world.view("b.default").listening


@pytest.mark.parametrize(
    ("started", "code"),
    [
        pytest.param({"proxyHeaders": {"attemptCount": {"disabled": True}}}, "PP0008", id="what routes decide over"),
        pytest.param({"proxyHeaders": 7}, "IST0106", id="what cannot be read"),
        pytest.param({"statusPort": 15020}, None, id="what listeners have nothing to do with"),
    ],
)
def test_what_a_proxy_was_started_with_in_vain_is_noted(started, code):
    text = msgspec.json.encode(started).decode()
    assert {found for found, _ in World().codes(own_settings, text)} == ({code} if code else set())
