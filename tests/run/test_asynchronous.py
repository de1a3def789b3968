"""Asynchronous clients (aiobotocore, aioboto3, s3fs) of programs that know nothing of encryption."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SECRET = "what only its owner should read"  # noqa: S105 - a text

PROGRAM = """
import asyncio, io, os
from aiobotocore.session import AioSession
ENCRYPTED, PLAIN, UNNAMED = (os.environ[name] for name in ("BUCKET", "PLAIN", "UNNAMED"))
SECRET = b"what only its owner should read"

async def main():
    session = AioSession()
    async with session.create_client("s3") as s3:
        async def read(bucket, key, **more):
            answer = await s3.get_object(Bucket=bucket, Key=key, **more)
            async with answer["Body"] as body:
                return await body.read()
{body}

asyncio.run(main())
"""


@pytest.fixture
def asynchronous(
    program: Callable[..., Any], environment: dict[str, str], bucket_names: dict[str, str]
) -> Callable[..., list[str]]:
    """Runs the inside of a program with an asynchronous client ``s3``, and returns the lines that it prints."""
    named = {"PLAIN": bucket_names["plain"], "UNNAMED": bucket_names["unnamed"]}

    def run(body: str, **changes: str) -> list[str]:
        indented = "\n".join(8 * " " + line for line in body.strip().splitlines())
        ended = program(PROGRAM.replace("{body}", indented), changes={**named, **changes})
        assert ended.code == 0, ended.err
        return list(ended.out.splitlines())

    return run


REFUSED = """
try:
    {call}
except Exception as error:
    print("refused:", type(error).__name__, error)
else:
    print("went on")
