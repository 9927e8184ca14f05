"""have.py FILE: exit status 0 if every package of this requirements file is installed in the right version."""

import importlib.metadata
import sys


def main(path):
    for line in open(path):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, _, wanted = line.partition("==")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is not installed")
            return 1
        if wanted and found.split("+")[0] != wanted:
            print(f"{name} is {found}, not {wanted}")
            return 1
    return 0


sys.exit(main(sys.argv[1]))
