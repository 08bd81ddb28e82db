"""What is heard of a collection while the API server is well, ill, slow or gone."""

import asyncio
import contextlib
import json
import time
from datetime import timedelta
from random import Random

import pytest

from pilotpy.sources.kubernetes.collection import COLLECTIONS
from pilotpy.sources.kubernetes.connection import connected
from pilotpy.sources.kubernetes.list_watch import Happened, ListWatch, Timing
from pilotpy.sources.kubernetes.room import GENEROUS
from tests.sources.kubernetes.server import Answer, Server, bookmark, event, failure, listing, stream, thing

CONFIG_MAPS = next(one for one in COLLECTIONS if one.kind == "ConfigMap")
ROUTES = next(one for one in COLLECTIONS if one.kind == "VirtualService")
SLICES = next(one for one in COLLECTIONS if one.kind == "EndpointSlice")
QUICK = Timing(
    stall=timedelta(seconds=0.3),
    absent=timedelta(seconds=0.1),
    pause=timedelta(milliseconds=1),
    longest_pause=timedelta(milliseconds=20),
)
SILENCE = stream(ending="stall")


class Ear:
    """Notes what is heard, in words."""

    def __init__(self):
        self.heard = []
        self.enough = asyncio.Event()
        self.words = 0

    def hear(self, word):
        self.heard.append(word)
        if len(self.heard) >= self.words:
            self.enough.set()

    def listed(self, objects):
        self.hear(["all", *(read.ref.name for read in objects)])

    def watched(self, events):
        for one in events:
            self.hear([one.type, bytes(one.object).split(b'"name": "')[1].split(b'"')[0].decode()])

    def troubled(self, trouble):
        self.hear([str(trouble).partition(":")[0]])


def heard(script, words, collection=CONFIG_MAPS, *, counted=None, ear=None, timing=QUICK):
    """What is heard of a script until there are so many words, and what the server was asked."""

    ear = ear or Ear()

    async def listened():
        server = Server(script)
        ear.words = words
        async with server.running(), connected(server.login) as connection:
            count = (lambda what: None) if counted is None else counted.append
            loop = ListWatch(connection, collection, ear, timing=timing, random=Random(1), count=count)
            task = asyncio.create_task(loop.run())
            try:
                await asyncio.wait_for(ear.enough.wait(), 10)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        return ear.heard, server.asked

    return asyncio.run(listened())


def versions(asked):
    """From which version each request goes on; "list" where all is asked for."""
    return [query.get("resourceVersion", "list") for _, query in asked]


A, B, C = thing("a", "5"), thing("b", "6"), thing("c", "7")
GONE_EVENT = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})