"""


def test_buckets(asynchronous: Callable[..., list[str]], stored: Callable[..., bool], plain_s3: Any) -> None:
    """Each bucket by its rule: under a key, plain, or refused before anything is sent."""
    lines = asynchronous(
        "import s3ec\nprint(type(s3).__mro__[1].__name__, s3ec.is_encrypting(s3), s3ec.is_encrypting(session))\n"
        "await s3.put_object(Bucket=ENCRYPTED, Key='async', Body=SECRET)\n"
        "await s3.put_object(Bucket=PLAIN, Key='async', Body=SECRET)\n"
        "print(await read(ENCRYPTED, 'async') == await read(PLAIN, 'async') == SECRET)\n"
        "print(await read(ENCRYPTED, 'async', Range='bytes=5-8'))\n"
        "print((await s3.head_object(Bucket=ENCRYPTED, Key='async'))['ContentLength'] == len(SECRET))\n"
        "print([page['Size'] for bucket in (ENCRYPTED, PLAIN) for page in\n"
        "       (await s3.list_objects_v2(Bucket=bucket, Prefix='async'))['Contents']])\n"
        "print(len((await s3.list_buckets())['Buckets']) >= 3)\n"
        + REFUSED.format(call="await s3.put_object(Bucket=UNNAMED, Key='async', Body=SECRET)")
        + REFUSED.format(call="await s3.generate_presigned_url('put_object', {'Bucket': ENCRYPTED, 'Key': 'x'})")
        + "print((await s3.generate_presigned_url('get_object', {'Bucket': PLAIN, 'Key': 'async'})).startswith('http'))"
    )
    assert lines[:4] == ["AsyncRuledClient True True", "True", "b'only'", "True"]
    assert lines[4:6] == [str([len(SECRET)] * 2), "True"]
    assert lines[6].startswith("refused: ConfigurationError no rule names bucket")
    assert lines[7].startswith("refused: UnsupportedOperationError")
    assert lines[8:] == ["True"]
    assert stored("async")
    assert not stored("async", "plain")


def test_nothing_is_sent_to_a_refused_bucket(asynchronous: Callable[..., list[str]]) -> None:
    """No request leaves: one that did would end in another error, since nobody listens at that address."""
    lines = asynchronous(
        REFUSED.format(call="await s3.put_object(Bucket=UNNAMED, Key='k', Body=SECRET)")
        + REFUSED.format(call="await s3.upload_fileobj(io.BytesIO(SECRET), UNNAMED, 'k')")
        + REFUSED.format(
            call="await s3.copy_object(Bucket=PLAIN, Key='k', CopySource={'Bucket': ENCRYPTED, 'Key': 'async'})"
        )
        + REFUSED.format(
            call="await s3.copy_object(Bucket=ENCRYPTED, Key='k', CopySource={'Bucket': UNNAMED, 'Key': 'k'})"
        ),
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
    )
    assert [line.split()[1] for line in lines] == [
        "ConfigurationError",
        "ConfigurationError",
        "UnsupportedOperationError",
        "ConfigurationError",
    ]


def test_uploads_and_copies(asynchronous: Callable[..., list[str]], stored: Callable[..., bool]) -> None:
    """Parts, transfers, and copies under one rule and across two, each read back."""
    lines = asynchronous(
        "MiB = 1024 * 1024\n"
        "large = bytes(range(256)) * (6 * MiB // 256)\nplace = {'Bucket': ENCRYPTED, 'Key': 'parts'}\n"
        "made = {**place, 'UploadId': (await s3.create_multipart_upload(**place))['UploadId']}\n"
        "parts = [await s3.upload_part(**made, PartNumber=n, Body=part) for n, part in ((1, large), (2, SECRET))]\n"
        "listed = [{'PartNumber': n, 'ETag': part['ETag']} for n, part in enumerate(parts, 1)]\n"
        "await s3.complete_multipart_upload(**made, MultipartUpload={'Parts': listed})\n"
        "print(await read(ENCRYPTED, 'parts') == large + SECRET)\n"
        "await s3.upload_fileobj(io.BytesIO(SECRET), ENCRYPTED, 'transfer')\n"
        "found = io.BytesIO()\n"
        "await s3.download_fileobj(ENCRYPTED, 'transfer', found)\nprint(found.getvalue() == SECRET)\n"
        "await s3.copy({'Bucket': ENCRYPTED, 'Key': 'transfer'}, ENCRYPTED, 'copy')\n"
        "await s3.put_object(Bucket=PLAIN, Key='source', Body=SECRET, Metadata={'mine': 'x'}, Tagging='a=b')\n"
        "answer = await s3.copy_object(Bucket=ENCRYPTED, Key='across', CopySource={'Bucket': PLAIN, 'Key': 'source'})\n"
        "head = await s3.head_object(Bucket=ENCRYPTED, Key='across')\n"
        "tags = (await s3.get_object_tagging(Bucket=ENCRYPTED, Key='across'))['TagSet']\n"
        "print(answer['CopyObjectResult']['ETag'] == head['ETag'], head['Metadata'], tags)\n"
        "place = {'Bucket': ENCRYPTED, 'Key': 'part-copy'}\n"
        "made = {**place, 'UploadId': (await s3.create_multipart_upload(**place))['UploadId']}\n"
        "part = await s3.upload_part_copy(**made, PartNumber=1, CopySource={'Bucket': PLAIN, 'Key': 'source'})\n"
        "listed = [{'PartNumber': 1, 'ETag': part['CopyPartResult']['ETag']}]\n"
        "await s3.complete_multipart_upload(**made, MultipartUpload={'Parts': listed})\n"
        "print({await read(ENCRYPTED, key) for key in ('copy', 'across', 'part-copy')} == {SECRET})\n"
        + REFUSED.format(call="await s3.copy({'Bucket': PLAIN, 'Key': 'source'}, ENCRYPTED, 'k')")
    )
    assert lines[:3] == ["True", "True", "True {'mine': 'x'} [{'Key': 'a', 'Value': 'b'}]"]
    assert lines[3] == "True"
    assert "copy_object() reads it" in lines[4]
    assert all(stored(key) for key in ("transfer", "copy", "across", "part-copy"))


def test_presigned_uploads(asynchronous: Callable[..., list[str]], stored: Callable[..., bool]) -> None:
    """Are made under the rule of their bucket."""
    lines = asynchronous(
        "import s3ec.aio\n"
        "ticket = await s3ec.aio.presigned_upload(s3, Bucket=ENCRYPTED, Key='ticket')\n"
        "await ticket.send(SECRET)\nprint(await read(ENCRYPTED, 'ticket') == SECRET)\n"
        + REFUSED.format(call="await s3ec.aio.presigned_upload(s3, Bucket=PLAIN, Key='ticket')")
    )
    assert lines[0] == "True"
    assert lines[1].startswith("refused:")
    assert stored("ticket")


def test_handlers_turn_nothing_from_a_plain_bucket(asynchronous: Callable[..., list[str]]) -> None:
    """A handler of the program's, sync or async, that names another bucket for a plain request."""
    lines = asynchronous(
        "def turn(params, **_):\n    params['Bucket'] = ENCRYPTED\n"
        "s3.meta.events.register('before-parameter-build.s3.PutObject', turn)\n"
        + REFUSED.format(call="await s3.put_object(Bucket=PLAIN, Key='turned', Body=SECRET)")
        + "print('Contents' in await s3.list_objects_v2(Bucket=ENCRYPTED, Prefix='turned'))"
    )
    assert lines[0].startswith("refused: UnsupportedOperationError an event handler has turned")
    assert lines[1] == "False"


