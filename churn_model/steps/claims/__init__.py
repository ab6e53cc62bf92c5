"""What each step claims of its result, a module a step. Assets declare these checks without importing the step's libraries."""
