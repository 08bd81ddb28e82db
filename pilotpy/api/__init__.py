"""A mesh from a folder, to look at from Python. The commands go in through this door too.

::

    mesh = pilotpy.load("k8s/")
    mesh.proxy("reviews-v1.default").routes[0].virtual_hosts[0].domains

What a proxy is served comes as envoy-data-plane's dataclasses, decoded when looked at: a second reader of our bytes,
made by other people. ``pilotpy.load("k8s/", cluster=pilotpy.cluster())`` lays the folder over a cluster.
"""

from pilotpy.api.cluster import cluster
from pilotpy.api.comparison import changes
from pilotpy.api.finding import plain_finding
from pilotpy.api.mesh import Mesh, load
from pilotpy.api.proxy import PARTS, SHORT, MeshProxy, Unknown

__all__ = ["PARTS", "SHORT", "Mesh", "MeshProxy", "Unknown", "changes", "cluster", "load", "plain_finding"]
