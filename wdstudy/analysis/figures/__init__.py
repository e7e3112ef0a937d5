"""Pictures of a study, by seaborn and matplotlib."""