def test_it_fails_closed(program: Callable[..., Any]) -> None:
    """Without our handler, and without anything that says what to encrypt with, no client comes into being."""
    code = (
        "import asyncio\nfrom aiobotocore.session import AioSession\n"
        "async def main():\n    session = AioSession(){}\n"
        "    async with session.create_client('s3') as s3:\n        print('MADE')\nasyncio.run(main())"
    )
    taken_off = (
        "\n    session.get_component('event_emitter').unregister('creating-client-class', unique_id='s3ec-everywhere')"
    )
    ended = program(code.format(taken_off))
    assert (ended.code, ended.out) == (1, "")
    assert "an S3 client that does not encrypt was made" in ended.err
    named = "\n    session.set_config_variable('profile', 'nowhere')"
    ended = program(code.format(named))
    assert (ended.code, ended.out) == (1, "")


def test_own_options_win(asynchronous: Callable[..., list[str]], plain_s3: Any, bucket_names: dict[str, str]) -> None:
    """A program that makes an encrypting client itself gets the one that it asked for."""
    asynchronous(
        "import s3ec, s3ec.aio\nkeyring = s3ec.AesKeyring(bytes(range(32)))\n"
        "async with s3ec.aio.EncryptionClient(keyring=keyring) as own:\n"
        "    await own.put_object(Bucket=ENCRYPTED, Key='own', Body=SECRET)\n"
        "s3ec.aio.install(session, keyring=keyring)\n"
        "async with session.create_client('s3') as own:\n"
        "    await own.put_object(Bucket=ENCRYPTED, Key='installed', Body=SECRET)\n"
    )
    for key in ("own", "installed"):
        metadata = plain_s3.head_object(Bucket=bucket_names["encrypted"], Key=key)["Metadata"]
        assert metadata["x-amz-w"] == "02", key  # AES


def test_install_everywhere(
    environment: dict[str, str], plain_s3: Any, bucket_names: dict[str, str], tmp_path: Any
) -> None:
    """One line of a program, with options for all buckets, and with the rules of the environment."""
    import subprocess

    code = (
        "import asyncio, os, s3ec\n"
        "s3ec.install_everywhere({})\n"
        "from aiobotocore.session import AioSession\n"
        "async def main():\n    async with AioSession().create_client('s3') as s3:\n"
        "        await s3.put_object(Bucket=os.environ['BUCKET'], Key='{}', Body=b'x')\nasyncio.run(main())"
    )
    for key, options, wrapping in (("one", "keyring=s3ec.AesKeyring(bytes(32))", "02"), ("rules", "", "12")):
        line = [sys.executable, "-c", code.format(options, key)]
        subprocess.run(line, env=environment, cwd=tmp_path, check=True, timeout=300)
        metadata = plain_s3.head_object(Bucket=bucket_names["encrypted"], Key=key)["Metadata"]
        assert metadata["x-amz-w"] == wrapping


