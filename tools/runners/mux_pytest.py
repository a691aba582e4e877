"""Lists and runs tests of pytest for `mux run`: what `pytest` takes, with subunit v2 as output.

mux_runner.py says how this is called. A process that serves collects once; its session goes on until stdin ends,
so fixtures live as long as the tests that follow share them. What cannot be collected is listed like a test, by
its node id: it fails, or is skipped, when it is run.

A process runs a part of the tests only. So -n, --junitxml and -x are not for it, but for `mux run`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mux_runner
import mux_subunit

import pytest
from _pytest.config import create_terminal_writer

# What pytest captures, by the beginning of its section: the phase (setup, call, teardown) follows.
SECTIONS = {'Captured stdout': 'stdout', 'Captured stderr': 'stderr', 'Captured log': 'log'}

# What is for a process that runs everything: the option's place in pytest, its name, and its value without it.
NOT_HERE = (('numprocesses', '-n', None), ('dist', '--dist', 'no'), ('tx', '--tx', []),
            ('xmlpath', '--junitxml', None))


class Silent:
    """Pytest's terminal reporter, for plugins that ask for it: no hook calls it, so it keeps no reports."""

    def __init__(self, reporter):
        self._reporter = reporter

    def __getattr__(self, name):
        return getattr(self._reporter, name)


class Plugin:
    """The session of one process, as pytest's hooks see it."""

    def __init__(self, runner):
        self.runner = runner
        self.stream = runner.stream
        self.not_collected = {}     # node id: (status, text)
        self.test = None            # in progress
        self._section_count = 0     # of its sections, those that were written
        self._items = []
        self._by_id = {}
        self._last = None           # the item that ran last: fixtures of its are still up

    # Configuration

    @pytest.hookimpl(hookwrapper=True)
    def pytest_cmdline_main(self, config):
        for name, words, nothing in NOT_HERE:
            if getattr(config.option, name, nothing) not in (nothing, None):
                self.runner.complain('%s is ignored: this process runs a part of the tests' % words)
                setattr(config.option, name, nothing)
        if self.runner.mode == 'list':
            config.option.usepdb = False
        if self.runner.debugs:
            config.option.usepdb = True
        yield

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config):
        self._config = config
        is_debugged = config.option.usepdb or config.option.trace
        reporter = config.pluginmanager.get_plugin('terminalreporter')
        if reporter:
            config.pluginmanager.unregister(reporter)
            # in front of a post mortem the failure is written there
            to = self.runner.debugging.streams().stdout if is_debugged else open(os.devnull, 'w')
            reporter._tw = create_terminal_writer(config, to)
            config.pluginmanager.register(Silent(reporter), 'terminalreporter')
        # They would keep this process's part as if it were all. Their own options want them.
        for name, options in ('lfplugin', ('lf', 'failedfirst')), ('nfplugin', ('newfirst',)):
            plugin = config.pluginmanager.get_plugin(name)
            if plugin and not any(getattr(config.option, option, False) for option in options):
                config.pluginmanager.unregister(plugin)

    def pytest_internalerror(self, excrepr):
        self.runner.complain('pytest failed:\n%s' % excrepr)

    # Collection

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session):
        """Collects only the files of the ids, where it is known which these are."""
        if self.runner.mode != 'load-list':
            return
        paths = dict.fromkeys(one.split('::')[0] for one in self.runner.ids)
        paths = [str(session.config.rootpath / path) for path in paths]
        if paths and all(os.path.isfile(path) and '[' not in path for path in paths):
            session.config.args[:] = paths

    def pytest_collectreport(self, report):
        if report.failed:
            self._cannot_collect(report, 'fail', report.longreprtext)
        elif report.skipped:
            self._cannot_collect(report, 'skip', skip_reason(report))

    def _cannot_collect(self, report, status, text):
        self.not_collected[mux_subunit.clean(report.nodeid) or 'collection'] = status, text

    def pytest_collection_finish(self, session):
        self._items = session.items
        for item in session.items:
            self._by_id.setdefault(mux_subunit.clean(item.nodeid), []).append(item)
        if self.runner.mode == 'list':
            for item in session.items:
                self.stream.event(item.nodeid, 'exists', tags={mark.name for mark in item.iter_markers()} | group_of(item))
            for name in self.not_collected:
                self.stream.event(name, 'exists')

    # Running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        if self.runner.mode == 'list':
            return None
        self._places = {item: place for place, item in enumerate(self._items)}
        try:
            for ids in self.runner.batches():
                self._run_batch(session, ids)
        finally:
            self._tear_down(None)
        return True

    def _run_batch(self, session, ids):
        self.runner.unknown([one for one in ids if one not in self._by_id and one not in self.not_collected])
        for name in ids:
            if name in self.not_collected:
                self._report_not_collected(name)
        items = [item for one in ids for item in self._by_id.get(one, ())]
        if items:
            self._tear_down(items[0])
        for item, following in zip(items, items[1:] + [None]):
            is_last = following is None or following is item
            self._run(item, self._neighbour(item) if is_last else following)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)

    def _report_not_collected(self, name):
        status, text = self.not_collected[name]
        test = mux_runner.Test(self.runner, name)
        test.text('traceback' if status == 'fail' else 'reason', text)
        test.count(status)
        test.end()

    def _neighbour(self, item):
        """What this one shares with the item stays up: until the next batch, of which nothing is known, or until
        the item itself comes once more, which pytest would not tear down in front of itself."""
        place = self._places[item]
        around = self._items[max(place - 1, 0):place] + self._items[place + 1:place + 2]
        return max(around, key=lambda other: shared_depth(item, other), default=None)

    def _run(self, item, following):
        self.test = mux_runner.Test(self.runner, mux_subunit.clean(item.nodeid))
        self._section_count = 0
        del item._report_sections[:]  # of its last run
        self._last = item
        error = None
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        except (KeyboardInterrupt, pytest.exit.Exception) as raised:
            error = raised
            self._break_off(item, following)
        if self.test.status is None:
            self.test.text('traceback', 'pytest has no outcome of this test\n')
            self.test.count('fail')
        self.test.end()
        self.test = None
        if error and self.runner.is_interrupted:
            raise error

    def _break_off(self, item, following):
        """What ends a session elsewhere: pytest has not reported the test, nor torn it down."""
        self._write_sections([('Captured %s %s' % (key, when), text) for when, key, text in item._report_sections])
        if self.test.status != 'fail':  # a post mortem was ended by `quit`
            self.test.text('traceback', str(item.repr_failure(pytest.ExceptionInfo.from_current())))
            self.test.count('fail')
        self._tear_down(following)
        if hasattr(item, '_request'):
            item._request = item.funcargs = None

    def _tear_down(self, following):
        """Those fixtures of the last item that the following one does not share."""
        item = self._last
        if not item:
            return
        call = pytest.CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(following), 'teardown')
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        if report.failed:
            name = 'teardown after %s' % item.nodeid
            self.stream.text(name, 'traceback', report.longreprtext, runnable=False)
            self.stream.event(name, 'fail', runnable=False)
        if not following:
            self._last = None

    # Reports

    def pytest_runtest_logreport(self, report):
        if not self.test:
            return
        describe = getattr(report, 'sub_test_description', getattr(report, '_sub_test_description', None))
        if describe:
            self._report_part(report, describe())
            return
        self._write_sections(report.sections)
        if report.outcome == 'rerun':  # of pytest-rerunfailures: this run does not count
            self.test.text('traceback', report.longreprtext)
            self.test.status = None
            return
        status, name, text = outcome(report)
        if text:
            self.test.text(name, text)
        if status:
            self.test.count(status)

    def _report_part(self, report, description):
        status, name, text = outcome(report)
        if status != 'success':
            crash = getattr(report.longrepr, 'reprcrash', None)
            short = crash and crash.message.split('\n')[0]
            self.test.part('%s %s' % (self.test.id, mux_subunit.clean(description)), status, name, text, short)

    def _write_sections(self, sections):
        """Each report has those of the reports before it, too."""
        for title, text in sections[self._section_count:]:
            name = next((name for start, name in SECTIONS.items() if title.startswith(start)), None)
            if name == 'stdout' and self._config.option.capture == 'tee-sys':
                continue
            if name:
                self.stream.text(self.test.id, name, text, eof=False)
            else:
                self.test.text(title, text)
        self._section_count = len(sections)


