"""mux exec --pty: a command on a terminal, and who types there."""
from execution import *


class Terminal(ExecCase):
    def test_it_is_one(self):
        """Its controlling terminal, in a session of its own; all three descriptors; newlines as written."""
        events = self.execute("--pty", "--allow-empty", "--", "/usr/bin/python3", "-c", """
import os, sys
print([os.isatty(fd) for fd in range(3)], os.getsid(0) == os.getpid(), os.get_terminal_size())
print(os.ttyname(0) == os.ttyname(2), file=sys.stderr)
print(os.tcgetpgrp(os.open('/dev/tty', os.O_RDWR)) == os.getpgrp())""", status=0)
        self.assertEqual(self.output(events, "stdout"),
                         b"[True, True, True] True os.terminal_size(columns=80, lines=24)\nTrue\nTrue\n")
        self.assertEqual(self.output(events, "stderr"), b"")

    def test_packets_stay_whole(self):
        """Newlines within them, too. Tests in progress fail with the command."""
        events = self.python("stream.status(test_id='third', file_name='f', file_bytes=b'a\\nb' * 2000)\n"
                             "sys.stdout.flush(); os.kill(os.getpid(), 9)", "--pty", status=128 + 9)
        self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "fail")])
        self.assertEqual(self.output(events, "f"), b"a\nb" * 2000)

    def test_status(self):
        self.assertEqual(self.exit_of(self.execute("--pty", "--", "sh", "-c", "exit 3", status=3))["status"], 3)

    def test_much(self):
        """All that was written before the end is read, though the terminal takes 4 KiB at a time."""
        events = self.execute("--pty", "--allow-empty", "--", "seq", "200000", status=0)
        self.assertEqual(self.output(events, "stdout"), b"".join(b"%d\n" % i for i in range(1, 200001)))

    def test_a_daemon_on_it(self):
        """One that has left the session and holds the terminal is killed, and not waited for."""
        events = self.execute("--pty", "--allow-empty", "--", "setsid", "-f", "sh", "-c",
                              "echo $$; exec sleep 1000", status=0)
        pid = self.output(events, "stdout")
        if pid:  # else it was killed before it said so
            self.assertFalse(os.path.exists("/proc/%d" % int(pid)))

    def test_typing(self):
        above = Above(self, "--pty", "--allow-empty", "--", "sh", "-c",
                      "stty size; stty -echo; while read line; do echo got $line; stty size; done; echo end")
        above.until(b"24 80\n")
        above.type(b"a line\n")
        above.until(b"got a line\n24 80\n")
        above.send(file_name="muxd.window", file_bytes=b'{"rows": 50, "columns": 132, "more": []}')
        above.type(b"another\n")
        above.until(b"got another\n50 132\n")
        for wrong in (b"", b"[]", b"{}", b'{"rows": 0, "columns": 5}', b'{"rows": 1, "columns": 65536}',
                      b'{"rows": "1", "columns": 1.5}', b"\xff" * 100):
            above.send(file_name="muxd.window", file_bytes=wrong)
        above.type(b"last\n\x04")
        above.until(b"got last\n50 132\nend\n")
        above.end(status=0)

    def test_interrupt(self):
        """^C goes to the command in front."""
        above = Above(self, "--pty", "--allow-empty", "--", "sh", "-c",
                      "trap 'echo caught; exit 0' INT; echo ready; while :; do sleep 0.1; done")
        above.until(b"ready\n")
        above.type(b"\x03")
        above.until(b"caught\n")
        above.end(status=0)

    def test_gdb(self):
        """A debugger, by hand: a breakpoint in a C program, its variables, its end."""
        folder = self.folder()
        source, program = os.path.join(folder, "t.c"), os.path.join(folder, "t")
        with open(source, "w") as file:
            file.write("int twice(int n) { return 2 * n; }\nint main(void) { return twice(21) != 42; }\n")
        subprocess.run(["cc", "-g", "-O0", source, "-o", program], check=True)
        above = Above(self, "--pty", "--allow-empty", "--", "env", "TERM=dumb", "DEBUGINFOD_URLS=",
                      "gdb", "-nx", "-q", program)
        above.until(b"(gdb) ")
        above.type(b"break twice\nrun\n")
        above.until(b"n=21")
        above.type(b"print n + 1000\n")
        above.until(b"$1 = 1021")
        above.type(b"continue\n")
        above.until(b"exited normally")
        above.type(b"quit\n")
        above.end(status=0)


if __name__ == "__main__":
    unittest.main()
