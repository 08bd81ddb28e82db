"""Kubernetes' own kinds, as an API server writes them: the same as files say them, but for what nobody reads."""

import json

import msgspec
import pytest

from pilotpy.schema.decode import decode_object
from pilotpy.sources.kubernetes.core_kinds import reader

META = {"namespace": "shop", "name": "a", "labels": {"app": "a"}, "creationTimestamp": "2030-01-31T12:00:00Z"}
NOISE = {"uid": "0", "resourceVersion": "7", "generation": 1, "managedFields": [{"manager": "kubectl"}]}


def text(kind, version, **rest):
    return {"apiVersion": version, "kind": kind, "metadata": META, **rest}


CASES = {
    "a Service": text(
        "Service",
        "v1",
        spec={
            "type": "ClusterIP",
            "selector": {"app": "a"},
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1", "fd00::1"],
            "ipFamilies": ["IPv4", "IPv6"],
            "internalTrafficPolicy": "Local",
            "trafficDistribution": "PreferClose",
            "ports": [
                {
                    "name": "http",
                    "port": 80,
                    "targetPort": "web",
                    "protocol": "TCP",
                    "appProtocol": "kubernetes.io/h2c",
                },
                {"name": "raw", "port": 81, "targetPort": 8081, "protocol": "TCP", "nodePort": 30000},
            ],
        },
    ),
    "a name for something else": text("Service", "v1", spec={"type": "ExternalName", "externalName": "b.example"}),
    "a slice": text(
        "EndpointSlice",
        "discovery.k8s.io/v1",
        addressType="IPv4",
        ports=[{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "any"}],
        endpoints=[
            {
                "addresses": ["10.1.0.1"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "hostname": "a-0",
                "nodeName": "node-1",
                "zone": "z",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "a-0"},
            },
            {"addresses": ["10.1.0.2"], "conditions": {"ready": False}},
            {"addresses": ["10.1.0.3"]},
        ],
    ),
    "Endpoints": text(
        "Endpoints",
        "v1",
        subsets=[
            {
                "addresses": [{"ip": "10.1.0.1", "nodeName": "n", "targetRef": {"kind": "Pod", "name": "a-0"}}],
                "notReadyAddresses": [{"ip": "10.1.0.2"}],
                "ports": [{"name": "http", "port": 80}],
            }
        ],
    ),
    "a Pod": text(
        "Pod",
        "v1",
        spec={
            "containers": [{"ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}],
            "serviceAccountName": "a",
            "nodeName": "node-1",
            "hostname": "a-0",
            "subdomain": "a",
            "hostNetwork": True,
        },
        status={
            "phase": "Running",
            "podIP": "10.1.0.1",
            "podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00::2"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    ),
    "a Secret": text("Secret", "v1", type="kubernetes.io/tls", data={"tls.crt": "YQ==", "tls.key": "Yg=="}),
    "a ConfigMap": text("ConfigMap", "v1", data={"mesh": "{}", "ca.crt": "a"}),
    "a ServiceAccount": text("ServiceAccount", "v1"),
}


@pytest.mark.parametrize("written", CASES.values(), ids=CASES)
def test_it_reads_as_from_a_file(written):
    expected, findings = decode_object(written)
    assert not findings
    noisy = written | {"metadata": META | NOISE, "unheardOf": {"in": "this version"}}
    assert reader(written["kind"])(json.dumps(noisy).encode()) == expected


@pytest.mark.parametrize(
    ("kind", "empty"),
    [
        ("EndpointSlice", {"addressType": "IPv4", "endpoints": None, "ports": None}),
        ("Endpoints", {"subsets": None}),
        ("Service", {"spec": {"ports": None, "selector": None, "clusterIPs": None}}),
        ("Pod", {"spec": {"containers": None}, "status": {"podIPs": None, "conditions": None}}),
        ("ConfigMap", {"data": None}),
        ("Secret", {"data": None}),
    ],
)
def test_null_is_what_go_writes_for_an_empty_list(kind, empty):
    meta = {"name": "a", "labels": None, "annotations": None, "ownerReferences": None, "creationTimestamp": None}
    assert reader(kind)(json.dumps({"metadata": meta, **empty}).encode()).ref.name == "a"


def test_private_keys_are_taken_from_credentials_alone():
    data = {"tls.key": "YQ==", "password": "Yg==", "id_rsa": "Yg=="}
    read = reader("Secret")(json.dumps({"metadata": {"name": "a"}, "data": data}).encode())
    assert dict(read.spec.data) == {"tls.key": b"a"}


def test_annotations_of_others_are_not_kept():
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "networking.istio.io/exportTo": "."}
    read = reader("Service")(json.dumps({"metadata": {"name": "a", "annotations": notes}}).encode())
    assert read.meta.annotations == {"networking.istio.io/exportTo": "."}


def test_a_controller_is_known_of_a_pod_and_other_owners_are_not():
    owners = [{"kind": "ReplicaSet", "name": "a-1", "controller": True}, {"kind": "Job", "name": "b"}]
    read = reader("Pod")(json.dumps({"metadata": {"name": "a", "ownerReferences": owners}}).encode())
    assert [(owner.kind, owner.name) for owner in read.meta.owners] == [("ReplicaSet", "a-1")]


def test_what_is_no_object_is_refused():
    with pytest.raises(msgspec.DecodeError):
        reader("Pod")(b'{"metadata": {"name": 7}}')
