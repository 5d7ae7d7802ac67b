"""How AWS is spoken: which operation a request asks, and what an error looks like."""
