"""The steps of cloudknot 0.6.1 that `aws_requests.py` times; it runs in an environment of its own.

Three things of it do not work here, and are mended from outside so that the rest can be measured:

- its ``DockerImage`` writes a script that may not be executed, which the image then names as its entry point;
- it takes the account 123456789012 for a test of its own, and pushes a made-up manifest instead of the image;
- it asks the public package index for versions, which a machine without access to it cannot.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import cloudpickle
from botocore.config import Config
from cloudknot.dockerimage import DockerImage
from pipreqs import pipreqs

import cloudknot  # type: ignore[import-not-found]  # the original, which this environment has
from cloudknot import aws

BASE = "python:3.11-slim"
PUTS_AT_ONCE = 16


@contextmanager
def step(name: str) -> Iterator[None]:
    """Tell how long a step took, and what was asked of AWS after it by the box's own journal."""
    began = time.perf_counter()
    error = ""
    try:
        yield
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    seconds = time.perf_counter() - began
    print(json.dumps({"step": name, "seconds": seconds, "error": error}), flush=True)
    if not sys.stdin.readline():  # the benchmark counts, then says go on
        raise SystemExit


def mend(children: dict[str, str], stub: str) -> None:
    """Let it run here; `children` are the credentials of its jobs, `stub` the folder of what they run."""
    write = DockerImage._write_script

    def write_executable(self: Any) -> None:
        write(self)
        Path(self.script_path).chmod(0o755)

    DockerImage._write_script = write_executable
    pipreqs.get_imports_info = lambda names: [{"name": name, "version": version(name)} for name in names]

    def name_other_account(parsed: dict[str, Any], **_: Any) -> None:
        if "User" in parsed:
            parsed["User"]["Arn"] = parsed["User"]["Arn"].replace(":123456789012:", ":210987654321:")

    def give_credentials(params: dict[str, Any], **_: Any) -> None:
        # On AWS a job of it has the rights of its machine, of which a box has none.
        template = json.loads(params["TemplateBody"])
        definition = template["Resources"].get("JobDefinition")
        if definition is None:
            return
        environment = definition["Properties"]["ContainerProperties"]["Environment"]
        environment += [{"Name": name, "Value": value} for name, value in children.items()]
        if stub:
            environment.append({"Name": "PATH", "Value": f"{stub}:/usr/bin:/bin"})
        params["TemplateBody"] = json.dumps(template)

    refresh = aws.refresh_clients

    def refresh_clients(**options: Any) -> None:
        refresh(**options)
        aws.clients["iam"].meta.events.register("after-call.iam.GetUser", name_other_account)
        events = aws.clients["cloudformation"].meta.events
        events.register("provide-client-params.cloudformation.CreateStack", give_credentials)

    aws.refresh_clients = refresh_clients  # each map makes new clients
    refresh_clients()


def put_results(knot: Any, count: int, children: dict[str, str]) -> None:
    """Put what the children of a map would have put: the box cannot start thousands of interpreters."""
    s3 = boto3.client(
        "s3",
        aws_access_key_id=children["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=children["AWS_SECRET_ACCESS_KEY"],
        config=Config(max_pool_connections=PUTS_AT_ONCE),
    )
    prefix = f"cloudknot.jobs/{knot.job_definition.name}/{knot.job_ids[-1]}"
    bucket = knot.job_definition.output_bucket

    def put(index: int) -> None:
        body = cloudpickle.dumps(2 * index)
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{index}/001/output.pickle", Body=body)

    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        list(pool.map(put, range(count)))


def twice(x):
    """Return it twice."""
    return 2 * x


def thrice(x):
    """Return what is another function, to see what an edit takes."""
    return 3 * x


def main() -> None:
    """Run the steps that the first argument names, as JSON."""
    asked = json.loads(sys.argv[1])
    children, stub = asked["children"], asked["stub"]
    mend(children, stub)
    with step("set up"):
        pars = cloudknot.Pars(name="bench")
    options = {"pars": pars, "func": twice, "base_image": BASE, "memory": 512}
    with step("first Knot"):
        knot = cloudknot.Knot(name=asked["name"], **options)
    if asked["second"]:
        with step("second Knot"):
            cloudknot.Knot(name=f"{asked['name']}-2", **options)
    for count in asked["counts"]:
        future = None
        Path(stub, "go").unlink(missing_ok=True)
        with step(f"submit {count}"):
            future = knot.map(list(range(count)))
        if future is None:
            continue
        if stub:
            put_results(knot, count, children)
            Path(stub, "go").touch()
        with step(f"collect {count}"):
            assert future.result(timeout=asked["timeout_s"]) == [2 * x for x in range(count)]
    if asked["edit"]:  # a Knot of a name that it knows stays as it was: an edit needs another name
        with step("edited function to first result"):
            edited = cloudknot.Knot(name=f"{asked['name']}-edited", **{**options, "func": thrice})
            assert edited.map([1, 2]).result(timeout=asked["timeout_s"]) == [3, 6]
    os._exit(0)  # threads of it that wait for what never comes would keep the process


if __name__ == "__main__":
    main()
