"""How what a lab wants written gets to an API server."""

import asyncio
import json

from pilotpy.lab.cluster.writes import Verb, Write, Writer
from pilotpy.model.resource import Ref
from pilotpy.sources.kubernetes.trouble import Refused, Unreachable
from tests.waiting import until

POD, SET = Ref("Pod", "shop", "web-1"), Ref("ReplicaSet", "shop", "web")


class Server:
    """Takes what it is asked, after what it has in store for the first requests."""

    def __init__(self, *troubles):
        self.troubles = list(troubles)
        self.taken = []

    async def ask(self, method, path, body=None, *, query=None, content=""):
        if self.troubles:
            raise self.troubles.pop(0)
        self.taken.append((method, path, body))
        return json.dumps({"metadata": {"uid": f"uid of {path}"}}).encode()


def written(server, *writes, until_refused=0):
    """What was taken, and what was told."""
    wrote, refused = {}, []

    async def run():
        writer = Writer(server, lambda ref, uid: wrote.update({ref: uid}), refused.append)
        running = asyncio.create_task(writer.run())
        writer.put(writes)
        await writer.idle()
        await until(lambda: len(refused) >= until_refused)
        running.cancel()

    asyncio.run(run())
    return wrote, refused


def body(name):
    return {"metadata": {"namespace": "shop", "name": name}}


def test_what_belongs_to_something_is_written_after_it_with_its_uid():
    server = Server()
    wrote, _ = written(server, Write(Verb.APPLY, SET, body("web")), Write(Verb.APPLY, POD, body("web-1"), owner=SET))
    (_, _, first), (_, path, second) = server.taken
    assert path == "/api/v1/namespaces/shop/pods/web-1"
    assert (first["apiVersion"], first["kind"]) == ("apps/v1", "ReplicaSet")
    assert second["metadata"]["ownerReferences"][0]["uid"] == wrote[SET]


def test_nothing_is_lost_and_the_order_is_kept_while_the_server_is_away():
    server = Server(*[Unreachable("away")] * 3, Refused(503, "starting"), Refused(429, "busy"))
    written(server, Write(Verb.MERGE, POD, {"a": 1}, "status"), Write(Verb.DELETE, POD, {}))
    assert [method for method, _, _ in server.taken] == ["PATCH", "DELETE"]


def test_what_is_refused_for_good_is_told_and_the_rest_is_written():
    server = Server(Refused(422, "no such field"))
    _, refused = written(server, Write(Verb.APPLY, POD, body("web-1")), Write(Verb.APPLY, SET, body("web")))
    assert refused == [POD]
    assert len(server.taken) == 1


def test_what_may_be_for_now_is_tried_again_a_few_times():
    server = Server(*[Refused(403, "no such account")] * 5)
    _, refused = written(server, Write(Verb.APPLY, POD, body("web-1")))
    assert refused == [POD]
    server = Server(*[Refused(403, "no such account")] * 2)
    assert written(server, Write(Verb.APPLY, POD, body("web-1"))) == ({POD: f"uid of {server.taken[0][1]}"}, [])


def test_what_is_gone_needs_no_deletion():
    server = Server(Refused(404, "no such Pod"), Refused(409, "another Pod of that name"))
    _, refused = written(server, Write(Verb.DELETE, POD, {}), Write(Verb.DELETE, POD, {}))
    assert (refused, server.taken) == ([], [])
