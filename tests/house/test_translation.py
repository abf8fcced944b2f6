"""Each Chinese page says what its English page says: the same code, figures, names and links, block by block."""

import pytest
from architecture import ROOT
from translation import blocks, differences, number_of, slips

PAIRS = {
    "README": (ROOT / "README.md", ROOT / "README_cn.md"),
    "plugins/README": (ROOT / "plugins" / "README.md", ROOT / "plugins" / "README_cn.md"),
    **{
        f"plugins/{path.parent.name}/README": (path.with_name("README.md"), path)
        for path in (ROOT / "plugins").glob("pannsdist-*/README_cn.md")
    },
    **{f"docs/{path.name}": (path, ROOT / "docs" / "zh" / path.name) for path in (ROOT / "docs" / "en").glob("*.md")},
}


@pytest.mark.parametrize("page", sorted(PAIRS))
def test_a_chinese_page_holds_what_its_english_page_holds(page):
    english, chinese = (path.read_text(encoding="utf-8") for path in PAIRS[page])
    assert differences(english, chinese) == []


@pytest.mark.parametrize("page", sorted(PAIRS))
def test_a_chinese_page_keeps_the_rules_of_its_typography(page):
    assert slips(PAIRS[page][1].read_text(encoding="utf-8")) == []


def test_every_page_that_names_a_chinese_one_is_compared():
    twins = {path for path in ROOT.rglob("README_cn.md") if ".venv" not in path.parts}
    assert twins == {chinese for _, chinese in PAIRS.values() if chinese.name == "README_cn.md"}


ENGLISH = """# Windows
[中文](../zh/page.md)

Three windows of 0.32 s, at most 20,000 clips on 28 November 2026, see [ESC-10](../en/data.md). Use `--hop`.

| what | ms |
|---|---|
| data | 2.4, the third 7.2 |

- It takes 48 %

```sh
pannsdist tag a.wav --topk 4   # the 4 best
```

```
file ── Batch    twelve clips
```
"""
CHINESE = """# 窗口
[English](../en/page.md)

三个窗口，每个 0.32 秒，最多 20000 个片段，2026 年 11 月 28 日，见 [ESC-10](../zh/data.md)。用 `--hop` 设置。

| 内容 | 毫秒 |
|---|---|
| 数据集 | 2.4，第三个 7.2 |

- 占 48 %

```sh
pannsdist tag a.wav --topk 4   # 最好的 4 个
```

```
文件 ── Batch    十二个片段
```
"""


def test_two_pages_that_agree_have_no_differences():
    assert differences(ENGLISH, CHINESE) == []
    assert slips(CHINESE) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("--topk 4   # 最好的 4 个", "--topk 5   # 最好的 4 个"),
        ("# 最好的 4 个", "# 最好的 5 个"),
        ("a.wav --topk", "音频.wav --topk"),
        ("```sh", "```"),
        ("十二个片段", "二十个片段"),
        ("0.32 秒", "0.23 秒"),
        ("三个窗口", "四个窗口"),
        ("第三个", "第二个"),
        ("20000", "2000"),
        ("11 月", "12 月"),
        ("2.4，", "-2.4，"),
        ("48 %", "98 %"),
        ("，最多 20000 个片段", ""),
        ("../zh/data.md", "../zh/page.md"),
        ("[ESC-10](../zh/data.md)", "ESC-10"),
        ("`--hop`", "`--window`"),
        ("[ESC-10]", "[ESC-50]"),
        ("用 `--hop` 设置。", ""),
        ("| 数据集 | 2.4，第三个 7.2 |\n", ""),
        ("- 占 48 %\n\n", ""),
        ("# 窗口", "## 窗口"),
        ("- 占", "占"),
    ],
)
def test_each_kind_of_difference_is_found(right, wrong):
    assert right in CHINESE
    assert differences(ENGLISH, CHINESE.replace(right, wrong, 1))


def test_figures_that_change_places_between_two_cells_are_found():
    assert differences("| 1.5 | 2.5 |\n", "| 2.5 | 1.5 |\n")


@pytest.mark.parametrize(
    "text",
    [
        "用您自己的音频。",
        "一步,一轮。",
        "一步;一轮。",
        "一步.",
        "一轮(第一步)。",
        "１ 个进程。",
        "用Paddle 训练。",
        "共 32个片段。",
        "用`--hop` 设置。",
        "一步 ，一轮。",
        "训练\n结束。",
        "```sh\npannsdist # 用您的模型\n```",
    ],
)
def test_each_slip_is_found(text):
    assert slips(text)


@pytest.mark.parametrize("text", ["波形 (B, S)，共 5 秒（32 kHz）。", "第一步，\n第二步。", "```sh\necho 您\n```"])
def test_what_is_no_slip_is_not_reported(text):
    assert slips(text) == []


@pytest.mark.parametrize(("numeral", "number"), [("三", 3), ("十", 10), ("十五", 15), ("四十", 40), ("二十三", 23)])
def test_a_chinese_numeral_is_read(numeral, number):
    assert number_of(numeral) == number


def test_a_heading_ends_at_its_line_and_a_comment_in_code_is_no_heading():
    kinds = [
        block.kind for block in blocks("# One\nText\nof two lines\n```sh\n# a comment\n```\n1. item\n   goes on\n")
    ]
    assert kinds == ["heading #", "paragraph", "code sh", "item"]
