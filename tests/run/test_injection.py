"""Every way to make an S3 client in a program, and to start a Python in one: it encrypts, or the program ends."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec.run.bootstrap import s3ec_escapes as escapes

pytestmark = pytest.mark.slow

PUT = "client.put_object(Bucket=os.environ['BUCKET'], Key={key!r}, Body=b'what only its owner should read')"

CLASS = "import boto3; print(type(boto3.client('s3')).__mro__[1].__name__)"

WAYS = {
    "boto3.client": "import boto3; client = boto3.client('s3')",
    "Session": "import boto3; client = boto3.Session().client('s3')",
    "session of botocore": "import botocore.session; client = botocore.session.get_session().create_client('s3')",
    "bare session": "from botocore.session import Session\n"
    "client = Session(include_builtin_handlers=False).create_client('s3')",
    "own emitter": "from botocore.session import Session; from botocore.hooks import HierarchicalEmitter\n"
    "client = Session(event_hooks=HierarchicalEmitter()).create_client('s3')",
    "resource": "import boto3; client = boto3.resource('s3').meta.client",
    "default session": "import boto3; boto3.setup_default_session(); client = boto3.client('s3')",
    "subclassed session": "import boto3\nclass S(boto3.Session): pass\nclient = S().client('s3')",
    "session around botocore's": "import boto3, botocore.session\n"
    "client = boto3.Session(botocore_session=botocore.session.get_session()).client('s3')",
    "with arguments": "import boto3; client = boto3.client('s3', 'us-east-1', use_ssl=False, aws_access_key_id='a',"
    " aws_secret_access_key='b')",
    "many threads": "import boto3, concurrent.futures as f\n"
    "with f.ThreadPoolExecutor(4) as pool:\n"
    "    client = list(pool.map(lambda _: boto3.Session().client('s3'), range(3)))[-1]",
    "second client": "import boto3; boto3.client('s3'); client = boto3.client('s3')",
    "imported late": "import importlib; client = importlib.import_module('boto3').client('s3')",
}


def test_every_way_to_make_a_client(program: Callable[..., Any], stored: Callable[[str], bool]) -> None:
    """All in one program, one after the other: none disturbs the next."""
    lines = ["import os"]
    for key, way in WAYS.items():
        lines += [way, PUT.format(key=key.replace(" ", "-")), f"print({key!r}, type(client).__mro__[1].__name__)"]
    ended = program("\n".join(lines))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [f"{key} RuledClient" for key in WAYS]
    # Without its own handlers botocore itself does not put the key into the address.
    assert all(stored(key.replace(" ", "-")) for key in WAYS if key not in ("bare session", "own emitter"))


STRIPPED = {
    "handler taken off": "session = boto3.Session()\n"
    "session._session.get_component('event_emitter').unregister('creating-client-class', unique_id='s3ec-everywhere')",
    "emitter replaced": "from botocore.hooks import EventAliaser, HierarchicalEmitter\nimport botocore.session\n"
    "core = botocore.session.Session()\n"
    "core.register_component('event_emitter', EventAliaser(HierarchicalEmitter()))\n"
    "core._events = core._original_handler = EventAliaser(HierarchicalEmitter())\n"
    "session = core\nsession.client = session.create_client",
    "initializers cleared": "import botocore; botocore._INITIALIZERS.clear(); session = boto3.Session()",
    "initialised past the constructor": "import botocore.session\n"
    "botocore.invoke_initializers = lambda session: None\n"
    "botocore.session.invoke_initializers = lambda session: None\nsession = boto3.Session()",
}


@pytest.mark.parametrize("how", STRIPPED)
def test_what_strips_encryption(program: Callable[..., Any], how: str) -> None:
    """A client without our handler is refused where botocore initialises it."""
    ended = program(f"import boto3, os\n{STRIPPED[how]}\nclient = session.client('s3')\nprint('made')")
    assert ended.code != 0
    assert "made" not in ended.out
    assert "S3 client that does not encrypt was made" in ended.err.splitlines()[-1]


def test_other_services_are_untouched(program: Callable[..., Any]) -> None:
    """Only S3 is meant."""
    ended = program("import boto3; print([type(boto3.client(n)).__mro__[1].__name__ for n in ('kms', 's3control')])")
    assert (ended.code, ended.out) == (0, "['BaseClient', 'BaseClient']\n")


def test_plain_and_unnamed_buckets(
    program: Callable[..., Any], stored: Callable[..., bool], bucket_names: dict[str, str], plain_s3: Any
) -> None:
    """Plain on purpose, and refused."""
    plain = PUT.format(key="plain")
    assert (
        program(
            f"import boto3, os; client = boto3.client('s3'); {plain}", changes={"BUCKET": bucket_names["plain"]}
        ).code
        == 0
    )
    assert not stored("plain", "plain")
    ended = program(
        f"import boto3, os; client = boto3.client('s3'); {plain}", changes={"BUCKET": bucket_names["unnamed"]}
    )
    assert ended.code != 0
    assert "no rule names bucket" in ended.err
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket_names["unnamed"])


CHILDREN = {
    "subprocess": "import subprocess; subprocess.run([sys.executable, '-c', CHILD], check=True)",
    "shell": "import subprocess; subprocess.run(f'{sys.executable} -c \"{CHILD}\"', shell=True, check=True)",
    "os.system": "import os; assert os.system(f'{sys.executable} -c \"{CHILD}\"') == 0",
    "-s -P": "import subprocess; subprocess.run([sys.executable, '-s', '-B', '-c', CHILD], check=True)",
    "module": "import subprocess; subprocess.run([sys.executable, '-m', 'child'], check=True)",
    "script": "import subprocess; subprocess.run([sys.executable, 'child.py'], check=True)",
    "fork": "import multiprocessing as m\nif __name__ == '__main__':\n"
    "    p = m.get_context('fork').Process(target=child.main); p.start(); p.join(); assert p.exitcode == 0",
    "spawn": "import multiprocessing as m\nif __name__ == '__main__':\n"
    "    p = m.get_context('spawn').Process(target=child.main); p.start(); p.join(); assert p.exitcode == 0",
    "forkserver": "import multiprocessing as m\nif __name__ == '__main__':\n"
    "    p = m.get_context('forkserver').Process(target=child.main); p.start(); p.join(); assert p.exitcode == 0",
    "pool": "import concurrent.futures as f\nif __name__ == '__main__':\n"
    "    with f.ProcessPoolExecutor(1) as pool: pool.submit(child.main).result()",
    "exec": "import os; os.execv(sys.executable, [sys.executable, 'child.py'])",
    "empty environment": "import subprocess; subprocess.run([sys.executable, '-c', CHILD], check=True, env=AWS)",
    "empty environment by position": "import subprocess\n"
    "p = subprocess.Popen([sys.executable, '-c', CHILD], -1, None, None, None, None, None, True, False, None, AWS)\n"
    "assert p.wait() == 0",
    "empty environment of bytes": "import subprocess; subprocess.run([sys.executable, '-c', CHILD], check=True,"
    " env={n.encode(): v.encode() for n, v in AWS.items()})",
    "execve": "import os; os.execve(sys.executable, [sys.executable, 'child.py'], AWS)",
    "spawnve": "import os; assert os.spawnve(os.P_WAIT, sys.executable, [sys.executable, 'child.py'], AWS) == 0",
    "posix_spawn": "import os; p = os.posix_spawn(sys.executable, [sys.executable, 'child.py'], AWS)\n"
    "assert os.waitpid(p, 0)[1] == 0",
    "asyncio": "import asyncio\nasync def go():\n"
    "    p = await asyncio.create_subprocess_exec(sys.executable, 'child.py', env=AWS)\n"
    "    assert await p.wait() == 0\nasyncio.run(go())",
    "behind another tool": "import os\n"
    "os.environ['PYTHONPATH'] = os.pathsep.join([os.path.abspath('tool'), os.environ['PYTHONPATH']])\n"
    "os.execl(sys.executable, sys.executable, 'child.py')",
    "pytest-xdist": "import pathlib, subprocess\n"
    "pathlib.Path('test_it.py').write_text('import child\\n\\ndef test_it(): child.main()\\n')\n"
    "words = ['-m', 'pytest', '-q', '-n', '1', '-p', 'no:cacheprovider', 'test_it.py']\n"
    "subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)",
    "fork with a client": "import os\nchild.client()\npid = os.fork()\n"
    "if not pid:\n    child.main(); os._exit(0)\nassert os.waitpid(pid, 0)[1] == 0",
}


@pytest.mark.parametrize("how", CHILDREN)
def test_children(start: Callable[..., Any], tmp_path: Path, stored: Callable[[str], bool], how: str) -> None:
    """However a child in Python comes into being, its clients encrypt."""
    (tmp_path / "child.py").write_text(
        "import boto3, functools, os\n@functools.lru_cache\ndef client(): return boto3.client('s3')\n"
        "def main():\n"
        f"    client().put_object(Bucket=os.environ['BUCKET'], Key={how!r}, Body=b'what only its owner should read')\n"
        "if __name__ == '__main__': main()\n",
        "utf-8",
    )
    (tmp_path / "parent.py").write_text(
        "import os, sys\nimport child\nCHILD = 'import child; child.main()'\n"
        "AWS = {n: v for n, v in os.environ.items() if n.startswith('AWS_') or n in ('BUCKET', 'PYTHONWARNINGS')}\n"
        f"{CHILDREN[how]}\n",
        "utf-8",
    )
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "sitecustomize.py").write_text("import os; os.environ['TOOL'] = 'ran'\n", "utf-8")
    ended = start(sys.executable, "parent.py")
    assert (ended.code, ended.err) == (0, "")
    assert stored(how)


def test_children_that_python_would_start_without_us(program: Callable[..., Any]) -> None:
    """Refused where the words show it; what a shell starts is not seen."""
    for flag in ("-I", "-S", "-E"):
        ended = program(f"import subprocess, sys; subprocess.run([sys.executable, {flag!r}, '-c', 'print(1)'])")
        assert ended.code != 0
        assert ended.out == ""
        assert f"python {flag} would not encrypt" in ended.err
    ended = program("import os, sys; os.execv(sys.executable, [sys.executable, '-I', '-c', 'print(1)'])")
    assert (ended.code != 0, ended.out) == (True, "")
    code = "import subprocess, sys; subprocess.run([sys.executable, '-Ic', 'print(1)'])"
    assert program(code, changes={"S3EC_RUN_ISOLATED": "allow"}).out == "1\n"


def test_our_own_command_line_chooses_for_itself(
    start: Callable[..., Any], bucket_names: dict[str, str], plain_s3: Any
) -> None:
    """It makes plain clients to look at what S3 has, and its workers do."""
    ended = start(sys.executable, "-m", "s3ec", "ls", f"s3://{bucket_names['unnamed']}")
    assert (ended.code, ended.err) == (0, "")


def test_an_existing_sitecustomize_runs_too(
    program: Callable[..., Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """It sees the name that it knows, and clients that it makes encrypt."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import boto3\nprint(__name__, type(boto3.client('s3')).__mro__[1].__name__)\n", "utf-8"
    )
    path = f"{folder}:{environment.get('PYTHONPATH', '')}"
    ended = program("import sitecustomize; print(sitecustomize.__file__)", changes={"PYTHONPATH": path})
    assert ended.out.splitlines() == ["sitecustomize RuledClient", str(folder / "sitecustomize.py")]


