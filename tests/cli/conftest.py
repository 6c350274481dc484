from tests.cli.installed import site  # noqa: F401  a fixture
