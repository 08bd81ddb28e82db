"""Small applications for labs, and many requests to them."""

import json
import math
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from pilotpy.lab import commands

LOAD = Path(__file__).with_name("load.py")


def app(name, version="v1", replicas=1, namespace="default", account="default", annotations=None):  # noqa: PLR0917
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}-{version}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}, version: {version}}}}}
  template:
    metadata:
      labels: {{app: {name}, version: {version}}}
      annotations: {json.dumps(annotations or {})}
    spec:
      serviceAccountName: {account}
      containers:
      - name: app
        image: example/{name}
        ports: [{{containerPort: 8080}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
---"""


@contextmanager
def load(client, url, seconds):
    """Requests from a pod, in the background, once there has been one. What came of them is in the dict, afterwards."""
    command = commands.command_in(client, [sys.executable, str(LOAD), url, str(seconds)])
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    result = {}
    try:
        assert running.stdout.readline() == "asked\n"
        yield result
        said, _ = running.communicate(timeout=seconds + 30)
        result.update(json.loads(said))
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def assert_share(number, total, share):
    """Within four standard deviations of what was asked for, out of enough requests to tell."""
    assert total > 300
    assert abs(number - total * share) <= 4 * math.sqrt(total * share * (1 - share)), f"{number} of {total}"
