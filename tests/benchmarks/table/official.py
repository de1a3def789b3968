"""Make a virtual environment for the official client, which does not go with the newest packages: `official.py FOLDER`.

What is there already is taken as it is.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ("amazon-s3-encryption-client-python==4.0.0", "awscrt")


def main(folder: Path) -> int:
    """Make it, if need be."""
    done = folder / "installed.txt"
    wanted = "\n".join(PACKAGES)
    if not done.exists() or done.read_text("utf-8") != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
