import pytest

from resources.catalog.layout import LAYOUT, require_layout
from resources.catalog.names import LAYOUT_KEY
from resources.errors import LakeError
from resources.local.lake import LocalLake


@pytest.mark.parametrize("landed", [(), ("landing/telco/train/a.csv",)], ids=["nothing", "landed files"])
def test_a_lake_without_published_data_is_given_the_layouts_number(lake: LocalLake, landed: tuple[str, ...]) -> None:
    for key in landed:
        lake.put(key, b"x")
    require_layout(lake)
    require_layout(lake)
    assert lake.read(LAYOUT_KEY) == b'{"layout": %d}' % LAYOUT


@pytest.mark.parametrize("key", ["alpha/champion.json", "telco/champion.json"], ids=["before landing", "after landing"])
def test_a_lake_published_before_layouts_had_numbers_is_refused_with_what_to_do(lake: LocalLake, key: str) -> None:
    lake.put("landing/telco/train/a.csv", b"x")
    lake.put(key, b"{}")
    with pytest.raises(LakeError, match=r"layout 2(.|\n)*layout 1(.|\n)*CHURN_HOME"):
        require_layout(lake)


def test_a_lake_of_a_later_layout_is_refused(lake: LocalLake) -> None:
    lake.put(LAYOUT_KEY, b'{"layout": 9}')
    with pytest.raises(LakeError, match="layout 9"):
        require_layout(lake)
