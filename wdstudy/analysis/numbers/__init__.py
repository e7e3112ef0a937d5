"""What a sweep says in numbers, each with its uncertainty, and in sentences."""