CASES = {
    "a list, then what changes": (
        [listing("4", A), stream(event("ADDED", B), event("MODIFIED", B), event("DELETED", A), ending="stall")],
        [["all", "a"], ["ADDED", "b"], ["MODIFIED", "b"], ["DELETED", "a"]],
        ["list", "4"],
    ),
    "pages are heard as one list": (
        [listing("4", A, more="x"), listing("4", B, more="y"), listing("4", C), SILENCE],
        [["all", "a", "b", "c"]],
        ["list", "list", "list"],
    ),
    "an empty list is null in Go": ([listing("4"), SILENCE], [["all"]], ["list"]),
    "a watch that ends is taken up where it was": (
        [listing("4", A), stream(event("ADDED", B)), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], ["ADDED", "b"], ["ADDED", "c"]],
        ["list", "4", "6"],
    ),
    "a bookmark moves the place where it is taken up": (
        [listing("4", A), stream(bookmark("99")), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], ["ADDED", "c"]],
        ["list", "4", "99"],
    ),
    "half a line is not heard, and the whole one comes again": (
        [
            listing("4", A),
            stream(event("ADDED", B), b'{"type": "ADDED", "object": {"metadata": {"na', ending="cut"),
            stream(event("ADDED", C), ending="stall"),
        ],
        [["all", "a"], ["ADDED", "b"], ["Response payload is not completed"], ["ADDED", "c"]],
        ["list", "4", "6"],
    ),
    "a line that is no JSON is not skipped but asked for again": (
        [listing("4", A), stream(event("ADDED", B), b"<html>\n"), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], ["ADDED", "b"], ["not a watch event"], ["ADDED", "c"]],
        ["list", "4", "6"],
    ),
    "a stream that falls silent without closing is left": (
        [listing("4", A), stream(event("ADDED", B), ending="stall"), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], ["ADDED", "b"], ["no answer in time"], ["ADDED", "c"]],
        ["list", "4", "6"],
    ),
    "a version that is too old, said in the stream: all is listed anew": (
        [listing("4", A), stream(GONE_EVENT), listing("9", B), SILENCE],
        [["all", "a"], ["all", "b"]],
        ["list", "4", "list"],
    ),
    "a version that is too old, said at once: all is listed anew": (
        [listing("4", A), failure(410, "Expired"), listing("9", B), SILENCE],
        [["all", "a"], ["all", "b"]],
        ["list", "4", "list"],
    ),
    "an error in the stream is waited out, and the watch goes on": (
        [
            listing("4", A),
            stream(event("ERROR", {"code": 500, "reason": "InternalError", "message": "etcd"})),
            stream(event("ADDED", C), ending="stall"),
        ],
        [["all", "a"], ["500 InternalError"], ["ADDED", "c"]],
        ["list", "4", "4"],
    ),
    "errors before the first list": (
        [failure(500), failure(503), failure(429, "TooManyRequests", Retry_After="0"), listing("4", A), SILENCE],
        [["500"], ["503"], ["429 TooManyRequests"], ["all", "a"]],
        ["list", "list", "list", "list"],
    ),
    "half a list is no list": (
        [listing("4", A, more="x"), failure(500), listing("5", A, B), SILENCE],
        [["500"], ["all", "a", "b"]],
        ["list", "list", "list"],
    ),
    "a list that is not JSON": (
        [listing("4")._replace(body=b'{"items": ['), listing("5", A), SILENCE],
        [["not a list"], ["all", "a"]],
        ["list", "list"],
    ),
    "half a line at the end of a stream is trouble": (
        [listing("4", A), stream(event("ADDED", B), b"<html>"), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], ["ADDED", "b"], ["it ended in the middle of a line"], ["ADDED", "c"]],
        ["list", "4", "6"],
    ),
    "a stream that ends at once without a word is trouble": (
        [listing("4", A), stream(), stream(), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], *[["it ends what it should tell of changes before it has told any"]] * 2, ["ADDED", "c"]],
        ["list", "4", "4", "4"],
    ),
    "a list whose pages lead in a circle is none": (
        [listing("4", A, more="x"), *[listing("4", B, more="x")] * 5, listing("5", A, B), SILENCE],
        [*[["not a list"]] * 3, ["all", "a", "b"]],
        ["list"] * 7,
    ),
    "a list without a version is none": (
        [listing(""), listing("5", A), SILENCE],
        [["not a list"], ["all", "a"]],
        ["list", "list"],
    ),
    "a list that is nested without end": (
        [listing("4")._replace(body=b'{"items": [' + b"[" * 200_000), listing("5", A), SILENCE],
        [["not a list"], ["all", "a"]],
        ["list", "list"],
    ),
    "an event that is nested without end": (
        [listing("4", A), stream(b'{"object": ' + b"[" * 200_000 + b"\n"), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], ["not a watch event"], ["ADDED", "c"]],
        ["list", "4", "4"],
    ),
    "a server that has too much to do is not asked for all": (
        [listing("4", A), *[failure(429, "TooManyRequests")] * 6, stream(event("ADDED", C), ending="stall")],
        [["all", "a"], *[["429 TooManyRequests"]] * 6, ["ADDED", "c"]],
        ["list", *["4"] * 7],
    ),
    "a server that says of what every server has that it has it not": (
        [listing("4", A), failure(404), stream(event("ADDED", C), ending="stall")],
        [["all", "a"], ["404"], ["ADDED", "c"]],
        ["list", "4", "4"],
    ),
    "a server that refuses a version again and again is asked for all": (
        [listing("4", A), *[failure(504, "Timeout")] * 5, listing("9", B), SILENCE],
        [["all", "a"], *[["504 Timeout"]] * 5, ["all", "b"]],
        ["list", *["4"] * 5, "list"],
    ),
}


@pytest.mark.parametrize(("script", "words", "asked"), CASES.values(), ids=CASES)
def test_what_is_heard(script, words, asked):
    found, requests = heard(script, len(words))
    assert found == words
    assert versions(requests)[: len(asked)] == asked


