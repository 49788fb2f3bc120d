"""Publication figures from outcomes, drawn with matplotlib, and the colors and color maps that the screens share with them."""
