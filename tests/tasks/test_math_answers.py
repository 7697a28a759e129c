"""Which answers are right: those that mean the gold, however they are written, and no others."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tasks.math_answers import TOLERANCE, last_box, number, plain, quick
from engine.tasks.math_grading import is_right, judge_response
from engine.tasks.math_judge import Judge, compare

RIGHT = [
    ("33", ["m+n=33", "m + n = 33", "x_1 = 33", "\\text{total} = 33", "f(2)=33"]),
    ("12", ["12", "12.0", "12.", "$12$", "\\text{12}", "x = 12", "12 \\text{ apples}", "+12", "12\\%", " 12 "]),
    ("025", ["25", "25.0"]),
    ("\\frac{1}{2}", ["0.5", ".5", "1/2", "\\dfrac12", "\\tfrac{1}{2}", "\\frac{2}{4}", "50\\%"]),
    ("-\\frac{1}{2}", ["\\frac{-1}{2}", "-0.5", "\\frac{1}{-2}"]),
    ("1/3", ["0.3333", "0.33333333"]),
    ("50\\%", ["50", "0.5", "50 %", "\\frac12"]),
    ("1,000", ["1000", "1{,}000", "1\\,000"]),
    ("32348", ["\\$32,\\!348", "\\$32,348"]),
    ("7 \\times 10^{37}", ["7e37", "7\\cdot10^{37}"]),
    ("3.3e12", ["3.3\\times 10^{12}", "3.30 \\times 10^{12}"]),
    ("4.4677 \\times 10^{14} Hz", ["4.4677e14", "4.4677 \\times 10^{14}"]),
    ("90^\\circ", ["90", "90^{\\circ}", "90°", "90 degrees", "90 \\text{ degrees}"]),
    ("10\\text{ cm}^2", ["10", "10 \\mathrm{cm}^{2}", "10 square cm"]),
    ("5\\frac{1}{2}", ["5.5", "\\frac{11}{2}"]),
    ("1024", ["2^{10}"]),
    ("\\sqrt{2}", ["1.41421", "\\sqrt2"]),
    ("3\\sqrt{2}", ["\\sqrt{18}", "3 \\cdot \\sqrt{2}"]),
    ("2\\pi", ["6.2832", "\\pi \\cdot 2"]),
    ("p - q", ["-q+p"]),
    ("(x+1)^2", ["x^2+2x+1"]),
    ("6+9i", ["9i+6", "9 i + 6"]),
    ("\\text{(C)}", ["C", "(C)", "\\textbf{(C)}"]),
    ("\\text{east}", ["east", "East", "\\mathrm{east}"]),
    ("1,2,3", ["3, 2, 1", "\\{3,2,1\\}"]),
    ("(1,2)", ["1,2", "\\left( 1, 2 \\right)"]),
    ("(6,3),(9,3)", ["(9,3), (6,3)"]),
    ("[0,1)", ["\\left[0,1\\right)", "x \\in [0,1)"]),
    ("\\pm 5", ["5,-5"]),
    ("f(x)=\\frac{1}{x}", ["\\frac{1}{x}"]),
    ("k\\ge 2", ["2\\le k", "k \\geqslant 2"]),
    ("1001_2", ["1001", "1001_{2}"]),
    ("\\frac{a}{b}\n\\frac{c}{d}", ["c/d", "a/b"]),
]

WRONG = [
    ("12", ["1 2", "1,2", "21", "12x", "12i", "", "\\text{}", "?", "12 or 13", "\\boxed{12", "the answer is 12 or 13"]),
    ("6m", ["6", "6n"]),
    ("33", ["33=m", "33 + x = 34", "33x", "m+n", "33=3+31"]),
    ("1/3", ["0.333", "333/1000", "\\frac{333}{1000}"]),
    ("0.5", ["0.501", "50"]),
    ("50\\%", ["5", "500"]),
    ("100000000", ["100000001", "10^7", "99999999.9999"]),
    ("8.224 \\times 10^{-19}", ["1\\times 10^{-20}", "0"]),
    ("0.0000001", ["0.0000002", "0"]),
    ("(1,2)", ["(2,1)", "2,1", "[1,2]", "\\{2,1\\}"]),
    ("(1,2]", ["[1,2)", "(1,2)"]),
    ("2,3", ["2", "2,3,4", "2,4"]),
    ("(6,3),(9,3)", ["(6,3),(9,4)", "(6,3)"]),
    ("x=5", ["y=5"]),
    ("52_8", ["42_8", "42", "52_{10}"]),
    ("\\text{(C)}", ["(D)", "A, B, C, D, E", "c or d"]),
    ("\\text{Evelyn}", ["Briana", "Evelyn and Briana"]),
    ("\\pm 5", ["5"]),
    ("5", ["\\pm 5", "-5"]),
    ("\\sqrt{2}", ["2", "1.41", "\\sqrt{3}"]),
    ("\\pi", ["3.14", "\\frac{22}{7}"]),
    ("\\infty", ["-\\infty", "999999999"]),
    ("\\text{no solution}", ["0"]),
    ("p - q", ["q - p", "p + q"]),
    ("k \\ge 2", ["k > 2"]),
    ("1+2i", ["1-2i", "3"]),
    ("f(x)=x", ["x^2"]),
    ("2^{1009}", ["2^{1008}"]),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", ["\\begin{pmatrix}2\\\\1\\end{pmatrix}", "1"]),
    # What was asked, asked back: a calculation is no answer to it.
    ("5050", ["\\sum_{k=1}^{100} k", "100 \\cdot 101 / 2"]),
    ("120", ["5!", "\\binom{10}{3}", "100+20", "12 \\times 10", "\\gcd(120, 240)", "\\lfloor 120.5 \\rfloor"]),
    ("64", ["100-36", "\\int_0^{64} 1 dx"]),
]


@pytest.mark.parametrize(("gold", "answers"), RIGHT, ids=[gold for gold, _ in RIGHT])
def test_a_right_answer_is_right_however_it_is_written(gold: str, answers: list[str]) -> None:
    assert [answer for answer in [*gold.splitlines(), *answers] if not is_right(gold, answer)] == []


@pytest.mark.parametrize(("gold", "answers"), WRONG, ids=[gold for gold, _ in WRONG])
def test_a_wrong_answer_is_wrong_however_it_is_made_up(gold: str, answers: list[str]) -> None:
    assert [answer for answer in answers if is_right(gold, answer)] == []


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("so \\boxed{3}.", "3"),
        ("\\boxed{3} or \\boxed{4}", "4"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("\\boxed {5}", "5"),
        ("\\boxed{7} then \\boxed{8", None),
        ("\\boxed{}", None),
        ("\\boxed{ }", None),
        ("the answer is 3", None),
        ("", None),
    ],
)
def test_the_last_box_is_the_answer_and_an_open_or_empty_one_is_none(text: str, box: str | None) -> None:
    assert last_box(text) == box


def test_validity_is_a_signal_of_its_own() -> None:
    cases = [("\\boxed{3}", False), ("\\boxed{4}", False), ("3", False), ("\\boxed{3}", True)]
    verdicts = [judge_response("3", *case) for case in cases]
    assert [(v.valid, v.correct) for v in verdicts] == [(True, True), (True, False), (False, False), (False, False)]


WHOLE = st.integers(-(10**9), 10**9)
WRITTEN = st.one_of(
    WHOLE.map(str),
    st.decimals(-10_000, 10_000, allow_nan=False, places=4).map(str),
    st.tuples(WHOLE, st.integers(1, 999)).map(lambda f: f"\\frac{{{f[0]}}}{{{f[1]}}}"),
    st.tuples(st.integers(0, 9999), st.integers(1, 999)).map(lambda f: f"{f[0]}/{f[1]}"),
    st.tuples(st.integers(1, 99), st.integers(-12, 12)).map(lambda f: f"{f[0]} \\times 10^{{{f[1]}}}"),
)


SMALL = st.integers(-20, 20)
EXPRESSION = st.one_of(
    st.tuples(SMALL, st.integers(2, 30)).map(lambda f: f"{f[0]}\\sqrt{{{f[1]}}}"),
    st.tuples(SMALL, st.integers(2, 9), st.integers(1, 9)).map(lambda f: f"\\frac{{{f[0]}\\sqrt{{{f[1]}}}}}{{{f[2]}}}"),
    st.tuples(SMALL, SMALL, st.integers(2, 9)).map(lambda f: f"{f[0]}{f[1]:+d}\\sqrt{f[2]}"),
    st.tuples(SMALL, st.integers(1, 9)).map(lambda f: f"\\frac{{{f[0]}\\pi}}{{{f[1]}}}"),
    st.tuples(st.integers(2, 9), st.integers(-4, 9)).map(lambda f: f"{f[0]}^{{{f[1]}}}"),
    st.lists(SMALL, min_size=2, max_size=4).map(lambda v: ", ".join(map(str, v))),
    st.tuples(SMALL, SMALL).map(lambda f: f"({f[0]},{f[1]})"),
    SMALL.map(lambda v: f"x={v}"),
    SMALL.map(str),
)


@settings(max_examples=60, deadline=None)
@given(gold=WRITTEN, other=WRITTEN, near=st.integers(-30, 30))
def test_a_number_that_is_read_off_is_what_algebra_says(gold: str, other: str, near: int) -> None:
    right = number(plain(gold))
    assert right is not None
    # Decimals near the gold, on both sides of the tolerance, as well as unrelated ones.
    for answer in (other, f"{float(right.value) * (1 + near / 10 * float(TOLERANCE)):.9f}"):
        given_ = number(plain(answer))
        assert given_ is not None
        error = abs(given_.value - right.value) / abs(right.value) if right.value else 1
        edge = abs(float(error) / float(TOLERANCE) - 1) < 1e-6
        assert edge or quick(plain(gold), plain(answer)) == compare(plain(gold), plain(answer)), (gold, answer)


@settings(max_examples=60, deadline=None)
@given(gold=EXPRESSION, answer=EXPRESSION)
def test_an_expression_that_is_read_off_is_what_algebra_says(gold: str, answer: str) -> None:
    read = quick(plain(gold), plain(answer))
    assert read is None or read == compare(plain(gold), plain(answer))


@given(st.text(max_size=60))
def test_any_text_has_a_plain_form_that_is_its_own(text: str) -> None:
    assert isinstance(plain(text), str)
    assert quick(plain(text), plain(text)) is True


HOSTILE = [
    "9^{9^{9^9}}",
    "10^{10^{10}}",
    "(10^9)!",
    "(" * 20_000,
    "\\sqrt{" * 300 + "2" + "}" * 300,
    "\\prod_{k=1}^{10^9} k",
    "x^{1000000}+y^{999999}(x+y)^{5000}",
    "\\frac{1}{0}",
    "\\log_{0}{0}",
    "\x00\ud800",
    "\\int_0^1 x^{x^{x}} dx",
]


@pytest.fixture
def judge() -> Iterator[Judge]:
    made = Judge(cpu_seconds=0.5)
    yield made
    made.close()


def test_a_hostile_answer_is_wrong_and_neither_hangs_nor_ends_the_judge(judge: Judge) -> None:
    begun = time.process_time()
    for answer in HOSTILE:
        assert judge.equal("\\sqrt{2}", answer) is False
        assert judge.equal("x+y", "y+x") is True, f"after {answer[:30]!r}"
    assert time.process_time() - begun < 1, "the work is the judge's, not ours"


def test_answers_are_judged_off_the_main_thread_by_several_at_once(judge: Judge) -> None:
    found: list[bool] = []

    def ask(i: int) -> None:
        found.append(judge.equal(f"{i}x+y", f"y+{i}x"))
        found.append(not judge.equal(f"{i}x+y", f"y-{i}x"))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [True] * 8


def test_a_judge_that_is_killed_is_started_again(judge: Judge) -> None:
    assert judge.equal("x+y", "y+x")
    assert judge._process is not None
    judge._process.kill()
    judge._process.wait()
    assert judge.equal("x+y", "y+x")


def test_the_judge_and_its_worker_end_with_the_one_who_asked(judge: Judge) -> None:
    import psutil

    assert judge.equal("x+y", "y+x")
    assert judge._process is not None and judge._stream is not None
    family = [psutil.Process(judge._process.pid), *psutil.Process(judge._process.pid).children()]
    assert len(family) == 2
    judge._stream.close()
    judge._stream = None
    judge._process.wait(30)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
