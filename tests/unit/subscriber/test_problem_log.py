import pytest
from structlog.testing import capture_logs
from support.clock import HandClock

from forwarder.logs import logger
from forwarder.subscriber.problem import Problem
from forwarder.subscriber.problem_log import ProblemLog

PASSWORD = Problem("credentials", "check the password")
NETWORK = Problem("unreachable", "check the network")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def problem_log(clock: HandClock) -> ProblemLog:
    return ProblemLog(logger("mqtt"), clock, repeat_seconds=300.0)


def test_problem_that_lasts_is_one_warning(problem_log: ProblemLog) -> None:
    """Each retry that fails alike is for those who debug only."""
    with capture_logs() as logs:
        for _ in range(3):
            problem_log.report(PASSWORD)
    assert [log["log_level"] for log in logs] == ["warning", "debug", "debug"]


def test_problem_that_lasts_long_is_said_again(problem_log: ProblemLog, clock: HandClock) -> None:
    """Whoever reads the log of the last hours finds it."""
    problem_log.report(PASSWORD)
    clock.advance(300)
    with capture_logs() as logs:
        problem_log.report(PASSWORD)
    assert [log["log_level"] for log in logs] == ["warning"]


def test_another_problem_is_another_warning(problem_log: ProblemLog) -> None:
    """Problems that take turns are each said once."""
    with capture_logs() as logs:
        for problem in (PASSWORD, NETWORK, PASSWORD, NETWORK):
            problem_log.report(problem)
    assert [log["log_level"] for log in logs] == ["warning", "warning", "debug", "debug"]
    assert problem_log.problem == NETWORK


def test_recovery_is_said_once(problem_log: ProblemLog) -> None:
    """The end of a problem is one line, and the next problem is news again."""
    problem_log.report(PASSWORD)
    with capture_logs() as logs:
        problem_log.clear()
        problem_log.clear()
        problem_log.report(PASSWORD)
    assert [log["event"] for log in logs] == ["mqtt.recovered", "mqtt.failed"]
    assert logs[1]["log_level"] == "warning"


def test_noted_problem_is_kept_without_a_line(problem_log: ProblemLog) -> None:
    """What another line has said is only remembered, and forgotten without a word."""
    with capture_logs() as logs:
        problem_log.note(NETWORK)
        assert problem_log.problem == NETWORK
        problem_log.clear()
    assert logs == []
    assert problem_log.problem is None


def test_error_of_ours_is_logged_with_its_traceback_once(problem_log: ProblemLog) -> None:
    """A bug shows where it is, but not at every retry."""
    with capture_logs() as logs:
        problem_log.report(Problem("internal", "a KeyError", cause=KeyError()))
        problem_log.report(Problem("internal", "a KeyError", cause=KeyError()))
    assert [log["exc_info"] is not None for log in logs] == [True, False]