def test_a_sitecustomize_that_fails_is_python_s_to_report(
    program: Callable[..., Any], environment: dict[str, str], tmp_path: Path, stored: Callable[[str], bool]
) -> None:
    """The program goes on as it would without us, and encrypts."""
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n", "utf-8")
    path = f"{tmp_path}:{environment.get('PYTHONPATH', '')}"
    ended = program(
        f"import boto3, os; client = boto3.client('s3'); {PUT.format(key='theirs')}", changes={"PYTHONPATH": path}
    )
    assert ended.code == 0
    assert "theirs" in ended.err
    assert stored("theirs")


BROKEN = {
    "no such file": {"S3EC_CONFIG": "/nowhere/s3ec.toml"},
    "nothing configured": {"S3EC_CONFIG": None},
    "keys of two kinds": {"S3EC_CONFIG": None, "S3EC_KMS_KEY": "k", "S3EC_AES_KEY_FILE": "f"},
    "no such key file": {"S3EC_CONFIG": None, "S3EC_AES_KEY_FILE": "/nowhere/wrapping.key"},
    "no such profile": {"AWS_PROFILE": "nobody"},
}


@pytest.mark.parametrize("how", BROKEN)
def test_settings_that_were_broken_on_the_way(program: Callable[..., Any], how: str) -> None:
    """A shell between us and the program has changed them: the program does not begin."""
    ended = program("print('first line')", later=BROKEN[how])
    assert (ended.code, ended.out) == (78, "")
    assert ended.err.startswith("s3ec: ")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("how", BROKEN)