def shared_depth(one, other):
    return sum(a is b for a, b in zip(one.listchain(), other.listchain()))


def group_of(item):
    """As xdist's loadgroup has it: all groups of a test together are one."""
    names = {str(mark.args[0] if mark.args else mark.kwargs.get('name', 'default')) for mark in item.iter_markers('xdist_group')}
    return {'mux.group:' + '_'.join(sorted(names))} if names else set()


def skip_reason(report):
    """Of (file, line, reason), in pytest's words."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return text[len('Skipped: '):] if text.startswith('Skipped: ') else text


def outcome(report):
    """Status or None, and a file that says why. What pytest counts as passed is a success."""
    is_marked = hasattr(report, 'wasxfail')
    if report.failed:
        text = report.longreprtext
        if text.startswith(('[XPASS(strict)]', 'Unexpected success')):
            return 'uxsuccess', 'reason', text
        return 'fail', 'traceback', text
    if report.skipped:
        return ('xfail', 'reason', report.wasxfail) if is_marked else ('skip', 'reason', skip_reason(report))
    if report.when != 'call':
        return None, None, None
    text = 'It passes, though it is marked to fail: %s' % report.wasxfail if is_marked else None
    return 'success', 'reason', text


def main():
    runner = mux_runner.Runner('pytest')
    plugin = Plugin(runner)
    arguments = ['--collect-only'] * (runner.mode == 'list') + runner.arguments
    status = pytest.main(arguments, plugins=[plugin])
    failed = [text for status, text in plugin.not_collected.values() if status == 'fail']
    if runner.mode == 'list' and failed:
        runner.cannot_load('\n'.join(failed))
    fine = [pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED]
    if runner.mode != 'list':
        fine.append(pytest.ExitCode.TESTS_FAILED)
    runner.end(0 if status in fine else int(status))


if __name__ == '__main__':
    main()
