"""Services of several clusters as the mesh knows them."""

from pilotpy.model.resource import Ref
from pilotpy.sources.change import Change
from pilotpy.sources.kubernetes.foreign import foreign
from pilotpy.sources.shared_services import SharedServices
from tests.mesh.world import resources
from tests.sources.test_namespaces import HERE

WEB = Ref("Service", "shop", "web")
IN_EAST = Ref("ServiceElsewhere", "shop", "web@east")


def service(cluster_ip, port=80):
    spec = f"{{type: LoadBalancer, clusterIP: {cluster_ip}, ports: [{{name: http, port: {port}}}]}}"
    status = "{loadBalancer: {ingress: [{ip: 203.0.113.1}]}}"
    metadata = "{name: web, namespace: shop}"
    return resources(f"{{apiVersion: v1, kind: Service, metadata: {metadata}, spec: {spec}, status: {status}}}")[0]


class Known:
    """What the mesh knows."""

    def __init__(self):
        self._services = SharedServices()
        self.objects = {}

    def say(self, one, cluster=""):
        one = foreign(one, cluster) if cluster else one
        self._take(Change(one.ref, HERE, None, one))

    def gone(self, one, cluster=""):
        one = foreign(one, cluster) if cluster else one
        self._take(Change(one.ref, HERE, one, None))

    def _take(self, change):
        for ref, _, _, new in self._services.merged([change]):
            self.objects.pop(ref, None)
            if new is not None:
                self.objects[ref] = new


def test_a_service_of_the_home_cluster_is_as_it_is():
    known = Known()
    known.say(service("10.0.0.1"))
    assert known.objects == {WEB: service("10.0.0.1")}


def test_a_service_of_another_cluster_has_no_address_here():
    known = Known()
    known.say(service("10.0.0.2"), "east")
    shared = known.objects[WEB].spec
    assert (shared.type, shared.cluster_ip, shared.cluster_ips, shared.status) == ("ClusterIP", "", (), None)
    assert [port.port for port in shared.ports] == [80]
    assert known.objects[IN_EAST].spec == service("10.0.0.2").spec


def test_a_headless_service_is_headless_everywhere():
    known = Known()
    known.say(service("None"), "east")
    assert known.objects[WEB].spec.cluster_ip == "None"


def test_the_home_cluster_says_what_all_have_in_common():
    known = Known()
    known.say(service("10.0.0.2", 81), "east")
    known.say(service("10.0.0.1"))
    assert known.objects[WEB] == service("10.0.0.1")
    known.say(service("10.0.0.2", 82), "east")
    assert known.objects[WEB] == service("10.0.0.1")
    assert known.objects[IN_EAST].spec.ports[0].port == 82
    known.gone(service("10.0.0.1"))
    assert known.objects[WEB].spec.ports[0].port == 82


def test_of_others_the_first_by_name_does():
    known = Known()
    known.say(service("10.0.0.3", 83), "west")
    known.say(service("10.0.0.2", 82), "east")
    assert known.objects[WEB].spec.ports[0].port == 82
    known.gone(service("10.0.0.2", 82), "east")
    assert known.objects[WEB].spec.ports[0].port == 83
    known.gone(service("10.0.0.3", 83), "west")
    assert known.objects == {}
