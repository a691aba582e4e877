"""mux exec: who waits at a prompt is told, and until when; debuggers are driven from above."""
from execution import *

PDB = """
import unittest
class Case(unittest.TestCase):
    def test_it(self):
        secret = 6 * 7
        breakpoint()
        self.assertEqual(secret, 42)
"""


class Prompts(ExecCase):
    def prompts(self, above):
        return [json.loads(content(event)) for event in above.events() if event["file_name"] == "muxd.prompt"]

    def until_prompts(self, above, count):
        while len(self.prompts(above)) < count:
            self.assertTrue(above.receive(), self.prompts(above))
        return self.prompts(above)[count - 1]

    def test_pdb(self):
        """A real one, in a test under subunit.run: through pipes, and on a terminal."""
        folder = self.folder()
        with open(os.path.join(folder, "module.py"), "w") as file:
            file.write(PDB)
        for options in ((), ("--pty",)):
            above = Above(self, *options, "--chdir", folder, "--", "/usr/bin/python3", "-m", "subunit.run", "module")
            before = time.time_ns()
            waits = self.until_prompts(above, 1)
            self.assertEqual({key: waits[key] for key in ("version", "waits", "prompt", "test")},
                             {"version": 1, "waits": True, "prompt": "(Pdb) ", "test": "module.Case.test_it"})
            self.assertLess(abs(waits["since_ns"] - before), PATIENCE * 10**9)
            above.type(b"p 1000 + secret\n")
            above.until(b"1042")
            over = self.until_prompts(above, 2)
            self.assertEqual(over, dict(waits, waits=False))
            self.assertTrue(self.until_prompts(above, 3)["waits"])
            above.type(b"c\n")
            events = above.end(status=0)
            self.assertEqual(self.verdicts(events)[-1], ("module.Case.test_it", "success"))
            told = [json.loads(content(event))["waits"] for event in events if event["file_name"] == "muxd.prompt"]
            self.assertEqual(told, [True, False] * (len(told) // 2))

    def test_which_are_prompts(self):
        for text, options, prompt in (("ipdb> ", (), "ipdb> "), ("x\n>>> ", (), ">>> "), ("(lldb) ", (), "(lldb) "),
                                      ("\x1b[?2004h\x1b[32m(gdb) \x1b[0m", (), "(gdb) "),
                                      ("a" * 5000 + "(Pdb) ", (), "(Pdb) "), ("pry(main)> ", ("--prompt", "> $"), "> "),
                                      ("(Pdb) \n", (), None), ("(Pdb) and more", (), None), ("(Pdb) ", ("--prompt", ""), None),
                                      ("(Pdb) ", ("--prompt", "> "), None)):
            for stream in ("1", "2"):
                above = Above(self, "--allow-empty", *options, "--", "/usr/bin/python3", "-c",
                              "import os, sys; os.write(%s, sys.argv[1].encode()); sys.stdin.readline()" % stream, text)
                if prompt is None:
                    above.until(text.encode(), "stdout" if stream == "1" else "stderr")
                    time.sleep(1)
                else:
                    self.assertEqual(self.until_prompts(above, 1)["prompt"], prompt)
                above.type(b"go on\n")
                events = above.end(status=0)
                told = [json.loads(content(event)) for event in events if event["file_name"] == "muxd.prompt"]
                self.assertEqual([event["waits"] for event in told], [True, False] if prompt else [], text)

    def test_masked(self):
        above = Above(self, "--mask", "s3cret", "--prompt", "[a-z0-9]+> ", "--as-test", "t", "--", "sh", "-c",
                      "printf 's3cret> '; read line")
        self.assertEqual(self.until_prompts(above, 1)["prompt"], "******> ")
        above.type(b"\n")
        above.end(status=0)

    def test_limits_while_debugging(self):
        """A prompt where nobody types is a hang; where somebody does, the test has time."""
        code = WORKER + "sys.stdout.write('(Pdb) '); sys.stdout.flush(); line = sys.stdin.readline()\n" \
            "time.sleep(2 * %d); stream.status(test_id='second', test_status='success')"
        above = Above(self, "--test-timeout", "2", "--", "/usr/bin/python3", "-c", code % 2)
        events = above.end(status=128 + 15)
        self.assertIn(("second", "fail"), self.verdicts(events))
        for limit in (2, 10, 50):  # on a slow machine the key may come too late for the first
            above = Above(self, "--test-timeout", str(limit), "--", "/usr/bin/python3", "-c", code % limit)
            self.until_prompts(above, 1)
            above.type(b"slowly\n")
            events = above.end(status=None)
            if self.verdicts(events)[-1] == ("second", "success"):
                return
        self.fail(self.verdicts(events))

    def test_after_the_limit(self):
        """Who waits beyond the limit of output is told, and what was cut shows its end."""
        above = Above(self, "--max-output", "50K", "--allow-empty", "--", "sh", "-c",
                      "seq 100000; printf '(Pdb) '; read line; echo got $line; read line")
        self.until_prompts(above, 1)
        above.type(b"key\n")
        above.until(b"99999\n100000\n(Pdb) got key\n")
        self.assertIn(b"left out", above.text())
        above.type(b"\n")
        above.end(status=0)


if __name__ == "__main__":
    unittest.main()
