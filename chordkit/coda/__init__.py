"""CoDA: samples from the cloud that are like a user's own, and what a phone trains with them."""
