"""The tokenizer of all languages, and the tokenizers as steps of plain data."""

# ruff: noqa: RUF001 - letters of other scripts are meant

import json
import random
import runpy
from typing import Any

import pytest
import torch

from lightfit.datamodules import TextCodec, Vocabulary
from lightfit.datamodules.targets import Classes
from lightfit.datamodules.text import tokenize, tokenize_any, tokenize_words
from lightfit.datamodules.text.tokenizers import STEPS, run_steps
from lightfit.scripts.cli.presets import TASKS

PLACE = "lightfit.datamodules.text"
EXAMPLE = TASKS.parent / "scripts" / "examples" / "onnx_text.py"
TEXTS = [
    "Don't miss it!<br />It's 10/10, I'd say :)",
    "这部电影iPhone拍的，太好看了！👍🏽",
    "コンピューターで日本語、ｶﾞ",
    "น้ำตาไหล สนุกมาก 😭😭",
    "मुझे यह किताब पसंद है। क्‍या",
    "مرحبًا بالعالم، كيف؟ ❤️",
    "می‌خواهم بروم",
    "İstanbul'da güzel bir gün",
    "Die Straße ist „schön“\u00adlich",
    "ភាសាខ្មែរ ស្រឡាញ់",
    "မြန်မာစာ ကောင်းတယ်",
    "한국어 텍스트를 읽다",
    "👩🏽‍🚀 👨‍👩‍👧 🇩🇪🇫🇷 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣",
    "",
    "&lt;br&gt;Tom &amp; Jerry&#39;s \ufeff\u200b",
]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't go, NOW!", "don't go , now !"),
        ("rock'n'roll it\u2019s \u201cok\u201d", "rock'n'roll it's \" ok \""),
        ("1,000.50 of 3.5, 2010.", "1,000.50 of 3.5 , 2010 ."),
        ("so bad:( :-) <3 ;D a:b http://t.co/x", "so bad :( :-) <3 ;d a : b http : t . co x"),
        ("#fail @user_1 £5 50%", "# fail @ user_1 £ 5 50 %"),
        ("a<br/>b<p class='x'>c</p> if a < b", "a b c if a b"),
        ("Tom &amp; Jerry&#39;s &lt;br /&gt;film", "tom & jerry's film"),
        ("zero\u200bwidth so\u00adft \ufeffbom", "zero width soft bom"),
        ("我觉得iPhone手机，不好！", "我 觉 得 iphone 手 机 , 不 好 !"),
        ("ＡＢＣ１２３ ｶﾞ", "abc123 ガ"),
        ("น้ำไหลไป", "น้ํา ไห ล ไป"),
        ("ໄປລາວ", "ໄປ ລາ ວ"),
        ("ខ្មែរ", "ខ្មែ រ"),
        ("မြန်မာကောင်း", "မြန် မာ ကောင်း"),
        ("किताब है।", "किताब है ।"),
        ("كيف؟ جمـيل", "كيف ؟ جميل"),
        ("می\u200cخواهم", "میخواهم"),
        ("İstanbul IŞIK Straße", "istanbul işik straße"),
        ("e\u0301te\u0301 đẹp", "été đẹp"),
        ("한국어 책", "한국어 책"),
        ("👍🏽👍 ❤️❤", "👍 👍 ❤ ❤"),
        ("🇩🇪🇫🇷 👩🏽\u200d🚀", "🇩🇪 🇫🇷 👩\u200d🚀"),
        ("", ""),
        ("\ud800 \x00 \u200d", ""),
    ],
)
def test_tokens_of_every_language(text: str, tokens: str) -> None:
    assert tokenize_any(text) == tokens.split()


def test_english_words_are_those_of_tokenize_words() -> None:
    text = "I can't say, the film's 2 hours are \"well spent\"; (but) why not? They said: a go. Yes..."
    assert tokenize_any(text) == tokenize_words(text)


def test_combined_characters_are_not_taken_apart() -> None:
    import unicodedata

    for text in TEXTS:
        for token in tokenize_any(text):
            assert not unicodedata.category(token[0]).startswith("M"), (text, token)


@pytest.mark.parametrize("function", [tokenize, tokenize_words, tokenize_any])
def test_steps_are_the_tokenizer(function: Any) -> None:
    steps = json.loads(json.dumps(STEPS[f"{PLACE}.{function.__name__}"]))
    rng = random.Random(0)
    pool = "".join(TEXTS) + "".join(map(chr, range(128))) * 4
    drawn = ["".join(rng.choices(pool, k=rng.randint(0, 60))) for _ in range(300)]
    plain = ["".join(rng.choices("aB1,.'<br/>:;)(=p &\n", k=40)) for _ in range(300)]  # has a path of its own
    for text in [*TEXTS, *drawn, *plain]:
        assert run_steps(steps, text) == function(text), text


def test_example_encodes_as_the_codec_does() -> None:
    words = dict.fromkeys((word for text in TEXTS for word in tokenize_any(text)), 2)
    codec = TextCodec(
        vocabulary=Vocabulary(words, max_words=60),
        target=Classes(["a", "b"]),
        tokenizer=f"{PLACE}.tokenize_any",
        max_len=12,
        bucket=False,
    )
    prepared = torch.from_numpy(
        runpy.run_path(str(EXAMPLE))["prepare"](TEXTS, json.loads(json.dumps(codec.metadata())))
    )
    assert torch.equal(prepared, codec.encode(TEXTS))
    assert (prepared > 1).sum() > 60
