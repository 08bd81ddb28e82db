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


def services(mesh):
    clusters = mesh.node(NODE).document(["cds"])["clusters"]
    return {one["name"].split("|")[3].partition(".")[0] for one in clusters if one["name"].startswith("outbound|")}


def test_namespaces_that_are_not_discovered_do_not_count(tmp_path):
    inside = SERVICE.format(name="inside", number=1, mesh="yes")
    outside = SERVICE.format(name="outside", number=2, mesh="no")
    (tmp_path / "in.yaml").write_text(inside + outside)
    (tmp_path / "mesh").write_text("discoverySelectors: [{matchLabels: {mesh: 'yes'}}]\n")
    assert services(pilotpy.load(tmp_path / "in.yaml")) == {"inside", "outside"}
    mesh = pilotpy.load(tmp_path / "in.yaml", mesh_config=tmp_path / "mesh")
    assert services(mesh) == {"inside"}
    assert "PP0008" not in {one.code for one in mesh.findings}
