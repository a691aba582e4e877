"""The targets of links between the documents exist, and so do the files that they name."""
import os
import re
import subprocess
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def documents():
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard", "*.md"],
                            stdout=subprocess.PIPE, text=True, check=True)
    return listed.stdout.split()


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return re.sub(r"(?ms)^```.*?^```", "", file.read())


def anchors(path):
    """Anchors of headings as forges make them: lower case, hyphens for spaces, no other marks."""
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
            for heading in re.findall(r"(?m)^#+ +(.*)$", text_of(path))}


class Links(unittest.TestCase):
    def test_targets_exist(self):
        count = 0
        for document in documents():
            path = os.path.join(TOP, document)
            for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                to = os.path.join(os.path.dirname(path), name) if name else path
                with self.subTest(document=document, target=target):
                    self.assertTrue(os.path.exists(to))
                    if anchor:
                        self.assertIn(anchor, anchors(to))
                count += 1
        self.assertGreater(count, 20)

    def test_files(self):
        """Files of the tree that are named between backquotes exist."""
        count = 0
        for document in documents():
            text = text_of(os.path.join(TOP, document))
            for name in re.findall(r"`((?:bench|docs|mux|tests|tools|transport)/[\w./-]+)`", text):
                with self.subTest(document=document):
                    # libmux's headers are named by their installed path
                    there = (os.path.join(TOP, name), os.path.join(TOP, name.replace("mux/", "mux/packet/", 1)))
                    self.assertTrue(any(map(os.path.exists, there)), name)
                count += 1
        self.assertGreater(count, 20)

    def test_readme_is_short(self):
        """It has what a newcomer needs; the rest is in other documents."""
        with open(os.path.join(TOP, "README.md")) as file:
            self.assertLess(len(file.readlines()), 200)


if __name__ == "__main__":
    unittest.main()
