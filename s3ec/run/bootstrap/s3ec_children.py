"""Children that a program starts with an environment of its own, or with options by which Python would not meet us.

The first get what encryption travels in added to their environment; the second are refused. This holds for what Python
starts; nothing here sees what a shell starts. Standard library only, like the file beside it.
"""

import functools
import os
import re

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_PYTHON = re.compile(r"(python|pypy)[\d.]*(\.exe)?$", re.IGNORECASE)
_KEPT_OUT = "EIS"
_WITH_VALUE = "WXQ"  # options of python whose value may stand behind them as a word of its own


def with_ours(environment):
    """The environment of a child, with our variables as they are in this process."""
    if environment is None:
        return None
    as_bytes = any(isinstance(name, bytes) for name in environment) and os.name != "nt"
    coded = os.fsencode if as_bytes else os.fsdecode
    made = dict(environment)
    there = {os.fsdecode(name) for name in made}
    for name in os.environ:
        if name.startswith("S3EC_") and name not in there:
            made[coded(name)] = coded(os.environ[name])
    path = [os.fsdecode(value) for name, value in made.items() if os.fsdecode(name) == "PYTHONPATH"]
    places = [place for place in "".join(path).split(os.pathsep) if place and place != _FOLDER]
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if not path:
        # A child without any PYTHONPATH is still to find s3ec where this process has found it.
        places = [place for place in inherited if place and place != _FOLDER]
    made[coded("PYTHONPATH")] = coded(os.pathsep.join([_FOLDER] + places))
    return made


def stand_first():
    """Before a child inherits the environment: tools that go before Python in our way have put themselves in front.

    Not all of them run the file that they hide; ours does.
    """
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if places[0] != _FOLDER:
        others = [place for place in places if place and place != _FOLDER]
        os.environ["PYTHONPATH"] = os.pathsep.join([_FOLDER] + others)


def refuse(command):
    """Refuse words by which a Python starts without us.

    Raises:
        RuntimeError: with the option.
    """
    if isinstance(command, (str, bytes)) or os.environ.get("S3EC_RUN_ISOLATED") == "allow":
        return
    try:
        words = [os.fsdecode(word) for word in command]
    except TypeError:
        return
    if not words or not _PYTHON.match(os.path.basename(words[0])):
        return
    letter = next((letter for letter in letters(words[1:]) if letter in _KEPT_OUT), None)
    if letter is not None:
        raise RuntimeError(
            "s3ec: a child that is started as python -%s would not encrypt, and is refused; S3EC_RUN_ISOLATED=allow "
            "lets such children run" % letter
        )


def letters(words):
    """The options of python's own, one letter each, up to what it runs."""
    pending = iter(words)
    for word in pending:
        if not word.startswith("-") or word in ("-", "--"):
            return
        if word.startswith("--"):
            continue
        for place, letter in enumerate(word[1:], 1):
            yield letter
            if letter in "cm":
                return
            if letter in _WITH_VALUE:
                if place == len(word) - 1:
                    next(pending, None)
                break


def watch_subprocess(module):
    """Look at what `subprocess.Popen` starts."""
    original = module.Popen.__init__
    place = 10  # of env, behind args

    @functools.wraps(original)
    def initialise(self, args, *more, **keywords):
        refuse(args)
        stand_first()
        if "env" in keywords:
            keywords["env"] = with_ours(keywords["env"])
        elif len(more) > place - 1:
            more = more[: place - 1] + (with_ours(more[place - 1]),) + more[place:]
        original(self, args, *more, **keywords)

    module.Popen.__init__ = initialise


def watch_os():
    """Look at what the functions of `os` start."""
    for name, has_environment in (("execv", False), ("execve", True), ("posix_spawn", True), ("posix_spawnp", True)):
        original = getattr(os, name, None)
        if original is not None:
            setattr(os, name, _watched(original, has_environment))


def _watched(original, has_environment):
    @functools.wraps(original)
    def start(path, argv, *more, **keywords):
        refuse(argv)
        stand_first()
        if has_environment and "env" in keywords:
            keywords["env"] = with_ours(keywords["env"])
        elif has_environment and more:
            more = (with_ours(more[0]),) + more[1:]
        return original(path, argv, *more, **keywords)

    return start
