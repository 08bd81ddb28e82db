from __future__ import annotations

import pytest

from pilotpy.compile.listener_settings import settings
from pilotpy.model.extension_provider import EnvoyFileAccessLogProvider, ExtensionProvider, FileLogFormat
from pilotpy.model.mesh_config import MESH_CONFIG, DefaultProviders
from pilotpy_protos.descriptors import message_in
from tests.compile.listening import listened, manager, proxy, service
from tests.mesh.world import World

ISTIO = {"ISTIO_VERSION": "1.27.0"}


def logs(metadata=None, **written):
    """The access logs of HTTP, of TCP and of a listener itself."""
    world = World(service("a", "http:80", "tcp:81"))
    world.settings(**written)
    found = listened(world, **(metadata or {}))
    http = manager(found["0.0.0.0_80"].filter_chains[0]).access_log
    return http, proxy(found["10.96.0.1_81"].filter_chains[0]).access_log, found["0.0.0.0_80"].access_log


def config(log):
    return message_in(log.typed_config)


def test_nothing_is_logged_unless_somebody_asks():
    assert [len(each) for each in logs()] == [0, 0, 0]


def test_a_file_is_logged_to_everywhere():
    for (log,) in logs(ISTIO, access_log_file="/dev/stdout"):
        assert log.name == "envoy.access_loggers.file"
        assert config(log).path == "/dev/stdout"
        assert config(log).log_format.text_format_source.inline_string.startswith('[%START_TIME%] "%REQ(:METHOD)% ')
        assert config(log).log_format.text_format_source.inline_string.endswith(" %ROUTE_NAME%\n")


def test_other_envoys_write_to_the_standard_output_that_they_have():
    http, _, _ = logs(access_log_file="/dev/stdout")
    assert http[0].name == "envoy.access_loggers.stdout"


def test_listeners_log_only_what_no_chain_takes():
    http, _, listener = logs(access_log_file="/dev/stdout")
    assert list(listener[0].filter.response_flag_filter.flags) == ["NR"]
    assert not http[0].HasField("filter")


def test_listeners_may_log_nothing():
    assert len(logs(access_log_file="/dev/stdout", disable_envoy_listener_log=True)[2]) == 0


def test_a_line_ends_even_if_its_format_does_not():
    http, _, _ = logs(access_log_file="/x", access_log_format="%PROTOCOL%")
    assert config(http[0]).log_format.text_format_source.inline_string == "%PROTOCOL%\n"


def test_json_has_the_fields_of_a_line():
    fields = config(logs(access_log_file="/x", access_log_encoding="JSON")[0][0]).log_format.json_format
    assert fields["method"] == "%REQ(:METHOD)%"
    assert len(fields) == 24


def test_json_may_be_nested():
    form = '{"a": {"b": "%PROTOCOL%"}}'
    fields = config(logs(access_log_file="/x", access_log_encoding="JSON", access_log_format=form)[0][0])
    assert fields.log_format.json_format["a"]["b"] == "%PROTOCOL%"


@pytest.mark.parametrize("form", ["{", "[1]"], ids=["that does not parse", "that is no object"])
def test_json(form):
    written = {"access_log_file": "/x", "access_log_encoding": "JSON", "access_log_format": form}
    assert "method" in config(logs(**written)[0][0]).log_format.json_format
    world = World()
    world.settings(**written)
    assert world.codes(settings, "") == [("PP0201", MESH_CONFIG)]


def test_a_provider_of_logs_may_be_chosen():
    text = FileLogFormat(text="%PROTOCOL%")
    mine = ExtensionProvider(name="mine", envoy_file_access_log=EnvoyFileAccessLogProvider(path="/y", log_format=text))
    http, _, _ = logs(
        extension_providers=(mine,), default_providers=DefaultProviders(access_logging=("mine",)), access_log_file="/x"
    )
    assert [config(log).path for log in http] == ["/y"]


def test_a_provider_that_is_none_is_said():
    world = World()
    world.settings(default_providers=DefaultProviders(access_logging=("prometheus",)))
    assert world.codes(settings, "") == [("PP0202", MESH_CONFIG)]


def runs_after_an_edit_of_other_settings(services):
    world = World(*(service(f"s{n}", "tcp:81", address=f"10.96.0.{n}") for n in range(1, services + 1)))
    listened(world)
    before = world.engine.work.copy()
    world.settings(h2_upgrade_policy="UPGRADE")
    listened(world)
    return world.engine.work.since(before).runs


def test_an_edit_of_other_settings_runs_no_listener_again():
    assert runs_after_an_edit_of_other_settings(1) == runs_after_an_edit_of_other_settings(9)
