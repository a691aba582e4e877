"""The manual pages against the programs' --help, which comes from the tables of options, and against the source
of the protocol's keys. scdoc accepts them."""
import os
import re
import shutil
import subprocess
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
MAN = os.path.join(TOP, "docs/man")
DOCUMENTS = ("README.md", "docs/operating.md", "docs/protocol.md", "transport/dpdk/README.md")
# Options of tests/run, bench/run, meson, stestr and pkg-config.
FOREIGN = ("quick", "out", "buildtype", "subunit", "cflags", "libs")
PAGES = ("muxd.8", "mux.1", "muxd-protocol.7")


def run(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def help_options(text):
    """(name, argument, default) of each option that --help lists."""
    found = []
    for entry in re.split(r"\n(?=  (?:-[a-z], )?--)", text)[1:]:
        entry = re.split(r"\n(?! {10})", entry)[0]
        head, name, argument = re.match(r" *((?:-[a-z], )?--([a-z-]+))(\[=\S+|(?: \S+)?)", entry).groups()
        default = re.search(r"\(default ([^)]*)\)", re.sub(r"\s+", " ", entry))
        found.append((name, argument.strip() if entry[:27].strip() != head else None,
                      default and default[1]))
    return found


def page_options(text):
    """The same from a page's source."""
    found = []
    for entry in re.split(r"\n(?=(?:\*-[a-z]\*, )?\*--)", text)[1:]:
        head, _, rest = entry.partition("\n")
        rest = re.split(r"\n(?=[^\t\n])", rest)[0]
        name, optional, argument = re.fullmatch(
            r"(?:\*-[a-z]\*, )?\*--([a-z-]+)\*(\[=_[A-Z]+_\])?(?: _(.*)_)?", head).groups()
        argument = optional.replace("_", "") if optional else argument
        default = re.search(r"Default: ([^ ]*)\.\s*$", re.sub(r"\s+", " ", rest))
        found.append((name, argument, default and default[1]))
    return found


def help_codes(text):
    """The exit codes that --help names."""
    return set(re.findall(r"(?:Exit codes:|;)\s+(\d+)\s", text[text.index("Exit codes:"):]))


def page_codes(text):
    return set(re.findall(r"(?m)^\*(\d+)\*$", text))


def source(page):
    with open(os.path.join(MAN, page + ".scd"), encoding="utf-8") as file:
        return file.read()


def sections(text):
    """{title: text} of a page."""
    parts = re.split(r"(?m)^# (.*)$", text)
    return dict(zip(parts[1::2], parts[2::2]))


class Pages(unittest.TestCase):
    def same(self, page, shown):
        """Options (name, argument, default; in this order) and exit codes of a page, or a part of it."""
        self.assertEqual(page_options(page), help_options(shown), "the page, then --help")
        self.assertGreater(len(help_options(shown)), 0)
        self.assertEqual(page_codes(page), help_codes(shown), "the page, then --help")
        self.assertGreater(len(help_codes(shown)), 2)

    def usage(self, page, shown):
        """The SYNOPSIS has the same line as --help."""
        wanted = re.sub(r"\s+", " ", re.match(r"usage: (.*?)\n\n", shown, re.S)[1])
        lines = [re.sub(r"\s+", " ", line.strip()) for line in
                 re.sub(r"[*_]", "", sections(page)["SYNOPSIS"]).split("\n\n")]
        self.assertIn(wanted, lines)

    def test_muxd(self):
        page, shown = source("muxd.8"), run(os.environ["MUXD"], "--help")
        self.same(page, shown)
        self.usage(page, shown)
        for endpoint in re.findall(r"(?m)^  ([a-z]+:)", shown[shown.index("Endpoints:"):]):
            self.assertIn("*%s*" % endpoint, sections(page)["ENDPOINTS"])
        for name in re.findall(r"\b(TERM|INT|USR1|HUP)\b", shown[shown.index("Signals:"):]):
            self.assertRegex(sections(page)["SIGNALS"], r"\*%s\*" % name)

    def test_mux(self):
        """The page has exactly the subcommands that exist, with their options and exit codes."""
        page = sections(source("mux.1"))
        shown = run(os.environ["MUX"], "--help")
        names = re.findall(r"(?m)^  ([a-z]+) ", shown)
        self.assertGreater(len(names), 4)
        self.assertEqual([title[4:].lower() for title in page if title.startswith("MUX ")], names)
        self.assertEqual(sorted(set(re.findall(r"(?m)^\*mux ([a-z]+)\*", page["SYNOPSIS"]))),
                         sorted(names))
        for name in names:
            with self.subTest(subcommand=name):
                shown = run(os.environ["MUX"], name, "--help")
                self.same(page["MUX " + name.upper()], shown)
                self.usage(source("mux.1"), shown)

    def test_documents(self):
        """Each option in a document is muxd's or mux's, or known to be another program's."""
        known = set(FOREIGN)
        known.update(name for name, _, _ in help_options(run(os.environ["MUXD"], "--help")))
        for name in re.findall(r"(?m)^  ([a-z]+) ", run(os.environ["MUX"], "--help")):
            known.update(option for option, _, _ in help_options(run(os.environ["MUX"], name, "--help")))
        for document in DOCUMENTS:
            with open(os.path.join(TOP, document), encoding="utf-8") as file:
                named = set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", file.read()))
            self.assertGreater(len(named), 1)
            self.assertEqual(named - known, set(), document)

    def test_protocol(self):
        """The page has exactly the words and keys of node links that the source has."""
        with open(os.path.join(TOP, "mux/node/hello.c")) as file:
            code = file.read()
        page = sections(source("muxd-protocol.7"))["NODE LINKS"]
        words, keys = page.split("The keys:")
        self.assertEqual(set(re.findall(r'"(muxd\.[a-z]+)"', code)),
                         set(re.findall(r"\*(muxd\.[a-z]+)\*", words)))
        self.assertEqual(set(re.findall(r'LINE\("([a-z]+)"\)', code)),
                         set(re.findall(r"(?:^|, )\*([a-z]+)\*", keys, re.M)))

    def test_promise(self):
        """README and muxd-protocol(7) promise the same in the same words."""
        with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
            readme = " ".join(file.read().split())
        page = " ".join(sections(source("muxd-protocol.7"))["BUNDLES"].split())
        for first, last in (("Every packet that a leaf has", "away for less than the grace."),
                            ("Not promised: A plain worker's", "contradicting results too.")):
            said = readme[readme.index(first):readme.index(last)] + last
            self.assertGreater(len(said), 200)
            self.assertIn(said, page)

    def test_scdoc_accepts_them(self):
        if not shutil.which("scdoc"):
            self.assertFalse(os.environ.get("MUXD_CI"), "scdoc is missing")
            self.skipTest("scdoc is missing")
        for page in PAGES:
            with self.subTest(page=page):
                made = subprocess.run(["scdoc"], input=source(page), stdout=subprocess.PIPE,
                                      text=True, check=True)
                self.assertIn(".TH", made.stdout)
        self.assertEqual({name for name in os.listdir(MAN) if name.endswith(".scd")},
                         {page + ".scd" for page in PAGES})


if __name__ == "__main__":
    unittest.main()