def test_broken_settings(launch: Callable[..., Any], how: str) -> None:
    """The launcher says so, and starts nothing."""
    ended = launch("--", sys.executable, "-c", "print('first line')", changes=BROKEN[how])
    assert ended.code not in (0, 1)
    assert ended.out == ""
    assert ended.err.startswith("s3ec: ")
    assert len(ended.err.splitlines()) == 1


def test_a_python_without_s3ec(start: Callable[..., Any], tmp_path: Path) -> None:
    """It ends before its first line; where that is asked for, only when it imports botocore."""
    lib = tmp_path / "lib"
    (lib / "botocore").mkdir(parents=True)
    (lib / "botocore" / "__init__.py").write_text("print('plaintext')", "utf-8")
    bare = tmp_path / "bare"
    assert start(sys.executable, "-I", "-m", "venv", "--without-pip", str(bare)).code == 0
    python, changes = str(bare / "bin" / "python"), {"PYTHONPATH": str(lib)}
    ended = start(python, "-c", "print('first line')", changes=changes)
    assert (ended.code, ended.out) == (78, "")
    assert "this Python has no s3ec" in ended.err
    lazily = {**changes, "S3EC_RUN_FOREIGN": "until-botocore"}
    assert start(python, "-c", "print('first line')", changes=lazily).out == "first line\n"
    ended = start(python, "-c", "print('first line'); import botocore; print('went on')", changes=lazily)
    assert (ended.code, ended.out.strip()) == (78, "first line")
    # An output that nobody reads any more keeps nothing from ending.
    for closing in ("sys.stdout.close()", "sys.stdout = None", "print('first line'); os.close(1)"):
        ended = start(python, "-c", f"import os, sys; {closing}; import botocore; print('went on')", changes=lazily)
        assert (ended.code, "went on" in ended.out, "has no s3ec" in ended.err) == (78, False, True)


