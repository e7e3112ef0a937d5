"""Reading studies: frames, numbers, figures, reports. Never imports torch."""
