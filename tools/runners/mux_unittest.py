"""Lists and runs tests of unittest for `mux run`: what `python3 -m unittest` takes, with subunit v2 as output.

The tests of testtools are such tests, too. mux_runner.py says how this is called.
"""
import copy
import functools
import gc
import importlib
import itertools
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mux_runner
import mux_subunit

import unittest


class Result(unittest.TestResult):
    """Writes what tests tell their result. There is one for each batch."""

    def __init__(self, runner, shows_locals):
        super().__init__()
        self.runner = runner
        self.stream = runner.stream
        self.tb_locals = shows_locals
        self.test = None            # in progress
        self.begun = set()          # the ids of tests that ran
        self.prevention = None      # (status, why) of the last class or module that could not be set up
        self._tags = set()          # of all tests

    def startTest(self, test):
        self.test = mux_runner.Test(self.runner, clean_id(test), self._tags)
        self.begun.add(self.test.id)
        self._test_tags = set()
        self._skipped_part = None   # why a sub-test was skipped
        self._has_passed_part = False
        if self.runner.debugs and hasattr(test, 'addOnException'):  # of testtools, which tells only texts
            test.addOnException(functools.partial(self._exception, test))

    def _exception(self, test, err):
        """Not those by which testtools says something else than that the test failed."""
        if not isinstance(err[1], (unittest.SkipTest, test.skipException)) and \
                type(err[1]).__name__ not in ('_ExpectedFailure', '_UnexpectedSuccess'):
            self._debug(test, err)

    def _debug(self, test, err):
        if self.runner.debugs:
            self.runner.debugging.post_mortem(clean_id(test), err, self._as_text(err, test))

    def stopTest(self, test):
        if self.test.status is None:
            self._settle(test)
        self.test.end(self._tags | self._test_tags)
        self.test = None

    def _settle(self, test):
        """The test's own outcome is missing: sub-tests have one, or something broke out of its run()."""
        error = sys.exc_info()
        if error[0]:
            self._end(test, 'fail', error)
        elif self._skipped_part is not None and not self._has_passed_part:
            self.test.count('skip')
            self.test.text('reason', self._skipped_part)
        else:
            self.test.count('success')

    # What a test tells. testtools gives details, files by name, instead of err or reason.

    def addSuccess(self, test, details=None):
        self._end(test, 'success', details=details)

    def addError(self, test, err=None, details=None):
        if isinstance(test, unittest.suite._ErrorHolder):
            self.fixture_failed(test.id(), err)
        else:
            self._end(test, 'fail', err, details)

    addFailure = addError

    def addExpectedFailure(self, test, err=None, details=None):
        self._end(test, 'xfail', err, details)

    def addUnexpectedSuccess(self, test, details=None):
        self._end(test, 'uxsuccess', details=details)

    def addSkip(self, test, reason=None, details=None):
        if isinstance(test, unittest.suite._ErrorHolder):
            self.prevention = 'skip', reason
        elif isinstance(test, unittest.case._SubTest):
            self.test.part(clean_id(test), 'skip', 'reason', reason)
            self._skipped_part = reason
        else:
            self._end(test, 'skip', details=details)
            if reason is not None:
                self.test.text('reason', reason)

    def addSubTest(self, test, subtest, err):
        if err is None:
            self._has_passed_part = True
        else:
            self._debug(subtest, err)
            self.test.part(clean_id(subtest), 'fail', 'traceback', self._as_text(err, test))

    def addDuration(self, test, elapsed):
        pass

    def tags(self, new_tags, gone_tags):
        tags = self._test_tags if self.test else self._tags
        tags.update(new_tags)
        tags.difference_update(gone_tags)

    def _end(self, test, status, err=None, details=None):
        self.test.count(status)
        if status == 'fail' and err is not None:
            self._debug(test, err)
        if err is not None:
            self.test.text('traceback', self._as_text(err, test))
        for name, content in (details or {}).items():
            kind = content.content_type
            mime = '%s/%s' % (kind.type, kind.subtype)
            mime += ''.join(';%s=%s' % pair for pair in sorted(kind.parameters.items()))
            self.test.file(name, b''.join(content.iter_bytes()), mime)

    def _as_text(self, err, test):
        try:
            return self._exc_info_to_string(err, test or unittest.suite._ErrorHolder('fixture'))
        except BaseException as error:  # it calls what the test has written
            return '%s, whose traceback cannot be shown: %r\n' % (err[0].__name__, type(error))

    # Classes and modules

    def fixture_failed(self, name, err):
        """name: as of unittest, such as `setUpClass (module.Class)`."""
        text = self._as_text(err, None)
        if self.runner.debugs:
            self.runner.debugging.post_mortem(name, err, text)
        self.stream.text(name, 'traceback', text, runnable=False)
        self.stream.event(name, 'fail', runnable=False)
        if name.startswith('setUp'):
            self.prevention = 'fail', '%s failed: %s' % (name, mux_runner.last_line(text))

    def prevented(self, test):
        """What comes before it failed, or was skipped: so is this test."""
        status, why = self.prevention or ('fail', 'its suite did not run it')
        if status == 'fail':
            why = 'This test did not run: %s\n' % why
        self.stream.event(clean_id(test), 'inprogress')
        self.stream.text(clean_id(test), 'reason', why)
        self.stream.event(clean_id(test), status)

    def broke_out(self, test):
        """An exception came out of its run()."""
        if self.test is not None:
            self.stopTest(test)
        elif isinstance(test, unittest.BaseTestSuite):
            self.fixture_failed('suite (%s)' % type(test).__name__, sys.exc_info())
        elif clean_id(test) not in self.begun:
            self.prevention = 'fail', traceback.format_exc()
            self.prevented(test)


