"""A client answers what it was asked, once, and nothing else."""

from holdpoint.stages import questions as questions_module
from holdpoint.stages.questions import MOST_SAME, Questions

A, B = "https://idp#a", "https://idp#b"


def test_answer_fits_its_question_by_principal_target_session_and_id():
    questions = Questions()
    questions.asked(A, "notes", "s1", 7, "roots/list")
    for who, target, session, request_id in (
        (B, "notes", "s1", 7),
        (A, "files", "s1", 7),
        (A, "notes", "s2", 7),
        (A, "notes", "s1", "7"),
        (A, "notes", "s1", None),
    ):
        assert questions.answered(who, target, session, request_id) is None
    assert questions.answered(A, "notes", "s1", 7) == "roots/list"
    assert questions.answered(A, "notes", "s1", 7) is None


def test_question_repeated_in_a_session_is_still_one():
    questions = Questions()
    for _ in range(3):
        questions.asked(A, "notes", "s1", 7, "roots/list")
    assert [questions.answered(A, "notes", "s1", 7) for _ in range(2)] == ["roots/list", None]


def test_servers_without_sessions_may_use_one_id_in_several_answers_at_a_time():
    questions = Questions()
    for method in ("roots/list", "roots/list", "elicitation/create"):
        questions.asked(A, "notes", "", 0, method)
    answered = [questions.answered(A, "notes", "", 0) for _ in range(4)]
    assert answered == ["roots/list", "roots/list", "elicitation/create", None]
    for _ in range(MOST_SAME + 5):
        questions.asked(A, "notes", "", 0, "roots/list")
    assert sum(questions.answered(A, "notes", "", 0) is not None for _ in range(MOST_SAME + 5)) == MOST_SAME


def test_memory_is_bounded_and_nobody_pushes_out_the_questions_of_another(monkeypatch):
    monkeypatch.setattr(questions_module, "MOST_EACH", 3)
    questions = Questions()
    questions.asked(A, "notes", "s", 1, "roots/list")
    for number in range(10):
        questions.asked(B, "notes", "s", number, "roots/list")
        questions.task_asked(B, "notes", "t", str(number), "roots/list")
    assert questions.answered(A, "notes", "s", 1) == "roots/list"
    assert [questions.answered(B, "notes", "s", n) is None for n in range(10)] == [True] * 7 + [False] * 3
    assert questions.task_keys(B, "notes", "t").keys() == {"7", "8", "9"}


def test_principals_are_bounded_too(monkeypatch):
    monkeypatch.setattr(questions_module, "MOST_PRINCIPALS", 2)
    questions = Questions()
    for who in ("a", "b", "c"):
        questions.asked(who, "notes", "s", 1, "roots/list")
    assert [questions.answered(who, "notes", "s", 1) is None for who in ("a", "b", "c")] == [True, False, False]
