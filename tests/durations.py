"""Which tests are slow: reads pytest's JUnit report and writes tests/slow.txt, which `make quick` leaves out.

make unit PYTEST_ADDOPTS=--junitxml=report.xml && python tests/durations.py report.xml
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

SLOW = Path(__file__).with_name("slow.txt")
LIMIT = 0.5  # seconds that all cases of a test may take together


def main(report: str) -> None:
    seconds: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        file, name = case.attrib["classname"].replace(".", "/"), case.attrib["name"].partition("[")[0]
        seconds[f"{file}.py::{name}"] += float(case.attrib["time"])
    slow = sorted(name for name, took in seconds.items() if took > LIMIT)
    SLOW.write_text("\n".join(slow) + "\n", encoding="utf-8")
    rest = sum(took for name, took in seconds.items() if took <= LIMIT)
    print(f"{len(slow)} of {len(seconds)} tests are slow; the others take {rest:.0f} s.")


if __name__ == "__main__":
    main(sys.argv[1])
