"""Django's runner of tests, which also writes each test's outcome as a line of JSON."""

import json
import os
import unittest

from django.test.runner import DiscoverRunner

if os.environ.get("SUITE_SHARDED"):
    import sharded  # noqa: F401

TEXT_CHARS_MAX = 4000


class Result(unittest.TextTestResult):
    def say(self, test, outcome, text=""):
        with open(os.environ["SUITE_REPORT"], "a") as report:
            report.write(json.dumps([test.id(), outcome, text[-TEXT_CHARS_MAX:]]) + "\n")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say(test, "passed")

    def addError(self, test, err):
        super().addError(test, err)
        self.say(test, "failed", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(test, "failed", self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.say(test, "failed", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.say(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.say(test, "unexpected success")


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Result
