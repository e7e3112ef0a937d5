"""What a picture shows, whoever draws it."""