def clean_id(test):
    return mux_subunit.clean(test.id())


def fixture_name(step, cls):
    """As unittest names them."""
    of = unittest.util.strclass(cls) if step.endswith('Class') else cls.__module__
    return '%s (%s)' % (step, of)


class Batch(unittest.TestSuite):
    """Tests in the order given. Their classes and modules are set up while neighbours share them.

    Unlike its base this reports the tests that a class or module prevents, and outlives tests that raise
    KeyboardInterrupt or SystemExit wherever they may.
    """

    def run(self, result, debug=False):
        result._testRunEntered = True
        try:
            for test in self:
                if isinstance(test, unittest.BaseTestSuite):
                    self._run_suite(test, result)
                else:
                    self._run_test(test, result)
        finally:
            last = result._previousTestClass
            self._guard('tearDownClass', last, result, self._tearDownPreviousClass, None)
            self._guard('tearDownModule', last, result, self._handleModuleTearDown)
        return result

    def _run_test(self, test, result):
        cls = test.__class__
        self._guard('tearDownClass', result._previousTestClass, result, self._tearDownPreviousClass, test)
        if not self._guard('setUpModule', cls, result, self._handleModuleFixture, test):
            result._moduleSetUpFailed = True
        if not self._guard('setUpClass', cls, result, self._handleClassSetUp, test):
            cls._classSetupFailed = True
        result._previousTestClass = cls
        if getattr(cls, '_classSetupFailed', False) or result._moduleSetUpFailed:
            result.prevented(test)
        else:
            self._call(test, result)

    def _run_suite(self, suite, result):
        """A suite of a class of its own sets up what it wants, by its own run()."""
        tests = [test for test, _ in leaves(suite)]
        self._call(suite, result)
        for test in tests:
            if clean_id(test) not in result.begun:
                result.prevented(test)

    def _call(self, test, result):
        try:
            test(result)
        except BaseException:
            if result.runner.is_interrupted:
                raise
            result.broke_out(test)

    def _guard(self, name, cls, result, step, *test):
        """unittest takes care of every Exception; others would end the process."""
        try:
            step(*test, result)
        except BaseException:
            if result.runner.is_interrupted:
                raise
            result.fixture_failed(fixture_name(name, cls), sys.exc_info())
            return False
        return True


class Program(unittest.TestProgram):
    """Reads the arguments as unittest does. `load()` then loads what they name: self.test."""

    load_list = None
    is_discovery = False

    def _getParentArgParser(self):
        parser = super()._getParentArgParser()
        parser.add_argument('--load-list', help='only the tests whose ids are in this file (testtools)')
        return parser

    def createTests(self, from_discovery=False, Loader=None):
        self.is_discovery = from_discovery

        def load():
            super(Program, self).createTests(from_discovery, Loader)
        self.load = load

    def runTests(self):
        pass

    def enter(self):
        """sys.path as discovery leaves it. False: only discovery itself can tell."""
        if not self.is_discovery:
            return True
        top = os.path.abspath(self.top or self.start)
        if not os.path.isdir(os.path.abspath(self.start)):
            return False
        if top not in sys.path:
            sys.path.insert(0, top)
        return True


def leaves(suite, holders=()):
    """(test, suites around it that have a run() of their own) of each test."""
    try:
        children = iter(suite)
    except TypeError:
        yield suite, holders
        return
    cls = type(suite)
    if issubclass(cls, unittest.TestSuite) and (cls.run is not unittest.TestSuite.run or
                                                cls.__call__ is not unittest.TestSuite.__call__):
        holders += suite,
    for child in children:
        yield from leaves(child, holders)


