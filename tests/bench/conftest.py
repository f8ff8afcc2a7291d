"""What every measurement starts from: real servers, as all tests have them."""

from collections.abc import Callable

import pytest

from deploy.local.bus import Cluster
from tests.bench.world import Where, place, renew_topics
from tests.conftest import MakeDatabase

MakePlace = Callable[..., Where]


@pytest.fixture
def where(kafka: Cluster, database: MakeDatabase) -> MakePlace:
    """`where("finance", "incentive-paid")`: a new store of that service, and these topics, empty.

    `probe` is a store that holds nothing but the event path's own tables.
    """

    def make(service: str, *topics: str) -> Where:
        if topics:
            renew_topics(kafka, topics)
        return place(kafka, database(service))

    return make