def test_a_fault_of_ours_is_told_and_all_is_listed_anew(caplog):
    class Clumsy(Ear):
        def watched(self, events):
            super().watched(events)
            if len(self.heard) == 2:
                raise ZeroDivisionError

    script = [listing("4", A), stream(event("ADDED", B), ending="stall"), listing("9", B), SILENCE]
    found, asked = heard(script, 4, ear=Clumsy())
    assert found == [["all", "a"], ["ADDED", "b"], ["a fault of ours"], ["all", "b"]]
    assert versions(asked)[:3] == ["list", "4", "list"]
    assert "ZeroDivisionError" in caplog.text


def test_pages_that_outlive_their_version_are_asked_for_in_one():
    counted = []
    script = [listing("4", A, more="x"), failure(410, "Expired"), listing("9", A, B), SILENCE]
    found, asked = heard(script, 1, counted=counted)
    assert found == [["all", "a", "b"]]
    assert ["limit" in query for _, query in asked[:3]] == [True, True, False]
    assert counted == [Happened.EXPIRED, Happened.LISTED]


def test_a_server_that_finds_every_version_too_old_is_asked_for_all_ever_less_often():
    began = time.monotonic()
    script = [one for _ in range(5) for one in (listing("4", A), failure(410, "Expired"))] + [listing("5", A)]
    heard(script, 6, timing=QUICK._replace(pause=timedelta(seconds=0.05), longest_pause=timedelta(seconds=5)))
    assert time.monotonic() - began > 0.5 * (0.05 + 0.1 + 0.2 + 0.4 + 0.8)


def test_a_list_that_does_not_begin_is_left_and_told():
    script = [Answer(chunked=True, ending="stall"), listing("4", A), SILENCE]
    found, _ = heard(script, 2, timing=QUICK._replace(silence=timedelta(seconds=0.2)))
    assert found == [["no answer in time"], ["all", "a"]]


def test_a_definition_that_is_not_told_is_left_too():
    script = [*[NOT_FOUND] * 3, Answer(chunked=True, ending="stall"), listing("4", A), SILENCE]
    found, _ = heard(script, 2, ROUTES, timing=QUICK._replace(silence=timedelta(seconds=0.2)))
    assert found == [["404 NotFound"], ["all", "a"]]


LARGE = listing("4", thing("a", filling="x" * 5000))
BOUNDS = {
    "more objects than it may have": (
        {"objects": 1},
        [listing("4", A, B), listing("5", A), SILENCE],
        [["more than 1 objects"], ["all", "a"]],
    ),
    "pages without end": (
        {"objects": 2},
        [*[listing("4", A, more=more) for more in "xyz"], listing("5", B), SILENCE],
        [["more than 2 objects"], ["all", "b"]],
    ),
    "a page that is too large": (
        {"page": 1000},
        [LARGE, listing("5", A), SILENCE],
        [["an answer of more than 1000 bytes"], ["all", "a"]],
    ),
    "one answer that is too large, where pages are forgotten, and then pages": (
        {"bytes": 4000},
        [listing("4", A, more="x"), failure(410, "Expired"), LARGE, listing("5", B), SILENCE],
        [["an answer of more than 4000 bytes"], ["all", "b"]],
    ),
    "pages that are too large together": (
        {"bytes": 400},
        [*[listing("4", A, more=more) for more in "xyz"], listing("5", B), SILENCE],
        [["more than 400 bytes"], ["all", "b"]],
    ),
    "less, once what goes has gone: all is listed anew, and nothing is told": (
        {"objects": 2},
        [
            listing("4", A),
            stream(*[one for _ in range(3) for one in (event("ADDED", B), event("DELETED", B))], ending="stall"),
            listing("9", A, C),
            SILENCE,
        ],
        [["all", "a"], *[["ADDED", "b"], ["DELETED", "b"]] * 3, ["all", "a", "c"]],
    ),
    "more in the end: what was said before stays": (
        {"objects": 1},
        [
            listing("4", A),
            stream(event("ADDED", B), event("ADDED", C), ending="stall"),
            *[listing("9", A, B, C)] * 2,
            listing("12", A),
            SILENCE,
        ],
        [["all", "a"], ["ADDED", "b"], ["ADDED", "c"], *[["more than 1 objects"]] * 2, ["all", "a"]],
    ),
}


@pytest.mark.parametrize(("bound", "script", "words"), BOUNDS.values(), ids=BOUNDS)
def test_a_server_is_listened_to_within_bounds(bound, script, words):
    found, _ = heard(script, len(words), timing=QUICK._replace(bound=GENEROUS._replace(**bound)))
    assert found == words


