"""Runs first in every Python that `s3ec run` starts, before the program: what it cannot make safe it ends.

Python itself goes on when a file like this one fails; a program that is to encrypt must not. So every failure here ends
the process with one sentence. Standard library only, and the syntax of any Python, since any Python may run it; nothing
of botocore is imported, since programs decide themselves which botocore that is.
"""

import hashlib
import os
import sys

FAILED = 78  # EX_CONFIG of sysexits.h
_FOLDER = os.path.dirname(os.path.abspath(__file__))
_DIGESTED = ("AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "HOME", "PYTHONPATH", "USERPROFILE")


def stop(sentence):
    """End this process: before its program begins, or where it was about to go past us."""
    try:
        # What the program has said until now is its user's; its reader may be gone.
        for stream, text in ((sys.stdout, ""), (sys.stderr, "s3ec: " + sentence + "\n")):
            if stream is not None:
                stream.write(text)
                stream.flush()
    except (AttributeError, IOError, OSError, ValueError):
        os.write(2, ("s3ec: " + sentence + "\n").encode("utf-8", "replace"))
    finally:
        os._exit(FAILED)


def digest(environ):
    """What was checked: this interpreter, the settings, the files that hold them."""
    found = [sys.prefix, sys.version]
    for name in sorted(environ):
        if name in _DIGESTED or (name.startswith("S3EC_") and not name.startswith("S3EC_RUN")):
            found += [name, environ[name]]
    for name in ("S3EC_CONFIG", "AWS_CONFIG_FILE"):
        path = environ.get(name) or ("" if name == "S3EC_CONFIG" else os.path.expanduser("~/.aws/config"))
        try:
            with open(path, "rb") as file:
                found.append(hashlib.sha256(file.read()).hexdigest())
        except (IOError, OSError):
            found.append("-")
    return hashlib.sha256("\0".join(found).encode("utf-8", "replace")).hexdigest()


def check():
    """Have this interpreter check what the launcher has checked in another one, or with other settings."""
    import subprocess

    environment = dict(os.environ, S3EC_RUN="checking")
    command = [sys.executable, "-c", "from s3ec.run.checking import main; main()"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603
    output, errors = process.communicate()
    if process.returncode:
        sentence = (output or errors).decode("utf-8", "replace").strip().split("\n")[-1]
        if "No module named" in sentence or sys.version_info < (3, 10):
            sentence = (
                "this Python has no s3ec, so that its S3 clients would not encrypt: %s (%s). Install s3ec there, or "
                "set S3EC_RUN_FOREIGN=until-botocore to end such a Python only when it imports botocore"
                % (sys.executable, sentence.split(": ", 1)[-1])
            )
        return sentence
    return ""


class _Finder(object):
    """Gives what is imported by other finders, and looks at some of it when it is there."""

    def __init__(self, look_for):
        self.look_for = look_for
        self.busy = set()

    def find_spec(self, name, path=None, target=None):
        """Answer of the other finders, whose loader then tells us; None for what is of no interest."""
        look = None if name in self.busy else self.look_for(name)
        if look is None:
            return None
        self.busy.add(name)
        try:
            spec = self._found(name, path, target)
        finally:
            self.busy.discard(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, look)
        return spec

    def _found(self, name, path, target):
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


class _Loader(object):
    """A module's own loader, with a look at the module behind it."""

    def __init__(self, loader, look):
        self._loader = loader
        self._look = look

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        """As the module's own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module):
        """As the module's own loader does, and then the look; the module keeps its own loader."""
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        if getattr(getattr(module, "__spec__", None), "loader", None) is self:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._look(module)


def of_botocore(module):
    """Hear of each session."""
    register = getattr(module, "register_initializer", None)
    if register is not None:
        register(_hook)


def of_sessions(module):
    """The same where botocore does not tell."""
    if getattr(sys.modules.get(module.__name__.rpartition(".")[0]), "register_initializer", None) is None:
        original = module.Session.__init__

        def initialise(self, *args, **keywords):
            original(self, *args, **keywords)
            _hook(self)

        module.Session.__init__ = initialise


def of_clients(module):
    """Refuse S3 clients that do not encrypt, however they came into being."""
    original = module.BaseClient.__init__

    def initialise(self, *args, **keywords):
        original(self, *args, **keywords)
        model = self.meta.service_model
        ours = any(base.__module__ in OURS for base in type(self).__mro__)
        if "s3" in (model.service_name, model.endpoint_prefix) and not ours and not _aside():
            raise RuntimeError(
                "s3ec: an S3 client that does not encrypt was made (%s.%s), and is refused: the handler that makes it "
                "encrypt was taken off its session, or it was made without one"
                % (type(self).__module__, type(self).__name__)
            )

    module.BaseClient.__init__ = initialise


def of_the_cli(module):
    """Send the AWS CLI v2 to the endpoint."""
    if str(getattr(module, "__version__", "")).startswith("2."):
        stop(
            "the AWS CLI v2 brings a botocore of its own, which no plugin of s3ec fits: use `s3ec serve`, and give aws "
            "its address (AWS_ENDPOINT_URL_S3)"
        )


OURS = ("s3ec.client.encryption_client", "s3ec.aio.client")
LOOKS = {"botocore": of_botocore, "botocore.session": of_sessions, "botocore.client": of_clients}


def looks(foreign, escapes, children):
    """Say for each name of a module what is done with it, once it is imported.

    Args:
        foreign: why this Python cannot encrypt, or nothing.
        escapes: the module that knows the clients past botocore.
        children: the module that knows how children are started.
    """

    def look_for(name):
        if name == "awscli":
            return of_the_cli
        if name == "subprocess":
            return children.watch_subprocess
        # Copies that other packages bring along have the same names behind those of the package.
        parts = name.split(".")
        if "botocore" in parts:
            found = LOOKS.get(".".join(parts[parts.index("botocore") :]))
            if found is not None and foreign:
                stop(foreign)
            return found
        return escapes.look(name)

    return look_for


def _hook(session):
    """Initializer of sessions: the first one imports s3ec, on whatever botocore the program has chosen."""
    from s3ec.run import everywhere

    everywhere.hook_program_session(session)


def _aside():
    module = sys.modules.get("s3ec.run.everywhere")
    return module is not None and module.is_aside()


def chain():
    """Run the sitecustomize that would have been found without us."""
    if sys.version_info < (3, 4):
        return
    import importlib.util
    from importlib.machinery import PathFinder

    others = [place for place in sys.path if os.path.abspath(place or ".") != _FOLDER]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def begin():
    """Hook this Python, or end it."""
    state = os.environ.get("S3EC_RUN")
    if not state or state == "checking":
        return
    foreign = ""
    try:
        if state != digest(os.environ):
            foreign = check()
            lazily = os.environ.get("S3EC_RUN_FOREIGN") == "until-botocore" and "this Python has no s3ec" in foreign
            if foreign and (not lazily or sys.version_info < (3, 4)):
                stop(foreign)
        import s3ec_children
        import s3ec_escapes

        s3ec_children.watch_os()
        look_for = looks(foreign, s3ec_escapes, s3ec_children)
        for name in list(sys.modules):
            # Imported by a .pth file, which comes before us.
            look = look_for(name)
            if look is not None:
                look(sys.modules[name])
        sys.meta_path.insert(0, _Finder(look_for))
    except BaseException as error:  # noqa: B036 - Python would go on without us
        stop("cannot make this Python encrypt: %s: %s" % (type(error).__name__, error))


if __name__ == "sitecustomize":
    begin()
    chain()