@pytest.mark.parametrize("name", ["python2.7", "python3.6", "python3.7", "python3.8", "python3.9"])
def test_pythons_that_are_too_old(start: Callable[..., Any], name: str) -> None:
    """They run the same file, and understand it well enough to stop."""
    interpreters = sorted(Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}*/bin/python"))
    if not interpreters:
        pytest.skip(f"NO {name} IS INSTALLED")
    ended = start(str(interpreters[0]), "-c", "print('first line')")
    assert (ended.code, ended.out) == (78, "")
    assert len(ended.err.splitlines()) == 1


def test_a_botocore_that_is_too_old(program: Callable[..., Any], environment: dict[str, str], tmp_path: Path) -> None:
    """Another one that comes first on the path; the version of the package is all that is asked."""
    ended = program("import botocore, boto3; botocore.__version__ = '1.35.99'; boto3.client('s3'); print('made')")
    assert ended.code != 0
    assert "made" not in ended.out
    assert "botocore 1.35.99 is too old" in ended.err.splitlines()[-1]


def test_a_botocore_without_initializers(program: Callable[..., Any], stored: Callable[[str], bool]) -> None:
    """The same by the constructor of its sessions."""
    code = f"""
        import importlib.machinery, os, sys
        source = importlib.machinery.SourceFileLoader.exec_module
        def execute(self, module):
            source(self, module)
            if module.__name__ == "botocore": del module.register_initializer
        importlib.machinery.SourceFileLoader.exec_module = execute
        import boto3
        assert not hasattr(sys.modules["botocore"], "register_initializer")
        client = boto3.client("s3")
        {PUT.format(key="without initializers")}
    """
    ended = program(textwrap.dedent(code))
    assert (ended.code, ended.err) == (0, "")
    assert stored("without initializers")


