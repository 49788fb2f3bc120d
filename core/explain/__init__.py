"""Images of a decision: class maps, feature maps, attention masks, loss surfaces."""
