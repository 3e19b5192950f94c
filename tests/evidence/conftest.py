import pytest
from notebookmaker import Study


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)
