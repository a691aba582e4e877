"""mux run on a terminal, as a person sees it: tmux is the terminal."""
from tmux import *

# A test that ends when there is a file "go".
WAITS = 'until [ -e go ]; do sleep 0.05; done; : %s'


class Screen(Terminal):
    def start(self, *tests, slots=4, options=()):
        words = [MUX, 'run', '-n', str(slots), *options, '--runner', 'exec', '--', *tests]
        with open(os.path.join(self.place, 'suite'), 'w') as file:
            file.write(' '.join("'%s'" % word for word in words) + '; echo "ended: $?"\n')
        self.keys('. ./suite', 'Enter')

    def go(self):
        open(os.path.join(self.place, 'go'), 'w').close()

    def test_slots_and_keys(self):
        self.start('echo why; exit 1', *(WAITS % name for name in ('one', 'two', 'three', 'four', 'five')))
        self.until(r'^FAIL  echo why; exit 1 .*\n      why\n      exit status 1$')
        text = self.until(r'^  1 failed, 0 passed, 0 skipped.*\n(  \d +until.*\n){4}')
        self.assertRegex(text, r'(?m)^  \u2588.* 1 of 6 .*, about \? left$')
        self.assertIn('f failures  s slots  o one line  d drain  q quit', text)
        self.keys('f')
        text = self.until(r'^  1 failures, page 1 of 1\n  FAIL  echo why; exit 1 ')
        self.assertNotRegex(text, r'(?m)^  0 +until')
        self.keys('s')
        self.until(r'^  4 slots, page 1 of 1\n  0 ')
        self.keys('o')
        self.until('failures', absent=True)
        self.keys('o')
        self.until('f failures')
        self.tmux('resize-window', '-x', '40', '-y', '12')
        text = self.until(r'^  f s o d q$')
        self.assertRegex(text, r'(?m)^  0:\d\d, about \? left$')
        self.assertEqual(len(re.findall(r' of 6', text)), 1, text)
        self.assertLessEqual(max(map(len, text.splitlines())), 40)
        self.keys('d')
        self.until('^  drains: ')
        self.go()
        text = self.until('^ended: 130')
        self.assertIn('interrupted:1failed,', re.sub(r'\s', '', text))  # a slow machine's job may have had the fifth, too
        self.keys('echo "x"', 'Enter')  # the terminal is as it was: with an echo
        self.until(r'^.*[#$] echo "x"\nx$')

    def test_who_waits_for_a_token(self):
        with open(os.path.join(self.place, '.mux.ini'), 'w') as file:
            file.write('[tokens]\ndb = 1\n[needs]\ndb = until\n')
        self.start(*(WAITS % name for name in ('one', 'two', 'three')), slots=3)
        self.until(r'^  2 slots wait for db$')
        self.keys('s')
        text = self.until(r'^  \d +\(waits for db\) +\d')
        self.assertNotRegex(text, r'\(waits for db\) +\d+:\d+:')  # since its tests are there, not since the machine is
        self.go()
        self.until('^ended: 0')

    def test_stopped_and_quit(self):
        self.start(WAITS % 'one', WAITS % 'two', options=('--grace', '200ms'))
        self.until(r'^  1 +.*: two ')
        self.keys('C-z')
        self.until('Stopped')
        self.until('about', absent=True)
        self.keys('echo "x"', 'Enter')
        self.until(r'^.*[#$] echo "x"\nx$')
        self.keys('fg', 'Enter')
        self.until(r'^  1 +.*: two ')
        self.keys('q')
        self.until('^run .* interrupted: 2 failed ')

    def test_background(self):
        """A shell's background job draws nothing, and gets no key."""
        self.start(WAITS % 'one', WAITS % 'two')
        self.until(r'^  1 +.*: two ')
        self.keys('C-z')
        self.until('Stopped')
        self.keys('bg', 'Enter')
        self.keys('echo "q"', 'Enter')
        self.until(r'^.*[#$] echo "q"\nq$')
        self.go()
        self.until('^run .* passed: 2 passed')

    def test_many_slots(self):
        """More than the terminal has lines: those that run the longest, pages of all."""
        self.tmux('resize-window', '-x', '80', '-y', '14')
        self.start(*(WAITS % ('number%d' % i) for i in range(12)), slots=12)
        self.until('and 9 more slots, 0 idle')
        self.keys('s', 'n')
        self.until('12 slots, page 2 of')
        self.keys('p')
        text = self.until('12 slots, page 1 of')
        self.assertLessEqual(len([line for line in text.splitlines() if re.match(r'  \d', line)]), 7)
        self.go()
        self.until('^ended: 0')


if __name__ == '__main__':
    unittest.main()
