"""Programs that are run for real: what an error shows, and what it never shows."""

from __future__ import annotations

import sys

import pytest
from harness.live.reach.run import Output, RunError, run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_and_input() -> None:
    assert run(python("print(input()[::-1])"), stdin="abc\n") == Output("cba\n", "")


def test_environment_is_laid_over_this_one() -> None:
    assert run(python("import os; print(os.environ['ONE'], 'PATH' in os.environ)"), env={"ONE": "1"}).stdout == "1 True\n"


def test_error_carries_both_streams_and_the_code() -> None:
    with pytest.raises(RunError) as caught:
        run(python("import sys; print('half done'); print('no such host', file=sys.stderr); sys.exit(3)"))
    assert caught.value.code == 3
    assert caught.value.reason == "no such host"
    assert str(caught.value).splitlines()[0].endswith(": ended with code 3")
    assert str(caught.value).splitlines()[1:] == ["  stdout:", "    half done", "  stderr:", "    no such host"]


def test_error_does_not_carry_standard_input() -> None:
    with pytest.raises(RunError) as caught:
        run(python("import sys; sys.stdin.read(); sys.exit(1)"), stdin="a private key")
    assert "private" not in str(caught.value)


def test_long_streams_are_cut_at_their_start() -> None:
    with pytest.raises(RunError) as caught:
        run(python("import sys; print('x' * 9000 + 'end'); sys.exit(1)"))
    assert "(5004 characters before)" in str(caught.value)
    assert str(caught.value).endswith("xend")


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(RunError, match="/no/such/program: cannot be started: No such file or directory"):
        run(["/no/such/program"])


def test_a_program_that_takes_too_long() -> None:
    with pytest.raises(RunError, match=r"did not end within 0\.2 s"):
        run(python("import time; time.sleep(20)"), timeout=0.2)