def test_a_second_botocore(program: Callable[..., Any]) -> None:
    """A copy beside the one that s3ec works with: its clients are refused."""
    code = """
        import sys, boto3
        boto3.client("s3")
        kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "botocore"}
        import botocore.session
        client = botocore.session.get_session().create_client("s3")
        print("made")
    """
    ended = program(textwrap.dedent(code))
    assert ended.code != 0
    assert "made" not in ended.out
    assert "does not encrypt" in ended.err or "would not encrypt" in ended.err


def test_asynchronous_clients_are_refused(program: Callable[..., Any], tmp_path: Path) -> None:
    """By name, before one exists; as aiobotocore makes them, without its being installed."""
    (tmp_path / "aiobotocore").mkdir()
    (tmp_path / "aiobotocore" / "__init__.py").write_text("", "utf-8")
    (tmp_path / "aiobotocore" / "client.py").write_text(
        "import botocore.client\nclass AioBaseClient(botocore.client.BaseClient):\n"
        "    async def _make_api_call(self, *args): pass\n"
        "class Creator(botocore.client.ClientCreator):\n"
        "    def _create_client_class(self, service_name, service_model):\n"
        "        bases = [AioBaseClient]; attributes = {}\n"
        "        event = 'creating-client-class.s3'\n"
        "        self._event_emitter.emit(event, class_attributes=attributes, base_classes=bases)\n"
        "        return type('S3', tuple(bases), attributes)\n",
        "utf-8",
    )
    ended = program(
        "import botocore.client, botocore.session, aiobotocore.client as a\n"
        "botocore.session.botocore.client.ClientCreator = a.Creator\n"
        "botocore.session.get_session().create_client('s3'); print('made')"
    )
    assert ended.code != 0
    assert "made" not in ended.out
    assert "an asynchronous S3 client (aiobotocore, aioboto3, s3fs) is refused" in ended.err


def test_clients_past_botocore(program: Callable[..., Any], tmp_path: Path) -> None:
    """Refused when imported, warned about, or let pass: by name."""
    for name in ("obstore", "minio", "duckdb"):
        (tmp_path / f"{name}.py").write_text("", "utf-8")
    ended = program("import obstore")
    assert ended.code != 0
    assert "obstore reaches S3 without botocore, and would store plaintext" in ended.err
    warned = program("import obstore, duckdb, minio; print('went on')", changes={"S3EC_RUN_ESCAPES": "warn"})
    assert (warned.code, warned.out) == (0, "went on\n")
    assert warned.err.count("warning: ") == 3
    assert program("import duckdb").err.count("DuckDB with httpfs can reach S3 without botocore") == 1
    allowed = program("import obstore, duckdb", changes={"S3EC_RUN_ESCAPES": "allow"})
    assert (allowed.code, allowed.err) == (0, "")


