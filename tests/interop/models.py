"""models.py: writes the table of networks in docs/models.md, from the frameworks themselves. test_zoo.py compares."""

import os
import re

from common import ROOT
from zoo import networks, table


def main():
    path = os.path.join(ROOT, "docs", "models.md")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    made = table([(spec, model, framework, make()) for spec, model, framework, make in networks()])
    text = re.sub(r"(?<=\n)\| model \| spec .*?\n(?=\n|$)", lambda _: made, text, flags=re.S)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


main()
