"""A document's fenced blocks, tables, and blocks of hexadecimal digits."""
import re


class Block:
    """The text between two fences; `words` are those after the first fence."""

    def __init__(self, words, text, line):
        self.words = words
        self.text = text
        self.line = line

    def bytes(self):
        """The bytes of a block `hex`: pairs of digits; # begins a remark."""
        return bytes.fromhex("".join(line.partition("#")[0] for line in self.text.splitlines()))


def blocks(path):
    """The fenced blocks of a Markdown file, in order."""
    found = []
    words = None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("```"):
                if words is None:
                    words, text, start = line[3:].split(), "", number
                else:
                    found.append(Block(words, text, start))
                    words = None
            elif words is not None:
                text += line
    assert words is None, "%s: the block of line %d has no end" % (path, start)
    return found


def rows(path):
    """The rows of a Markdown file's tables, as lists of cells without backquotes."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line):
                yield [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
