"""Requests that become an API, at once or after being mended."""

from dataclasses import replace

from generator.types import Wish
from tests.support.scenarios import words
from tests.support.scenarios.base import WISH, Scenario
from tests.support.scenarios.replies import (
    CUT_OFF,
    DROPPED,
    MALFORMED,
    OVERLOADED_INSIDE,
    drafted,
    edited,
    failed,
    said,
    screened,
    used,
    wrote,
)
from tests.support.scenarios.words import undo, with_

QUESTION = "Which language are the texts in?"
BAD_DRAFT = words.draft(outbound_hosts=["127.0.0.1"])
CHECKS = (  # with the import that a tool took out, because nothing used it
    ("from fastapi import Path, Query", "from fastapi import HTTPException, Path, Query"),
    ("    return Fact(", words.NO_CHECK[0] + "    return Fact("),
)

GOOD = (
    Scenario("first_try", "Good code at once", (wrote(),), round=0),
    Scenario(
        "german", "A request in German",
        (wrote(),), wish=Wish("Zähle die Wörter eines Textes, auch große. „Fakten“!"), round=0,
    ),
    Scenario(
        "arabic", "A request in Arabic, with marks for the direction of text",
        (wrote(),), wish=Wish("\u202bعدّ كلمات النص\u202c 数单词 🐝"), round=0,
    ),
    Scenario(
        "longest", "A request of 50 000 characters",
        (wrote(),), wish=Wish("count words " * 4166 + "please!!"), round=0,
    ),
    Scenario(
        "open_questions", "Open questions where nobody waits to answer: assumptions are made",
        (wrote(),), before=(screened(questions=[QUESTION]), drafted()), round=0,
    ),
    Scenario(
        "answered", "A question that was answered",
        (wrote(),), wish=replace(WISH, answers={QUESTION: "All of them."}), round=0,
    ),
    Scenario(
        "thinks_first", "The model thinks and talks before it hands code in",
        (wrote(thinking="Let me see.", text="Here is the code."),), round=0,
    ),
    Scenario(
        "mended_by_a_tool", "An import that nothing uses: a tool takes it out",
        (wrote(with_(words.UNUSED)),), round=0, lacks=("import math",), is_slow=True,
    ),
    Scenario(
        "contract_mended", "A contract with a fault, then one without",
        (wrote(),), before=(screened(), drafted(BAD_DRAFT), drafted()), round=0,
    ),
    Scenario(
        "plain_text_endpoint", "A local endpoint that writes the use of a tool as text",
        (wrote(uses_as_text=True),), speaks="compatible", round=0,
    ),
)  # fmt: skip

REPAIRABLE = (
    Scenario(
        "server_error", "A missing check answers 500; the repair brings it",
        (wrote(with_(words.NO_CHECK)), edited(*CHECKS)),
        round=1, found=("example_failed",),
    ),
    Scenario(
        "wrong_answer", "An answer that is not the example's",
        (wrote(with_(words.WRONG_COUNT)), edited(*undo(words.WRONG_COUNT))),
        round=1, found=("example_failed",),
    ),
    Scenario(
        "wrong_path", "A route that the contract does not have, and one missing",
        (wrote(with_(words.WRONG_PATH)), edited(*undo(words.WRONG_PATH))), round=1, is_slow=True,
    ),
    Scenario(
        "wrong_status", "Another status than the contract's",
        (wrote(with_(words.WRONG_STATUS)), edited(*undo(words.WRONG_STATUS))),
        round=1, is_slow=True,
    ),
    Scenario(
        "bound_missing", "A parameter without the contract's bounds",
        (wrote(with_(words.NO_TIMES)), edited(*undo(words.NO_TIMES))), round=1, is_slow=True,
    ),
    Scenario(
        "no_program", "Code that does not parse is not started, then mended",
        (wrote(with_(words.SYNTAX)), edited(*undo(words.SYNTAX))),
        round=1, found=("syntax_error",),
    ),
    Scenario(
        "forbidden_import", "An import that is not allowed",
        (wrote(with_(*words.SUBPROCESS)), edited(*undo(*words.SUBPROCESS))), round=1, is_slow=True,
    ),
    Scenario(
        "fails_at_start", "Code that raises while it is imported",
        (wrote(with_(words.RAISES_AT_START)), edited(*undo(words.RAISES_AT_START))),
        round=1, found=("start_exception",), is_slow=True,
    ),
    Scenario(
        "two_rounds", "Two problems, one mended in each round",
        (
            wrote(with_(words.WRONG_COUNT, words.WRONG_STATUS, words.NO_CHECK)),
            edited(*undo(words.WRONG_STATUS, words.WRONG_COUNT)),
            edited(*CHECKS),
        ),
        round=2, is_slow=True,
    ),
    Scenario(
        "two_matches", "An edit whose text is there twice, then an exact one",
        (
            wrote(with_(words.WRONG_COUNT)),
            edited(("given", "given_text")),
            edited(*undo(words.WRONG_COUNT)),
        ),
        round=1,
    ),
    Scenario(
        "no_match", "An edit whose text is nowhere, then an exact one",
        (
            wrote(with_(words.WRONG_COUNT)),
            edited(("return 42", "return 43")),
            edited(*undo(words.WRONG_COUNT)),
        ),
        round=1,
    ),
    Scenario(
        "prose_then_code", "Prose instead of code, then code",
        (said("```python\nprint(1)\n```"), wrote()), round=0,
    ),
    Scenario(
        "wrong_tool_then_code", "A tool that does not exist, then the right one",
        (used("bash", command="ls"), wrote()), round=0,
    ),
    Scenario(
        "cut_off_once", "Code cut off at the length limit, then shorter code",
        (CUT_OFF, wrote()), round=0,
    ),
    Scenario(
        "guard_put_back", "A repair drops a bound; the next one puts it back",
        (
            wrote(with_(words.WRONG_COUNT, words.WRONG_STATUS)),
            edited(*undo(words.WRONG_COUNT, words.WRONG_STATUS), words.NO_BOUND),
            edited(*undo(words.NO_BOUND)),
        ),
        round=2,
    ),
    Scenario(
        "stronger_model", "What the first model cannot mend, the stronger one does",
        (
            wrote(with_(words.WRONG_COUNT)),
            edited((words.WRONG_COUNT[1], "len(given.text.split()) + 2")),
        ),
        stronger=(edited(*undo(words.WRONG_COUNT)),), round=2, is_slow=True,
    ),
    Scenario(
        "rate_limited", "429 twice, then an answer",
        (failed(429, headers={"retry-after": "1"}), failed(429), wrote()), round=0,
    ),
    Scenario("overloaded", "529, then an answer", (failed(529), wrote()), round=0),
    Scenario("server_fault", "500, then an answer", (failed(500), wrote()), round=0),
    Scenario("dropped", "A stream that drops, then a whole one", (DROPPED, wrote()), round=0),
    Scenario(
        "malformed", "A stream with a broken event, then a whole one",
        (MALFORMED, wrote()), round=0,
    ),
    Scenario(
        "overloaded_inside", "An error event inside a stream, then a whole one",
        (OVERLOADED_INSIDE, wrote()), round=0,
    ),
)  # fmt: skip
