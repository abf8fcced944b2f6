"""Compares an English page with its Chinese page, block by block: code, figures, names in code style, links."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

CJK = "\u4e00-\u9fff"
FENCE = "```"
ITEM = re.compile(r"\s*(?:[-*]|\d+\.) ")
STARTS = re.compile(r"\n\s*\n|\n(?=\||\s*(?:[-*]|\d+\.) )")
"""Where a block of text ends: at a blank line, and before a row or an item."""
HEADING = re.compile(r"^(#+ .*)$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMENT = re.compile(r"(?:^|\s+)# .*$")
MONTHS = re.findall(r"\w+", "January February March April May June July August September October November December")
DATE = re.compile(rf"(\d+) ({'|'.join(MONTHS)}) (\d+)")
NAME = re.compile(r"(?<![\w.])[A-Za-z]+-?\d[\w.]*(?:-\w+)*", re.ASCII)
"""CNN14, ESC-10, UTF-8: a name that holds digits."""
FIGURE = re.compile(r"(?:(?<![\w.])-)?\d+(?:,\d{3})*(?:\.\d+)*(?:e-?\d+)?", re.ASCII)
CARDINALS = (
    "three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
)
ORDINALS = "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS = {word: number for words in (CARDINALS, ORDINALS) for number, word in enumerate(words.split(), start=3)}
WORDS |= {word: 10 * number for number, word in enumerate(TENS.split(), start=2)}
DIGITS = dict(zip("一二两三四五六七八九", (1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
SMALLEST = 3
"""Numbers written as words count from here: one and two are grammar in either language (a, both, twice, 一个, 两者).
So 1 and 2 stand in digits in both languages or in neither."""
RULES = {
    "address the reader as 你": "您",
    "full-width punctuation after Chinese": rf"[{CJK}] ?[,;:?!](?=\s|[{CJK}]|$)|[{CJK}]\(|[{CJK}]\.(?=\s|$)",
    "half-width letters and digits": "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]",
    "a space between Chinese and Latin": rf"[{CJK}][A-Za-z0-9`]|[A-Za-z0-9%`][{CJK}]",
    "no space beside full-width punctuation": r"[ \t][，。；：、？！（）]|[，。；：、？！（][ \t]",
    "no line break within a Chinese phrase, which a browser shows as a space": rf"[{CJK}]\n\s*[{CJK}]",
}
"""What no Chinese text may hold, by the rule that it breaks."""


@dataclass(frozen=True)
class Block:
    """A heading, paragraph, list item, cell of a table or block of code: `kind` is equal in both languages."""

    kind: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page of Markdown in their order."""
    for chunk in re.split(r"^(```.*?^```$)", page, flags=re.MULTILINE | re.DOTALL):
        if chunk.startswith(FENCE):
            language, _, body = chunk.removeprefix(FENCE).removesuffix(FENCE).partition("\n")
            yield Block(f"code {language}", body)
        else:
            texts = STARTS.split(HEADING.sub(r"\n\1\n", chunk))
            yield from (block for text in texts if text.strip() for block in blocks_of(text.strip("\n")))


def blocks_of(text: str) -> Iterator[Block]:
    """One block, or the cells of a row."""
    if text.startswith("|"):
        yield from (Block("cell", cell) for cell in text.strip().strip("|").split("|"))
    elif text.startswith("#"):
        yield Block(f"heading {text.partition(' ')[0]}", text)
    else:
        yield Block("item" if ITEM.match(text) else "paragraph", text)


def differences(english: str, chinese: str) -> list[str]:
    """What the Chinese page says otherwise than the English one; empty if they agree."""
    pair = [list(blocks(page)) for page in (english, chinese)]
    for ours, theirs in zip(*pair, strict=False):
        if ours.kind != theirs.kind:
            return [f"{ours.kind} against {theirs.kind}:\n{ours.text}\n{theirs.text}"]
    if len(pair[0]) != len(pair[1]):
        first = max(pair, key=len)[min(map(len, pair))]
        return [f"{len(pair[0])} blocks against {len(pair[1])}; the first of one page only: {first}"]
    return [found for ours, theirs in zip(*pair, strict=True) for found in unlike(ours, theirs)]


