"""A mesh from Python: what the commands see."""

import pilotpy

SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {name}}}
spec: {{clusterIP: 10.96.0.{number}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {{mesh: "{mesh}"}}}}
"""
NODE = "sidecar~10.0.0.1~client.inside~inside.svc.cluster.local"


def test_namespaces_that_are_not_discovered_do_not_count(tmp_path):
    inside = SERVICE.format(name="inside", number=1, mesh="yes")
    outside = SERVICE.format(name="outside", number=2, mesh="no")
    (tmp_path / "in.yaml").write_text(inside + outside)
    (tmp_path / "mesh").write_text("discoverySelectors: [{matchLabels: {mesh: 'yes'}}]\n")
    everything = pilotpy.load(tmp_path / "in.yaml").node(NODE)
    assert "outbound|80||outside.outside.svc.cluster.local" in [one.name for one in everything.clusters]
    mesh = pilotpy.load(tmp_path / "in.yaml", mesh_config=tmp_path / "mesh")
    served = [one.name for one in mesh.node(NODE).clusters if one.name.startswith("outbound|")]
    assert served == ["outbound|80||inside.inside.svc.cluster.local"]
    assert mesh.findings == ()
