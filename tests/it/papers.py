"""What the documents print to be typed: blocks of code, command lines within the text, examples of the manual pages."""

import re

from harness import SOURCE

MARKDOWN = ("README.md", "docs/operations.md")
MANUALS = ("docs/seckill-api.8", "docs/seckill-orderd.8", "docs/seckillctl.8", "docs/seckill.conf.5")
COMMANDS = re.compile(r"(\./|[A-Z_]+=\S+ |tests/\S+\.(py|sh)\b|(sudo|apt-get|adduser|buildah|docker|docker-compose|systemctl|"
                      r"make|printf|mariadb|mariadb-dump|redis-cli|multiwatch|nginx|spawn-fcgi|seckill[a-z-]*|curl) )")


class Piece:
    """text: without its indentation. before: the line of text that stands in front of a block."""

    def __init__(self, document, text, block, before=""):
        self.document, self.text, self.block, self.before = document, text, block, before
        self.first = re.sub(r"\s+# .*", "", text.split("\n")[0]).strip()

    def __repr__(self):
        return f"{self.document}: {self.first}"


def _dedent(lines):
    width = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[width:] for line in lines).rstrip()


def _inline(document, prose):
    for match in re.finditer(r"`([^`]+)`", "\n".join(prose)):
        text = " ".join(match.group(1).split())
        if COMMANDS.match(text) and text != "./dev":
            yield Piece(document, text, block=False)


def markdown(document):
    """Indented blocks, with the blank lines in them, and command lines in backquotes, as they stand one after the other."""
    prose, block, pieces = [], [], []
    for line in (SOURCE / document).read_text().splitlines() + ["end"]:
        if line.startswith("    ") and (block or not prose or not prose[-1].strip()):
            if not block:
                pieces += _inline(document, prose)
            block.append(line)
        elif block and not line.strip():
            block.append(line)
        else:
            if block:
                pieces.append(Piece(document, _dedent(block), True, " ".join(prose[-3:])))
                block, prose = [], []
            prose.append(line)
    return pieces + list(_inline(document, prose))


def manual(document):
    """The literal displays of EXAMPLES."""
    pieces, lines, examples = [], None, False
    for line in (SOURCE / document).read_text().splitlines():
        if line.startswith(".Sh "):
            examples = line == ".Sh EXAMPLES"
        elif examples and line.startswith(".Bd -literal"):
            lines = []
        elif line == ".Ed" and lines is not None:
            pieces.append(Piece(document, "\n".join(lines), True))
            lines = None
        elif lines is not None:
            lines.append(line.replace("\\e", "\\").replace("\\-", "-"))
    return pieces


def command_lines(text):
    """One a line; a line that ends in a backslash, a pipe or inside braces or a loop goes on."""
    lines, open_words = [], 0
    for line in text.split("\n"):
        whole = f"{lines[-1]}\n{line}" if open_words or lines and lines[-1].endswith(("\\", "|")) else None
        open_words += len(re.findall(r"(^|\s)(do|\{)(\s|$)", line)) - len(re.findall(r"(^|\s)(done|\})(\s|;|$)", line))
        if whole:
            lines[-1] = whole
        elif line.strip():
            lines.append(line)
    return lines
