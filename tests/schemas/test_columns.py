import pytest

from tinyllm_magic.json_schema import FieldType
from tinyllm_magic.schemas.columns import fits


@pytest.mark.parametrize(
    ("values", "kind", "whether"),
    [
        ([1, None], FieldType("integer"), True),
        ([2**63], FieldType("integer"), False),
        ([True], FieldType("integer"), False),
        ([1.5, 2], FieldType("number"), True),
        (["a", None], FieldType("string", ("a", "b")), True),
        (["c"], FieldType("string", ("a", "b")), False),
        ([1], FieldType(), False),
        ([], FieldType("boolean"), True),
    ],
)
def test_a_column_has_a_type_where_all_of_its_values_fit(values, kind, whether):
    assert fits(values, kind) is whether
