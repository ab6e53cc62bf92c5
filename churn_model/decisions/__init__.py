"""From probabilities to decisions: costs, the contact policy, the retention list."""
