from tests.cards.local_hub import local_hub  # noqa: F401  a fixture
