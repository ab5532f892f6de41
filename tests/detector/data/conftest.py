"""A real S3-compatible server on localhost, for the tests of object stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of moto's server on a free port; the test skips where moto is not installed."""
    server = pytest.importorskip("moto.server")
    pytest.importorskip("boto3")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple:
    """(boto3 client, name of a bucket of this test's own); the environment points pyarrow to the server."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    client = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1")
    bucket = "b" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    client.create_bucket(Bucket=bucket)
    return client, bucket
