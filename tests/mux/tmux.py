"""A terminal that a test types at and looks at: tmux."""
import re

from command import *


class Terminal(Case):
    def setUp(self):
        self.place = self.folder()
        self.tmux('new-session', '-d', '-x', '100', '-y', '30', 'exec bash --norc')
        self.addCleanup(self.tmux, 'kill-server')

    def tmux(self, *words):
        env = dict(os.environ, TERM='xterm', LC_ALL='C.UTF-8', PS1='$ ')
        env.pop('NO_COLOR', None)
        return subprocess.run(['tmux', '-u', '-S', os.path.join(self.place, 'tmux'), '-f', '/dev/null', *words],
                              cwd=self.place, env=env, stdout=subprocess.PIPE, check=True, timeout=PATIENCE).stdout.decode()

    def seen(self):
        return self.tmux('capture-pane', '-p')

    def until(self, pattern, absent=False):
        """What is seen when it has this, or has it no more."""
        deadline = time.monotonic() + PATIENCE
        while bool(re.search(pattern, text := self.seen(), re.M)) == absent:
            self.assertLess(time.monotonic(), deadline, '%s: %s' % (pattern, text))
            time.sleep(0.05)
        return text

    def keys(self, *keys):
        self.tmux('send-keys', *keys)
