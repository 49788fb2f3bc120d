"""What these tests share with those of the pages."""

from tests.pages.conftest import past_the_first_session  # noqa: F401  (a fixture)
