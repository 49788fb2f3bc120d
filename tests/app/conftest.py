"""What these tests share with those of the pages."""

from tests.pages.conftest import (  # noqa: F401  (fixtures)
    images_in_their_addresses,
    nobody_was_here_before,
    past_the_first_session,
)
