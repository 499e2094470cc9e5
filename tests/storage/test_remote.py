"""What is told of file systems' exceptions: made by the libraries themselves, as they make them."""

import errno

import aiohttp
import botocore.exceptions
import gcsfs.retry
import httpx2
import pytest
import requests
from huggingface_hub.errors import HfHubHTTPError
from s3fs.errors import translate_boto_error
from s3fs.utils import FileExpired

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.remote import http_status, is_precondition, may_pass


def botocore_error(status, code):
    return botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": "told"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "GetObject",
    )


def hub_error(status):
    request = httpx2.Request("GET", "https://hub/x")
    return HfHubHTTPError("told", response=httpx2.Response(status, request=request))


def requests_error(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("told", response=response)


def aiohttp_error(status):
    return aiohttp.ClientResponseError(None, (), status=status)


MAKERS = {
    "botocore": lambda status: botocore_error(status, str(status)),
    "s3fs": lambda status: translate_boto_error(botocore_error(status, str(status))),
    "gcsfs": lambda status: gcsfs.retry.HttpError({"code": status, "message": "told"}),
    "hub": hub_error,
    "requests": requests_error,
    "aiohttp": aiohttp_error,
}


@pytest.mark.parametrize("library", MAKERS)
def test_the_status_of_an_answer_decides(library):
    make = MAKERS[library]
    for status in (500, 502, 503, 504, 429, 408):
        assert may_pass(make(status)), status
    for status in (400, 401, 403, 404, 412, 416, 501):
        assert not may_pass(make(status)), status
    assert is_precondition(make(412))
    assert not is_precondition(make(403))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("reset"),
        TimeoutError("late"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        translate_boto_error(botocore_error(409, "ConditionalRequestConflict")),
        translate_boto_error(botocore_error(400, "RequestTimeout")),
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://s3"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="https://s3"),
        botocore.exceptions.ConnectionClosedError(endpoint_url="https://s3"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        aiohttp.ClientPayloadError("cut off"),
        aiohttp.ServerDisconnectedError(),
        httpx2.ReadError("cut off"),
        requests.ConnectionError("cut off"),
        gcsfs.retry.ChecksumError("other bytes"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_lost_connections_may_come_back(error):
    assert may_pass(error)
    told = StoreError("told")
    told.__cause__ = error
    assert may_pass(told)  # by what it was made of


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ENOSPC, "No space left on device"),
        botocore.exceptions.NoCredentialsError(),
        FileExpired("b/k", "etag"),  # an object that has changed
        OSError("Forbidden: b/o"),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_rest_does_not(error):
    assert not may_pass(error)


def test_what_has_no_status_has_none():
    assert http_status(OSError(errno.EIO, "x")) is None
    assert http_status(gcsfs.retry.HttpError()) is None
