import pytest

from tinyllm_magic.errors import OptionError
from tinyllm_magic.verify.environment import closed_environment

SECRETS = ("OPENAI_API_KEY", "DATABASE_URL", "GH_PAT", "PGPASSWORD", "PGHOST", "MY_AUTH", "AWS_CREDS", "JUPYTER_TOKEN", "TINYLLM_API_KEY")


@pytest.mark.parametrize("name", [*SECRETS, "SOMETHING_ELSE"])
def test_a_variable_that_is_not_on_the_list_or_looks_secret_is_out(name):
    assert name not in closed_environment({name: "a-value-0123456789"})


def test_an_address_is_kept_so_that_the_same_question_is_asked_unless_it_holds_a_login():
    assert closed_environment({"OPENAI_BASE_URL": "http://localhost:1/v1"})["OPENAI_BASE_URL"] == "http://localhost:1/v1"
    assert "OPENAI_BASE_URL" not in closed_environment({"OPENAI_BASE_URL": "http://me:secret@localhost:1/v1"})


def test_a_named_variable_is_let_through_but_never_one_that_looks_secret():
    assert closed_environment({"DATA_FOLDER": "/data"}, ["DATA_FOLDER"])["DATA_FOLDER"] == "/data"
    for name in SECRETS:
        with pytest.raises(OptionError, match=name):
            closed_environment({name: "x"}, [name])
    with pytest.raises(OptionError, match="SERVICE"):
        closed_environment({"SERVICE": "https://me:pw@host/"}, ["SERVICE"])


def test_what_a_program_needs_to_run_is_kept():
    assert closed_environment({"PATH": "/bin", "LC_ALL": "C", "PYTHONHASHSEED": "1"}).items() >= {
        "PATH": "/bin", "LC_ALL": "C", "PYTHONHASHSEED": "1"}.items()  # fmt: skip