def test_a_watch_asks_for_bookmarks_and_for_an_end():
    _, asked = heard([listing("4", A), stream(event("ADDED", B), ending="stall")], 2)
    _, query = asked[1]
    assert query["allowWatchBookmarks"] == "true"
    assert 300 <= int(query["timeoutSeconds"]) <= 600


NOT_FOUND = failure(404, "NotFound")


def test_an_older_version_is_listed_where_the_newest_is_not_served():
    found, asked = heard([NOT_FOUND, listing("4", A), SILENCE], 1, ROUTES)
    assert found == [["all", "a"]]
    assert [path.split("/")[3] for path, _ in asked[:2]] == ["v1", "v1beta1"]


def test_what_is_not_installed_is_empty_and_looked_for_again():
    missing = [NOT_FOUND] * 3  # in three versions
    found, asked = heard([*missing, NOT_FOUND, listing("4", A), SILENCE], 2, ROUTES)
    assert found == [["all"], ["all", "a"]]
    assert asked[3][0].endswith("/customresourcedefinitions/virtualservices.networking.istio.io")


def definition(**versions):
    """What an API server says of a kind, and whether it serves each version."""
    served = [{"name": version, "served": served} for version, served in versions.items()]
    return Answer(body=json.dumps({"metadata": {"name": "a"}, "spec": {"versions": served}}).encode())


def test_what_is_installed_in_no_version_that_is_read_is_empty_and_that_is_told():
    missing = [NOT_FOUND] * 3
    other = definition(v1=False, v7=True)
    found, _ = heard([*missing, other, listing("4", A), SILENCE], 3, ROUTES)
    assert found == [["all"], ["installed in none of the versions v1, v1beta1, v1alpha3"], ["all", "a"]]


def test_what_is_no_longer_installed_in_a_version_that_is_read_keeps_what_it_said():
    missing = [NOT_FOUND] * 3
    script = [listing("4", A), failure(410), *missing, definition(v7=True), listing("9", A), SILENCE]
    found, _ = heard(script, 3, ROUTES)
    assert found == [["all", "a"], ["installed in none of the versions v1, v1beta1, v1alpha3"], ["all", "a"]]


def test_what_is_served_in_a_moment_is_asked_for_again():
    missing = [NOT_FOUND] * 3
    found, _ = heard([*missing, definition(v1beta1=True), listing("4", A), SILENCE], 2, ROUTES)
    assert found == [["404 NotFound"], ["all", "a"]]


def groups(**versions):
    """What an API server says that it serves."""
    found = [{"name": group, "versions": [{"version": version}]} for group, version in versions.items()]
    return Answer(body=json.dumps({"kind": "APIGroupList", "groups": found}).encode())


def test_slices_are_empty_where_the_server_says_that_it_has_none():
    older = groups(**{"discovery.k8s.io": "v1beta1"})
    found, asked = heard([failure(404), older, listing("4", A), SILENCE], 2, SLICES)
    assert found == [["all"], ["all", "a"]]
    assert asked[1][0] == "/apis"


@pytest.mark.parametrize(
    "elsewhere",
    [groups(**{"discovery.k8s.io": "v1"}), failure(404), Answer(body=b"<html>"), Answer(body=b"{}"), failure(503)],
    ids=["it serves them", "it knows nothing at all", "no JSON", "no groups", "it is ill"],
)
def test_slices_stay_where_a_server_does_not_say_that_it_has_none(elsewhere):
    script = [listing("4", A), failure(404), elsewhere, stream(event("ADDED", C), ending="stall")]
    found, _ = heard(script, 3, SLICES)
    assert found == [["all", "a"], ["404"], ["ADDED", "c"]]


def test_a_kind_stays_whose_definition_is_missing_in_words_that_are_not_an_api_servers():
    page = Answer(404, b"<html>nothing here</html>")
    found, _ = heard([listing("4", A), page, page, stream(event("ADDED", C), ending="stall")], 3, ROUTES)
    assert found == [["all", "a"], ["404"], ["ADDED", "c"]]


def test_what_is_installed_and_not_found_keeps_what_it_said():
    missing = [NOT_FOUND] * 3
    definition = listing("1")
    found, _ = heard([listing("4", A), failure(410), *missing, definition, listing("9", A), SILENCE], 3, ROUTES)
    assert found == [["all", "a"], ["404 NotFound"], ["all", "a"]]