def test_check(launch: Callable[..., Any]) -> None:
    """`--check` makes an asynchronous client as well where that Python can make one."""
    ended = launch("--check", "--json", "--", sys.executable, "-c", "")
    assert ended.code == 0, ended.err
    client = json.loads(ended.out)["client"]["asynchronous"]
    assert client["encrypts"] is True
    assert client["client"].startswith("<s3ec client by the rules of")
    assert f"aiobotocore {client['aiobotocore']} encrypts" in launch("--check", "--", sys.executable, "-c", "").out


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is None, reason="s3fs IS NOT INSTALLED (tox -e fs)")
def test_s3fs(program: Callable[..., Any], bucket_names: dict[str, str], stored: Callable[..., bool]) -> None:
    """Plain `s3://` of s3fs: sizes with and without a listing, tails, and a copy by parts."""
    ended = program(
        "import os, s3fs\nSECRET = b'what only its owner should read'\n"
        "fs = s3fs.S3FileSystem()\nname = os.environ['BUCKET']\n"
        "fs.pipe(f'{name}/fs/one', SECRET)\n"
        "with fs.open(f'{name}/fs/two', 'wb') as file:\n    file.write(bytes(6 << 20) + SECRET)\n"
        "print(fs.info(f'{name}/fs/one')['size'], [entry['size'] for entry in fs.ls(f'{name}/fs', detail=True)])\n"
        "print(fs.cat(f'{name}/fs/one') == SECRET, fs.cat_file(f'{name}/fs/one', start=5, end=-18))\n"
        "with fs.open(f'{name}/fs/two') as file:\n    file.seek(-4, 2)\n    print(file.read())\n"
        "s3fs.core.MANAGED_COPY_THRESHOLD = 5 << 20\nfs.mv(f'{name}/fs/two', f'{name}/fs/three')\n"
        "print(fs.cat(f'{name}/fs/three') == bytes(6 << 20) + SECRET)\n"
        "try:\n    fs.pipe(os.environ['UNNAMED'] + '/fs', SECRET)\n"
        "except Exception as error:\n    print(type(error).__name__)\n",
        changes={"UNNAMED": bucket_names["unnamed"]},
    )
    assert ended.code == 0, ended.err
    size = len(SECRET)
    assert ended.out.splitlines() == [
        f"{size} [{size}, {size + (6 << 20)}]",
        "True b'only its'",
        "b'read'",
        "True",
        "ConfigurationError",
    ]
    assert stored("fs/one")


@pytest.mark.skipif(importlib.util.find_spec("aioboto3") is None, reason="aioboto3 IS NOT INSTALLED")
def test_aioboto3(program: Callable[..., Any], stored: Callable[..., bool]) -> None:
    """Clients and resources of aioboto3, whose transfers have names of their own."""
    ended = program(
        "import aioboto3, asyncio, io, os\nSECRET = b'what only its owner should read'\n"
        "async def main():\n    session = aioboto3.Session()\n    name = os.environ['BUCKET']\n"
        "    async with session.client('s3') as s3:\n"
        "        await s3.upload_fileobj(io.BytesIO(SECRET), name, 'aioboto3')\n"
        "    async with session.resource('s3') as s3:\n        thing = await s3.Object(name, 'aioboto3')\n"
        "        await (await s3.Object(name, 'resource')).put(Body=SECRET)\n"
        "        print(await thing.content_length, await (await thing.get())['Body'].read() == SECRET)\n"
        "asyncio.run(main())"
    )
    assert ended.code == 0, ended.err
    assert ended.out == f"{len(SECRET)} True\n"
    assert stored("aioboto3")
    assert stored("resource")


@pytest.mark.parametrize(
    ("change", "said"),
    [("aiobotocore.__version__ = '2.21.1'", "too old"), ("sys.modules['s3ec.aio'] = None", "s3ec.aio does not work")],
)
def test_what_s3ec_aio_does_not_fit(program: Callable[..., Any], change: str, said: str) -> None:
    """Refused in one sentence, before there is a client."""
    ended = program(
        f"import aiobotocore, asyncio, sys\nfrom aiobotocore.session import AioSession\n{change}\n"
        "async def main():\n    async with AioSession().create_client('s3'):\n        print('MADE')\n"
        "asyncio.run(main())"
    )
    assert (ended.code, ended.out) == (1, "")
    assert "an asynchronous S3 client (aiobotocore, aioboto3, s3fs) is refused" in ended.err
    assert said in ended.err
