"""Answers to requests: one customer or many, from landed text to a probability, a decision and reasons. It knows no server and no framework."""