class Tests:
    """The tests that the arguments name, by id.

    To load all of them takes a large suite longer than many a batch. So a batch loads the modules of its ids
    only, as long as that cannot make a difference: load_tests() and custom loaders may make anything of a module.
    """

    def __init__(self, runner):
        loader = unittest.TestLoader()
        self._program = Program(module=None, argv=sys.argv, exit=False, testLoader=loader)
        self.errors = loader.errors
        self.shows_locals = self._program.tb_locals
        self.by_id = {}
        self._modules = {}      # name: the module, or None if it is not to be loaded alone
        self._is_whole = False
        self._may_be_partial = not self._program.load_list and self._program.enter()

    def load_all(self):
        if self._is_whole:
            return
        self._is_whole = True
        program = self._program
        gc.disable()  # as in mux_runner
        program.load()
        gc.enable()
        self.by_id = {}
        for test, holders in leaves(program.test):
            self.by_id.setdefault(clean_id(test), []).append((test, holders))
        if program.load_list:
            with open(program.load_list, encoding='utf-8') as wanted:
                ids = set(wanted.read().split('\n'))
            self.by_id = {name: tests for name, tests in self.by_id.items() if name in ids}

    def find(self, ids):
        """Loads what these need."""
        missing = [one for one in ids if one not in self.by_id]
        while missing and self._may_be_partial and not self._is_whole:
            test = self._load_one(missing[-1])
            if test is None:
                break
            self.by_id[missing.pop()] = [(test, ())]
        if missing:
            self.load_all()

    def _load_one(self, name):
        """The test of this id; None: all are to be loaded, to see."""
        *path, method = name.split('.')
        for end in range(len(path) - 1, 0, -1):
            module = self._module('.'.join(path[:end]))
            if module is None:
                return None
            if module is not False:
                return self._test_of(module, path[end:], method, name)
        return None

    def _module(self, name):
        """False: there is none of this name."""
        if name not in self._modules:
            self._modules[name] = self._import(name)
        return self._modules[name]

    @staticmethod
    def _import(name):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            return False if error.name and (name + '.').startswith(error.name + '.') else None
        except Exception:
            return None
        parts = name.split('.')
        around = [sys.modules.get('.'.join(parts[:end])) for end in range(1, len(parts) + 1)]
        return None if parts[0] == 'unittest' or any(hasattr(one, 'load_tests') for one in around) else module

    @staticmethod
    def _test_of(module, path, method, name):
        try:
            cls = module
            for part in path:
                cls = getattr(cls, part)
            test = cls(method) if issubclass(cls, unittest.TestCase) and callable(getattr(cls, method)) else None
        except Exception:
            return None
        return test if test is not None and clean_id(test) == name else None

    def batch(self, ids):
        return Batch(rebuilt([entry for one in ids for entry in self.by_id.get(one, ())]))


def fresh(test):
    """Its copy: a test that runs again begins where it began the first time, and what it kept is freed."""
    try:
        return copy.copy(test)
    except Exception:
        return test


def rebuilt(entries, depth=0):
    """Tests, below copies of the suites around them that have a run() of their own."""
    def holder(entry):
        return entry[1][depth] if entry[1][depth:] else None

    tests = []
    for _, group in itertools.groupby(entries, lambda entry: id(holder(entry))):
        group = list(group)
        if holder(group[0]) is None:
            tests += [fresh(test) for test, _ in group]
        else:
            suite = copy.copy(holder(group[0]))
            suite._tests = rebuilt(group, depth + 1)
            tests.append(suite)
    return tests


def guarded(runner, load):
    """What load() gives. It runs what is written in modules, and may do anything."""
    try:
        return load()
    except SystemExit as error:
        runner.end(error.code if error.code not in (0, None) else 2, 'these arguments name no tests: %s'
                   % ' '.join(runner.arguments))
    except BaseException:
        if not runner.is_interrupted:
            runner.cannot_load(traceback.format_exc())
        runner.end(2, 'the tests cannot be loaded')


def list_all(runner, tests):
    guarded(runner, tests.load_all)
    if tests.errors:
        runner.cannot_load('\n'.join(tests.errors))
    for name, same in tests.by_id.items():
        for _ in same:
            runner.stream.event(name, 'exists')
    runner.end(2 if tests.errors else 0)


def main():
    runner = mux_runner.Runner('unittest')
    tests = guarded(runner, lambda: Tests(runner))
    if runner.mode == 'list':
        list_all(runner, tests)
    errors_told = 0
    try:
        for ids in runner.batches():
            guarded(runner, lambda: tests.find(ids))
            if tests.errors[errors_told:]:
                runner.cannot_load('\n'.join(tests.errors[errors_told:]))
                errors_told = len(tests.errors)
            runner.unknown([one for one in ids if one not in tests.by_id])
            tests.batch(ids).run(Result(runner, tests.shows_locals))
    except KeyboardInterrupt:
        runner.end(130)
    runner.end(0)


if __name__ == '__main__':
    main()