def unlike(english: Block, chinese: Block) -> Iterator[str]:
    """The differences of two blocks of one kind."""
    if english.kind.startswith("code"):
        parts = {"code": code, "figures in comments and drawings": lambda text: figures(translated(text))}
    else:
        parts = {"figures": figures, "names": names, "links": links}
    for what, part in parts.items():
        ours, theirs = part(english.text), part(chinese.text)
        if ours != theirs:
            yield f"{what}: {ours} against {theirs}\n{english.text}\n{chinese.text}"


def is_drawing(text: str) -> bool:
    """Whether a block of code is a drawing, whose words are translated."""
    return "──" in text


def code(text: str) -> list[str]:
    """The lines of a block without their comments; of a drawing only how many there are."""
    lines = text.splitlines()
    return [""] * len(lines) if is_drawing(text) else [COMMENT.sub("", line).rstrip() for line in lines]


def translated(text: str) -> str:
    """The part of a block of code that is translated: the comments, or a whole drawing."""
    if is_drawing(text):
        return text
    return "\n".join(match.group() for line in text.splitlines() if (match := COMMENT.search(line)))


def figures(text: str) -> Counter[str]:
    """The numbers of a text, in digits or in words of either language, without those of names and addresses."""
    text = DATE.sub(lambda date: f"{date[1]} {MONTHS.index(date[2]) + 1} {date[3]}", plain(text))
    text = NAME.sub(" ", text)
    found = Counter(figure.replace(",", "") for figure in FIGURE.findall(text))
    spelled = [WORDS[word] for word in re.findall("[a-z]+", text.lower()) if word in WORDS]
    spelled += [number_of(numeral) for numeral in re.findall(f"[{''.join(DIGITS)}十]+", text)]
    return found + Counter(str(number) for number in spelled if number >= SMALLEST)


def number_of(numeral: str) -> int:
    """A Chinese numeral below one hundred: 三 is 3, 十二 is 12, 四十 is 40."""
    tens, ten, ones = numeral.rpartition("十")
    return 10 * (DIGITS.get(tens[-1:], 1) if ten else 0) + DIGITS.get(ones[-1:], 0)


def names(text: str) -> set[str]:
    """What stands in code style, and the names that hold digits, each once: a language with pronouns repeats fewer."""
    numbered = {name.rstrip(".") for name in NAME.findall(plain(text))}
    return {in_no_language(span) for span in SPAN.findall(text)} | numbered


def plain(text: str) -> str:
    """A text without what is in code style and without the targets of its links."""
    return LINK.sub("]", SPAN.sub(" ", text))


def links(text: str) -> Counter[str]:
    """The targets of the links, without the heading, which has another name in each language."""
    return Counter(in_no_language(target.partition("#")[0]) for target in LINK.findall(text))


def in_no_language(name: str) -> str:
    """A path without the language of the page that it names, or a command without its line break."""
    name = re.sub(r"(?<![\w.])(docs|\.\.)/(en|zh)/", r"\1/", name).replace("README_cn.md", "README.md")
    return " ".join(name.split())


def slips(chinese: str) -> list[str]:
    """Where a Chinese page breaks the rules of its typography, or changes its form of address."""
    found = []
    for block in blocks(chinese):
        text = translated(block.text) if block.kind.startswith("code") else block.text
        text = "" if is_drawing(text) else LINK.sub("]", SPAN.sub("`x`", text))
        for rule, pattern in RULES.items():
            places = (text[max(match.start() - 20, 0) : match.end() + 20] for match in re.finditer(pattern, text))
            found += [f"{rule}: {place!r}" for place in places]
    return found
