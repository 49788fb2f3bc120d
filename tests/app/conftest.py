"""What these tests share with those of the pages."""

from tests.pages.conftest import past_the_first_session, pictures_in_their_addresses  # noqa: F401  (fixtures)
