"""run.py [--wmap PROGRAM] [--quick] [NAME...]: the tests with real frameworks; ends with "N passed, M failed"."""

import argparse
import importlib
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common


class Result(unittest.TextTestResult):
    """Prints one line a test, with the time it took."""

    def startTest(self, test):
        self.began = time.monotonic()
        unittest.TestResult.startTest(self, test)

    def line(self, word, test):
        name = test.id() if hasattr(test, "id") else str(test)
        took = time.monotonic() - getattr(self, "began", time.monotonic())
        print(f"{word:8} {name} ({took:.1f} s)", flush=True)

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.line("ok", test)

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self.line("FAILED", test)

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self.line("FAILED", test)

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self.line("skipped", test)

    def addSubTest(self, test, subtest, err):
        unittest.TestResult.addSubTest(self, test, subtest, err)
        if err:
            self.line("FAILED", subtest)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wmap", default="build-dev/wmap")
    parser.add_argument("--quick", action="store_true", help="no full-size VGG16")
    parser.add_argument("names", nargs="*", help="modules (test_dtypes) or tests (test_dtypes.Npy.test_read)")
    args = parser.parse_args()
    common.settings["wmap"] = os.path.abspath(args.wmap)
    common.settings["quick"] = args.quick
    here = os.path.dirname(os.path.abspath(__file__))
    names = args.names or sorted(n[:-3] for n in os.listdir(here) if n.startswith("test_") and n.endswith(".py"))
    suite = unittest.TestSuite()
    loader = unittest.defaultTestLoader
    for name in names:
        importlib.import_module(name.split(".")[0])
        suite.addTests(loader.loadTestsFromName(name))
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    result = runner.run(suite)
    bad = {t.id() for t, _ in result.failures + result.errors}
    failed = len(bad) + len(result.unexpectedSuccesses)
    whole = {getattr(t, "test_case", t).id() for t, _ in result.failures + result.errors}
    passed = result.testsRun - len(result.skipped) - len(whole)
    print(f"\n{common.settings['exact']} runs of maps that are called exact were run back: every bit")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not result.testsRun else 0


sys.exit(main())