TITLES = {
    **escapes.REFUSED_MODULES,
    **escapes.WARNED_MODULES,
    **{name: title for name, (_, title) in escapes.CLASSES.items()},
}
EACH = """
import importlib, json, os, sys
os.environ["S3EC_RUN_ESCAPES"] = sys.argv[1]
found = {}
for name, kind in json.loads(sys.argv[2]).items():
    sys.stderr = said = __import__("io").StringIO()
    try:
        module = importlib.import_module(name)
        if kind:
            getattr(module, kind)()
        found[name] = ["went on", said.getvalue()]
    except (ImportError, RuntimeError) as error:
        found[name] = ["refused", str(error)]
print(json.dumps(found))
"""


def test_each_client_past_botocore_is_named(start: Any, tmp_path: Path) -> None:
    """Those that are known are those that the documentation lists: refused, or warned about, by their names."""
    kinds = {name: escapes.CLASSES.get(name, ("",))[0] for name in TITLES}
    for name, kind in kinds.items():
        *folders, module = name.split(".")
        folder = tmp_path.joinpath(*folders)
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / f"{module}.py").write_text(f"class {kind or 'Nothing'}: pass\n", "utf-8")
    page = (Path(__file__).resolve().parents[2] / "docs" / "zero-code.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "is imported" in line]
    assert len(rows) == 2
    for mode, effects in (("refuse", ("refused", "went on")), ("warn", ("went on", "went on"))):
        ended = start(sys.executable, "-c", EACH, mode, json.dumps(kinds))
        assert ended.code == 0, ended.err
        found = json.loads(ended.out)
        for name, title in TITLES.items():
            effect, said = found[name]
            warned = name in escapes.WARNED_MODULES
            assert effect == effects[warned], name
            assert title in said
            assert ("can reach S3" in said) is (effect == "went on")
            listed = title.removeprefix("the ").removesuffix(" of AWS").removesuffix(" with httpfs")
            assert listed in rows[warned], listed


def test_the_crt_client(program: Callable[..., Any], tmp_path: Path) -> None:
    """boto3 imports it wherever it is installed; refused is a client that is made."""
    (tmp_path / "awscrt").mkdir()
    (tmp_path / "awscrt" / "__init__.py").write_text("", "utf-8")
    (tmp_path / "awscrt" / "s3.py").write_text("class S3Client:\n    def __init__(self, **_): pass\n", "utf-8")
    ended = program("import awscrt.s3; print('imported'); awscrt.s3.S3Client()")
    assert ended.out == "imported\n"
    assert "the CRT client of AWS reaches S3 without botocore" in ended.err


def test_pyarrow(program: Callable[..., Any]) -> None:
    """Its own client is refused by each of its ways, and the rest of pyarrow works."""
    pytest.importorskip("pyarrow")
    ended = program(
        "import pyarrow.fs as fs, pyarrow.parquet\n"
        "for make in (lambda: fs.S3FileSystem(), lambda: fs.FileSystem.from_uri('s3://bucket/key'),\n"
        "             lambda: pyarrow.parquet.read_table('s3://bucket/key')):\n"
        "    try:\n        print('made', make())\n    except Exception as error:\n        print('refused')\n"
        "print(fs.LocalFileSystem())"
    )
    assert ended.out.splitlines()[:3] == ["refused"] * 3, ended.err
    assert "LocalFileSystem" in ended.out


def test_without_the_mark_nothing_happens(start: Callable[..., Any]) -> None:
    """A PYTHONPATH that was left behind does not change a program that nobody runs with encryption."""
    ended = start(
        sys.executable,
        "-c",
        "import boto3; print(type(boto3.client('s3')).__mro__[1].__name__)",
        later={"S3EC_RUN": None},
    )
    assert ended.out == "BaseClient\n"
