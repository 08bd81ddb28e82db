"""Steady requests from inside a pod, as a program: ``load.py URL SECONDS``.

Prints a line once it has asked, and in the end as JSON who answered how often, how many answers took 0.4 s and longer,
what was not answered 200, and when (time.time()) the last answer of 200 came.

Half of the lines keep their connection, half make a new one for each request.
"""

import collections
import http.client
import json
import sys
import threading
import time
import urllib.parse

url, seconds = urllib.parse.urlsplit(sys.argv[1]), float(sys.argv[2])
counts = collections.Counter()
failures = []
slow = []
answered = [0.0]
asked = threading.Event()
until = time.monotonic() + seconds


def line(keep):
    connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=15)
    while time.monotonic() < until:
        begun = time.monotonic()
        try:
            connection.request("GET", url.path or "/", headers={} if keep else {"connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                counts[json.loads(body)["version"]] += 1
                answered[0] = time.time()
            else:
                failures.append(f"{answer.status} {body[:200].decode()} at {begun - until + seconds:.2f}")
        except (OSError, http.client.HTTPException) as failed:
            failures.append(f"{failed!r} at {begun - until + seconds:.2f}")
            connection.close()
        if time.monotonic() - begun >= 0.4:
            slow.append(begun)
        asked.set()
        time.sleep(0.005)
    connection.close()


lines = [threading.Thread(target=line, args=(number % 2 == 0,)) for number in range(6)]
for each in lines:
    each.start()
asked.wait()
sys.stdout.write("asked\n")
sys.stdout.flush()
for each in lines:
    each.join()
json.dump({"counts": counts, "failures": failures, "slow": len(slow), "last": answered[0]}, sys.stdout)
